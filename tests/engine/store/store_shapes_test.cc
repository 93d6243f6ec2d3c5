// SPDX-License-Identifier: Apache-2.0
//
// Every element type under every metric, from one dimension to the most there may be.
#include <cmath>
#include <filesystem>

#include "tests/engine/stores.h"

using namespace vecstore;
using test::build_and_open;
using test::build_options;
using test::exhaustive;
using test::Matrix;
using test::search;

namespace {

constexpr DType kDTypes[] = {DType::kF32, DType::kF16, DType::kU8, DType::kI8};
constexpr Metric kMetrics[] = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine};

// Every distance of the answer against brute force; exact but for what floats round.
void check_against_exact(const Store& store, const Matrix& base, Metric metric, std::uint32_t k) {
  SearchOptions options = exhaustive(k);
  options.full_precision = true;
  const auto truth = test::exact(base, base, k, metric);
  const auto results = search(store, base.view(), options);
  for (std::size_t query = 0; query < results.size(); ++query) {
    BOOST_REQUIRE_EQUAL(results[query].size(), k);
    test::check_sorted(results[query]);
    for (std::size_t i = 0; i < k; ++i) {
      const double expected = truth.distances[query * k + i];
      BOOST_REQUIRE_SMALL(results[query][i].distance - expected, 2e-5 * (1.0 + std::fabs(expected)));
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(store_shapes)

BOOST_AUTO_TEST_CASE(every_type_metric_and_dimension_gives_the_exact_order) {
  const test::TemporaryDirectory directory;
  constexpr std::uint64_t kRows = 40;
  for (const std::uint32_t dim : {1u, 2u, 3u, 7u, 4095u, 4096u})
    for (const DType dtype : kDTypes)
      for (const Metric metric : kMetrics) {
        BOOST_TEST_CONTEXT(dim << " " << name_of(dtype) << " " << name_of(metric)) {
          const Matrix base = test::recut(dtype, dim, kRows);
          BuildOptions options = build_options(metric);
          options.overwrite = true;
          const Store store = build_and_open(directory.path("idx"), base, options);
          BOOST_TEST(store.info().dim == dim);
          BOOST_TEST((store.info().dtype == dtype && store.info().metric == metric));
          check_against_exact(store, base, metric, 10);
        }
      }
}

BOOST_AUTO_TEST_CASE(vectors_come_back_as_they_were_put) {
  const test::TemporaryDirectory directory;
  for (const DType dtype : kDTypes)
    for (const Metric metric : kMetrics) {
      const Matrix base = test::recut(dtype, 33, 100);
      BuildOptions options = build_options(metric);
      options.overwrite = true;
      const Store store = build_and_open(directory.path("idx"), base, options);
      std::vector<std::byte> row(base.row_bytes());
      for (std::uint64_t i = 0; i < base.rows(); ++i) {
        REQUIRE_OK(store.vector(RowId{i}, row));
        BOOST_REQUIRE(std::equal(row.begin(), row.end(), base.bytes.begin() + static_cast<long>(i * row.size())));
      }
      BOOST_CHECK(store.vector(RowId{100}, row).code() == Code::kNotFound);
      BOOST_CHECK(store.vector(RowId{0}, std::span(row).first(1)).code() ==
                  (row.size() == 1 ? Code::kOk : Code::kInvalidArgument));
    }
}

BOOST_AUTO_TEST_CASE(halves_and_floats_search_one_another) {
  const test::TemporaryDirectory directory;
  const Matrix halves = test::win384(400);
  const Matrix floats = test::widened(halves);
  const Matrix half_queries = test::win384_queries(30);
  const Matrix float_queries = test::widened(half_queries);
  for (const Matrix* base : {&halves, &floats}) {
    BuildOptions options = build_options(Metric::kCosine);
    options.overwrite = true;
    const Store store = build_and_open(directory.path("idx"), *base, options);
    BOOST_TEST(test::same_hits(search(store, half_queries.view(), {}), search(store, float_queries.view(), {})));
  }
}

BOOST_AUTO_TEST_CASE(full_precision_gives_the_order_of_the_originals) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::win384(1500);
  const Matrix queries = test::win384_queries(60);
  const Store store = build_and_open(directory.path("idx"), base, build_options(Metric::kCosine));
  const auto truth = test::exact(base, queries, 10, Metric::kCosine);
  SearchOptions options = exhaustive(10);
  const auto quantised = search(store, queries.view(), options);
  options.full_precision = true;
  const auto exact = search(store, queries.view(), options);
  BOOST_TEST(test::recall(exact, truth, 10) >= 0.999);
  bool differs = false;
  for (std::size_t query = 0; query < 60; ++query) {
    test::check_sorted(exact[query]);
    BOOST_TEST(exact.stats(query).requests > quantised.stats(query).requests);
    for (std::size_t i = 0; i < 10; ++i) {
      BOOST_TEST(std::fabs(exact[query][i].distance - truth.distances[query * 10 + i]) < 1e-6);
      differs = differs || exact[query][i].distance != quantised[query][i].distance;
    }
  }
  BOOST_TEST(differs);
}

BOOST_AUTO_TEST_CASE(page_sizes_codecs_and_degrees_are_as_asked) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::csift(1200);
  const Matrix queries = test::csift_queries(50);
  const auto truth = test::exact(base, queries, 20, Metric::kL2);
  for (const std::uint32_t page_bytes : {4096u, 8192u, 16384u}) {
    BuildOptions options = build_options(Metric::kL2);
    options.overwrite = true;
    options.page_bytes = page_bytes;
    options.codec = page_bytes == 8192 ? Codec::kPq : Codec::kOpq;
    options.code_bytes = 16;
    options.max_degree = 24;
    const Store store = build_and_open(directory.path("idx"), base, options);
    const StoreInfo info = store.info();
    BOOST_TEST(info.page_bytes == page_bytes);
    BOOST_TEST(info.code_bytes == 16u);
    BOOST_TEST(info.codec == (page_bytes == 8192 ? "pq" : "opq"));
    BOOST_TEST(info.mean_degree <= 24.0);
    BOOST_TEST(test::recall(search(store, queries.view(), exhaustive(10)), truth, 10) == 1.0);
  }
}

// 128 dimensions: 16, 32 or 64 bytes, the most that there is room for.
BOOST_AUTO_TEST_CASE(rabitq_takes_the_most_bits_that_fit_and_is_refused_less_than_one) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::csift(1200);
  const Matrix queries = test::csift_queries(50);
  const auto truth = test::exact(base, queries, 20, Metric::kL2);
  BuildOptions options = build_options(Metric::kL2);
  options.overwrite = true;
  options.codec = Codec::kRabitq;
  for (const auto& [room, code_bytes] :
       {std::pair{0u, 16u}, std::pair{31u, 16u}, std::pair{32u, 32u}, std::pair{128u, 64u}}) {
    options.code_bytes = room;
    BOOST_TEST(predict_build(*view_source(base.view()), options)->code_bytes == code_bytes);
    const Store store = build_and_open(directory.path("idx"), base, options);
    const StoreInfo info = store.info();
    BOOST_TEST(info.codec == "rabitq");
    BOOST_TEST(info.code_bytes == code_bytes);
    BOOST_TEST(info.code_bits == code_bytes / 16);
    BOOST_TEST(info.ram_bytes_per_row >= code_bytes + 4.0);
    BOOST_TEST(test::recall(search(store, queries.view(), exhaustive(10)), truth, 10) == 1.0);
  }
  options.code_bytes = 15;
  const Status refused = Store::build(directory.path("idx"), *view_source(base.view()), options);
  BOOST_CHECK(refused.code() == Code::kInvalidArgument);
  BOOST_TEST(refused.number() == 16u);
}

BOOST_AUTO_TEST_CASE(builds_that_mean_nothing_are_refused) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::csift(10);
  const auto refusal = [&](const auto& change) {
    BuildOptions options = build_options(Metric::kL2);
    change(options);
    const Status status = Store::build(directory.path("idx"), *view_source(base.view()), options);
    BOOST_TEST(!std::filesystem::exists(directory.path("idx")));
    return status.code();
  };
  BOOST_CHECK(refusal([](BuildOptions& o) { o.page_bytes = 5000; }) == Code::kInvalidArgument);
  BOOST_CHECK(refusal([](BuildOptions& o) { o.max_degree = 256; }) == Code::kInvalidArgument);
  BOOST_CHECK(refusal([](BuildOptions& o) { o.code_bytes = 129; }) == Code::kInvalidArgument);
  BOOST_CHECK(refusal([](BuildOptions& o) { o.alpha = 0.5f; }) == Code::kInvalidArgument);
  BOOST_CHECK(refusal([](BuildOptions& o) { o.build_list = 5000; }) == Code::kInvalidArgument);
  BOOST_CHECK(refusal([](BuildOptions& o) { o.threads = 257; }) == Code::kInvalidArgument);
  BOOST_CHECK(refusal([](BuildOptions& o) { o.search_ram_bytes = 10; }) == Code::kMemoryBudget);
  const VectorView wide{base.bytes.data(), DType::kU8, 0, 4097, 0};
  BOOST_CHECK(Store::build(directory.path("idx"), *view_source(wide), {}).code() == Code::kInvalidArgument);
}

BOOST_AUTO_TEST_SUITE_END()
