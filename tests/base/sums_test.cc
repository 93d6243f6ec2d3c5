// SPDX-License-Identifier: Apache-2.0
#include "base/sums.h"

#include <vector>

#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

// Values of magnitudes so different that another order of additions gives another sum.
std::vector<float> uneven_row(std::size_t dim, Random& random) {
  std::vector<float> row(dim);
  for (float& value : row) value = static_cast<float>((random.unit() - .5) * (random.below(2) == 0 ? 1 : 1e7));
  return row;
}

double square_of_difference(float a, float b) {
  const double difference = double{a} - double{b};
  return difference * difference;
}

BOOST_AUTO_TEST_SUITE(sums)

BOOST_AUTO_TEST_CASE(a_squared_distance_adds_one_square_after_the_other) {
  Random random(1);
  for (std::size_t dim = 0; dim <= 40; ++dim) {
    const std::vector<float> a = uneven_row(dim, random), b = uneven_row(dim, random);
    double expected = 0;
    for (std::size_t k = 0; k < dim; ++k) expected += square_of_difference(a[k], b[k]);
    BOOST_TEST(squared_distance(a, b, dim) == expected);
  }
}

BOOST_AUTO_TEST_CASE(parts_take_every_fourth_square_and_are_added_in_halves) {
  Random random(2);
  std::size_t other_sums = 0;
  for (std::size_t dim = 0; dim <= 40; ++dim) {
    const std::vector<float> a = uneven_row(dim, random), b = uneven_row(dim, random);
    double parts[4] = {};
    for (std::size_t k = 0; k < dim; ++k) parts[k % 4] += square_of_difference(a[k], b[k]);
    const double in_parts = squared_distance<4>(a, b, dim);
    BOOST_TEST(in_parts == (parts[0] + parts[2]) + (parts[1] + parts[3]));
    if (in_parts != squared_distance(a, b, dim)) ++other_sums;
  }
  BOOST_TEST(other_sums > 0u);  // the order is to be seen in such rows
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
