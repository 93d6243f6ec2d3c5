// SPDX-License-Identifier: Apache-2.0
#include "compress/rabitq.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

constexpr std::size_t kDims[] = {1, 3, 8, 100, 384, 1000, 4096};

// Nearly normal, as a rotated residual is.
std::vector<float> normal_values(std::size_t dim, Random& random, double scale = 1) {
  std::vector<float> values(dim);
  for (float& value : values) {
    double sum = -6;
    for (int i = 0; i < 12; ++i) sum += random.unit();
    value = static_cast<float>(scale * sum);
  }
  return values;
}

struct Coded {
  RabitqRow row;
  std::vector<std::uint8_t> code;
  std::vector<double> grid;
};

Coded encode(const std::vector<float>& residual, std::uint32_t bits) {
  Coded coded;
  coded.code.assign(rabitq_code_bytes(static_cast<std::uint32_t>(residual.size()), bits), 0xA5);
  const std::vector<float> shifted(residual.size(), 1.0f);
  coded.row = encode_rabitq(residual.data(), shifted.data(), residual.size(), bits, coded.code.data());
  for (std::size_t i = 0; i < residual.size(); ++i)
    coded.grid.push_back(static_cast<double>(rabitq_coordinate(coded.code.data(), i, bits)));
  return coded;
}

double dot(const std::vector<double>& a, const std::vector<float>& b) {
  return std::inner_product(a.begin(), a.end(), b.begin(), 0.0, std::plus<>(),
                            [](double x, float y) { return x * static_cast<double>(y); });
}

double cosine2(const std::vector<double>& grid, const std::vector<float>& residual) {
  double norm2 = 0;
  for (const float value : residual) norm2 += static_cast<double>(value) * static_cast<double>(value);
  const double product = dot(grid, residual);
  return product * product / norm2 / std::inner_product(grid.begin(), grid.end(), grid.begin(), 0.0);
}

// The best angle that any step gives: every step at which a level changes is tried.
double best_cosine2(const std::vector<float>& residual, std::uint32_t bits) {
  const double middle = static_cast<double>(1u << bits) / 2;
  std::vector<double> steps;
  for (const float value : residual) {
    for (double edge = 1; edge < middle; ++edge) steps.push_back(std::abs(static_cast<double>(value)) / edge);
  }
  double best = 0;
  for (const double step : steps) {
    std::vector<double> grid;
    for (const float value : residual) {
      const double level = std::floor(static_cast<double>(value) / (step * (1 - 1e-9)) + middle);
      grid.push_back(std::clamp(level, 0.0, 2 * middle - 1) + 0.5 - middle);
    }
    best = std::max(best, cosine2(grid, residual));
  }
  return best;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(rabitq)

BOOST_AUTO_TEST_CASE(a_code_has_the_most_bits_that_fit) {
  BOOST_TEST(rabitq_code_bytes(384, 1) == 48u);
  BOOST_TEST(rabitq_code_bytes(385, 1) == 49u);
  BOOST_TEST(rabitq_code_bytes(3, 2) == 1u);
  BOOST_TEST(rabitq_bits(384, 1) == 1u);
  BOOST_TEST(rabitq_bits(384, 95) == 1u);
  BOOST_TEST(rabitq_bits(384, 96) == 2u);
  BOOST_TEST(rabitq_bits(384, 191) == 2u);
  BOOST_TEST(rabitq_bits(384, 192) == 4u);
  BOOST_TEST(rabitq_bits(1, 1) == 4u);
}

BOOST_AUTO_TEST_CASE(factors_keep_nine_bits) {
  for (const float factor : {0.0f, 1.0f, 1e-30f, 0.7f, 3.14159f, 1e30f})
    BOOST_TEST(std::abs(factor_of(store_factor(factor)) - factor) <= factor / 512);
  BOOST_TEST(store_factor(std::numeric_limits<float>::max()) == kFactorsEnd - 1);
  BOOST_TEST(store_factor(std::numeric_limits<float>::infinity()) == kFactorsEnd - 1);
  BOOST_TEST(std::isfinite(factor_of(kFactorsEnd - 1)));
  BOOST_TEST(!std::isfinite(factor_of(kFactorsEnd)));
}

BOOST_AUTO_TEST_CASE(what_is_said_of_a_row_is_what_its_code_gives) {
  Random random(1);
  for (const std::size_t dim : kDims) {
    for (const std::uint32_t bits : {1u, 2u, 4u}) {
      const std::vector<float> residual = normal_values(dim, random);
      const Coded coded = encode(residual, bits);
      const auto factor = static_cast<double>(factor_of(coded.row.factor));
      double norm2 = 0;
      double error2 = 0;
      for (std::size_t i = 0; i < dim; ++i) {
        const auto r = static_cast<double>(residual[i]);
        norm2 += r * r;
        error2 += std::pow(r - factor * coded.grid[i], 2);
      }
      const double product = dot(coded.grid, residual);
      BOOST_TEST(std::abs(coded.row.norm2 - norm2) <= 1e-9 * norm2);
      BOOST_TEST(std::abs(coded.row.error2 - error2) <= 1e-9 * norm2);
      BOOST_TEST(std::abs(coded.row.shift - factor * std::reduce(coded.grid.begin(), coded.grid.end())) <=
                 1e-6 * static_cast<double>(dim));
      BOOST_TEST(std::abs(factor * product - norm2) <= norm2 / 511);  // f = |r|² / ⟨g, r⟩ but for its rounding
      if (bits == 1) {
        for (std::size_t i = 0; i < dim; ++i) BOOST_REQUIRE((coded.grid[i] > 0) == (residual[i] >= 0));
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(the_angle_is_within_a_thousandth_of_the_best) {
  Random random(2);
  for (const std::uint32_t bits : {2u, 4u}) {
    double lost = 0;
    for (int i = 0; i < 20; ++i) {
      const std::vector<float> residual = normal_values(100, random, 1e4);
      lost = std::max(lost, best_cosine2(residual, bits) - cosine2(encode(residual, bits).grid, residual));
    }
    BOOST_TEST_MESSAGE(bits << " bits: greatest loss of the squared cosine " << lost);
    BOOST_TEST(lost <= (bits == 2 ? 2e-3 : 1e-3));
  }
}

// The paper's 0.8 for a bit, and what uniform quantisers of normal values reach.
BOOST_AUTO_TEST_CASE(angles_are_those_of_the_theory) {
  Random random(3);
  for (const auto& [bits, expected] : {std::pair{1u, 0.637}, std::pair{2u, 0.881}, std::pair{4u, 0.9885}}) {
    double sum = 0;
    for (int i = 0; i < 50; ++i) {
      const std::vector<float> residual = normal_values(384, random);
      sum += cosine2(encode(residual, bits).grid, residual) / 50;
    }
    BOOST_TEST_MESSAGE(bits << " bits: mean squared cosine " << sum);
    BOOST_TEST(std::abs(sum - expected) <= 0.006);
  }
}

// Pairs of directions at random: the estimate of ⟨r, v⟩ has no bias, and its error the size that the header promises.
BOOST_AUTO_TEST_CASE(estimates_have_no_bias_and_the_stated_error) {
  Random random(4);
  constexpr std::size_t kDim = 256;
  constexpr int kPairs = 4000;
  for (const std::uint32_t bits : {1u, 2u, 4u}) {
    double bias = 0;
    double standardised2 = 0;
    int within = 0;
    for (int i = 0; i < kPairs; ++i) {
      const std::vector<float> residual = normal_values(kDim, random);
      const std::vector<float> other = normal_values(kDim, random);
      const Coded coded = encode(residual, bits);
      double truth = 0;
      double norm2 = 0;
      for (std::size_t k = 0; k < kDim; ++k) {
        truth += static_cast<double>(residual[k]) * static_cast<double>(other[k]);
        norm2 += static_cast<double>(other[k]) * static_cast<double>(other[k]);
      }
      const double across2 = norm2 - truth * truth / coded.row.norm2;  // the part of `other` across r: all that errs
      const double estimate = static_cast<double>(factor_of(coded.row.factor)) * dot(coded.grid, other);
      const double error = (estimate - truth) / std::sqrt(coded.row.error2 * across2 / (kDim - 1));
      bias += error / kPairs;
      standardised2 += error * error / kPairs;
      within += std::abs(error) <= 2.576 ? 1 : 0;
    }
    BOOST_TEST_MESSAGE(bits << " bits: mean " << bias << " and deviation " << std::sqrt(standardised2)
                            << " standard errors, within 2.576 of them " << within / double{kPairs});
    BOOST_TEST(std::abs(bias) <= 4 / std::sqrt(double{kPairs}));
    BOOST_TEST(std::abs(standardised2 - 1) <= 0.1);
    BOOST_TEST(within >= 0.985 * kPairs);
  }
}

BOOST_AUTO_TEST_CASE(a_residual_of_nothing_has_the_factor_zero) {
  for (const std::uint32_t bits : {1u, 2u, 4u}) {
    for (const float tiny : {0.0f, 1e-42f, 1e-38f}) {
      const Coded coded = encode(std::vector<float>(20, tiny), bits);
      BOOST_TEST(coded.row.factor == 0);
      BOOST_TEST(coded.row.shift == 0.0);
      BOOST_TEST(coded.row.error2 == coded.row.norm2);
    }
    BOOST_TEST(encode(std::vector<float>(20, 1e-30f), bits).row.factor != 0);
    BOOST_TEST(std::isinf(encode({std::numeric_limits<float>::infinity(), 1.0f}, bits).row.error2));
  }
}

BOOST_AUTO_TEST_CASE(a_table_holds_the_product_of_every_byte) {
  Random random(5);
  for (const std::uint32_t bits : {1u, 2u, 4u}) {
    for (std::size_t count = 1; count <= 8 / bits; ++count) {
      const std::vector<float> query = normal_values(count, random);
      std::vector<float> table(256);
      fill_rabitq_table(query.data(), count, bits, table.data());
      for (std::size_t value = 0; value < 256; ++value) {
        const auto byte = static_cast<std::uint8_t>(value);
        double expected = 0;
        for (std::size_t i = 0; i < count; ++i)
          expected += static_cast<double>(rabitq_coordinate(&byte, i, bits)) * static_cast<double>(query[i]);
        BOOST_REQUIRE_SMALL(static_cast<double>(table[value]) - expected, 1e-4);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vecstore
