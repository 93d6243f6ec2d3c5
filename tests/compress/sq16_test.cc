// SPDX-License-Identifier: Apache-2.0
#include "compress/sq16.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

constexpr double kUnit = std::numeric_limits<float>::epsilon() / 2;
constexpr std::size_t kDims[] = {1, 3, 15, 16, 17, 33, 384};

struct Coded {
  Sq16Row row;
  std::vector<std::uint16_t> codes;
  std::vector<float> decoded;
};

Coded coded(const std::vector<float>& values) {
  Coded coded{{}, std::vector<std::uint16_t>(values.size()), std::vector<float>(values.size())};
  coded.row = encode_sq16(values.data(), values.size(), coded.codes.data());
  decode_sq16(coded.codes.data(), coded.row.scale, coded.row.offset, values.size(), coded.decoded.data());
  return coded;
}

// Uniform about `shift`, with places of the extremes that differ from row to row.
std::vector<float> random_row(Random& random, std::size_t dim, double spread, double shift) {
  std::vector<float> row(dim);
  for (float& value : row) value = static_cast<float>(shift + spread * (random.unit() - 0.5));
  return row;
}

// Half a step, and what is lost to the rounding of offset + scale · code, whose parts may be larger than the sum.
double bound_of(const Coded& c, double value) {
  const double range = 65535.0 * double{c.row.scale};
  return 0.5 * double{c.row.scale} + kUnit * (1.01 * range + std::abs(value));
}

BOOST_AUTO_TEST_SUITE(sq16)

BOOST_AUTO_TEST_CASE(values_come_back_to_within_half_a_step) {
  Random random(1);
  for (const std::size_t dim : kDims) {
    for (const double spread : {1e-20, 1e-3, 1.0, 1e4, 1e18}) {
      for (const double shift : {0.0, 1e-3, -1e6}) {
        for (int round = 0; round < 20; ++round) {
          const std::vector<float> row = random_row(random, dim, spread, shift);
          const Coded c = coded(row);
          BOOST_REQUIRE(c.row.scale >= 0);
          for (std::size_t i = 0; i < dim; ++i)
            BOOST_REQUIRE(std::abs(double{c.decoded[i]} - double{row[i]}) <= bound_of(c, double{row[i]}));
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(steps_divide_the_range_of_the_row_and_no_more) {
  Random random(2);
  for (const std::size_t dim : kDims) {
    const std::vector<float> row = random_row(random, dim, 10, 3);
    const auto [low, high] = std::minmax_element(row.begin(), row.end());
    const double range = double{*high} - double{*low};
    BOOST_TEST(std::abs(65535.0 * double{coded(row).row.scale} - range) <= 2 * kUnit * range);
  }
}

BOOST_AUTO_TEST_CASE(the_extremes_have_the_first_and_the_last_code) {
  Random random(3);
  for (const std::size_t dim : kDims) {
    if (dim == 1) continue;
    for (int round = 0; round < 50; ++round) {
      const std::vector<float> row = random_row(random, dim, 7, round % 2 == 0 ? 0 : 1e3);
      const Coded c = coded(row);
      const auto least = static_cast<std::size_t>(std::min_element(row.begin(), row.end()) - row.begin());
      const auto greatest = static_cast<std::size_t>(std::max_element(row.begin(), row.end()) - row.begin());
      BOOST_REQUIRE_EQUAL(c.codes[least], 0);
      BOOST_REQUIRE_EQUAL(c.decoded[least], row[least]);
      BOOST_REQUIRE_EQUAL(c.codes[greatest], 65535);
      const double off = std::abs(double{c.decoded[greatest]} - double{row[greatest]});
      BOOST_REQUIRE(off <= kUnit * (2 * 7.0 + std::abs(double{row[greatest]})));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_row_of_one_value_is_exact) {
  for (const std::size_t dim : kDims) {
    for (const float value : {0.0f, -0.0f, 1.0f, -3.7f, 1e-38f, 1e-45f, 3e38f, std::numeric_limits<float>::lowest()}) {
      const Coded c = coded(std::vector<float>(dim, value));
      BOOST_TEST(c.row.scale == 0.0f);
      for (const float decoded : c.decoded) BOOST_REQUIRE_EQUAL(decoded, value);
    }
  }
  BOOST_TEST(encode_sq16(nullptr, 0, nullptr).scale == 0.0f);
}

// Nothing is kept of a range whose step would be subnormal: all is within that range, and finite.
BOOST_AUTO_TEST_CASE(a_range_too_small_for_steps_leaves_its_least_value) {
  for (const float range : {1e-45f, 1e-40f, std::numeric_limits<float>::min(), 7e-34f}) {
    const Coded c = coded({range / 2, 0.0f, range});
    BOOST_TEST(c.row.scale == 0.0f);
    for (const float decoded : c.decoded) BOOST_TEST(decoded == 0.0f);
  }
  const float wide = 1.0001f * 65535 * std::numeric_limits<float>::min();  // the least that has steps
  const Coded c = coded({wide, wide / 2, 0.0f});
  BOOST_TEST(c.row.scale >= std::numeric_limits<float>::min());
  BOOST_TEST(std::abs(double{c.decoded[1]} - double{wide} / 2) <= bound_of(c, double{wide}));
  BOOST_TEST((c.codes[0] == 65535 && c.codes[2] == 0));
}

// The values are as large as vectors may have them: a sum of squares of 2^124.
BOOST_AUTO_TEST_CASE(the_largest_values_that_vectors_may_have_keep_their_precision) {
  const float largest = 0x1p62f;
  const Coded c = coded({-largest, 0.0f, largest, largest / 3});
  BOOST_TEST(c.decoded[0] == -largest);
  for (std::size_t i = 0; i < 4; ++i) BOOST_TEST(std::isfinite(c.decoded[i]));
  BOOST_TEST(std::abs(double{c.decoded[3]} - double{largest} / 3) <= bound_of(c, double{largest}));
}

BOOST_AUTO_TEST_CASE(codes_rise_with_the_values) {
  Random random(5);
  std::vector<float> row = random_row(random, 384, 2, 1);
  std::sort(row.begin(), row.end());
  const Coded c = coded(row);
  BOOST_TEST(std::is_sorted(c.codes.begin(), c.codes.end()));
  BOOST_TEST(std::is_sorted(c.decoded.begin(), c.decoded.end()));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
