// SPDX-License-Identifier: Apache-2.0
//
// Stores as a program uses them: built, opened, searched; scores and distances; few rows, equal rows, many threads.
#include <atomic>
#include <cmath>
#include <thread>

#include "tests/engine/stores.h"

using namespace vecstore;
using test::build_and_open;
using test::build_options;
using test::code_of;
using test::exhaustive;
using test::Matrix;
using test::matrix_of;
using test::search;

namespace {

constexpr std::uint64_t kRows = 2000;

// One store of real descriptors for all the tests that only read.
const Store& shared_store() {
  static const test::TemporaryDirectory directory;
  static const Store store = [] {
    OpenOptions open;
    open.searchers = 4;
    return build_and_open(directory.path("idx"), test::csift(kRows), build_options(Metric::kL2), open);
  }();
  return store;
}

Matrix points(const std::vector<std::uint8_t>& values, std::uint32_t dim) { return matrix_of(dim, DType::kU8, values); }

}  // namespace

BOOST_AUTO_TEST_SUITE(store)

BOOST_AUTO_TEST_CASE(l2_scores_are_negated_squared_distances) {
  const test::TemporaryDirectory directory;
  const Store store = build_and_open(directory.path("idx"), points({6, 8, 0, 0, 3, 4}, 2), build_options(Metric::kL2));
  const auto results = search(store, points({0, 0}, 2).view(), {});
  BOOST_REQUIRE_EQUAL(results[0].size(), 3u);
  const std::uint64_t rows[] = {1, 2, 0};
  const float distances[] = {0, 25, 100};
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(results[0][i].row.value == rows[i]);
    BOOST_TEST(results[0][i].distance == distances[i]);
    BOOST_TEST(results[0][i].score == -distances[i]);
  }
}

BOOST_AUTO_TEST_CASE(inner_product_scores_are_products) {
  const test::TemporaryDirectory directory;
  const Matrix base = matrix_of<std::int8_t>(2, DType::kI8, {1, 2, -3, 4, 100, 100});
  const Store store = build_and_open(directory.path("idx"), base, build_options(Metric::kInnerProduct));
  const auto results = search(store, matrix_of<std::int8_t>(2, DType::kI8, {1, -2}).view(), {});
  BOOST_REQUIRE_EQUAL(results[0].size(), 3u);
  const std::uint64_t rows[] = {0, 1, 2};
  const float scores[] = {-3, -11, -100};
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(results[0][i].row.value == rows[i]);
    BOOST_TEST(results[0][i].score == scores[i]);
    BOOST_TEST(results[0][i].distance == -scores[i]);
  }
}

BOOST_AUTO_TEST_CASE(cosine_scores_are_cosines_whatever_the_lengths) {
  const test::TemporaryDirectory directory;
  const Matrix base = matrix_of<float>(2, DType::kF32, {-3, -4, 40, 30, 0.003f, 0.004f});
  const Store store = build_and_open(directory.path("idx"), base, build_options(Metric::kCosine));
  SearchOptions options;
  options.full_precision = true;
  const auto results = search(store, matrix_of<float>(2, DType::kF32, {30, 40}).view(), options);
  BOOST_REQUIRE_EQUAL(results[0].size(), 3u);
  const std::uint64_t rows[] = {2, 1, 0};
  const float scores[] = {1.0f, 0.96f, -1.0f};
  for (std::size_t i = 0; i < 3; ++i) {
    BOOST_TEST(results[0][i].row.value == rows[i]);
    BOOST_TEST(std::fabs(results[0][i].score - scores[i]) < 1e-6f);
    BOOST_TEST(std::fabs(results[0][i].distance - (1.0f - scores[i])) < 1e-6f);
  }
}

BOOST_AUTO_TEST_CASE(a_store_of_a_file_answers_as_one_of_the_same_memory) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::csift(500);
  std::vector<char> bytes(8 + base.bytes.size());
  const std::uint32_t header[2] = {500, 128};
  std::memcpy(bytes.data(), header, sizeof header);
  std::memcpy(bytes.data() + sizeof header, base.bytes.data(), base.bytes.size());
  test::write_file(directory.path("base.u8bin"), bytes);
  const auto source = open_vector_file(directory.path("base.u8bin"));
  REQUIRE_OK(source);
  REQUIRE_OK(Store::build(directory.path("file"), **source, build_options(Metric::kL2)));
  const auto of_file = Store::open(directory.path("file"));
  REQUIRE_OK(of_file);
  const Store of_memory = build_and_open(directory.path("memory"), base, build_options(Metric::kL2));
  const Matrix queries = test::csift_queries(50);
  BOOST_TEST(of_file->info().uuid == of_memory.info().uuid);
  BOOST_TEST(test::same_hits(search(*of_file, queries.view(), {}), search(of_memory, queries.view(), {})));
}

BOOST_AUTO_TEST_CASE(exhaustive_settings_give_the_exact_answer) {
  const Matrix queries = test::csift_queries(100);
  const auto truth = test::exact(test::csift(kRows), queries, 30, Metric::kL2);
  const auto results = search(shared_store(), queries.view(), exhaustive(20));
  BOOST_TEST(test::recall(results, truth, 20) == 1.0);
  for (std::size_t query = 0; query < 100; ++query) {
    test::check_sorted(results[query]);
    BOOST_REQUIRE_EQUAL(results[query].size(), 20u);
    for (std::size_t i = 0; i < 20; ++i)
      BOOST_REQUIRE_EQUAL(results[query][i].distance, truth.distances[query * 30 + i]);
  }
}

BOOST_AUTO_TEST_CASE(every_row_finds_itself_with_a_long_list) {
  const Matrix base = test::csift(kRows);
  SearchOptions options;
  options.k = 1;
  options.search_list = 1000;
  const auto results = search(shared_store(), base.view(), options);
  for (std::size_t row = 0; row < kRows; ++row) {
    BOOST_REQUIRE_EQUAL(results[row].size(), 1u);
    BOOST_REQUIRE_EQUAL(results[row][0].distance, 0.0f);
  }
}

BOOST_AUTO_TEST_CASE(a_batch_divided_among_threads_answers_as_one) {
  const Matrix queries = test::csift_queries(200);
  const auto alone = search(shared_store(), queries.view(), {});
  BOOST_TEST(test::same_hits(alone, search(shared_store(), queries.view(), {}, 3)));
  BOOST_TEST(test::same_hits(alone, search(shared_store(), queries.view(), {}, 64)));
  for (std::size_t query = 0; query < 20; ++query) {
    const auto single = search(shared_store(), queries.row(query), {});
    BOOST_REQUIRE(std::equal(single[0].begin(), single[0].end(), alone[query].begin(), alone[query].end(),
                             [](const Hit& a, const Hit& b) { return a.row == b.row; }));
  }
}

// More callers than searchers: they wait for one another and all are served.
BOOST_AUTO_TEST_CASE(many_threads_may_search_at_once) {
  const Matrix queries = test::csift_queries(40);
  const auto expected = search(shared_store(), queries.view(), {});
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 8; ++caller)
      callers.emplace_back([&, caller] {
        const auto found = shared_store().search(queries.view(), {}, caller % 2 == 0 ? 1 : 2);
        if (!found || !test::same_hits(*found, expected)) ++wrong;
        if (shared_store().info().rows != kRows) ++wrong;
        std::vector<std::byte> vector(128);
        if (!shared_store().vector(RowId{static_cast<std::uint64_t>(caller)}, vector).is_ok()) ++wrong;
      });
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_CASE(rows_may_lie_apart_in_memory) {
  const Matrix queries = test::csift_queries(10);
  VectorView every_other = queries.view();
  every_other.rows = 5;
  every_other.stride = 2 * queries.row_bytes();
  const auto all = search(shared_store(), queries.view(), {});
  const auto some = search(shared_store(), every_other, {});
  for (std::size_t query = 0; query < 5; ++query) BOOST_TEST(some[query][0].row.value == all[2 * query][0].row.value);
}

BOOST_AUTO_TEST_CASE(no_query_is_no_answer) {
  VectorView none = test::csift_queries(1).view();
  none.rows = 0;
  BOOST_TEST(search(shared_store(), none, {}).size() == 0u);
}

BOOST_AUTO_TEST_CASE(few_rows_are_all_returned) {
  const test::TemporaryDirectory directory;
  const Matrix queries = test::csift_queries(3);
  for (const std::uint64_t rows : {0, 1, 2, 7}) {
    const std::string path = directory.path("idx" + std::to_string(rows));
    for (const bool calibrate : {false, true}) {
      BuildOptions options = build_options(Metric::kL2, calibrate);
      options.overwrite = true;
      Matrix base = test::csift(rows);
      const Store store = build_and_open(path, base, options);
      BOOST_TEST(store.info().rows == rows);
      const auto results = search(store, queries.view(), {});
      for (std::size_t query = 0; query < 3; ++query) {
        BOOST_REQUIRE_EQUAL(results[query].size(), rows);
        test::check_sorted(results[query]);
      }
      BOOST_TEST((rows == 0 || results[0].size() == rows));
      const auto report = store.verify({true});
      REQUIRE_OK(report);
      BOOST_TEST(report->damage_total == 0u);
      BOOST_TEST(report->rows_checked == rows);
    }
  }
}

BOOST_AUTO_TEST_CASE(equal_vectors_are_rows_of_their_own) {
  const test::TemporaryDirectory directory;
  for (const DType dtype : {DType::kU8, DType::kF16}) {
    Matrix base = dtype == DType::kU8 ? test::csift(1) : test::win384(1);
    const std::vector<std::byte> one = base.bytes;
    for (int i = 1; i < 300; ++i) base.bytes.insert(base.bytes.end(), one.begin(), one.end());
    const Metric metric = dtype == DType::kU8 ? Metric::kL2 : Metric::kCosine;
    const Store store = build_and_open(directory.path(std::string(name_of(dtype))), base, build_options(metric));
    const auto results = search(store, base.row(0), exhaustive(300));
    BOOST_TEST(results[0].size() == 300u);
    test::check_sorted(results[0]);
    BOOST_TEST(std::fabs(results[0].back().distance) < 1e-3f);
  }
}

BOOST_AUTO_TEST_CASE(many_duplicates_leave_every_row_reachable) {
  const test::TemporaryDirectory directory;
  Matrix base = test::csift(1500);
  // Two rows in three are one of ten.
  for (std::size_t row = 0; row < 1500; ++row)
    if (row % 3 != 0) std::memcpy(base.bytes.data() + row * 128, base.bytes.data() + (row % 10) * 3 * 128, 128);
  const Store store = build_and_open(directory.path("idx"), base, build_options(Metric::kL2, true));
  const auto report = store.verify({true});
  REQUIRE_OK(report);
  BOOST_TEST(report->unreachable_rows == 0u);
  SearchOptions options;
  options.k = 1;
  options.search_list = 1000;
  const auto results = search(store, base.view(), options);
  for (std::size_t row = 0; row < 1500; ++row) BOOST_REQUIRE_EQUAL(results[row][0].distance, 0.0f);
}

BOOST_AUTO_TEST_CASE(searches_that_mean_nothing_are_refused) {
  const Store& store = shared_store();
  const Matrix query = test::csift_queries(1);
  const auto refusal = [&](const VectorView& view, const SearchOptions& options, std::uint32_t threads = 1) {
    return code_of(store.search(view, options, threads));
  };
  SearchOptions options;
  options.k = 0;
  BOOST_CHECK(refusal(query.view(), options) == Code::kInvalidArgument);
  options.k = 1001;
  BOOST_CHECK(refusal(query.view(), options) == Code::kInvalidArgument);
  options = {};
  options.search_list = 4097;
  BOOST_CHECK(refusal(query.view(), options) == Code::kInvalidArgument);
  for (const double target : {0.0, -1.0, 1.01, std::nan("")}) {
    options = {};
    options.recall_target = target;
    BOOST_CHECK(refusal(query.view(), options) == Code::kInvalidArgument);
  }
  BOOST_CHECK(refusal(query.view(), {}, 0) == Code::kInvalidArgument);
  BOOST_CHECK(refusal(query.view(), {}, 257) == Code::kInvalidArgument);
  BOOST_CHECK(refusal({query.bytes.data(), DType::kU8, 1, 127}, {}) == Code::kInvalidInput);
  BOOST_CHECK(refusal({query.bytes.data(), DType::kI8, 1, 128}, {}) == Code::kInvalidArgument);
  BOOST_CHECK(refusal({query.bytes.data(), DType::kF32, 1, 32}, {}) == Code::kInvalidArgument);
}

BOOST_AUTO_TEST_CASE(queries_that_cannot_be_ranked_are_named_by_row) {
  const test::TemporaryDirectory directory;
  const Matrix base = matrix_of<float>(2, DType::kF32, {1, 2, 3, 4});
  const Store cosine = build_and_open(directory.path("cosine"), base, build_options(Metric::kCosine));
  const auto zero = cosine.search(matrix_of<float>(2, DType::kF32, {1, 1, 0, 0}).view());
  BOOST_CHECK(code_of(zero) == Code::kInvalidInput);
  BOOST_TEST(zero.error().number() == 1u);
  const Store l2 = build_and_open(directory.path("l2"), base, build_options(Metric::kL2));
  for (const float bad : {std::nanf(""), HUGE_VALF, -HUGE_VALF}) {
    const auto refused = l2.search(matrix_of<float>(2, DType::kF32, {1, 1, 1, 1, 0, bad}).view());
    BOOST_CHECK(code_of(refused) == Code::kInvalidInput);
    BOOST_TEST(refused.error().number() == 2u);
  }
  REQUIRE_OK(l2.search(matrix_of<float>(2, DType::kF32, {0, 0}).view()));
}

BOOST_AUTO_TEST_CASE(opening_what_is_no_store_says_so) {
  const test::TemporaryDirectory directory;
  BOOST_CHECK(code_of(Store::open(directory.path("none"))) == Code::kNotFound);
  BOOST_CHECK(code_of(Store::open(directory.path())) == Code::kInvalidInput);
  OpenOptions options;
  options.cache_fraction = 1.5;
  BOOST_CHECK(code_of(Store::open(directory.path(), options)) == Code::kInvalidArgument);
  options.cache_fraction = 0.5;
  options.cache_bytes = 4096;
  BOOST_CHECK(code_of(Store::open(directory.path(), options)) == Code::kInvalidArgument);
  options = {};
  options.searchers = 0;
  BOOST_CHECK(code_of(Store::open(directory.path(), options)) == Code::kInvalidArgument);
}

BOOST_AUTO_TEST_SUITE_END()
