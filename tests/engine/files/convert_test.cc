// SPDX-License-Identifier: Apache-2.0
#include "engine/files/convert.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <iterator>

#include "base/half.h"
#include "engine/files/output_file.h"
#include "engine/truth.h"
#include "engine/vecstore.hpp"
#include "engine/vector_source.h"
#include "tests/test_util.h"

using namespace vecstore;
using test::code_of;

namespace {

void write_fbin(const std::string& path, std::uint32_t dim, const std::vector<float>& values) {
  std::vector<char> bytes(8 + values.size() * 4);
  const auto rows = static_cast<std::uint32_t>(values.size() / dim);
  std::memcpy(bytes.data(), &rows, 4);
  std::memcpy(bytes.data() + 4, &dim, 4);
  std::memcpy(bytes.data() + 8, values.data(), values.size() * 4);
  test::write_file(path, bytes);
}

std::vector<char> all_rows(const std::string& path) {
  const auto source = open_vector_file(path);
  REQUIRE_OK(source);
  std::vector<char> bytes((*source)->rows() * (*source)->dim() * element_bytes((*source)->dtype()));
  REQUIRE_OK((*source)->read(0, (*source)->rows(), bytes.data()));
  return bytes;
}

std::size_t files_in(const test::TemporaryDirectory& directory) {
  const std::filesystem::directory_iterator entries(directory.path());
  return static_cast<std::size_t>(std::distance(begin(entries), end(entries)));
}

}  // namespace

BOOST_AUTO_TEST_SUITE(convert)

BOOST_AUTO_TEST_CASE(a_round_through_every_layout_gives_the_same_bytes) {
  const test::TemporaryDirectory directory;
  const std::string origin = test::shipped_data("csift55k.query.u8bin");
  // Large enough for several chunks; the values 0 to 255 pass every element type but i8.
  std::string from = origin;
  for (const std::string name : {"a.bvecs", "a.npy", "a.fvecs", "a.f16bin", "b.npy", "a.fbin", "a.u8bin"}) {
    const auto report = convert_vectors(from, directory.path(name));
    REQUIRE_OK(report);
    BOOST_TEST(report->rows == 1000u);
    BOOST_TEST(report->dim == 128u);
    from = directory.path(name);
  }
  BOOST_TEST((test::read_file(from) == test::read_file(origin)));
  BOOST_TEST(files_in(directory) == 7u);
}

BOOST_AUTO_TEST_CASE(a_cut_is_the_rows_in_the_middle) {
  const test::TemporaryDirectory directory;
  const std::string origin = test::shipped_data("csift55k.query.u8bin");
  REQUIRE_OK(convert_vectors(origin, directory.path("a.bvecs"), {.first_row = 100, .count = 50}));
  const auto whole = all_rows(origin), cut = all_rows(directory.path("a.bvecs"));
  BOOST_TEST(cut.size() == 50u * 128u);
  BOOST_TEST(std::memcmp(cut.data(), whole.data() + 100 * 128, cut.size()) == 0);
  BOOST_TEST(
      (code_of(convert_vectors(origin, directory.path("b.bvecs"), {.first_row = 1001})) == Code::kInvalidArgument));
  BOOST_TEST((code_of(convert_vectors(origin, directory.path("b.bvecs"), {.first_row = 999, .count = 2})) ==
              Code::kInvalidArgument));
  REQUIRE_OK(convert_vectors(origin, directory.path("none.u8bin"), {.first_row = 1000}));
  BOOST_TEST(all_rows(directory.path("none.u8bin")).empty());
}

BOOST_AUTO_TEST_CASE(a_value_without_counterpart_names_its_row_and_leaves_nothing) {
  const test::TemporaryDirectory directory;
  const std::string from = directory.path("a.fbin");
  const auto refused_row = [&](const std::vector<float>& values, const std::string& to) {
    write_fbin(from, 2, values);
    const auto report = convert_vectors(from, directory.path(to));
    BOOST_TEST(files_in(directory) == 1u);
    BOOST_REQUIRE((code_of(report) == Code::kInvalidInput));
    return report.error().number();
  };
  BOOST_TEST(refused_row({0, 1, 2, 3, 4, 255.5f}, "b.u8bin") == 2u);
  BOOST_TEST(refused_row({0, -1}, "b.u8bin") == 0u);
  BOOST_TEST(refused_row({0, 1, 256, 0}, "b.u8bin") == 1u);
  BOOST_TEST(refused_row({-128, 127, -129, 0}, "b.i8bin") == 1u);
  BOOST_TEST(refused_row({0, 1, std::nanf(""), 0}, "b.i8bin") == 1u);
  BOOST_TEST(refused_row({65504, 0, 65520, 0}, "b.f16bin") == 1u);
}

BOOST_AUTO_TEST_CASE(floats_round_to_the_nearest_half) {
  const test::TemporaryDirectory directory;
  const std::vector<float> values = {1.0f, 1.0004f, -0.1f, 65504.0f};
  write_fbin(directory.path("a.fbin"), 4, values);
  REQUIRE_OK(convert_vectors(directory.path("a.fbin"), directory.path("a.f16bin")));
  const auto bytes = all_rows(directory.path("a.f16bin"));
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t half;
    std::memcpy(&half, bytes.data() + 2 * i, 2);
    BOOST_TEST(half == float_to_half(values[i]));
  }
}

BOOST_AUTO_TEST_CASE(neighbour_lists_go_between_integer_layouts_only) {
  const test::TemporaryDirectory directory;
  const ExactNeighbours truth{2, 3, {1, 2, 3, 4, 5, 0xFFFFFFFFu}, std::vector<float>(6)};
  REQUIRE_OK(write_neighbours(directory.path("gt.ibin"), truth));
  REQUIRE_OK(convert_vectors(directory.path("gt.ibin"), directory.path("gt.ivecs")));
  REQUIRE_OK(convert_vectors(directory.path("gt.ivecs"), directory.path("gt.npy")));
  REQUIRE_OK(convert_vectors(directory.path("gt.npy"), directory.path("ids.ibin")));
  const auto bytes = test::read_file(directory.path("ids.ibin"));
  BOOST_TEST(bytes.size() == 8u + 6u * 4u);
  BOOST_TEST(std::memcmp(bytes.data() + 8, truth.rows.data(), 24) == 0);
  BOOST_TEST((code_of(convert_vectors(directory.path("gt.ivecs"), directory.path("a.fbin"))) == Code::kUnsupported));
  BOOST_TEST((code_of(read_neighbours(directory.path("ids.ibin"))) == Code::kInvalidInput));
}

BOOST_AUTO_TEST_CASE(what_is_there_stays_unless_overwriting_is_allowed) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("a.u8bin");
  write_fbin(directory.path("a.fbin"), 2, {1, 2});
  test::write_file(path, {'o', 'l', 'd'});
  BOOST_TEST((code_of(convert_vectors(directory.path("a.fbin"), path)) == Code::kExists));
  BOOST_TEST(test::read_file(path).size() == 3u);
  write_fbin(directory.path("bad.fbin"), 2, {1, 2.5f});
  BOOST_TEST((code_of(convert_vectors(directory.path("bad.fbin"), path, {.overwrite = true})) == Code::kInvalidInput));
  BOOST_TEST(test::read_file(path).size() == 3u);
  REQUIRE_OK(convert_vectors(directory.path("a.fbin"), path, {.overwrite = true}));
  BOOST_TEST(test::read_file(path).size() == 10u);
  // A file may replace itself: it is renamed over only once all of it has been read.
  REQUIRE_OK(convert_vectors(path, path, {.overwrite = true}));
  BOOST_TEST(test::read_file(path).size() == 10u);
  BOOST_TEST(files_in(directory) == 3u);
}

BOOST_AUTO_TEST_CASE(a_name_taken_while_writing_is_not_replaced) {
  const test::TemporaryDirectory directory;
  auto file = OutputFile::create(FileSystem::posix(), directory.path("a"), false);
  REQUIRE_OK(file);
  REQUIRE_OK(file->write("new", 3));
  test::write_file(directory.path("a"), {'o'});
  BOOST_TEST((file->commit().code() == Code::kExists));
  BOOST_TEST(test::read_file(directory.path("a")).size() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
