// SPDX-License-Identifier: Apache-2.0
//
// Data that once gave wrong neighbours without a word: shifted, of unequal scales, with far rows, in far clusters, of
// near copies, of few dimensions, tiny, huge, of mixed norms. Compared with exact search in double precision.
#include <algorithm>
#include <cmath>
#include <iterator>

#include "bench/hard_data_sets.h"
#include "engine/vecstore.hpp"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kAnswers = 10;

struct Kind {
  const char* set;
  Metric metric;
};

constexpr Kind kKinds[] = {
    {"shifted_10000", Metric::kL2},    {"scaled", Metric::kL2},
    {"unix_time", Metric::kL2},        {"town", Metric::kL2},
    {"outliers_10000", Metric::kL2},   {"outliers_10000", Metric::kInnerProduct},
    {"far_clusters_100", Metric::kL2}, {"near_copies_1e-3", Metric::kCosine},
    {"integers", Metric::kL2},         {"gaussian_3d", Metric::kL2},
    {"tiny_1e-15", Metric::kL2},       {"tiny_1e-30", Metric::kCosine},
    {"huge_1e15", Metric::kL2},        {"mixed_norms", Metric::kL2},
    {"mixed_norms", Metric::kCosine},  {"majority", Metric::kL2},
};

// Instrumented builds are ten times slower and take every fourth kind.
constexpr std::size_t kStep = test::kInstrumented ? 4 : 1;

// A set, and what a store takes of it.
struct Data {
  bench::HardSet set;
  std::vector<std::byte> rows;
  std::vector<std::byte> queries;

  VectorView base_view() const { return {rows.data(), set.dtype, set.rows(), set.dim, 0}; }
  VectorView query_view() const { return {queries.data(), set.dtype, set.query_count(), set.dim, 0}; }
};

Data set_of(const Kind& kind) {
  Data data{
      bench::make_hard_set(kind.set, {.rows = test::kInstrumented ? 1200u : 3000u, .queries = 200, .seed = 1}), {}, {}};
  BOOST_REQUIRE(data.set.rows() != 0);
  data.rows = bench::encode_values(data.set.base, data.set.dtype);
  data.queries = bench::encode_values(data.set.queries, data.set.dtype);
  return data;
}

BuildOptions options_of(Metric metric, std::uint32_t vector_bits = 0, bool calibrate = true) {
  BuildOptions options;
  options.metric = metric;
  options.vector_bits = vector_bits;
  options.threads = 2;
  options.calibrate = calibrate;
  return options;
}

// recall@10, where a row that is as near as the tenth counts, whichever it is.
double recall_of(const Data& data, Metric metric, const SearchResults& results) {
  const bench::HardSet& set = data.set;
  const std::vector<double> farthest = bench::kth_distances(set, metric, kAnswers);
  double right = 0;
  for (std::size_t query = 0; query < results.size(); ++query) {
    for (const Hit& hit : results[query]) {
      if (metric == Metric::kL2) BOOST_REQUIRE(hit.distance >= 0.0f);
      right += bench::double_distance(metric, set.query(query), set.row(hit.row.value)) <= farthest[query] ? 1 : 0;
    }
  }
  return right / static_cast<double>(results.size() * kAnswers);
}

double searched(const Store& store, const Data& set, Metric metric, const SearchOptions& options) {
  const auto results = store.search(set.query_view(), options);
  REQUIRE_OK(results);
  return recall_of(set, metric, *results);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(hard_data)

BOOST_AUTO_TEST_CASE(every_kind_reaches_its_recall_and_no_l2_distance_is_below_zero) {
  for (std::size_t i = 0; i < std::size(kKinds); i += kStep) {
    const Kind& kind = kKinds[i];
    BOOST_TEST_CONTEXT(kind.set << ", " << name_of(kind.metric)) {
      const Data set = set_of(kind);
      const test::TemporaryDirectory directory;
      REQUIRE_OK(Store::build(directory.path("ix"), *view_source(set.base_view()), options_of(kind.metric)));
      const auto store = Store::open(directory.path("ix"));
      REQUIRE_OK(store);
      BOOST_TEST(searched(*store, set, kind.metric, {.k = kAnswers, .recall_target = .95}) >= .94);
      BOOST_TEST(searched(*store, set, kind.metric, {.k = kAnswers, .recall_target = .99, .full_precision = true}) >=
                 .98);
      const auto in_memory = Store::open(directory.path("ix"), {.cache_fraction = 1.0});
      REQUIRE_OK(in_memory);
      BOOST_TEST(
          searched(*in_memory, set, kind.metric, {.k = kAnswers, .recall_target = .99, .full_precision = true}) >= .98);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_store_without_a_graph_ranks_by_what_was_put) {
  for (std::size_t i = 0; i < std::size(kKinds); i += kStep) {
    const Kind& kind = kKinds[i];
    BOOST_TEST_CONTEXT(kind.set << ", " << name_of(kind.metric)) {
      const Data set = set_of(kind);
      const test::TemporaryDirectory directory;
      REQUIRE_OK(Store::create(directory.path("s"), {.metric = kind.metric}));
      auto store = Store::open(directory.path("s"), {.access = Access::kReadWrite, .sync = SyncMode::kNone});
      REQUIRE_OK(store);
      const VectorView rows = set.base_view();
      std::vector<Key> keys;
      for (std::uint64_t row = 0; row < rows.rows; ++row) keys.emplace_back(row);
      REQUIRE_OK(store->put_batch(keys, rows));
      BOOST_TEST(searched(*store, set, kind.metric, {.k = kAnswers}) == 1.0);
    }
  }
}

BOOST_AUTO_TEST_CASE(ordinary_text_stays_at_eight_bits_and_coordinates_of_one_town_say_why_they_do_not) {
  const test::TemporaryDirectory directory;
  const test::Matrix text = test::win384(3000);
  REQUIRE_OK(Store::build(directory.path("text"), *view_source(text.view()), options_of(Metric::kCosine)));
  const auto of_text = Store::open(directory.path("text"));
  REQUIRE_OK(of_text);
  BOOST_TEST(of_text->info().vector_bits == 8u);
  BOOST_TEST(of_text->info().recall_of_8_bits >= .99);
  BOOST_TEST(of_text->info().recall_of_16_bits == -1);
  const Data copies = set_of({"near_copies_1e-3", Metric::kL2});
  REQUIRE_OK(Store::build(directory.path("copies"), *view_source(copies.base_view()), options_of(Metric::kL2)));
  const auto of_copies = Store::open(directory.path("copies"));
  REQUIRE_OK(of_copies);
  BOOST_TEST(of_copies->info().vector_bits > 8u);
  BOOST_TEST(of_copies->info().recall_of_8_bits < .99);
}

BOOST_AUTO_TEST_CASE(a_target_out_of_reach_is_said_with_its_reason) {
  const test::TemporaryDirectory directory;
  const Data copies = set_of({"near_copies_1e-3", Metric::kL2});
  REQUIRE_OK(Store::build(directory.path("ix"), *view_source(copies.base_view()), options_of(Metric::kL2, 8)));
  const auto store = Store::open(directory.path("ix"));
  REQUIRE_OK(store);
  const auto expected = store->recall_expected({.recall_target = .95});
  BOOST_REQUIRE(expected.has_value());
  BOOST_TEST(expected->missed);
  BOOST_TEST(expected->expected < .95);
  BOOST_TEST(expected->reason.find("--vectors") != std::string_view::npos);
  BOOST_TEST(!store->recall_expected({.search_list = 10}).has_value());
}

BOOST_AUTO_TEST_CASE(a_width_that_is_asked_for_is_taken_and_integers_have_none) {
  const test::TemporaryDirectory directory;
  const test::Matrix integers = test::csift(300);
  BOOST_TEST((test::code_of(predict_build(*view_source(integers.view()), options_of(Metric::kL2, 16))) ==
              Code::kInvalidArgument));
  const test::Matrix text = test::win384(300);
  BOOST_TEST(
      (test::code_of(predict_build(*view_source(text.view()), options_of(Metric::kL2, 12))) == Code::kInvalidArgument));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vecstore
