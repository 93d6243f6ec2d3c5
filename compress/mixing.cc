// SPDX-License-Identifier: Apache-2.0
#include "compress/mixing.h"

#include <bit>
#include <bitset>
#include <cmath>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "base/random.h"

namespace vecstore {
namespace {

static_assert(kDimMax <= kMixingTurned);
static_assert(kMixingRounds % 2 == 1, "the rounds alternate between two buffers and end in the second");

// size: a power of two. The sums and differences are in a fixed order, so the result is the same for any compiler.
void hadamard(float* values, std::size_t size) {
  for (std::size_t half = 1; half < size; half *= 2) {
    for (std::size_t first = 0; first < size; first += 2 * half) {
      float* low = values + first;
      float* high = low + half;
      for (std::size_t i = 0; i < half; ++i) {
        const float sum = low[i] + high[i];
        high[i] = low[i] - high[i];
        low[i] = sum;
      }
    }
  }
  const float scale = 1.0f / std::sqrt(static_cast<float>(size));
  for (std::size_t i = 0; i < size; ++i) values[i] *= scale;
}

void mix_round(const std::uint16_t* mixing, std::size_t dim, const float* from, float* to) {
  for (std::size_t i = 0; i < dim; ++i) {
    const float value = from[mixing[i] & (kMixingTurned - 1)];
    to[i] = mixing[i] >= kMixingTurned ? -value : value;
  }
  for (std::size_t first = 0; first < dim;) {
    const std::size_t size = std::bit_floor(dim - first);
    hadamard(to + first, size);
    first += size;
  }
}

}  // namespace

void draw_mixing(std::uint32_t dim, std::uint64_t seed, std::uint16_t* mixing) {
  VECSTORE_CHECK(dim != 0 && dim <= kDimMax);
  for (std::size_t round = 0; round < kMixingRounds; ++round) {
    std::uint16_t* source = mixing + round * dim;
    Random random(seed, round);
    std::iota(source, source + dim, std::uint16_t{0});
    for (std::size_t i = dim; i > 1; --i) std::swap(source[i - 1], source[random.below(i)]);
    for (std::size_t i = 0; i < dim; ++i) {
      if (random.below(2) != 0) source[i] |= kMixingTurned;
    }
  }
}

bool is_mixing(std::span<const std::uint16_t> mixing, std::uint32_t dim) {
  if (mixing.size() != kMixingRounds * dim) return false;
  for (std::size_t round = 0; round < kMixingRounds; ++round) {
    std::bitset<kDimMax> seen;
    for (const std::uint16_t place : mixing.subspan(round * dim, dim)) {
      const std::size_t source = place & (kMixingTurned - 1u);
      if (source >= dim || seen[source]) return false;
      seen.set(source);
    }
  }
  return true;
}

void mix(const std::uint16_t* mixing, std::size_t dim, float* values, float* mixed) {
  for (std::size_t round = 0; round < kMixingRounds; ++round) {
    mix_round(mixing + round * dim, dim, values, mixed);
    std::swap(values, mixed);
  }
}

}  // namespace vecstore
