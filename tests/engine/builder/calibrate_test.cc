// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/calibrate.h"

#include <filesystem>

#include "engine/generation/file_names.h"
#include "engine/generation/generation.h"
#include "engine/thread_pool.h"
#include "engine/truth.h"
#include "pagestore/publish.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using test::build_options;
using test::Matrix;
using test::search;

namespace {

constexpr std::uint64_t kRows = 5000;

// An uncalibrated store of real descriptors, opened once as users do and once as the builder does.
struct Index {
  test::TemporaryDirectory directory;
  MemoryBudget budget;
  Matrix base = test::csift(kRows);
  std::optional<Store> store;
  std::unique_ptr<Generation> generation;

  Index() {
    const std::string path = directory.path("idx");
    store.emplace(test::build_and_open(path, base, build_options(Metric::kL2)));
    auto files = StoreDirectory::open(FileSystem::posix(), kStoreNames, path, LockMode::kShared);
    REQUIRE_OK(files);
    auto opened = Generation::open(FileSystem::posix(), {path + "/graph-1", path + "/codes-1", path + "/rowmap-1"},
                                   files->manifest()->store, 1, budget);
    REQUIRE_OK(opened);
    generation = std::move(*opened);
  }

  std::vector<CalibrationPoint> calibrated(const Matrix& queries, const ExactNeighbours& truth) {
    SerialExecutor executor;
    auto points = calibrate(generation->search_index(), {queries.view(), truth}, executor, budget, {});
    REQUIRE_OK(points);
    return std::move(*points);
  }
};

Index& shared_index() {
  static Index index;
  return index;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(calibration)

BOOST_AUTO_TEST_CASE(points_rise_with_the_target_and_hold_when_measured_again) {
  Index& index = shared_index();
  const Matrix queries = test::csift_queries(250);
  const auto truth = test::exact(index.base, queries, 100, Metric::kL2);
  const auto points = index.calibrated(queries, truth);
  BOOST_REQUIRE_EQUAL(points.size(), 21u);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const CalibrationPoint& point = points[i];
    BOOST_TEST(point.k == (i < 7 ? 1u : i < 14 ? 10u : 100u));
    if (i % 7 == 0) continue;
    BOOST_TEST(point.recall_target > points[i - 1].recall_target);
    BOOST_TEST(point.search_list >= points[i - 1].search_list);
    BOOST_TEST(point.recall >= points[i - 1].recall);
    BOOST_TEST(point.reads_per_query >= points[i - 1].reads_per_query);
  }
  for (const std::size_t place : {0u, 7u, 10u, 13u, 17u}) {
    const CalibrationPoint& point = points[place];
    SearchOptions options;
    options.k = point.k;
    options.search_list = point.search_list;
    options.blocks = point.blocks;
    options.bound = point.bound;
    const auto results = search(*index.store, queries.view(), options);
    BOOST_TEST(point.recall >= point.recall_target);
    const double reads =
        reads_of_4k(test::mean(results, &QueryStats::requests), test::mean(results, &QueryStats::bytes));
    BOOST_TEST(std::abs(reads - point.reads_per_query) < 1e-9);
    BOOST_TEST(std::abs(test::recall(results, truth, point.k) - point.recall) < 1e-9);
  }
}

BOOST_AUTO_TEST_CASE(only_what_the_truth_reaches_is_calibrated) {
  Index& index = shared_index();
  const Matrix queries = test::csift_queries(40);
  const auto ten = index.calibrated(queries, test::exact(index.base, queries, 20, Metric::kL2));
  BOOST_REQUIRE_EQUAL(ten.size(), 14u);
  BOOST_TEST(ten.back().k == 10u);
  const auto one = index.calibrated(queries, test::exact(index.base, queries, 1, Metric::kL2));
  BOOST_REQUIRE_EQUAL(one.size(), 7u);
  BOOST_TEST(index.calibrated({{}, DType::kU8, 128}, {}).empty());
}

BOOST_AUTO_TEST_CASE(any_number_of_threads_finds_the_same_points) {
  Index& index = shared_index();
  const Matrix queries = test::csift_queries(60);
  const auto truth = test::exact(index.base, queries, 10, Metric::kL2);
  const auto expected = index.calibrated(queries, truth);
  const auto executor = make_executor(3);
  std::uint64_t reported = 0;
  const auto points = calibrate(index.generation->search_index(), {queries.view(), truth}, *executor, index.budget,
                                [&](std::uint64_t done) {
                                  BOOST_TEST(done > reported);
                                  reported = done;
                                });
  REQUIRE_OK(points);
  BOOST_TEST(reported > 0u);
  BOOST_TEST(reported <= calibration_searches(60));
  BOOST_REQUIRE_EQUAL(points->size(), expected.size());
  for (std::size_t i = 0; i < expected.size(); ++i) {
    BOOST_TEST((*points)[i].search_list == expected[i].search_list);
    BOOST_TEST((*points)[i].reads_per_query == expected[i].reads_per_query);
  }
}

BOOST_AUTO_TEST_CASE(wherever_it_begins_to_look_it_finds_the_same) {
  Index& index = shared_index();
  const Matrix queries = test::csift_queries(60);
  const auto truth = test::exact(index.base, queries, 10, Metric::kL2);
  const auto executor = make_executor(1);
  const auto again = [&](std::span<const CalibrationPoint> before) {
    auto points =
        calibrate(index.generation->search_index(), {queries.view(), truth}, *executor, index.budget, {}, before);
    REQUIRE_OK(points);
    return *points;
  };
  const auto expected = again({});
  for (const std::uint32_t list : {0u, 1u, 100u, 4096u})
    for (const bool has_same_bound : {true, false}) {
      std::vector<CalibrationPoint> before = expected;
      for (CalibrationPoint& point : before) {
        if (list != 0) point.search_list = list;
        if (!has_same_bound) point.bound += 1;
      }
      const auto points = again(before);
      BOOST_TEST_CONTEXT("list of " << list) {
        BOOST_REQUIRE_EQUAL(points.size(), expected.size());
        for (std::size_t i = 0; i < expected.size(); ++i) {
          BOOST_TEST(points[i].blocks == expected[i].blocks);
          if (list > 1 && has_same_bound) continue;  // below
          BOOST_TEST(points[i].search_list == expected[i].search_list);
          BOOST_TEST(points[i].recall == expected[i].recall);
        }
      }
    }
}

// New rows of one kind were easier to find than what was asked for, and lists became too short for that.
BOOST_AUTO_TEST_CASE(a_list_becomes_shorter_only_where_its_recall_is_clearly_above_the_target) {
  Index& index = shared_index();
  const Matrix queries = test::csift_queries(900);
  const auto truth = test::exact(index.base, queries, 10, Metric::kL2);
  const auto executor = make_executor(1);
  const auto expected = index.calibrated(queries, truth);
  int kept = 0;
  for (const std::uint32_t more : {1u, 2u, 300u}) {
    std::vector<CalibrationPoint> before = expected;
    for (CalibrationPoint& point : before) point.search_list += more;
    const auto points =
        calibrate(index.generation->search_index(), {queries.view(), truth}, *executor, index.budget, {}, before);
    REQUIRE_OK(points);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      const CalibrationPoint& now = (*points)[i];
      if (now.blocks != expected[i].blocks) continue;
      const double clearly = now.recall_target + .2 * (1 - now.recall_target);
      BOOST_TEST(now.search_list >= expected[i].search_list);
      BOOST_TEST((now.recall >= clearly || now.search_list >= before[i].search_list));
      kept += now.search_list > expected[i].search_list ? 1 : 0;
    }
  }
  BOOST_TEST(kept > 0);
}

BOOST_AUTO_TEST_CASE(a_build_calibrates_and_searches_use_it) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::csift(3000);
  const Store store = test::build_and_open(directory.path("idx"), base, build_options(Metric::kL2, true));
  const StoreInfo info = store.info();
  BOOST_TEST(info.calibrated_on == "self");
  BOOST_TEST(info.rows == 3000u);  // the rows held out came back
  BOOST_REQUIRE_EQUAL(info.calibration.size(), 21u);
  SearchOptions options;
  options.recall_target = .97;
  const SearchOptions resolved = store.resolved(options);
  const auto point = std::find_if(info.calibration.begin(), info.calibration.end(),
                                  [](const CalibrationPoint& p) { return p.k == 10 && p.recall_target == .97; });
  BOOST_REQUIRE(point != info.calibration.end());
  BOOST_TEST(resolved.search_list == point->search_list);
  BOOST_TEST(resolved.blocks == point->blocks);
  const Matrix queries = test::csift_queries(100);
  BOOST_TEST(test::same_hits(search(store, queries.view(), options), search(store, queries.view(), resolved)));
  // A target between two takes the higher, one above all the highest.
  options.recall_target = .96;
  BOOST_TEST(store.resolved(options).search_list == resolved.search_list);
  options.recall_target = 1.0;
  BOOST_TEST(store.resolved(options).search_list == info.calibration[13].search_list);
}

BOOST_AUTO_TEST_CASE(given_queries_are_calibrated_on) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::csift(3000);
  const Matrix queries = test::csift_queries(150);
  const auto source = view_source(queries.view());
  BuildOptions build = build_options(Metric::kL2, true);
  build.calibration_queries = source.get();
  const Store store = test::build_and_open(directory.path("idx"), base, build);
  const StoreInfo info = store.info();
  BOOST_TEST(info.calibrated_on == "queries");
  const auto truth = test::exact(base, queries, 100, Metric::kL2);
  SearchOptions options;
  const auto results = search(store, queries.view(), options);
  BOOST_TEST(test::recall(results, truth, 10) >= .95);
}

BOOST_AUTO_TEST_CASE(queries_that_do_not_fit_are_refused_before_the_build) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::csift(50);
  const auto refusal = [&](const VectorView& view) {
    const auto source = view_source(view);
    BuildOptions build = build_options(Metric::kL2, true);
    build.calibration_queries = source.get();
    const Status status = Store::build(directory.path("idx"), *view_source(base.view()), build);
    BOOST_TEST(!std::filesystem::exists(directory.path("idx")));
    return status.code();
  };
  const Matrix queries = test::csift_queries(4);
  BOOST_CHECK(refusal({queries.bytes.data(), DType::kU8, 4, 64}) == Code::kInvalidInput);
  BOOST_CHECK(refusal({queries.bytes.data(), DType::kI8, 4, 128}) == Code::kInvalidArgument);
}

BOOST_AUTO_TEST_CASE(without_calibration_searches_take_the_defaults) {
  const StoreInfo info = shared_index().store->info();
  BOOST_TEST(info.calibrated_on == "none");
  BOOST_TEST(info.calibration.empty());
  const Matrix queries = test::csift_queries(100);
  const auto truth = test::exact(shared_index().base, queries, 20, Metric::kL2);
  BOOST_TEST(test::recall(search(*shared_index().store, queries.view(), {}), truth, 10) >= .95);
}

BOOST_AUTO_TEST_SUITE_END()
