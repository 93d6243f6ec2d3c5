// SPDX-License-Identifier: Apache-2.0
#include "compress/extremes.h"

#include <algorithm>
#include <limits>
#include <vector>

#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

BOOST_AUTO_TEST_SUITE(extremes)

BOOST_AUTO_TEST_CASE(of_any_count_the_least_and_the_greatest_are_found_wherever_they_lie) {
  Random random(1);
  for (std::size_t count = 1; count <= 70; ++count) {
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>(random.unit() - 0.5);
    for (std::size_t place = 0; place < count; ++place) {
      std::vector<float> row = values;
      row[place] = -2.0f;
      BOOST_REQUIRE_EQUAL(extremes_of(row.data(), count).least, -2.0f);
      BOOST_REQUIRE_EQUAL(extremes_of(row.data(), count).greatest,
                          count == 1 ? -2.0f : *std::max_element(row.begin(), row.end()));
      row[place] = 3.0f;
      BOOST_REQUIRE_EQUAL(extremes_of(row.data(), count).greatest, 3.0f);
      BOOST_REQUIRE_EQUAL(extremes_of(row.data(), count).least,
                          count == 1 ? 3.0f : *std::min_element(row.begin(), row.end()));
    }
  }
}

BOOST_AUTO_TEST_CASE(all_of_one_sign_and_the_ends_of_floats_are_no_exception) {
  const float largest = std::numeric_limits<float>::max();
  for (const std::size_t count : {1u, 16u, 40u}) {
    for (const float value : {-largest, largest, 1e-45f, -7.0f, std::numeric_limits<float>::infinity()}) {
      const std::vector<float> row(count, value);
      BOOST_TEST(extremes_of(row.data(), count).least == value);
      BOOST_TEST(extremes_of(row.data(), count).greatest == value);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
