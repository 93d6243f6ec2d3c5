// SPDX-License-Identifier: Apache-2.0
#include "graph/exact_distance.h"

#include <vector>

#include "base/random.h"
#include "tests/test_util.h"

using namespace vecstore;

namespace {

std::vector<float> random_row(std::size_t dim, double scale, Random& random) {
  std::vector<float> row(dim);
  for (float& value : row) value = static_cast<float>(scale * (random.unit() - 0.3));
  return row;
}

long double slow_distance(Metric metric, const std::vector<float>& a, const std::vector<float>& b) {
  long double l2 = 0, product = 0, a2 = 0, b2 = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    const long double x = a[i], y = b[i];
    l2 += (x - y) * (x - y);
    product += x * y;
    a2 += x * x;
    b2 += y * y;
  }
  if (metric == Metric::kL2) return l2;
  return metric == Metric::kInnerProduct ? -2 * product : 2 - 2 * product / std::sqrt(a2) / std::sqrt(b2);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(exact_distances)

BOOST_AUTO_TEST_CASE(distances_are_those_of_a_slow_sum_in_every_dimension_and_scale) {
  Random random(1);
  for (const Metric metric : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
    for (std::size_t dim = 1; dim <= 20; ++dim) {
      for (const double scale : {1e-30, 1.0, 1e30}) {  // squares beyond what a float holds
        const std::vector<float> a = random_row(dim, scale, random), b = random_row(dim, scale, random);
        const double distance = exact_distance(metric, a.data(), b.data(), dim);
        const auto expected = static_cast<double>(slow_distance(metric, a, b));
        const double size = metric == Metric::kCosine ? 2 : scale * scale * static_cast<double>(dim);
        BOOST_REQUIRE(std::abs(distance - expected) <= 1e-15 * size);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(equal_directions_have_no_distance_and_none_is_below_zero) {
  Random random(2);
  for (int round = 0; round < 2000; ++round) {
    const std::size_t dim = 1 + random.below(50);
    const std::vector<float> a = random_row(dim, 1, random);
    std::vector<float> b = a;
    for (float& value : b) value *= 4;  // exactly the same direction
    const double distance = exact_distance(Metric::kCosine, a.data(), b.data(), dim);
    BOOST_REQUIRE(distance >= 0.0);
    BOOST_REQUIRE(distance <= 1e-15);
    BOOST_REQUIRE_EQUAL(exact_distance(Metric::kL2, a.data(), a.data(), dim), 0.0);
  }
}

BOOST_AUTO_TEST_SUITE_END()
