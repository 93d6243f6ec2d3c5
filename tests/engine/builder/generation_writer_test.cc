// SPDX-License-Identifier: Apache-2.0
//
// Generations whose rows have RowIds with gaps, and number keys that are none of them.
#include "engine/builder/generation_writer.h"

#include "engine/builder/calibrate.h"
#include "graph/search.h"
#include "tests/engine/generation/row_map_files.h"
#include "tests/engine/linked_rows.h"

using namespace vecstore;
using test::LinkedRows;
using test::Matrix;
using test::RowNumbers;

namespace {

constexpr std::uint64_t kFar = std::uint64_t{1} << 35;
constexpr Uuid kStore{9, 8, 7};

RowNumbers numbers_of(std::uint64_t rows, std::uint32_t key_bytes) {
  RowNumbers numbers{test::gapped_row_ids(rows, kFar, 3), {}, key_bytes};
  for (std::uint64_t row = 0; row < rows; ++row)
    numbers.keys.push_back((key_bytes == 8 ? kFar : 0) + (row * 7919 + 5) % 1000003);
  return numbers;
}

RowNumbers without_gaps(std::uint64_t rows) {
  RowNumbers numbers;
  numbers.row_ids.resize(rows);
  std::iota(numbers.row_ids.begin(), numbers.row_ids.end(), std::uint64_t{0});
  return numbers;
}

// A generation in a directory of its own.
struct Written {
  test::TemporaryDirectory directory;
  MemoryBudget budget;
  Generation::Paths paths{directory.path("graph"), directory.path("codes"), directory.path("rowmap")};
  std::unique_ptr<Generation> opened;

  Written(LinkedRows& rows, const RowNumbers& numbers) {
    rows.write(paths, kStore, 5, numbers);
    auto generation = Generation::open(FileSystem::posix(), paths, kStore, 5, budget);
    REQUIRE_OK(generation);
    opened = std::move(*generation);
  }

  PageView page_of(Pos position) {
    const GraphLayout& layout = opened->layout();
    auto allocated = Buffer<std::byte>::allocate(budget, layout.page_bytes);
    REQUIRE_OK(allocated);
    page = std::move(*allocated);
    REQUIRE_OK(opened->graph().read_page(layout.page_of(position), page.span()));
    return {layout, page.data()};
  }

  std::vector<std::uint64_t> row_ids() {
    std::vector<std::uint64_t> visited;
    REQUIRE_OK(opened->for_each_row_id(budget, [&](RowId row) {
      visited.push_back(row.value);
      return Status::ok();
    }));
    return visited;
  }

  Buffer<std::byte> page;
};

bool same_points(const std::vector<CalibrationPoint>& a, const std::vector<CalibrationPoint>& b) {
  return std::ranges::equal(a, b, [](const CalibrationPoint& left, const CalibrationPoint& right) {
    return left.k == right.k && left.recall_target == right.recall_target && left.recall == right.recall &&
           left.search_list == right.search_list && left.blocks == right.blocks && left.bound == right.bound &&
           left.reads_per_query == right.reads_per_query && left.memory_list == right.memory_list;
  });
}

// Of a cold graph and of one in memory.
std::vector<CalibrationPoint> calibrated(Written& written, const CalibrationSet& set) {
  SerialExecutor executor;
  auto points = calibrate(written.opened->search_index(), set, executor, written.budget, {});
  REQUIRE_OK(points);
  const std::uint64_t pages = written.opened->graph().page_count();
  REQUIRE_OK(written.opened->fill_cache(pages, CachePolicy::kFixed, written.budget));
  REQUIRE_OK(calibrate_in_memory(written.opened->search_index(), set, executor, written.budget, *points));
  return std::move(*points);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(generation_writer)

BOOST_AUTO_TEST_CASE(rows_stand_under_their_row_ids_and_keys) {
  const Matrix base = test::csift(1300);
  LinkedRows rows(base);
  for (const std::uint32_t key_bytes : {0u, 4u, 8u}) {
    const RowNumbers numbers = numbers_of(base.rows(), key_bytes);
    Written written(rows, numbers);
    BOOST_TEST(written.opened->row_end() == numbers.row_ids.back() + 1);
    BOOST_CHECK(written.row_ids() == numbers.row_ids);
    for (std::size_t i = 0; i < base.rows(); i += 13) {
      const RowId row{numbers.row_ids[i]};
      const auto position = written.opened->find_position(row, written.budget);
      REQUIRE_OK(position);
      BOOST_REQUIRE(*position == rows.place()[i]);
      const PageView page = written.page_of(**position);
      const std::uint32_t slot = written.opened->layout().slot_of(**position);
      BOOST_REQUIRE(page.row_id(slot) == row);
      BOOST_REQUIRE_EQUAL(page.key(slot), key_bytes == 0 ? row.value : numbers.keys[i]);
    }
    BOOST_TEST((test::code_of(written.opened->position_of(RowId{kFar - 1}, written.budget)) == Code::kNotFound));
    BOOST_TEST((test::code_of(written.opened->position_of(RowId{~0ull}, written.budget)) == Code::kNotFound));
  }
}

BOOST_AUTO_TEST_CASE(a_search_finds_row_ids_and_keys) {
  const Matrix base = test::csift(1300);
  LinkedRows rows(base);
  const RowNumbers numbers = numbers_of(base.rows(), 8);
  Written written(rows, numbers);
  const auto searcher = GraphSearcher::create(written.opened->search_index(), Backend::kAutomatic, 1, written.budget);
  REQUIRE_OK(searcher);
  for (std::size_t i = 0; i < base.rows(); i += 29) {
    QueryStats stats;
    const auto found = (*searcher)->search(base.view(), i, {1, 32, 40, 2.5f, nullptr, false}, stats);
    REQUIRE_OK(found);
    BOOST_REQUIRE_EQUAL(found->size(), 1u);
    BOOST_REQUIRE_EQUAL((*found)[0].row.value, numbers.row_ids[i]);
    BOOST_REQUIRE_EQUAL((*found)[0].key, numbers.keys[i]);
  }
}

BOOST_AUTO_TEST_CASE(row_ids_without_gaps_leave_every_byte_as_it_is) {
  const Matrix base = test::csift(500);
  LinkedRows rows(base);
  const Written plain(rows, {});
  const Written named(rows, without_gaps(base.rows()));
  BOOST_CHECK(test::read_file(plain.paths.graph) == test::read_file(named.paths.graph));
  BOOST_CHECK(test::read_file(plain.paths.codes) == test::read_file(named.paths.codes));
  BOOST_CHECK(test::read_file(plain.paths.row_map) == test::read_file(named.paths.row_map));
}

// A generation to calibrate on lacks the rows that are its queries.
BOOST_AUTO_TEST_CASE(rows_that_are_left_out_are_not_found) {
  const Matrix base = test::csift(1300);
  const std::vector<std::uint32_t> left_out = {0, 3, 600, 1299};
  LinkedRows rows(base, left_out);
  const RowNumbers far = numbers_of(base.rows(), 4);
  const std::vector<std::uint64_t> plain = without_gaps(base.rows()).row_ids;
  for (const RowNumbers& numbers : {RowNumbers{}, far}) {
    const std::vector<std::uint64_t>& row_ids = numbers.row_ids.empty() ? plain : numbers.row_ids;
    Written written(rows, numbers);
    BOOST_TEST(written.opened->layout().rows == base.rows() - left_out.size());
    BOOST_TEST(written.row_ids().size() == base.rows() - left_out.size());
    for (std::uint32_t i = 0; i < base.rows(); ++i) {
      const auto position = written.opened->find_position(RowId{row_ids[i]}, written.budget);
      REQUIRE_OK(position);
      BOOST_REQUIRE_EQUAL(position->has_value(), std::ranges::count(left_out, i) == 0);
    }
  }
}

BOOST_AUTO_TEST_CASE(what_an_open_generation_takes_is_predicted) {
  LinkedRows rows(test::csift(3000));
  const Written written(rows, numbers_of(3000, 8));
  const auto needs = Generation::predict_open(FileSystem::posix(), written.paths, kStore, 5);
  REQUIRE_OK(needs);
  BOOST_TEST(needs->resident_bytes >= written.budget.used_bytes());
  BOOST_TEST(needs->resident_bytes < written.budget.used_bytes() + 1000);
  BOOST_TEST(needs->resident_bytes + needs->loading_bytes >= written.budget.peak_bytes());
}

BOOST_AUTO_TEST_CASE(calibration_knows_rows_by_their_row_ids) {
  const Matrix base = test::csift(3000);
  const Matrix queries = test::csift_queries(60);
  LinkedRows rows(base);
  const RowNumbers numbers = numbers_of(base.rows(), 0);
  Written plain(rows, {});
  Written far(rows, numbers);
  CalibrationSet set{queries.view(), test::exact(base, queries, 10, Metric::kL2)};
  const auto expected = calibrated(plain, set);
  BOOST_REQUIRE_EQUAL(expected.size(), 14u);
  BOOST_TEST(expected.back().recall > .97);
  set.row_ids = numbers.row_ids;
  BOOST_TEST(same_points(calibrated(far, set), expected));
}

BOOST_AUTO_TEST_SUITE_END()
