// SPDX-License-Identifier: Apache-2.0
//
// Many rows that are one vector: they are drawn as queries as often as they are there, and each would be searched for.
#include <algorithm>
#include <map>
#include <numeric>

#include "base/random.h"
#include "engine/builder/calibration_set.h"
#include "engine/thread_pool.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using namespace test;

Matrix shuffled(const Matrix& from) {
  std::vector<std::uint64_t> order(from.rows());
  std::iota(order.begin(), order.end(), std::uint64_t{0});
  Random random(9);
  for (std::uint64_t i = from.rows(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  Matrix to{{}, from.dtype, from.dim};
  for (const std::uint64_t row : order) {
    const auto begin = from.bytes.begin() + static_cast<std::ptrdiff_t>(row * from.row_bytes());
    to.bytes.insert(to.bytes.end(), begin, begin + static_cast<std::ptrdiff_t>(from.row_bytes()));
  }
  return to;
}

// `distinct` rows, and so many more copies of the last of them.
Matrix with_copies(std::uint64_t distinct, std::uint64_t copies) {
  Matrix rows = csift(distinct);
  const std::vector<std::byte> last(rows.bytes.end() - static_cast<std::ptrdiff_t>(rows.row_bytes()), rows.bytes.end());
  for (std::uint64_t i = 0; i < copies; ++i) rows.bytes.insert(rows.bytes.end(), last.begin(), last.end());
  return shuffled(rows);
}

CalibrationSet set_of(const Matrix& rows, const HeldOutRows& held_out, MemoryBudget& budget) {
  SerialExecutor executor;
  const auto source = view_source(rows.view());
  auto set = set_of_held_out({*source, Metric::kL2, executor, budget}, held_out);
  REQUIRE_OK(set);
  return std::move(*set);
}

BOOST_AUTO_TEST_SUITE(calibration_copies)

BOOST_AUTO_TEST_CASE(equal_queries_are_one_query_that_counts_for_all) {
  const Matrix rows = with_copies(1000, 1000);
  MemoryBudget budget;
  const auto held_out = draw_held_out(200, rows.rows(), 3, budget);
  REQUIRE_OK(held_out);
  std::map<std::vector<std::byte>, std::uint32_t> expected;
  for (const std::uint32_t row : held_out->rows) {
    const std::byte* first = rows.bytes.data() + row * rows.row_bytes();
    ++expected[{first, first + rows.row_bytes()}];
  }
  BOOST_REQUIRE(expected.size() < 150u);
  const CalibrationSet set = set_of(rows, *held_out, budget);
  BOOST_REQUIRE(set.queries.rows == expected.size());
  BOOST_TEST(set.drawn_in_all() == 200u);
  for (std::uint64_t query = 0; query < set.queries.rows; ++query) {
    const std::byte* row = set.queries.row(query);
    const std::uint32_t drawn = expected.at({row, row + rows.row_bytes()});
    BOOST_REQUIRE(set.times_drawn(query) == drawn);
    BOOST_REQUIRE(set.weight(query) <= drawn);
    BOOST_REQUIRE((drawn == 1 || set.weight(query) <= drawn / 100.0));  // as many equal rows as are looked at
  }
  BOOST_TEST(set.copies_share > .4f);
  BOOST_TEST(set.copies_share < .6f);
}

BOOST_AUTO_TEST_CASE(queries_of_which_none_are_equal_stay_as_they_are_drawn) {
  const Matrix rows = csift(1500);
  MemoryBudget budget;
  const auto held_out = draw_held_out(150, rows.rows(), 3, budget);
  REQUIRE_OK(held_out);
  const CalibrationSet set = set_of(rows, *held_out, budget);
  BOOST_REQUIRE(set.queries.rows == 150u);
  for (std::uint64_t query = 0; query < 150; ++query) {
    const std::byte* row = rows.bytes.data() + held_out->rows[query] * rows.row_bytes();
    BOOST_REQUIRE(std::equal(row, row + rows.row_bytes(), set.queries.row(query)));
    BOOST_REQUIRE(set.weight(query) == 1.0);
  }
}

// The most searches that a build makes while it calibrates, by what it reports.
std::uint64_t searches_of(const std::string& path, const Matrix& rows) {
  std::uint64_t searches = 0;
  BuildOptions options = build_options(Metric::kL2, true);
  options.progress = [&](const Progress& at) {
    if (at.phase == Phase::kCalibrate) searches = std::max(searches, at.total);
  };
  REQUIRE_OK(Store::build(path, *view_source(rows.view()), options));
  return searches;
}

BOOST_AUTO_TEST_CASE(a_build_with_many_copies_searches_no_more_than_for_its_distinct_rows_and_finds_these) {
  const TemporaryDirectory directory;
  const Matrix copies = with_copies(2000, 4000);
  const std::uint64_t searches = searches_of(directory.path("copies"), copies);
  BOOST_REQUIRE(searches > 0u);
  BOOST_TEST(searches < searches_of(directory.path("distinct"), csift(6000)) / 2);
  const auto store = Store::open(directory.path("copies"));
  REQUIRE_OK(store);
  const Matrix queries = csift_queries(300);
  BOOST_TEST(recall(search(*store, queries.view(), {}), exact(copies, queries, 100, Metric::kL2), 10) >= .93);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
