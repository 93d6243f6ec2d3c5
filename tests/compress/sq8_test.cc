// SPDX-License-Identifier: Apache-2.0
#include "compress/sq8.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

std::vector<float> random_row(std::size_t dim, double scale, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> row(dim);
  for (float& value : row) value = static_cast<float>((random.unit() - 0.5) * scale);
  return row;
}

struct Encoded {
  Sq8Row row;
  std::vector<std::uint8_t> codes;
  std::vector<float> decoded;
};

Encoded encode(const std::vector<float>& row) {
  Encoded encoded;
  encoded.codes.resize(row.size());
  encoded.decoded.resize(row.size());
  encoded.row = encode_sq8(row.data(), row.size(), encoded.codes.data());
  decode_sq8(encoded.codes.data(), encoded.row.scale, encoded.row.offset, row.size(), encoded.decoded.data());
  return encoded;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

BOOST_AUTO_TEST_CASE(every_element_is_within_half_a_step_and_the_extremes_are_kept) {
  for (const std::size_t dim : {1u, 2u, 7u, 8u, 9u, 100u, 384u, 1001u, 4096u}) {
    for (const double scale : {1e-6, 1.0, 1e6}) {
      const std::vector<float> row = random_row(dim, scale, dim);
      const Encoded encoded = encode(row);
      const float step = encoded.row.scale;
      const float slack = static_cast<float>(scale) * 1e-6f;
      for (std::size_t i = 0; i < dim; ++i)
        BOOST_REQUIRE(std::abs(row[i] - encoded.decoded[i]) <= 0.5f * step * 1.0001f + slack);
      const auto [least, greatest] = std::minmax_element(row.begin(), row.end());
      BOOST_TEST(encoded.decoded[static_cast<std::size_t>(least - row.begin())] == *least);
      BOOST_TEST(std::abs(encoded.decoded[static_cast<std::size_t>(greatest - row.begin())] - *greatest) <= slack);
      BOOST_TEST(encoded.row.code_sum == std::accumulate(encoded.codes.begin(), encoded.codes.end(), 0u));
    }
  }
}

BOOST_AUTO_TEST_CASE(norm2_is_that_of_the_decoded_row_and_its_error) {
  for (const std::size_t dim : {1u, 5u, 128u, 387u}) {
    const std::vector<float> row = random_row(dim, 4.0, dim + 7);
    const Encoded encoded = encode(row);
    double expected = dot(encoded.decoded, encoded.decoded);
    const float decoded = norm2_sq8(encoded.codes.data(), encoded.row.scale, encoded.row.offset, dim);
    BOOST_TEST(std::abs(static_cast<double>(decoded) - expected) <= 1e-6 * expected);
    for (std::size_t i = 0; i < dim; ++i) {
      const double error = static_cast<double>(row[i]) - static_cast<double>(encoded.decoded[i]);
      expected += error * error;
    }
    BOOST_TEST(std::abs(static_cast<double>(encoded.row.norm2) - expected) <= 1e-6 * expected);
  }
}

BOOST_AUTO_TEST_CASE(the_dot_product_of_codes_is_that_of_the_decoded_rows) {
  for (const std::size_t dim : {1u, 17u, 128u, 1000u}) {
    const Encoded x = encode(random_row(dim, 3.0, dim));
    const Encoded y = encode(random_row(dim, 5.0, dim + 1));
    std::uint32_t code_dot = 0;
    for (std::size_t i = 0; i < dim; ++i) code_dot += std::uint32_t{x.codes[i]} * y.codes[i];
    const double expected = dot(x.decoded, y.decoded);
    const double tolerance = 1e-5 * std::sqrt(dot(x.decoded, x.decoded) * dot(y.decoded, y.decoded));
    BOOST_TEST(std::abs(static_cast<double>(dot_sq8(x.row, y.row, code_dot, dim)) - expected) <= tolerance);
  }
}

BOOST_AUTO_TEST_CASE(equal_elements_and_a_vanishing_range_have_scale_zero) {
  const Encoded equal = encode(std::vector<float>(33, -2.5f));
  BOOST_TEST(equal.row.scale == 0.0f);
  for (const float value : equal.decoded) BOOST_TEST(value == -2.5f);
  const Encoded tiny = encode({1e-42f, 2e-42f, 0.0f});
  BOOST_TEST(tiny.row.scale == 0.0f);
  BOOST_TEST(std::isfinite(tiny.row.norm2));
}

BOOST_AUTO_TEST_CASE(the_largest_finite_range_does_not_leave_the_codes) {
  const Encoded encoded = encode({-3e38f, 0.0f, 3e38f});
  BOOST_TEST(encoded.codes[0] == 0);
  BOOST_TEST(encoded.codes[2] == 255);
}

}  // namespace
}  // namespace vecstore
