// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <cerrno>
#include <cmath>

#include "base/bytes.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/status.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

BOOST_AUTO_TEST_CASE(a_message_names_subject_place_and_errno) {
  const Status status = errno_status(ENOSPC, "cannot write; free some space", "idx/graph-1").at(Detail::kPage, 17);
  BOOST_TEST(status.message() == "idx/graph-1: page 17: cannot write; free some space (No space left on device)");
  BOOST_TEST((status.code() == Code::kNoSpace));
}

BOOST_AUTO_TEST_CASE(a_read_only_file_system_is_told_whatever_was_to_be_done_there) {
  const Status status = errno_status(EROFS, "cannot make the directory", "idx");
  BOOST_TEST(status.message() == "idx: the file system is read-only (Read-only file system)");
  BOOST_TEST((status.code() == Code::kPermission));
}

BOOST_AUTO_TEST_CASE(memory_that_the_system_refuses_is_told_from_a_budget_that_is_used_up) {
  constexpr std::size_t kTooMuch = std::size_t{1} << 60;
  MemoryBudget unlimited;
  const auto refused = Buffer<std::byte>::allocate(unlimited, kTooMuch);
  BOOST_REQUIRE((test::code_of(refused) == Code::kMemoryBudget));
  BOOST_TEST(is_refused_by_system(refused.error()));
  BOOST_TEST(refused.error().number() == kTooMuch);
  BOOST_TEST(refused.error().message().ends_with("(Cannot allocate memory)"), refused.error().message());
  MemoryBudget budget(10000);
  const auto beyond = Buffer<std::byte>::allocate(budget, 10001);
  BOOST_REQUIRE((test::code_of(beyond) == Code::kMemoryBudget));
  BOOST_TEST(!is_refused_by_system(beyond.error()));
  BOOST_TEST(beyond.error().message() ==
             "10000 bytes of memory: the memory budget is too small; this needs at least 1MiB (10001 bytes)");
}

// The number is what an option takes, and it suffices.
BOOST_AUTO_TEST_CASE(memory_is_told_in_mib_rounded_up) {
  const auto told = [](std::uint64_t bytes) {
    return Status(Code::kMemoryBudget, "--ram needs at least").at(Detail::kBytes, bytes).message();
  };
  BOOST_TEST(told(1) == "--ram needs at least 1MiB (1 bytes)");
  BOOST_TEST(told(1048576) == "--ram needs at least 1MiB (1048576 bytes)");
  BOOST_TEST(told(1048577) == "--ram needs at least 2MiB (1048577 bytes)");
  BOOST_TEST(told(~std::uint64_t{0}) == "--ram needs at least 17592186044416MiB (18446744073709551615 bytes)");
  const Status full = Status(Code::kNoSpace, "free some, at least").at(Detail::kBytes, 5);
  BOOST_TEST(full.message() == "free some, at least 5 bytes");
}

BOOST_AUTO_TEST_CASE(a_long_subject_keeps_its_end) {
  const Status status = Status(Code::kIo, "x").about(std::string(500, 'a') + "/graph-1");
  BOOST_TEST(status.subject().size() == 200u);
  BOOST_TEST(status.subject().substr(0, 4) == "...a");
  BOOST_TEST(status.subject().substr(192) == "/graph-1");
}

BOOST_AUTO_TEST_CASE(a_budget_refuses_what_exceeds_it_and_names_the_least_that_would_do) {
  MemoryBudget budget(10000);
  auto first = Buffer<float>::allocate(budget, 2000);
  REQUIRE_OK(first);
  BOOST_TEST(budget.used_bytes() == 8000u);
  const auto second = Buffer<float>::allocate(budget, 1000);
  BOOST_REQUIRE((test::code_of(second) == Code::kMemoryBudget));
  BOOST_TEST(second.error().number() == 12000u);
  BOOST_TEST(budget.used_bytes() == 8000u);
  first->reset();
  BOOST_TEST(budget.used_bytes() == 0u);
  BOOST_TEST(budget.peak_bytes() == 8000u);
}

BOOST_AUTO_TEST_CASE(a_limit_that_is_lowered_keeps_what_is_used) {
  MemoryBudget budget(10000);
  auto used = Buffer<std::byte>::allocate(budget, 6000);
  REQUIRE_OK(used);
  BOOST_TEST(budget.lower(20000) == 10000u);
  BOOST_TEST(budget.lower(4000) == 6000u);
  BOOST_TEST((test::code_of(Buffer<std::byte>::allocate(budget, 1)) == Code::kMemoryBudget));
  used->reset();
  BOOST_TEST(budget.lower(4000) == 4000u);
  BOOST_TEST(budget.limit_bytes() == 4000u);
  REQUIRE_OK(Buffer<std::byte>::allocate(budget, 4000));
}

BOOST_AUTO_TEST_CASE(buffers_are_zeroed_and_aligned_on_both_sides_of_the_mapping_limit) {
  MemoryBudget budget;
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{4096}, kMappedBytesMin - 1, kMappedBytesMin, std::size_t{1} << 20}) {
    auto buffer = Buffer<std::byte>::allocate(budget, bytes);
    REQUIRE_OK(buffer);
    const auto address = reinterpret_cast<std::uintptr_t>(buffer->data());
    BOOST_TEST(address % (bytes >= 4096 ? 4096 : 64) == 0u);
    for (const std::byte value : *buffer) BOOST_REQUIRE(value == std::byte{0});
  }
}

BOOST_AUTO_TEST_CASE(a_reader_never_passes_its_end) {
  ByteWriter writer;
  writer.write(std::uint32_t{7});
  writer.write_string("abc");
  ByteReader reader(writer.bytes());
  BOOST_TEST(reader.read<std::uint32_t>() == 7u);
  BOOST_TEST(reader.read_string(3) == "abc");
  BOOST_TEST(reader.done());
  BOOST_TEST(reader.read<std::uint8_t>() == 0u);
  BOOST_TEST(!reader.ok());
  ByteReader lying(std::as_bytes(std::span("\xff\xff\xff\xff..", 6)));
  BOOST_TEST(lying.read_string(100).empty());
  BOOST_TEST(!lying.ok());
}

BOOST_AUTO_TEST_CASE(every_half_survives_the_round_trip) {
  for (std::uint32_t bits = 0; bits < 0x10000u; ++bits) {
    const auto half = static_cast<std::uint16_t>(bits);
    const float value = half_to_float(half);
    if (std::isnan(value)) {
      BOOST_REQUIRE(std::isnan(half_to_float(float_to_half(value))));
    } else {
      BOOST_REQUIRE_EQUAL(float_to_half(value), half);
    }
  }
  BOOST_TEST(half_to_float(0x3C00) == 1.0f);
  BOOST_TEST(half_to_float(0x0001) == 0x1.0p-24f);
  BOOST_TEST(half_to_float(0x7BFF) == 65504.0f);
  BOOST_TEST(float_to_half(65520.0f) == 0x7C00u);
  BOOST_TEST(float_to_half(1.0f + 0x1.0p-11f) == 0x3C00u);
  BOOST_TEST(float_to_half(1.0f + 0x1.8p-10f) == 0x3C02u);
}

}  // namespace
}  // namespace vecstore
