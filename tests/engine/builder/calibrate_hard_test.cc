// SPDX-License-Identifier: Apache-2.0
//
// Calibration on data that could fool it: many copies of one vector, which any search finds, and pages that keep too
// little. Either a search reaches what is promised, or recall_expected() says that it does not.
#include "bench/hard_data_sets.h"
#include "engine/builder/calibrate.h"
#include "engine/generation/file_names.h"
#include "engine/generation/generation.h"
#include "pagestore/publish.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using bench::HardSet;
using test::build_options;
using test::Matrix;

namespace {

constexpr std::uint32_t kResults = 10;

HardSet hard_set(const std::string& name) { return bench::make_hard_set(name, {3000, 200, 1}); }
Matrix rows_of(const HardSet& set) { return {bench::encode_values(set.base, set.dtype), set.dtype, set.dim}; }
Matrix queries_of(const HardSet& set) { return {bench::encode_values(set.queries, set.dtype), set.dtype, set.dim}; }

double recall_of(const Store& store, const HardSet& set, const SearchOptions& options) {
  const auto results = test::search(store, queries_of(set).view(), options);
  const std::vector<double> kth = bench::kth_distances(set, Metric::kL2, kResults);
  double right = 0;
  for (std::size_t query = 0; query < results.size(); ++query)
    for (const Hit& hit : results[query])
      right += bench::double_distance(Metric::kL2, set.query(query), set.row(hit.key)) <= kth[query] ? 1 : 0;
  return right / static_cast<double>(results.size() * kResults);
}

SearchOptions wanting(double recall) {
  SearchOptions options;
  options.k = kResults;
  options.recall_target = recall;
  return options;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(calibration_of_hard_data)

// Seven rows of eight are one vector; the queries are near the others.
BOOST_AUTO_TEST_CASE(copies_do_not_hide_that_other_rows_are_missed) {
  const HardSet set = hard_set("majority");
  for (const std::uint32_t code_bytes : {0u, 1u}) {  // the second: too few for anything
    const test::TemporaryDirectory directory;
    BuildOptions build = build_options(Metric::kL2, true);
    build.code_bytes = code_bytes;
    const Store store = test::build_and_open(directory.path("idx"), rows_of(set), build);
    BOOST_TEST(std::abs(store.info().copies_share - .875) < .05);
    for (const double target : {.9, .95, .99}) {
      const auto expected = store.recall_expected(wanting(target));
      BOOST_REQUIRE(expected.has_value());
      const double recall = recall_of(store, set, wanting(target));
      BOOST_TEST_MESSAGE(target << ": " << recall << ", expected " << expected->expected);
      BOOST_TEST((expected->missed || recall >= target - .04), "target " << target << ": " << recall);
      BOOST_TEST(expected->missed == (expected->expected < target));
      BOOST_TEST(expected->reason.empty() == !expected->missed);
      if (expected->missed) BOOST_TEST(expected->reason.find("copies") != std::string_view::npos);
    }
  }
}

// The others cannot be told apart by pages of 8 bits, and the copies found by any search do not hide it.
BOOST_AUTO_TEST_CASE(what_is_expected_is_what_distinct_rows_find) {
  HardSet set = hard_set("near_copies_1e-3");
  const std::vector<float> copied(set.row(0).begin(), set.row(0).end());
  for (std::size_t i = 0; i < set.base.size(); ++i)
    if (i / set.dim % 4 != 0) set.base[i] = 3 * copied[i % set.dim];
  const test::TemporaryDirectory directory;
  BuildOptions build = build_options(Metric::kL2, true);
  build.vector_bits = 8;
  const Store store = test::build_and_open(directory.path("idx"), rows_of(set), build);
  const auto expected = store.recall_expected(wanting(.9));
  BOOST_REQUIRE(expected.has_value());
  const double recall = recall_of(store, set, wanting(.9));
  BOOST_TEST_MESSAGE("recall " << recall << ", expected " << expected->expected);
  BOOST_REQUIRE(recall < .8);
  BOOST_TEST(expected->missed);
  BOOST_TEST(std::abs(expected->expected - recall) < .15);
}

BOOST_AUTO_TEST_CASE(queries_count_by_their_weights) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("idx");
  const Matrix base = test::csift(2000);
  const Matrix queries = test::csift_queries(100);
  const Store store = test::build_and_open(path, base, build_options(Metric::kL2));
  const auto files = StoreDirectory::open(FileSystem::posix(), kStoreNames, path, LockMode::kShared);
  REQUIRE_OK(files);
  MemoryBudget budget;
  const auto generation =
      Generation::open(FileSystem::posix(), {path + "/graph-1", path + "/codes-1", path + "/rowmap-1"},
                       files->manifest()->store, 1, budget);
  REQUIRE_OK(generation);
  CalibrationSet set{queries.view(), test::exact(base, queries, 10, Metric::kL2)};
  SerialExecutor executor;
  const auto points = [&] {
    auto calibrated = calibrate((*generation)->search_index(), set, executor, budget, {});
    REQUIRE_OK(calibrated);
    return std::move(*calibrated);
  };
  const auto plain = points();
  set.weights.assign(100, .25f);  // all alike: as without
  const auto alike = points();
  BOOST_REQUIRE_EQUAL(alike.size(), plain.size());
  for (std::size_t i = 0; i < plain.size(); ++i) {
    BOOST_TEST(alike[i].search_list == plain[i].search_list);
    BOOST_TEST(std::abs(alike[i].recall - plain[i].recall) < 1e-9);
  }
  std::fill(set.weights.begin() + 20, set.weights.end(), 1e-9f);
  const Matrix counted = test::csift_queries(20);
  const auto truth = test::exact(base, counted, 20, Metric::kL2);
  for (const CalibrationPoint& point : points()) {
    SearchOptions options;
    options.k = point.k;
    options.search_list = point.search_list;
    options.blocks = point.blocks;
    options.bound = point.bound;
    const double recall = test::recall(test::search(store, counted.view(), options), truth, point.k);
    BOOST_TEST(std::abs(point.recall - recall) < 1e-6);
  }
}

BOOST_AUTO_TEST_CASE(copies_among_given_queries_are_told) {
  const test::TemporaryDirectory directory;
  Matrix base = test::csift(1500);
  const auto row_bytes = static_cast<std::ptrdiff_t>(base.row_bytes());
  Matrix queries = test::csift_queries(20);
  for (int i = 0; i < 80; ++i)
    queries.bytes.insert(queries.bytes.end(), base.bytes.begin(), base.bytes.begin() + row_bytes);
  base.bytes.reserve(base.bytes.size() + base.row_bytes());
  base.bytes.insert(base.bytes.end(), base.bytes.begin(), base.bytes.begin() + row_bytes);
  BuildOptions build = build_options(Metric::kL2, true);
  const auto source = view_source(queries.view());
  build.calibration_queries = source.get();
  const Store store = test::build_and_open(directory.path("idx"), base, build);
  BOOST_TEST(std::abs(store.info().copies_share - .8) < 1e-6);
  BOOST_TEST(store.info().calibrated_on == "queries");
}

BOOST_AUTO_TEST_CASE(rows_without_copies_share_nothing) {
  const test::TemporaryDirectory directory;
  const Store store =
      test::build_and_open(directory.path("idx"), test::win384(600), build_options(Metric::kCosine, true));
  BOOST_TEST(store.info().copies_share < .1);
}

BOOST_AUTO_TEST_CASE(too_few_bits_are_told_and_more_of_them_help) {
  const HardSet set = hard_set("near_copies_1e-3");
  for (const std::uint32_t bits : {8u, 0u}) {
    const test::TemporaryDirectory directory;
    BuildOptions build = build_options(Metric::kL2, true);
    build.vector_bits = bits;
    const Store store = test::build_and_open(directory.path("idx"), rows_of(set), build);
    const auto expected = store.recall_expected(wanting(.95));
    BOOST_REQUIRE(expected.has_value());
    const double recall = recall_of(store, set, wanting(.95));
    BOOST_TEST_MESSAGE(store.info().vector_bits << " bits: " << recall << ", expected " << expected->expected);
    if (bits == 8) {
      BOOST_TEST(expected->missed);
      BOOST_TEST(expected->reason.find("--vectors") != std::string_view::npos);
      BOOST_TEST(expected->expected < .95);
      BOOST_TEST(std::abs(expected->expected - recall) < .05);
      BOOST_TEST(store.info().recall_of_8_bits < .95);
    } else {
      BOOST_TEST(store.info().vector_bits == 32u);
      BOOST_TEST(!expected->missed);
      BOOST_TEST(expected->reason.empty());
      BOOST_TEST(recall >= .94);
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_is_expected_where_a_search_goes_its_own_way) {
  const test::TemporaryDirectory directory;
  const Store store = test::build_and_open(directory.path("idx"), test::csift(1200), build_options(Metric::kL2, true));
  BOOST_TEST(store.recall_expected().has_value());
  SearchOptions own = wanting(.95);
  own.search_list = 50;
  BOOST_TEST(!store.recall_expected(own).has_value());
  own = wanting(.95);
  own.blocks = 3;
  BOOST_TEST(!store.recall_expected(own).has_value());
  own = wanting(.95);
  own.bound = 2;
  BOOST_TEST(!store.recall_expected(own).has_value());
  const Store none = test::build_and_open(directory.path("none"), test::csift(200), build_options(Metric::kL2));
  BOOST_TEST(!none.recall_expected().has_value());
}

BOOST_AUTO_TEST_SUITE_END()
