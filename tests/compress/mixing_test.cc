// SPDX-License-Identifier: Apache-2.0
#include "compress/mixing.h"

#include <bit>
#include <cmath>
#include <vector>

#include "base/limits.h"
#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

std::vector<std::uint16_t> drawn(std::uint32_t dim, std::uint64_t seed) {
  std::vector<std::uint16_t> mixing(kMixingRounds * dim);
  draw_mixing(dim, seed, mixing.data());
  return mixing;
}

std::vector<float> mixed(const std::vector<std::uint16_t>& mixing, std::vector<float> values) {
  std::vector<float> out(values.size());
  mix(mixing.data(), values.size(), values.data(), out.data());
  return out;
}

std::vector<float> random_values(std::size_t dim, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(dim);
  for (float& value : values) value = static_cast<float>(random.unit()) - 0.3f;
  return values;
}

double dot(const std::vector<float>& a, const std::vector<float>& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += static_cast<double>(a[i]) * static_cast<double>(b[i]);
  return sum;
}

// From the definition: element j of a Walsh–Hadamard transform of size n is Σ (−1)^popcount(i & j) · x[i] / √n.
std::vector<double> slow_mix(const std::vector<std::uint16_t>& mixing, const std::vector<float>& values) {
  const std::size_t dim = values.size();
  std::vector<double> now(values.begin(), values.end());
  for (std::size_t round = 0; round < kMixingRounds; ++round) {
    std::vector<double> placed(dim);
    for (std::size_t i = 0; i < dim; ++i) {
      const std::uint16_t place = mixing[round * dim + i];
      placed[i] = (place & kMixingTurned) != 0 ? -now[place & (kMixingTurned - 1u)] : now[place];
    }
    for (std::size_t first = 0; first < dim;) {
      const std::size_t size = std::bit_floor(dim - first);
      for (std::size_t j = 0; j < size; ++j) {
        double sum = 0;
        for (std::size_t i = 0; i < size; ++i) sum += (std::popcount(i & j) % 2 == 0 ? 1 : -1) * placed[first + i];
        now[first + j] = sum / std::sqrt(static_cast<double>(size));
      }
      first += size;
    }
  }
  return now;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mixing)

BOOST_AUTO_TEST_CASE(it_is_what_the_definition_says) {
  for (const std::uint32_t dim : {1u, 2u, 3u, 7u, 64u, 100u, 127u, 384u}) {
    const auto mixing = drawn(dim, dim);
    const std::vector<float> values = random_values(dim, 5);
    const std::vector<float> fast = mixed(mixing, values);
    const std::vector<double> slow = slow_mix(mixing, values);
    for (std::size_t i = 0; i < dim; ++i) BOOST_REQUIRE_SMALL(static_cast<double>(fast[i]) - slow[i], 1e-5);
  }
}

BOOST_AUTO_TEST_CASE(it_keeps_lengths_and_angles) {
  for (const std::uint32_t dim : {1u, 3u, 100u, 384u, 1000u, 4095u, 4096u}) {
    const auto mixing = drawn(dim, 1);
    const std::vector<float> a = random_values(dim, 2);
    const std::vector<float> b = random_values(dim, 3);
    BOOST_TEST(std::abs(dot(mixed(mixing, a), mixed(mixing, b)) - dot(a, b)) <= 1e-5 * dim);
    BOOST_TEST(std::abs(dot(mixed(mixing, a), mixed(mixing, a)) - dot(a, a)) <= 1e-5 * dim);
  }
}

// Whatever direction a vector has, what comes out is spread over all dimensions: no coordinate of a unit vector is far
// from 1 / √dim. The dimension 511 is made of nine transforms, the last of a single element.
BOOST_AUTO_TEST_CASE(it_spreads_each_axis_over_all_dimensions) {
  for (const std::uint32_t dim : {384u, 511u, 784u}) {
    const auto mixing = drawn(dim, 4);
    double fourth = 0;
    double greatest = 0;
    for (std::size_t axis = 0; axis < dim; ++axis) {
      std::vector<float> unit(dim);
      unit[axis] = 1;
      for (const float value : mixed(mixing, unit)) {
        const double scaled2 = static_cast<double>(value) * static_cast<double>(value) * dim;
        fourth += scaled2 * scaled2 / dim / dim;
        greatest = std::max(greatest, scaled2);
      }
    }
    BOOST_TEST_MESSAGE("dim " << dim << ": fourth moment " << fourth << ", greatest square " << greatest);
    BOOST_TEST(fourth > 2.7);  // 3: that of normal values
    BOOST_TEST(fourth < 3.3);
    BOOST_TEST(greatest < 60);
  }
}

BOOST_AUTO_TEST_CASE(seeds_differ_and_rounds_differ) {
  BOOST_TEST((drawn(100, 1) == drawn(100, 1)));
  BOOST_TEST((drawn(100, 1) != drawn(100, 2)));
  const auto mixing = drawn(100, 1);
  BOOST_TEST(!std::equal(mixing.begin(), mixing.begin() + 100, mixing.begin() + 100));
}

BOOST_AUTO_TEST_CASE(only_signed_permutations_are_a_mixing) {
  for (const std::uint32_t dim : {1u, 5u, kDimMax}) {
    auto mixing = drawn(dim, 9);
    BOOST_TEST(is_mixing(mixing, dim));
    BOOST_TEST(!is_mixing(std::span(mixing).first(mixing.size() - 1), dim));
    mixing[dim] ^= kMixingTurned;
    BOOST_TEST(is_mixing(mixing, dim));
    mixing[dim] = static_cast<std::uint16_t>(dim);
    BOOST_TEST(!is_mixing(mixing, dim));
  }
  auto mixing = drawn(5, 9);
  mixing[14] = mixing[13];
  BOOST_TEST(!is_mixing(mixing, 5));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vecstore
