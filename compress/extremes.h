// SPDX-License-Identifier: Apache-2.0
//
// The least and the greatest of many floats, in lanes that the compiler can vectorise.
#pragma once

#include <algorithm>
#include <cstddef>

namespace vecstore {

struct Extremes {
  float least;
  float greatest;
};

// values: [count], count ≥ 1, no NaN.
inline Extremes extremes_of(const float* values, std::size_t count) {
  constexpr std::size_t kLanes = 16;
  float least[kLanes];
  float greatest[kLanes];
  std::fill_n(least, kLanes, values[0]);
  std::fill_n(greatest, kLanes, values[0]);
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const float value = values[i + lane];
      least[lane] = value < least[lane] ? value : least[lane];
      greatest[lane] = value > greatest[lane] ? value : greatest[lane];
    }
  }
  for (; i < count; ++i) {
    least[0] = std::min(least[0], values[i]);
    greatest[0] = std::max(greatest[0], values[i]);
  }
  return {*std::min_element(least, least + kLanes), *std::max_element(greatest, greatest + kLanes)};
}

}  // namespace vecstore
