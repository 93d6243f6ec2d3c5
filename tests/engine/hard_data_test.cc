// SPDX-License-Identifier: Apache-2.0
//
// Data that a vector store finds hard (bench/hard_data_sets.h): what is built of it finds what it promises, and what is
// put into a store without a graph is found exactly. The truth is computed in double precision, by a loop that shares
// nothing with the library.
#include <boost/test/data/monomorphic.hpp>
#include <boost/test/data/test_case.hpp>
#include <chrono>
#include <cmath>
#include <ostream>
#include <set>

#include "bench/hard_data_sets.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using bench::HardSet;

namespace {

constexpr std::uint32_t kResults = 10;
constexpr double kFloor = .94;         // of recall, where .95 is wanted
constexpr double kPreciseFloor = .98;  // where .99 is wanted, with full precision

struct Case {
  const char* name;
  Metric metric;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name << " " << name_of(c.metric); }

const std::vector<Case>& cases() {
  static const std::vector<Case> all = {{"shifted_10000", Metric::kL2},
                                        {"scaled", Metric::kL2},
                                        {"scaled", Metric::kCosine},
                                        {"scaled", Metric::kInnerProduct},
                                        {"unix_time", Metric::kL2},
                                        {"town", Metric::kL2},
                                        {"outliers_10000", Metric::kL2},
                                        {"outliers_1_percent", Metric::kL2},
                                        {"far_clusters_100", Metric::kL2},
                                        {"near_copies_1e-3", Metric::kL2},
                                        {"near_copies_1e-3", Metric::kCosine},
                                        {"integers", Metric::kL2},
                                        {"gaussian_2d", Metric::kL2},
                                        {"gaussian_4d", Metric::kL2},
                                        {"tiny_1e-15", Metric::kL2},
                                        {"huge_1e15", Metric::kL2},
                                        {"mixed_norms", Metric::kL2},
                                        {"mixed_norms", Metric::kInnerProduct},
                                        {"majority", Metric::kL2}};
  return all;
}

// A set under one metric, with what is true of it.
struct Truth {
  HardSet set;
  Metric metric;
  std::vector<double> kth;
  test::Matrix base;
  test::Matrix queries;

  explicit Truth(const Case& c)
      : set(bench::make_hard_set(c.name, {test::kInstrumented ? 800u : 3000u, test::kInstrumented ? 50u : 200u, 1})),
        metric(c.metric) {
    BOOST_REQUIRE(set.rows() != 0);
    kth = bench::kth_distances(set, metric, kResults);
    base = {bench::encode_values(set.base, set.dtype), set.dtype, set.dim};
    queries = {bench::encode_values(set.queries, set.dtype), set.dtype, set.dim};
  }

  double distance(std::uint64_t query, std::uint64_t row) const {
    return bench::double_distance(metric, set.query(query), set.row(row));
  }
};

// Mean recall: a hit counts when its true distance is at most that of the tenth row, or equal but for double rounding.
// Checks each hit on the way.
double judged(const Truth& truth, const SearchResults& results) {
  double right = 0;
  for (std::size_t query = 0; query < results.size(); ++query) {
    test::check_sorted(results[query]);
    BOOST_REQUIRE_EQUAL(results[query].size(), kResults);
    for (const Hit& hit : results[query]) {
      BOOST_REQUIRE(hit.key < truth.set.rows());
      BOOST_REQUIRE(std::isfinite(hit.distance));
      if (truth.metric != Metric::kInnerProduct) BOOST_REQUIRE(hit.distance >= 0.0f);
      const double limit = truth.kth[query] + 1e-11 * std::abs(truth.kth[query]);
      if (truth.distance(query, hit.key) <= limit) ++right;
    }
  }
  return right / static_cast<double>(results.size() * kResults);
}

// Distances that are promised to be those of the vectors as they were put.
void require_distances(const Truth& truth, const SearchResults& results) {
  for (std::size_t query = 0; query < results.size(); ++query) {
    for (const Hit& hit : results[query]) {
      const double exact = truth.distance(query, hit.key);
      // Under cosine 1 − cos has the digits of 1.
      const double most = 1e-6 * std::abs(exact) + (truth.metric == Metric::kCosine ? 1e-15 : 0.0);
      BOOST_REQUIRE_MESSAGE(std::abs(double{hit.distance} - exact) <= most,
                            "query " << query << ": distance " << hit.distance << ", in truth " << exact);
    }
  }
}

SearchOptions wanting(double recall, bool full_precision) {
  SearchOptions options;
  options.k = kResults;
  options.recall_target = recall;
  options.full_precision = full_precision;
  return options;
}

Store store_of_puts(const std::string& path, const Truth& truth) {
  REQUIRE_OK(Store::create(path, {truth.set.dim, truth.set.dtype, truth.metric, KeyKind::kNumber}));
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = SyncMode::kNone;
  auto store = Store::open(path, options);
  REQUIRE_OK(store);
  std::vector<Key> keys;
  for (std::uint64_t row = 0; row < truth.set.rows(); ++row) keys.emplace_back(row);
  REQUIRE_OK(store->put_batch(keys, truth.base.view()));
  return std::move(*store);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hard_data)

BOOST_DATA_TEST_CASE(a_built_store_finds_what_it_promises, boost::unit_test::data::make(cases()), c) {
  const auto started = std::chrono::steady_clock::now();
  const Truth truth(c);
  const test::TemporaryDirectory directory;
  const Store store = test::build_and_open(directory.path("idx"), truth.base, test::build_options(truth.metric, true));
  const double recall = judged(truth, test::search(store, truth.queries.view(), wanting(.95, false)));
  const auto precise_hits = test::search(store, truth.queries.view(), wanting(.99, true));
  const double precise = judged(truth, precise_hits);
  require_distances(truth, precise_hits);
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
  BOOST_TEST_MESSAGE(c << ": " << store.info().vector_bits << " bits, recall " << recall << ", with full precision "
                       << precise << ", " << took.count() << " s");
  BOOST_TEST(recall >= kFloor);
  BOOST_TEST(precise >= kPreciseFloor);
}

BOOST_DATA_TEST_CASE(what_was_put_is_found_exactly, boost::unit_test::data::make(cases()), c) {
  const Truth truth(c);
  const test::TemporaryDirectory directory;
  const Store store = store_of_puts(directory.path("idx"), truth);
  for (const bool full_precision : {false, true}) {
    const auto results = test::search(store, truth.queries.view(), wanting(.95, full_precision));
    BOOST_TEST(judged(truth, results) == 1.0);
    require_distances(truth, results);
  }
}

BOOST_AUTO_TEST_SUITE_END()
