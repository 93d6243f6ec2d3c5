// SPDX-License-Identifier: Apache-2.0
#include "compress/rabitq.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace vecstore {
namespace {

constexpr std::size_t kLanes = 8;
constexpr std::size_t kRefinements = 3;
constexpr float kDeviationMin = 1e-36f;  // deviation of a residual's values; below, steps would leave the normal floats

// Steps of the grid that are tried, in units of the best one for normal values: those of a rotated residual are nearly
// normal, and the angle changes slowly about its least. What is best of these is refined.
constexpr float kSteps[] = {0.68f, 0.75f, 0.83f, 0.91f, 1.0f, 1.1f, 1.21f, 1.33f};
// The step of the uniform quantiser with 2^bits levels that has the least square error on a standard normal (Max 1960).
float normal_step(std::uint32_t bits) { return bits == 2 ? 0.9957f : 0.3352f; }

struct Grid {
  float inverse_step;
  float middle;    // 2^bits / 2
  float greatest;  // 2^bits − 1, and a half, so that truncation gives the last level

  explicit Grid(std::uint32_t bits, float step)
      : inverse_step(1 / step),
        middle(static_cast<float>(1u << bits) / 2),
        greatest(static_cast<float>(1u << bits) - 0.5f) {}
  int level(float value) const {
    const float scaled = value * inverse_step + middle;
    const float raised = scaled > 0 ? scaled : 0.0f;
    return static_cast<int>(raised < greatest ? raised : greatest);
  }
  float coordinate(float value) const { return static_cast<float>(level(value)) + 0.5f - middle; }
};

// How well the grid point nearest to a residual at a step fits it.
struct Fit {
  float dot = 0;    // ⟨g, r⟩
  float norm2 = 0;  // |g|²
  float cosine2() const { return dot * dot / norm2; }
};

Fit fit(const float* residual, std::size_t dim, const Grid& grid) {
  float dot[kLanes] = {};
  float norm2[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float coordinate = grid.coordinate(residual[i + lane]);
      dot[lane] += coordinate * residual[i + lane];
      norm2[lane] += coordinate * coordinate;
    }
  }
  for (; i < dim; ++i) {
    const float coordinate = grid.coordinate(residual[i]);
    dot[0] += coordinate * residual[i];
    norm2[0] += coordinate * coordinate;
  }
  return {std::accumulate(dot, dot + kLanes, 0.0f), std::accumulate(norm2, norm2 + kLanes, 0.0f)};
}

// The step at which the nearest grid point makes the smallest angle with the residual: the best of kSteps first. Then,
// in turn, it is the point nearest at a step and the step best for a point, which never makes the angle larger.
float best_step(const float* residual, std::size_t dim, std::uint32_t bits, float deviation) {
  const float unit = normal_step(bits) * deviation;
  float best = unit;
  float best_cosine2 = -1;
  Fit best_fit;
  for (const float step : kSteps) {
    const Fit tried = fit(residual, dim, Grid(bits, step * unit));
    if (!(tried.cosine2() > best_cosine2)) continue;
    best = step * unit;
    best_cosine2 = tried.cosine2();
    best_fit = tried;
  }
  for (std::size_t i = 0; i < kRefinements; ++i) {
    const float step = best_fit.dot / best_fit.norm2;
    const Fit tried = fit(residual, dim, Grid(bits, step));
    if (!(tried.cosine2() > best_cosine2)) break;
    best = step;
    best_cosine2 = tried.cosine2();
    best_fit = tried;
  }
  return best;
}

}  // namespace

std::uint32_t rabitq_code_bytes(std::uint32_t dim, std::uint32_t bits) { return (dim * bits + 7) / 8; }

std::uint32_t rabitq_bits(std::uint32_t dim, std::uint32_t code_bytes) {
  for (const std::uint32_t bits : {4u, 2u})
    if (rabitq_code_bytes(dim, bits) <= code_bytes) return bits;
  return 1;
}

std::uint16_t store_factor(float factor) {
  const std::uint32_t rounded = (std::bit_cast<std::uint32_t>(factor) + (1u << 14)) >> 15;
  return static_cast<std::uint16_t>(std::min<std::uint32_t>(rounded, kFactorsEnd - 1));
}

RabitqRow encode_rabitq(const float* residual, const float* shifted, std::size_t dim, std::uint32_t bits,
                        std::uint8_t* code) {
  RabitqRow row;
  for (std::size_t i = 0; i < dim; ++i) {
    const auto value = static_cast<double>(residual[i]);
    row.norm2 += value * value;
  }
  const auto deviation = static_cast<float>(std::sqrt(row.norm2 / static_cast<double>(dim)));
  const bool codable = deviation >= kDeviationMin && deviation <= std::numeric_limits<float>::max();
  const Grid grid(bits, !codable || bits == 1 ? 1.0f : best_step(residual, dim, bits, deviation));
  std::fill_n(code, (dim * bits + 7) / 8, std::uint8_t{0});
  double dot = 0;
  double norm2 = 0;
  double shift = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    // One bit is the sign, whatever the step.
    const int level = bits == 1 ? static_cast<int>(residual[i] >= 0) : grid.level(residual[i]);
    const double coordinate = static_cast<double>(level) + 0.5 - static_cast<double>(grid.middle);
    dot += coordinate * static_cast<double>(residual[i]);
    norm2 += coordinate * coordinate;
    shift += coordinate * static_cast<double>(shifted[i]);
    code[i * bits / 8] |= static_cast<std::uint8_t>(level << (i * bits % 8));
  }
  row.error2 = row.norm2;
  if (!codable || !(dot > 0)) return row;
  row.factor = store_factor(static_cast<float>(row.norm2 / dot));
  const auto factor = static_cast<double>(factor_of(row.factor));
  row.shift = factor * shift;
  row.error2 = std::max(0.0, row.norm2 - 2 * factor * dot + factor * factor * norm2);
  return row;
}

void fill_rabitq_table(const float* query, std::size_t count, std::uint32_t bits, float* table) {
  const std::size_t levels = std::size_t{1} << bits;
  const float middle = 0.5f * static_cast<float>(levels - 1);
  table[0] = 0;
  std::size_t filled = 1;
  for (std::size_t i = 0; i < 8 / bits; ++i) {
    const float value = i < count ? query[i] : 0.0f;
    // From the last level down, because level 0 is made from what it is read from.
    for (std::size_t level = levels; level-- > 0;) {
      const float term = value * (static_cast<float>(level) - middle);
      float* to = table + level * filled;
      for (std::size_t j = 0; j < filled; ++j) to[j] = table[j] + term;
    }
    filled *= levels;
  }
}

}  // namespace vecstore
