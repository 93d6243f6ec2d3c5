// SPDX-License-Identifier: Apache-2.0
//
// One rule for every row that comes in: what is taken can be found, built upon and searched for; what is not says why.
#include "engine/files/validate.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <random>

#include "engine/truth.h"
#include "engine/vecstore.hpp"
#include "tests/test_util.h"

using namespace vecstore;
using test::code_of;
using test::TemporaryDirectory;

namespace {

constexpr std::array<Metric, 3> kMetrics = {Metric::kL2, Metric::kInnerProduct, Metric::kCosine};

std::string complaint(const std::vector<float>& row, Metric metric) {
  const Status status =
      check_vectors({row.data(), DType::kF32, 1, static_cast<std::uint32_t>(row.size())}, metric, "f", 41);
  if (status.is_ok()) return "";
  BOOST_TEST((status.code() == Code::kInvalidInput));
  BOOST_TEST(status.number() == 41u);
  return status.text();
}

bool says(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

// The rule of the header, in long double.
std::string oracle(const std::vector<float>& row, Metric metric) {
  long double squares = 0;
  bool zero = true;
  for (const float value : row) {
    if (!std::isfinite(value)) return "NaN";
    zero &= value == 0.0f;
    squares += static_cast<long double>(value) * value;
  }
  if (metric == Metric::kCosine) return zero ? "zero" : "";
  return zero ? "" : squares > 0x1p124L ? "large" : squares < 0x1p-126L ? "small" : "";
}

}  // namespace

BOOST_AUTO_TEST_SUITE(validate)

BOOST_AUTO_TEST_CASE(the_bounds_are_where_the_header_has_them) {
  const float above = std::nextafter(0x1p62f, 1e30f), below = std::nextafter(0x1p-63f, 0.0f);
  for (const std::uint32_t dim : {1u, 2u, 15u, 16u, 17u, 33u, 100u})
    for (std::uint32_t at = 0; at < dim; ++at) {
      const auto row = [&](float value) {
        std::vector<float> values(dim, 0.0f);
        values[at] = value;
        return values;
      };
      for (const Metric metric : {Metric::kL2, Metric::kInnerProduct}) {
        for (const float fine : {0x1p62f, -0x1p62f, 0x1p-63f, -0x1p-63f, 1.0f, 0.0f, -0.0f})
          BOOST_REQUIRE_EQUAL(complaint(row(fine), metric), "");
        for (const float large : {above, -above, 1e30f, std::numeric_limits<float>::max()})
          BOOST_REQUIRE(says(complaint(row(large), metric), "so large") &&
                        says(complaint(row(large), metric), "scale them down"));
        for (const float small : {below, -below, 1e-30f, std::numeric_limits<float>::denorm_min()})
          BOOST_REQUIRE(says(complaint(row(small), metric), "so small") &&
                        says(complaint(row(small), metric), "scale them up"));
      }
      for (const float fine :
           {above, below, 1e38f, 1e-40f, std::numeric_limits<float>::denorm_min(), std::numeric_limits<float>::max()})
        BOOST_REQUIRE_EQUAL(complaint(row(fine), Metric::kCosine), "");
      BOOST_REQUIRE(says(complaint(row(0.0f), Metric::kCosine), "zero"));
      BOOST_REQUIRE(says(complaint(row(-0.0f), Metric::kCosine), "zero"));
      for (const Metric metric : kMetrics)
        for (const float bad : {std::numeric_limits<float>::infinity(), -std::numeric_limits<float>::infinity(),
                                std::numeric_limits<float>::quiet_NaN()}) {
          BOOST_REQUIRE(says(complaint(row(bad), metric), "NaN or infinity"));
          std::vector<float> huge(dim, std::numeric_limits<float>::max());
          huge[at] = bad;
          BOOST_REQUIRE(says(complaint(huge, metric), "NaN or infinity"));
        }
    }
}

BOOST_AUTO_TEST_CASE(rows_of_any_magnitude_are_judged_as_the_oracle_does) {
  std::mt19937 random(5);
  std::normal_distribution<float> normal;
  std::uniform_real_distribution<double> exponent(-46, 38.5);
  int refused = 0;
  for (int i = 0; i < 20000; ++i) {
    std::vector<float> row(1 + random() % 40);
    const bool mixed = i % 2 == 0;
    double scale = exponent(random);
    for (float& value : row) {
      if (mixed) scale = exponent(random);
      value = static_cast<float>(normal(random) * std::pow(10.0, scale));
    }
    for (const Metric metric : kMetrics) {
      const std::string expected = oracle(row, metric), found = complaint(row, metric);
      BOOST_REQUIRE_MESSAGE(expected.empty() == found.empty() && says(found, expected), expected << " / " << found);
      refused += found.empty() ? 0 : 1;
    }
  }
  BOOST_TEST(refused > 1000);
}

BOOST_AUTO_TEST_CASE(rows_may_lie_apart_and_at_odd_addresses) {
  std::vector<std::byte> bytes(1 + 3 * 50, std::byte{0x3C});
  const VectorView view{bytes.data() + 1, DType::kF32, 3, 10, 50};
  for (const Metric metric : kMetrics) REQUIRE_OK(check_vectors(view, metric, "f", 7));
  const float infinite = std::numeric_limits<float>::infinity();
  std::memcpy(bytes.data() + 1 + 2 * 50 + 36, &infinite, 4);
  for (const Metric metric : kMetrics) BOOST_TEST(check_vectors(view, metric, "f", 7).number() == 9u);
}

BOOST_AUTO_TEST_CASE(integers_are_refused_only_without_a_direction) {
  std::vector<std::int8_t> zeros(3 * 4, 0);
  zeros[0] = zeros[11] = -128;
  const VectorView view{zeros.data(), DType::kI8, 3, 4};
  REQUIRE_OK(check_vectors(view, Metric::kL2, "f", 0));
  REQUIRE_OK(check_vectors(view, Metric::kInnerProduct, "f", 0));
  BOOST_TEST(check_vectors(view, Metric::kCosine, "f", 0).number() == 1u);
}

// A put of 1e30 was taken, no search found it, and a build from its export was refused.
BOOST_AUTO_TEST_CASE(one_rule_holds_for_put_queries_build_and_exact_search) {
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct})
    for (const float value : {1e30f, 1e-30f}) {
      const TemporaryDirectory directory;
      REQUIRE_OK(Store::create(directory.path("s"), {.dim = 4, .metric = metric}));
      auto store = Store::open(directory.path("s"), {.access = Access::kReadWrite});
      REQUIRE_OK(store);
      BuildOptions build;
      build.metric = metric;
      const std::vector<float> good = {1, 2, 3, 4};
      std::vector<float> rows(8 * 4, 1.0f);
      std::fill_n(rows.begin() + 5 * 4, 4, value);
      const VectorView bad{rows.data() + 5 * 4, DType::kF32, 1, 4};
      const VectorView all{rows.data(), DType::kF32, 8, 4};
      REQUIRE_OK(store->put(1, {good.data(), DType::kF32, 1, 4}));
      const std::string part = value > 1 ? "so large" : "so small";
      const auto refused = [&](const Status& status) {
        BOOST_TEST((status.code() == Code::kInvalidInput), status.message());
        BOOST_TEST(says(status.message(), part), status.message());
        return status.number();
      };
      BOOST_TEST(refused(store->put(2, bad).error()) == 0u);
      std::vector<Key> keys;
      for (std::uint64_t key = 10; key < 18; ++key) keys.emplace_back(key);
      BOOST_TEST(refused(store->put_batch(keys, all).error()) == 5u);
      BOOST_TEST(store->size() == 1u);
      BOOST_TEST(refused(store->search(all).error()) == 5u);
      BOOST_TEST(refused(Store::build(directory.path("b"), *view_source(all), build)) == 5u);
      BOOST_TEST(!std::filesystem::exists(directory.path("b") + "/superblock"));
      const auto fine = view_source({good.data(), DType::kF32, 1, 4});
      BOOST_TEST(refused(exact_search(*view_source(all), *fine, 1, metric).error()) == 5u);
      BOOST_TEST(refused(exact_search(*fine, *view_source(all), 1, metric).error()) == 5u);
    }
}

BOOST_AUTO_TEST_CASE(what_is_just_within_the_bounds_is_found) {
  constexpr std::uint32_t kDim = 8, kRows = 300;
  std::mt19937 random(2);
  std::normal_distribution<float> normal;
  for (const float length : {0x1p61f, 0x1p-61f}) {
    const TemporaryDirectory directory;
    std::vector<float> rows(kRows * kDim);
    for (std::uint32_t row = 0; row < kRows; ++row) {
      float* x = rows.data() + row * kDim;
      float norm = 0;
      for (std::uint32_t i = 0; i < kDim; ++i) {
        x[i] = normal(random);
        norm += x[i] * x[i];
      }
      for (std::uint32_t i = 0; i < kDim; ++i) x[i] = x[i] / std::sqrt(norm) * length;
    }
    const VectorView view{rows.data(), DType::kF32, kRows, kDim};
    const auto truth = exact_search(*view_source(view), *view_source(view), 1, Metric::kL2);
    REQUIRE_OK(truth);
    for (std::uint32_t row = 0; row < kRows; ++row) BOOST_REQUIRE_EQUAL(truth->rows[row], row);
    REQUIRE_OK(Store::create(directory.path("s"), {.dim = kDim}));
    auto store = Store::open(directory.path("s"), {.access = Access::kReadWrite});
    REQUIRE_OK(store);
    std::vector<Key> keys;
    for (std::uint64_t key = 0; key < kRows; ++key) keys.emplace_back(key);
    REQUIRE_OK(store->put_batch(keys, view));
    const auto hits = store->search(view, {.k = 1});
    REQUIRE_OK(hits);
    for (std::uint32_t row = 0; row < kRows; ++row) {
      BOOST_REQUIRE_EQUAL((*hits)[row].size(), 1u);
      BOOST_REQUIRE_EQUAL((*hits)[row][0].key, row);
      BOOST_REQUIRE(std::isfinite((*hits)[row][0].distance));
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()
