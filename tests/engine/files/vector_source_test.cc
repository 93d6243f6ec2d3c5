// SPDX-License-Identifier: Apache-2.0
#include "engine/vector_source.h"

#include <cstring>
#include <limits>
#include <numeric>

#include "base/limits.h"
#include "tests/test_util.h"

using namespace vecstore;
using test::code_of;

namespace {

template <typename T>
void append(std::vector<char>& bytes, T value) {
  const auto* from = reinterpret_cast<const char*>(&value);
  bytes.insert(bytes.end(), from, from + sizeof value);
}

std::vector<char> bin_file(std::uint32_t rows, std::uint32_t dim, std::size_t data_bytes) {
  std::vector<char> bytes;
  append(bytes, rows);
  append(bytes, dim);
  for (std::size_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

std::vector<char> npy_file(const std::string& dictionary, std::size_t data_bytes, std::uint8_t major = 1) {
  std::vector<char> bytes;
  const std::string magic = "\x93NUMPY";
  bytes.insert(bytes.end(), magic.begin(), magic.end());
  append(bytes, major);
  append(bytes, std::uint8_t{0});
  if (major == 1) {
    append(bytes, static_cast<std::uint16_t>(dictionary.size()));
  } else {
    append(bytes, static_cast<std::uint32_t>(dictionary.size()));
  }
  bytes.insert(bytes.end(), dictionary.begin(), dictionary.end());
  for (std::size_t i = 0; i < data_bytes; ++i) bytes.push_back(static_cast<char>(i));
  return bytes;
}

// What opening (and, if that works, reading all of) the bytes under this name says.
std::string refusal(const std::string& name, const std::vector<char>& bytes, Code expected = Code::kInvalidInput) {
  const test::TemporaryDirectory directory;
  test::write_file(directory.path(name), bytes);
  const auto source = open_vector_file(directory.path(name));
  Status status = source ? Status() : source.error();
  if (source) {
    std::vector<char> rows(static_cast<std::size_t>((*source)->rows() * (*source)->dim() * 4));
    status = (*source)->read(0, (*source)->rows(), rows.data());
  }
  BOOST_TEST(static_cast<int>(status.code()) == static_cast<int>(expected), status.message());
  BOOST_TEST(status.message().find(name) != std::string::npos, status.message());
  BOOST_TEST(status.message().find('\n') == std::string::npos);
  return status.message();
}

bool mentions(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace

BOOST_AUTO_TEST_SUITE(vector_source)

BOOST_AUTO_TEST_CASE(every_bin_layout_is_read_as_it_is) {
  const test::TemporaryDirectory directory;
  const std::vector<std::pair<std::string, DType>> layouts = {
      {"a.fbin", DType::kF32}, {"a.f16bin", DType::kF16}, {"a.u8bin", DType::kU8}, {"a.i8bin", DType::kI8}};
  for (const auto& [name, dtype] : layouts) {
    const std::size_t row_bytes = 3 * element_bytes(dtype);
    const auto bytes = bin_file(5, 3, 5 * row_bytes);
    test::write_file(directory.path(name), bytes);
    const auto source = open_vector_file(directory.path(name));
    REQUIRE_OK(source);
    BOOST_TEST((*source)->rows() == 5u);
    BOOST_TEST((*source)->dim() == 3u);
    BOOST_TEST(((*source)->dtype() == dtype));
    std::vector<char> middle(2 * row_bytes);
    REQUIRE_OK((*source)->read(2, 2, middle.data()));
    BOOST_TEST(std::memcmp(middle.data(), bytes.data() + 8 + 2 * row_bytes, middle.size()) == 0);
    BOOST_TEST(!(*source)->read(4, 2, middle.data()).is_ok());
    BOOST_TEST(!(*source)->read(1, std::numeric_limits<std::uint64_t>::max(), middle.data()).is_ok());
  }
}

BOOST_AUTO_TEST_CASE(vecs_rows_lose_their_prefix) {
  const test::TemporaryDirectory directory;
  std::vector<char> bytes;
  std::vector<float> expected;
  // More rows than one chunk of the reader holds.
  for (int row = 0; row < 20000; ++row) {
    append(bytes, std::uint32_t{4});
    for (int i = 0; i < 4; ++i) {
      expected.push_back(static_cast<float>(row * 4 + i));
      append(bytes, expected.back());
    }
  }
  test::write_file(directory.path("a.fvecs"), bytes);
  const auto source = open_vector_file(directory.path("a.fvecs"));
  REQUIRE_OK(source);
  BOOST_TEST((*source)->rows() == 20000u);
  std::vector<float> read(expected.size());
  REQUIRE_OK((*source)->read(0, 20000, read.data()));
  BOOST_TEST((read == expected));
}

BOOST_AUTO_TEST_CASE(npy_of_every_version_and_type_is_read) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("a.npy");
  for (const std::uint8_t major : {std::uint8_t{1}, std::uint8_t{2}, std::uint8_t{3}}) {
    for (const auto& [descr, bytes] :
         std::vector<std::pair<std::string, std::size_t>>{{"<f4", 4}, {"<f2", 2}, {"|u1", 1}, {"|i1", 1}}) {
      test::write_file(path, npy_file("{'descr': '" + descr + "', 'fortran_order': False, 'shape': (2, 3), }   \n",
                                      6 * bytes, major));
      const auto source = open_vector_file(path);
      REQUIRE_OK(source);
      BOOST_TEST((*source)->rows() == 2u);
      BOOST_TEST((*source)->dim() == 3u);
      BOOST_TEST(element_bytes((*source)->dtype()) == bytes);
    }
  }
  test::write_file(path, npy_file("{'shape': (7,), 'fortran_order': False, 'descr': '|u1'}", 7));
  const auto one_row = open_vector_file(path);
  REQUIRE_OK(one_row);
  BOOST_TEST((*one_row)->rows() == 1u);
  BOOST_TEST((*one_row)->dim() == 7u);
}

BOOST_AUTO_TEST_CASE(a_cut_file_is_refused_with_the_offset_where_it_ends) {
  BOOST_TEST(mentions(refusal("a.u8bin", bin_file(10, 4, 39)), "offset 47"));
  BOOST_TEST(mentions(refusal("a.u8bin", bin_file(10, 4, 39)), "expected 48 bytes"));
  BOOST_TEST(mentions(refusal("a.u8bin", {1, 2, 3}), "offset 3"));
  BOOST_TEST(mentions(refusal("a.fbin", bin_file(2, 3, 23)), "offset 31"));
  BOOST_TEST(mentions(refusal("a.f16bin", bin_file(2, 3, 11)), "offset 19"));
  BOOST_TEST(mentions(refusal("a.i8bin", bin_file(2, 3, 0)), "offset 8"));
  BOOST_TEST(
      mentions(refusal("a.npy", npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}", 5)), "expected"));
  BOOST_TEST(mentions(refusal("a.npy", {'\x93', 'N', 'U'}), "offset 3"));
  std::vector<char> vecs = {4, 0, 0, 0, 1, 2, 3, 4, 4, 0, 0, 0, 1};
  BOOST_TEST(mentions(refusal("a.bvecs", vecs), "offset 13"));
  BOOST_TEST(mentions(refusal("a.bvecs", {4, 0}), "offset 2"));
  BOOST_TEST(mentions(refusal("a.fvecs", {}), "offset 0"));
}

BOOST_AUTO_TEST_CASE(a_file_longer_than_its_header_is_refused) {
  BOOST_TEST(mentions(refusal("a.u8bin", bin_file(10, 4, 41)), "offset 49"));
  BOOST_TEST(
      mentions(refusal("a.npy", npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)}", 7)), "goes on"));
}

BOOST_AUTO_TEST_CASE(a_hostile_header_allocates_nothing) {
  refusal("a.fbin", bin_file(0xFFFFFFFFu, 4096, 100));
  refusal("a.fbin", bin_file(3, 0, 100));
  refusal("a.fbin", bin_file(1, 4097, 4 * 4097), Code::kUnsupported);
  refusal("a.fbin", bin_file(1, 0xFFFFFFFFu, 16), Code::kUnsupported);
  refusal("a.npy", npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (288230376151711744, 4096)}", 16));
  refusal("a.npy", npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 2)}", 16));
  refusal("a.npy", npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4294967300)}", 16),
          Code::kUnsupported);
  std::vector<char> vecs = {-1, -1, -1, -1, 1, 2, 3, 4};
  refusal("a.fvecs", vecs, Code::kUnsupported);
}

BOOST_AUTO_TEST_CASE(npy_that_numpy_would_not_write_is_refused) {
  for (const std::string dictionary :
       {"", "{", "{}", "}", "{'descr'", "{'descr': ", "{'descr': '<f4'", "{'descr': '<f4', 'fortran_order': Fal",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4), } x",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1,, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 4)}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': ()}", "{'descr': '<f4', 'fortran_order': False}",
        "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 2, 2)}",
        "{'descr': [('a', '<f4'), 'fortran_order': False, 'shape': (1, 4)}"})
    refusal("a.npy", npy_file(dictionary, 16));
  refusal("a.npy", bin_file(1, 4, 16));
  refusal("a.npy", npy_file("{'descr': '>f4', 'fortran_order': False, 'shape': (1, 4)}", 16), Code::kUnsupported);
  refusal("a.npy", npy_file("{'descr': '<f8', 'fortran_order': False, 'shape': (1, 2)}", 16), Code::kUnsupported);
  refusal("a.npy", npy_file("{'descr': '<i4', 'fortran_order': False, 'shape': (1, 4)}", 16), Code::kUnsupported);
  refusal("a.npy", npy_file("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 4)}", 16, 4), Code::kUnsupported);
  BOOST_TEST(mentions(
      refusal("a.npy", npy_file("{'descr': '<f4', 'fortran_order': True, 'shape': (1, 4)}", 16), Code::kUnsupported),
      "ascontiguousarray"));
}

BOOST_AUTO_TEST_CASE(any_cut_or_flipped_npy_header_is_answered_not_crashed_on) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("a.npy");
  const auto whole = npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n", 6);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    test::write_file(path, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    BOOST_TEST(!open_vector_file(path).has_value(), "cut at " << size);
  }
  for (std::size_t bit = 0; bit < (whole.size() - 6) * 8; ++bit) {
    auto flipped = whole;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    test::write_file(path, flipped);
    const auto source = open_vector_file(path);
    if (source) BOOST_TEST((*source)->rows() * (*source)->dim() <= 6u);
  }
}

BOOST_AUTO_TEST_CASE(a_row_of_another_dimension_is_named) {
  std::vector<char> bytes;
  for (int row = 0; row < 9; ++row) {
    append(bytes, row == 6 ? std::uint32_t{3} : std::uint32_t{4});
    append(bytes, std::uint32_t{0});
  }
  BOOST_TEST(mentions(refusal("a.bvecs", bytes), "row 6"));
  BOOST_TEST(mentions(refusal("a.bvecs", bytes), "offset 48"));
  bytes.resize(7 * 8);
  BOOST_TEST(mentions(refusal("a.bvecs", bytes), "row 6"));
}

BOOST_AUTO_TEST_CASE(names_that_open_nothing_say_why) {
  const test::TemporaryDirectory directory;
  BOOST_TEST((code_of(open_vector_file(directory.path("none.fbin"))) == Code::kNotFound));
  BOOST_TEST((code_of(open_vector_file(directory.path())) == Code::kInvalidInput));
  refusal("a.bin", bin_file(1, 4, 4), Code::kUnsupported);
  refusal("a.ibin", bin_file(1, 4, 16), Code::kUnsupported);
}

BOOST_AUTO_TEST_CASE(zero_rows_are_a_file_like_any_other) {
  const test::TemporaryDirectory directory;
  test::write_file(directory.path("a.fbin"), bin_file(0, 7, 0));
  const auto source = open_vector_file(directory.path("a.fbin"));
  REQUIRE_OK(source);
  BOOST_TEST((*source)->rows() == 0u);
  REQUIRE_OK((*source)->read(0, 0, nullptr));
}

BOOST_AUTO_TEST_CASE(a_view_with_a_stride_is_read_row_by_row) {
  std::vector<std::uint8_t> matrix(4 * 10);
  std::iota(matrix.begin(), matrix.end(), std::uint8_t{0});
  const auto source = view_source({matrix.data(), DType::kU8, 4, 3, 10});
  std::vector<std::uint8_t> rows(6);
  REQUIRE_OK(source->read(1, 2, rows.data()));
  BOOST_TEST((rows == std::vector<std::uint8_t>{10, 11, 12, 20, 21, 22}));
}

BOOST_AUTO_TEST_SUITE_END()
