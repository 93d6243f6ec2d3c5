// SPDX-License-Identifier: Apache-2.0
#include "compress/block_codes_io.h"

#include <cstring>

#include "tests/compress/code_cases.h"

namespace vecstore {
namespace {

constexpr std::size_t kHeaderBytes = 64;
constexpr Codec kKinds[] = {Codec::kPq, Codec::kOpq, Codec::kRabitq};

class MemorySink final : public ByteSink {
 public:
  Status write(std::span<const std::byte> part) override {
    bytes.insert(bytes.end(), part.begin(), part.end());
    return Status::ok();
  }
  std::vector<std::byte> bytes;
};

class MemorySource final : public ByteSource {
 public:
  explicit MemorySource(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
  std::uint64_t size() const override { return bytes_.size(); }
  Status read(std::span<std::byte> into) override {
    if (into.size() > bytes_.size() - at_) return {Code::kIo, "read past the end"};
    std::memcpy(into.data(), bytes_.data() + at_, into.size());
    at_ += into.size();
    return Status::ok();
  }

 private:
  std::vector<std::byte> bytes_;
  std::size_t at_ = 0;
};

BlockCodes encoded(std::uint64_t rows, std::uint32_t dim, Codec kind, MemoryBudget& budget) {
  SerialExecutor executor;
  CodecOptions options;
  options.kind = kind;
  options.code_bytes = (dim + 3) / 4;
  auto codes = encode_blocks(test::walking_rows(rows, dim, rows), options, nullptr, executor, budget);
  REQUIRE_OK(codes);
  return std::move(codes).value();
}

std::vector<std::byte> saved(const BlockCodes& codes) {
  MemorySink sink;
  REQUIRE_OK(save_block_codes(codes, sink));
  return sink.bytes;
}

Result<BlockCodes> load(const std::vector<std::byte>& bytes, MemoryBudget& budget) {
  MemorySource source(bytes);
  return load_block_codes(source, budget);
}

template <typename T>
void put(std::vector<std::byte>& bytes, std::size_t at, T value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

BOOST_AUTO_TEST_CASE(what_is_saved_is_what_is_loaded) {
  for (const Codec kind : kKinds) {
    for (const std::uint64_t rows : {1u, 256u, 700u}) {
      MemoryBudget budget;
      const BlockCodes codes = encoded(rows, 19, kind, budget);
      const auto loaded = load(saved(codes), budget);
      REQUIRE_OK(loaded);
      BOOST_TEST(test::same_codes(codes, *loaded));
      BOOST_TEST(saved(*loaded) == saved(codes));
    }
  }
  MemoryBudget budget;
  SerialExecutor executor;
  const auto none = encode_blocks(test::MemoryRows(8, {}), {}, nullptr, executor, budget);
  REQUIRE_OK(none);
  REQUIRE_OK(load(saved(*none), budget));
}

// The format as README.md gives it: a header that another program could have written.
BOOST_AUTO_TEST_CASE(the_header_lies_as_documented) {
  MemoryBudget budget;
  const BlockCodes codes = encoded(300, 6, Codec::kOpq, budget);
  const std::vector<std::byte> bytes = saved(codes);
  const auto at = [&]<typename T>(std::size_t offset, T) {
    T value{};
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  };
  BOOST_TEST(std::memcmp(bytes.data(), "VSBC", 4) == 0);
  BOOST_TEST(at(4, std::uint32_t{}) == 4u);
  BOOST_TEST(at(8, std::uint8_t{}) == 1u);
  BOOST_TEST(at(9, std::uint8_t{}) == 0u);
  BOOST_TEST(at(10, std::uint16_t{}) == 6u);
  BOOST_TEST(at(12, std::uint32_t{}) == 6u);
  BOOST_TEST(at(16, std::uint32_t{}) == 2u);
  BOOST_TEST(at(20, std::uint32_t{}) == codes.model.codewords);
  BOOST_TEST(at(24, std::uint64_t{}) == 300u);
  BOOST_TEST(at(32, 0.0f) == codes.model.correction_scale);
  BOOST_TEST(at(36, 0.0f) == codes.model.correction_offset);
  BOOST_TEST(at(40, 0.0f) == codes.model.error_slope);
  BOOST_TEST(at(44, 0.0f) == codes.model.mean_square_error);
  BOOST_TEST(at(48, std::uint64_t{}) == bytes.size());
  BOOST_TEST(at(56, 0.0f) == codes.model.bias_offset);
  BOOST_TEST(at(60, 0.0f) == codes.model.bias_per_error2);
  BOOST_TEST(at(kHeaderBytes + 3 * 4 + 4 * (6 + 36), 0.0f) == codes.model.weights[0]);
  const std::size_t floats = 6 + 36 + 6 + 6 * codes.model.codewords;
  BOOST_TEST(bytes.size() == kHeaderBytes + 3 * 4 + 4 * floats + 300 * (2 + 2) + 2 * (6 + 8));
}

// The same for the version that RaBitQ has: 6 dimensions at 2 bits in 2 bytes.
BOOST_AUTO_TEST_CASE(a_stream_of_rabitq_lies_as_documented) {
  MemoryBudget budget;
  const BlockCodes codes = encoded(300, 6, Codec::kRabitq, budget);
  const std::vector<std::byte> bytes = saved(codes);
  const auto at = [&]<typename T>(std::size_t offset, T) {
    T value{};
    std::memcpy(&value, bytes.data() + offset, sizeof value);
    return value;
  };
  BOOST_TEST(at(4, std::uint32_t{}) == 2u);
  BOOST_TEST(at(8, std::uint8_t{}) == 2u);
  BOOST_TEST(at(10, std::uint16_t{}) == 2u);
  BOOST_TEST(at(16, std::uint32_t{}) == 2u);
  BOOST_TEST(at(20, std::uint32_t{}) == 0u);
  BOOST_TEST(at(kHeaderBytes, 0.0f) == codes.model.mean[0]);
  const std::size_t mixing_at = kHeaderBytes + 4 * 6;
  BOOST_TEST(at(mixing_at, std::uint16_t{}) == codes.model.mixing[0]);
  const std::size_t codes_at = mixing_at + 2 * 3 * 6;
  BOOST_TEST(at(codes_at, std::uint8_t{}) == codes.codes[0]);
  BOOST_TEST(at(codes_at + 300 * 2, std::uint16_t{}) == codes.factors[0]);
  BOOST_TEST(at(codes_at + 300 * 4, std::uint16_t{}) == codes.corrections[0]);
  BOOST_TEST(bytes.size() == codes_at + 300 * 6 + 2 * (6 + 8));
}

BOOST_AUTO_TEST_CASE(a_stream_of_any_other_length_is_refused) {
  for (const Codec kind : {Codec::kPq, Codec::kRabitq}) {
    MemoryBudget budget;
    const BlockCodes codes = encoded(40, 5, kind, budget);
    const std::vector<std::byte> good = saved(codes);
    for (std::size_t size = 0; size <= good.size() + 1; ++size) {
      std::vector<std::byte> bytes = good;
      bytes.resize(size);
      const Code expected = size == good.size() ? Code::kOk : Code::kCorrupt;
      BOOST_REQUIRE((test::code_of(load(bytes, budget)) == expected));
    }
  }
}

BOOST_AUTO_TEST_CASE(sizes_are_refused_before_anything_is_allocated) {
  for (const Codec kind : {Codec::kOpq, Codec::kRabitq}) {
    MemoryBudget writing;
    const std::vector<std::byte> good = saved(encoded(300, 6, kind, writing));
    MemoryBudget nothing(0);
    for (const std::size_t offset :
         {std::size_t{12}, std::size_t{16}, std::size_t{20}, std::size_t{24}, std::size_t{28}}) {
      for (const std::uint32_t value : {0u, 1u, 255u, 4096u, 4097u, 0x7FFFFFFFu, 0xFFFFFFFFu}) {
        std::vector<std::byte> bytes = good;
        put(bytes, offset, value);
        if (bytes == good) continue;
        BOOST_TEST((test::code_of(load(bytes, nothing)) == Code::kCorrupt));
      }
    }
  }
}

// 18 of 24 dimensions hardly vary: their rotated dimensions are not worth a byte of the model.
BlockCodes encoded_flat(MemoryBudget& budget) {
  SerialExecutor executor;
  CodecOptions options;
  options.code_bytes = 4;
  auto codes = encode_blocks(test::flat_rows(4000, 24, 6), options, nullptr, executor, budget);
  REQUIRE_OK(codes);
  return std::move(codes).value();
}

BOOST_AUTO_TEST_CASE(codes_of_fewer_dimensions_are_saved_and_loaded) {
  MemoryBudget budget;
  const BlockCodes codes = encoded_flat(budget);
  BOOST_TEST(codes.model.rotated_dims() < 24u);
  const std::vector<std::byte> bytes = saved(codes);
  const auto loaded = load(bytes, budget);
  REQUIRE_OK(loaded);
  BOOST_TEST(test::same_codes(codes, *loaded));
  BOOST_TEST(loaded->fixed_bytes() == codes.fixed_bytes());
}

BOOST_AUTO_TEST_CASE(a_number_of_dimensions_that_cannot_be_is_refused) {
  MemoryBudget budget;
  for (const Codec kind : {Codec::kOpq, Codec::kPq}) {
    const std::vector<std::byte> good = saved(encoded(100, 6, kind, budget));
    for (const int dims : {0, 1, 5, 7, 65535}) {
      std::vector<std::byte> bytes = good;
      put(bytes, 10, static_cast<std::uint16_t>(dims));
      BOOST_TEST((test::code_of(load(bytes, budget)) == Code::kCorrupt));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_width_a_rotation_or_a_factor_that_rabitq_does_not_have_is_refused) {
  MemoryBudget budget;
  const std::vector<std::byte> good = saved(encoded(100, 6, Codec::kRabitq, budget));
  const auto refused = [&](std::size_t offset, auto value) {
    std::vector<std::byte> bytes = good;
    put(bytes, offset, value);
    return test::code_of(load(bytes, budget));
  };
  for (const int bits : {0, 1, 3, 4, 8}) BOOST_TEST((refused(10, static_cast<std::uint16_t>(bits)) == Code::kCorrupt));
  for (const int kind : {0, 1, 3}) BOOST_TEST((refused(8, static_cast<std::uint8_t>(kind)) == Code::kCorrupt));
  BOOST_TEST((refused(4, std::uint32_t{4}) == Code::kCorrupt));
  BOOST_TEST((refused(4, std::uint32_t{6}) == Code::kNewerFormat));
  const std::size_t mixing_at = kHeaderBytes + 4 * 6;
  std::uint16_t second = 0;
  std::memcpy(&second, good.data() + mixing_at + 2, sizeof second);
  BOOST_TEST((refused(mixing_at, second) == Code::kCorrupt));  // one element twice
  BOOST_TEST((refused(mixing_at, std::uint16_t{6}) == Code::kCorrupt));
  const std::size_t factors_at = mixing_at + 2 * 3 * 6 + 100 * 2;
  BOOST_TEST((refused(factors_at, std::uint16_t{0xFEFF}) == Code::kOk));
  BOOST_TEST((refused(factors_at + 2 * 99, std::uint16_t{0xFF00}) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(a_newer_version_a_code_without_a_codeword_and_numbers_that_are_none_are_refused) {
  MemoryBudget budget;
  const BlockCodes codes = encoded(100, 6, Codec::kPq, budget);
  const std::vector<std::byte> good = saved(codes);
  std::vector<std::byte> bytes = good;
  put(bytes, 4, std::uint32_t{6});
  BOOST_TEST((test::code_of(load(bytes, budget)) == Code::kNewerFormat));
  for (const std::uint32_t before_release : {1u, 3u}) {
    put(bytes, 4, before_release);
    BOOST_TEST((test::code_of(load(bytes, budget)) == Code::kUnsupported));
  }
  put(bytes, 4, std::uint32_t{2});
  BOOST_TEST((test::code_of(load(bytes, budget)) == Code::kCorrupt));

  bytes = good;
  const std::size_t codes_at = kHeaderBytes + 3 * 4 + 4 * (6 + 6 + 6 * codes.model.codewords);
  BOOST_REQUIRE(codes.model.codewords == 100u);
  put(bytes, codes_at + 17, std::uint8_t{100});
  BOOST_TEST((test::code_of(load(bytes, budget)) == Code::kCorrupt));

  const std::size_t mean_at = kHeaderBytes + 3 * 4;
  for (const std::size_t offset : {std::size_t{32}, std::size_t{36}, std::size_t{40}, std::size_t{56}, std::size_t{60},
                                   mean_at, bytes.size() - 4}) {
    bytes = good;
    put(bytes, offset, std::nanf(""));
    BOOST_TEST((test::code_of(load(bytes, budget)) == Code::kCorrupt));
  }
  for (const std::uint32_t begin : {0u, 6u, 0xFFFFFFFFu}) {
    bytes = good;
    put(bytes, kHeaderBytes + 4, begin);
    BOOST_TEST((test::code_of(load(bytes, budget)) == Code::kCorrupt));
  }
}

// The stream carries no checksum of its own (pages do), so a flip may go unnoticed, but must never leave any bound.
BOOST_AUTO_TEST_CASE(no_flipped_bit_makes_loading_or_scoring_leave_its_bounds) {
  for (const Codec kind : {Codec::kOpq, Codec::kRabitq}) {
    MemoryBudget budget;
    const std::vector<std::byte> good = saved(encoded(300, 6, kind, budget));
    const float query[6] = {1, 2, 3, 4, 5, 6};
    for (std::size_t bit = 0; bit < 8 * good.size(); bit += bit < 8 * 400 ? 1 : 53) {
      std::vector<std::byte> bytes = good;
      bytes[bit / 8] ^= static_cast<std::byte>(1u << (bit % 8));
      const auto loaded = load(bytes, budget);
      if (loaded.has_value()) BOOST_REQUIRE(test::estimates(*loaded, query, budget).size() == loaded->rows);
    }
  }
}

}  // namespace
}  // namespace vecstore
