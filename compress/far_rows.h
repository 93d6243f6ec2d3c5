// SPDX-License-Identifier: Apache-2.0
//
// Rows that lie so far from all others that what is shared by many rows must not be made for them: one would move the
// centroid of its block, the codebooks and the range of the corrections away from all the others.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>

namespace vecstore {

// A squared distance is far beyond so many times the median: of rows, and of blocks, which are alike in size.
inline constexpr double kFarRows = 400;
inline constexpr double kFarBlocks = 25;

// The squared distance beyond which values are far: infinite where there is no scale to judge by. Reorders `squares`.
template <typename T>
T far_limit_of(std::span<T> squares, double times = kFarRows) {
  constexpr T kNone = std::numeric_limits<T>::infinity();
  if (squares.empty()) return kNone;
  const auto middle = squares.begin() + static_cast<std::ptrdiff_t>(squares.size() / 2);
  std::nth_element(squares.begin(), middle, squares.end());
  return *middle > 0 ? static_cast<T>(times * static_cast<double>(*middle)) : kNone;
}

// The same, with scratch: [squares.size()] reordered instead.
template <typename T>
T far_limit(std::span<const T> squares, std::span<T> scratch, double times = kFarRows) {
  std::copy(squares.begin(), squares.end(), scratch.begin());
  return far_limit_of(scratch.first(squares.size()), times);
}

// The same where far values are few, a tenth at most: what is frequent is no exception.
template <typename T>
T rare_limit(std::span<const T> squares, std::span<T> scratch, double times = kFarRows) {
  const T limit = far_limit(squares, scratch, times);
  const auto far = std::count_if(squares.begin(), squares.end(), [limit](T square) { return square > limit; });
  return static_cast<std::size_t>(far) * 10 <= squares.size() ? limit : std::numeric_limits<T>::infinity();
}

inline void scale_row(float* row, std::size_t dim, double by) {
  for (std::size_t i = 0; i < dim; ++i) row[i] = static_cast<float>(static_cast<double>(row[i]) * by);
}

}  // namespace vecstore
