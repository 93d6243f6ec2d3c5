// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <limits>
#include <numeric>
#include <random>

#include "base/half.h"
#include "engine/files/convert.h"
#include "engine/files/validate.h"
#include "engine/truth.h"
#include "engine/vecstore.hpp"
#include "tests/test_util.h"

using namespace vecstore;
using test::code_of;

namespace {

// One query against all rows in long double, ties by row.
std::vector<std::pair<long double, std::uint32_t>> slow_order(const VectorView& base, const VectorView& queries,
                                                              std::uint64_t query, Metric metric) {
  std::vector<float> q(base.dim), x(base.dim);
  widen_row(queries, query, q.data());
  std::vector<std::pair<long double, std::uint32_t>> order;
  for (std::uint32_t row = 0; row < base.rows; ++row) {
    widen_row(base, row, x.data());
    long double l2 = 0, dot = 0, qq = 0, xx = 0;
    for (std::size_t i = 0; i < q.size(); ++i) {
      const long double a = q[i], b = x[i];
      l2 += (a - b) * (a - b);
      dot += a * b;
      qq += a * a;
      xx += b * b;
    }
    order.emplace_back(metric == Metric::kL2             ? l2
                       : metric == Metric::kInnerProduct ? -dot
                                                         : 1 - dot / std::sqrt(qq * xx),
                       row);
  }
  std::sort(order.begin(), order.end());
  return order;
}

void agrees_with_the_slow_order(const VectorView& base, const VectorView& queries, Metric metric, std::uint32_t k) {
  const auto found = exact_search(*view_source(base), *view_source(queries), k, metric, 2);
  REQUIRE_OK(found);
  const bool integers = is_integer(base.dtype);
  for (std::uint64_t query = 0; query < queries.rows; ++query) {
    const auto order = slow_order(base, queries, query, metric);
    for (std::uint32_t i = 0; i < k; ++i) {
      const std::uint32_t row = found->rows[query * k + i];
      const float distance = found->distances[query * k + i];
      if (i >= order.size()) {
        BOOST_REQUIRE_EQUAL(row, 0xFFFFFFFFu);
        BOOST_REQUIRE(std::isinf(distance));
        continue;
      }
      const auto expected = static_cast<float>(order[i].first);
      if (integers && metric != Metric::kCosine) {
        BOOST_REQUIRE_EQUAL(row, order[i].second);
        BOOST_REQUIRE_EQUAL(distance, expected);
      } else {
        // Equal but for the last place of the sums; a different row is right only at the same distance.
        BOOST_REQUIRE_SMALL(static_cast<double>(distance - expected),
                            1e-6 * (1.0 + std::fabs(static_cast<double>(expected))));
      }
    }
  }
}

VectorView view_of(const std::vector<std::byte>& bytes, DType dtype, std::uint32_t dim) {
  return {bytes.data(), dtype, bytes.size() / (dim * element_bytes(dtype)), dim};
}

std::vector<std::byte> rows_of(const std::string& path, std::uint64_t count, DType as) {
  const auto source = open_vector_file(path);
  REQUIRE_OK(source);
  count = std::min(count, (*source)->rows());
  std::vector<std::byte> raw(count * (*source)->dim() * element_bytes((*source)->dtype()));
  REQUIRE_OK((*source)->read(0, count, raw.data()));
  if ((*source)->dtype() == as) return raw;
  BOOST_REQUIRE(((*source)->dtype() == DType::kU8 && as == DType::kI8));
  for (std::byte& value : raw) value ^= std::byte{0x80};  // 0 … 255 becomes −128 … 127
  return raw;
}

constexpr std::array<Metric, 3> kMetrics = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine};

}  // namespace

BOOST_AUTO_TEST_SUITE(exact_search_)

BOOST_AUTO_TEST_CASE(integers_agree_with_the_slow_order) {
  for (const DType dtype : {DType::kU8, DType::kI8}) {
    const auto base = rows_of(test::shipped_data("csift55k.base.u8bin"), 3001, dtype);
    const auto queries = rows_of(test::shipped_data("csift55k.query.u8bin"), 35, dtype);
    for (const Metric metric : kMetrics)
      agrees_with_the_slow_order(view_of(base, dtype, 128), view_of(queries, dtype, 128), metric, 10);
  }
}

BOOST_AUTO_TEST_CASE(halves_agree_with_the_slow_order) {
  const auto base = rows_of(test::shipped_data("win384-8k.base.f16bin"), 1501, DType::kF16);
  const auto queries = rows_of(test::shipped_data("win384-8k.query.f16bin"), 20, DType::kF16);
  for (const Metric metric : kMetrics)
    agrees_with_the_slow_order(view_of(base, DType::kF16, 384), view_of(queries, DType::kF16, 384), metric, 10);
}

BOOST_AUTO_TEST_CASE(every_small_dimension_and_row_count_works) {
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  for (const std::uint32_t dim : {1u, 2u, 3u, 17u, 33u, 100u})
    for (const std::uint64_t rows : {0u, 1u, 5u, 129u}) {
      std::vector<float> base(rows * dim), queries(3 * dim);
      for (float& value : base) value = normal(random);
      for (float& value : queries) value = normal(random);
      for (const Metric metric : kMetrics)
        agrees_with_the_slow_order({base.data(), DType::kF32, rows, dim}, {queries.data(), DType::kF32, 3, dim}, metric,
                                   7);
    }
}

BOOST_AUTO_TEST_CASE(the_largest_dimension_and_values_do_not_overflow) {
  std::vector<std::uint8_t> base(2 * 4096, 255), query(4096, 0);
  const auto found = exact_search(*view_source({base.data(), DType::kU8, 2, 4096}),
                                  *view_source({query.data(), DType::kU8, 1, 4096}), 2, Metric::kL2, 1);
  REQUIRE_OK(found);
  BOOST_TEST(found->distances[0] == 4096.0f * 255 * 255);
  std::vector<std::int8_t> low(4096, -128), high(4096, 127);
  const auto apart = exact_search(*view_source({low.data(), DType::kI8, 1, 4096}),
                                  *view_source({high.data(), DType::kI8, 1, 4096}), 1, Metric::kL2, 1);
  REQUIRE_OK(apart);
  BOOST_TEST(apart->distances[0] == 4096.0f * 255 * 255);
}

BOOST_AUTO_TEST_CASE(equal_rows_come_in_row_order) {
  const std::vector<float> base(5000 * 24, 0.25f), query(24, 0.5f);
  for (const Metric metric : kMetrics) {
    const auto found = exact_search(*view_source({base.data(), DType::kF32, 5000, 24}),
                                    *view_source({query.data(), DType::kF32, 1, 24}), 100, metric, 2);
    REQUIRE_OK(found);
    std::vector<std::uint32_t> expected(100);
    std::iota(expected.begin(), expected.end(), 0u);
    BOOST_TEST((found->rows == expected));
  }
}

BOOST_AUTO_TEST_CASE(answers_do_not_depend_on_the_thread_count) {
  const auto base = open_vector_file(test::shipped_data("win384-8k.base.f16bin"));
  const auto queries = open_vector_file(test::shipped_data("win384-8k.query_short.f16bin"));
  REQUIRE_OK(base);
  REQUIRE_OK(queries);
  const auto one = exact_search(**base, **queries, 20, Metric::kCosine, 1);
  const auto three = exact_search(**base, **queries, 20, Metric::kCosine, 3);
  REQUIRE_OK(one);
  REQUIRE_OK(three);
  BOOST_TEST((one->rows == three->rows));
  BOOST_TEST((one->distances == three->distances));
}

BOOST_AUTO_TEST_CASE(shipped_ground_truth_is_what_the_search_finds) {
  for (const std::string name : {"query", "query_short"}) {
    const auto base = open_vector_file(test::shipped_data("win384-8k.base.f16bin"));
    const auto queries = open_vector_file(test::shipped_data("win384-8k." + name + ".f16bin"));
    const auto truth =
        read_neighbours(test::shipped_data(name == "query" ? "win384-8k.gt.ibin" : "win384-8k.gt_short.ibin"));
    REQUIRE_OK(base);
    REQUIRE_OK(queries);
    REQUIRE_OK(truth);
    const auto found = exact_search(**base, **queries, truth->k, Metric::kCosine, 2);
    REQUIRE_OK(found);
    BOOST_TEST(recall_at(*found, *truth, truth->k).value() == 1.0);
  }
}

BOOST_AUTO_TEST_CASE(ground_truth_made_by_others_is_met) {
  struct Set {
    std::string name, ending;
    Metric metric;
  };
  for (const Set& set : {Set{"sift5k", "u8bin", Metric::kL2}, Set{"glove100-1k", "fbin", Metric::kCosine},
                         Set{"mdn256", "fbin", Metric::kCosine}}) {
    const std::string base_path = test::large_data(set.name + ".base." + set.ending);
    if (base_path.empty()) {
      BOOST_TEST_MESSAGE("SKIPPED: no data set " << set.name << " on this machine; set VECSTORE_DATA to where it lies");
      continue;
    }
    const auto base = open_vector_file(base_path);
    const auto queries = open_vector_file(test::large_data(set.name + ".query." + set.ending));
    const auto truth = read_neighbours(test::large_data(set.name + ".gt.ibin"));
    REQUIRE_OK(base);
    REQUIRE_OK(queries);
    REQUIRE_OK(truth);
    std::vector<std::byte> first(std::min<std::uint64_t>(100, (*queries)->rows()) * (*queries)->dim() *
                                 element_bytes((*queries)->dtype()));
    const VectorView some = view_of(first, (*queries)->dtype(), (*queries)->dim());
    REQUIRE_OK((*queries)->read(0, some.rows, first.data()));
    const auto found = exact_search(**base, *view_source(some), truth->k, set.metric, 2);
    REQUIRE_OK(found);
    BOOST_TEST(recall_at(*found, *truth, truth->k).value() == 1.0, set.name);
    for (std::size_t i = 0; i < found->distances.size(); ++i)
      BOOST_REQUIRE_SMALL(static_cast<double>(found->distances[i] - truth->distances[i]), 1e-6);
  }
}

BOOST_AUTO_TEST_CASE(refused_rows_are_named) {
  std::vector<float> base(5000 * 4, 1.0f), query(4, 1.0f);
  const auto search = [&](Metric metric) {
    const auto found = exact_search(*view_source({base.data(), DType::kF32, 5000, 4}),
                                    *view_source({query.data(), DType::kF32, 1, 4}), 1, metric, 2);
    return found ? std::string() : found.error().message();
  };
  BOOST_TEST(search(Metric::kL2).empty());
  std::fill_n(base.begin() + 4321 * 4, 4, 0.0f);
  BOOST_TEST(search(Metric::kL2).empty());
  BOOST_TEST(search(Metric::kCosine).find("row 4321") != std::string::npos);
  base[4000 * 4 + 2] = std::numeric_limits<float>::infinity();
  base[4100 * 4] = std::numeric_limits<float>::quiet_NaN();
  BOOST_TEST(search(Metric::kL2).find("row 4000") != std::string::npos);
  base.assign(base.size(), 1.0f);
  query[3] = std::numeric_limits<float>::quiet_NaN();
  BOOST_TEST(search(Metric::kInnerProduct).find("row 0") != std::string::npos);
}

BOOST_AUTO_TEST_CASE(arguments_that_mean_nothing_are_refused) {
  const std::vector<float> floats(64, 1.0f);
  const std::vector<std::uint8_t> bytes(64, 1);
  const auto eight = view_source({floats.data(), DType::kF32, 2, 8});
  const auto four = view_source({floats.data(), DType::kF32, 2, 4});
  const auto integers = view_source({bytes.data(), DType::kU8, 2, 8});
  BOOST_TEST((code_of(exact_search(*eight, *eight, 0, Metric::kL2)) == Code::kInvalidArgument));
  BOOST_TEST((code_of(exact_search(*eight, *eight, 1001, Metric::kL2)) == Code::kInvalidArgument));
  BOOST_TEST((code_of(exact_search(*eight, *four, 1, Metric::kL2)) == Code::kInvalidInput));
  BOOST_TEST((code_of(exact_search(*eight, *integers, 1, Metric::kL2)) == Code::kInvalidArgument));
}

BOOST_AUTO_TEST_CASE(half_infinities_and_zeroes_are_found) {
  std::vector<std::uint16_t> halves(3 * 5, 0x3C00);
  const VectorView view{halves.data(), DType::kF16, 3, 5};
  REQUIRE_OK(check_vectors(view, Metric::kCosine, "f", 10));
  std::fill_n(halves.begin() + 5, 5, std::uint16_t{0x8000});  // −0
  BOOST_TEST(check_vectors(view, Metric::kCosine, "f", 10).number() == 11u);
  halves[14] = 0xFC00;
  BOOST_TEST(check_vectors(view, Metric::kL2, "f", 10).number() == 12u);
}

BOOST_AUTO_TEST_CASE(recall_counts_ties_and_each_row_once) {
  ExactNeighbours truth{1, 4, {7, 3, 9, 5}, {1, 2, 2, 3}};
  const auto recall = [&](std::vector<std::uint32_t> rows) {
    const ExactNeighbours found{1, static_cast<std::uint32_t>(rows.size()), rows, std::vector<float>(rows.size())};
    return recall_at(found, truth, 2).value();
  };
  BOOST_TEST(recall({7, 3}) == 1.0);
  BOOST_TEST(recall({7, 9}) == 1.0);
  BOOST_TEST(recall({9, 3}) == 1.0);
  BOOST_TEST(recall({7, 7}) == 0.5);
  BOOST_TEST(recall({7, 5}) == 0.5);
  BOOST_TEST(recall({8, 5}) == 0.0);
  BOOST_TEST(recall({8, 5, 7}) == 0.0);  // past k
  BOOST_TEST(recall({3}) == 0.5);
  truth.rows = {7, 0xFFFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFu};
  BOOST_TEST(recall({7, 0xFFFFFFFFu}) == 1.0);
  BOOST_TEST(!recall_at(truth, truth, 5).has_value());
}

BOOST_AUTO_TEST_CASE(neighbour_files_come_back_and_cut_ones_are_refused) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("gt.ibin");
  const ExactNeighbours neighbours{2, 2, {1, 2, 3, 0xFFFFFFFFu}, {0.5f, 1, 2, std::numeric_limits<float>::infinity()}};
  REQUIRE_OK(write_neighbours(path, neighbours));
  const auto read = read_neighbours(path);
  REQUIRE_OK(read);
  BOOST_TEST((read->rows == neighbours.rows && read->distances == neighbours.distances));
  const auto bytes = test::read_file(path);
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    test::write_file(path, {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)});
    BOOST_TEST((code_of(read_neighbours(path)) == Code::kInvalidInput));
  }
}

BOOST_AUTO_TEST_SUITE_END()
