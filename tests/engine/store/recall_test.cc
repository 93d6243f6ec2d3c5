// SPDX-License-Identifier: Apache-2.0
//
// What a user is promised: recall on real data for each metric and element type, at a bounded number of reads. The
// queries took no part in calibration. Reads, rounds and recall do not depend on time or threads: the bounds are what
// was measured plus a tenth.
#include "engine/truth.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using test::build_options;
using test::kInstrumented;
using test::Matrix;
using test::search;

namespace {

constexpr double kFloor = .94;  // a point below the target, as calibration promises in all likelihood
// Instrumented builds take fewer rows, of which fewer are held out to calibrate on.
constexpr double kSlack = kInstrumented ? .03 : 0;

struct Figures {
  double recall = 0;
  double reads = 0;
  double rounds = 0;
};

Figures measure(const std::string& name, const Store& store, const Matrix& queries, const ExactNeighbours& truth,
                double target) {
  SearchOptions options;
  options.recall_target = target;
  const auto results = search(store, queries.view(), options);
  for (std::size_t query = 0; query < results.size(); ++query) test::check_sorted(results[query]);
  const double reads = reads_of_4k(test::mean(results, &QueryStats::requests), test::mean(results, &QueryStats::bytes));
  const Figures figures{test::recall(results, truth, 10), reads, test::mean(results, &QueryStats::rounds)};
  BOOST_TEST_MESSAGE(name << " at target " << target << ": recall " << figures.recall << ", " << figures.reads
                          << " reads in " << figures.rounds << " rounds");
  return figures;
}

// Builds, and holds the store to its floors.
void check(const std::string& name, const Matrix& base, const Matrix& queries, Metric metric, double reads_bound) {
  const test::TemporaryDirectory directory;
  const Store store = test::build_and_open(directory.path("idx"), base, build_options(metric, true));
  const auto truth = test::exact(base, queries, 100, metric);
  const Figures figures = measure(name, store, queries, truth, .95);
  BOOST_TEST(figures.recall >= kFloor - kSlack);
  // The bounds were measured on the whole sets; instrumented runs search other, smaller ones.
  if (!kInstrumented) BOOST_TEST(figures.reads <= reads_bound);
}

ExactNeighbours shipped_truth(const std::string& name) {
  auto truth = read_neighbours(test::shipped_data(name));
  REQUIRE_OK(truth);
  return std::move(*truth);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(recall)

BOOST_AUTO_TEST_CASE(u8_l2_holds_its_floors_on_55000_descriptors) {
  if (kInstrumented) {
    BOOST_TEST_MESSAGE("skipped: 55,000 rows take too long in an instrumented build");
    return;
  }
  const test::TemporaryDirectory directory;
  const Store store = test::build_and_open(directory.path("idx"), test::csift(55000), build_options(Metric::kL2, true));
  const auto truth = shipped_truth("csift55k.gt.ibin");
  const Matrix queries = test::csift_queries(1000);
  const Figures high = measure("csift55k u8 l2", store, queries, truth, .95);
  BOOST_TEST(high.recall >= kFloor);
  BOOST_TEST(high.reads <= 8.3);
  BOOST_TEST(high.rounds <= 1.6);
  const Figures low = measure("csift55k u8 l2", store, queries, truth, .90);
  BOOST_TEST(low.recall >= .89);
  BOOST_TEST(low.reads <= 7.1);
  BOOST_TEST(low.rounds <= 1.5);
  BOOST_TEST(store.info().ram_bytes_per_row <= 38.0);
}

BOOST_AUTO_TEST_CASE(f16_cosine_holds_its_floors_on_8000_embeddings) {
  const test::TemporaryDirectory directory;
  const std::uint64_t rows = kInstrumented ? 2000 : 8000;
  const Matrix base = test::win384(rows);
  const Store store = test::build_and_open(directory.path("idx"), base, build_options(Metric::kCosine, true));
  const Matrix queries = test::win384_queries(200);
  const auto truth =
      kInstrumented ? test::exact(base, queries, 100, Metric::kCosine) : shipped_truth("win384-8k.gt.ibin");
  const Figures figures = measure("win384-8k f16 cosine", store, queries, truth, .95);
  BOOST_TEST(figures.recall >= kFloor - kSlack);
  BOOST_TEST(figures.reads <= 6.5);
  BOOST_TEST(figures.rounds <= 1.4);
  BOOST_TEST(store.info().ram_bytes_per_row <= 56.5);
  if (kInstrumented) return;
  // Typed titles are unlike the rows that calibration searched for, and reach less.
  const Matrix titles = test::load_rows(test::shipped_data("win384-8k.query_short.f16bin"), 0, 200);
  const Figures typed =
      measure("win384-8k f16 cosine, short queries", store, titles, shipped_truth("win384-8k.gt_short.ibin"), .95);
  BOOST_TEST(typed.recall >= .93);
  BOOST_TEST(typed.reads <= 7.9);
}

BOOST_AUTO_TEST_CASE(f32_cosine_and_l2_hold_their_floors) {
  const std::uint64_t rows = kInstrumented ? 1500 : 4000;
  const Matrix base = test::widened(test::win384(rows));
  const Matrix queries = test::widened(test::win384_queries(200));
  check("win384 f32 cosine", base, queries, Metric::kCosine, 6.4);
  check("win384 f32 l2", base, queries, Metric::kL2, 6.5);
}

BOOST_AUTO_TEST_CASE(i8_holds_its_floors) {
  const std::uint64_t rows = kInstrumented ? 2000 : 6000;
  const Matrix base = test::shifted(test::csift(rows));
  const Matrix queries = test::shifted(test::csift_queries(kInstrumented ? 200 : 1000));
  check("csift i8 l2", base, queries, Metric::kL2, 5.6);
}

BOOST_AUTO_TEST_CASE(inner_product_holds_its_floors) {
  const std::uint64_t rows = kInstrumented ? 2000 : 6000;
  check("csift u8 ip", test::csift(rows), test::csift_queries(kInstrumented ? 200 : 1000), Metric::kInnerProduct, 6.0);
  // Lengths from 0.5 to 2: with unit vectors ip would be cosine.
  const auto length = [](std::uint64_t row) { return 0.5f + 1.5f * static_cast<float>(row * 7919 % 997) / 996.0f; };
  const std::uint64_t few = kInstrumented ? 1500 : 3000;
  check("win384 f32 ip, lengths 0.5 to 2", test::widened(test::win384(few), length),
        test::widened(test::win384_queries(200)), Metric::kInnerProduct, 7.6);
}

BOOST_AUTO_TEST_CASE(larger_sets_hold_their_floors) {
  struct Set {
    const char* base;
    const char* queries;
    double reads_bound;
  };
  for (const Set& set :
       {Set{"glove100-1k.base.fbin", "glove100-1k.query.fbin", 11.0},
        Set{"bge1024.base.fbin", "bge1024.query.fbin", 7.9}, Set{"mdn256.base.fbin", "mdn256.query.fbin", 5.2}}) {
    const std::string base = test::large_data(set.base), queries = test::large_data(set.queries);
    if (base.empty() || queries.empty()) {
      BOOST_TEST_MESSAGE("skipped: " << set.base << " is not on this machine (VECSTORE_DATA)");
      continue;
    }
    check(set.base, test::load_rows(base, 0, kInstrumented ? 1500 : 5000), test::load_rows(queries, 0, 300),
          Metric::kCosine, set.reads_bound);
  }
}

BOOST_AUTO_TEST_SUITE_END()
