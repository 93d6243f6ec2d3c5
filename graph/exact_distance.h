// SPDX-License-Identifier: Apache-2.0
//
// Distances between vectors as they were put, in double precision.
#pragma once

#include <cmath>
#include <cstddef>

#include "base/sums.h"
#include "base/vector_view.h"

namespace vecstore {

// Distances as graph/prepared_query.h has them, with its constant(). query, row: [dim], under cosine not zero.
inline double exact_distance(Metric metric, const float* query, const float* row, std::size_t dim) {
  constexpr std::size_t kParts = 4;
  const auto dot = [dim](const float* a, const float* b) {
    return sum_in_parts<kParts>(dim, [=](std::size_t i) { return double{a[i]} * double{b[i]}; });
  };
  if (metric == Metric::kL2) return squared_distance<kParts>(query, row, dim);
  if (metric == Metric::kInnerProduct) return -2.0 * dot(query, row);
  // Rounding may leave equal vectors a little less than no distance.
  const double distance = 2.0 - 2.0 * dot(query, row) / std::sqrt(dot(query, query)) / std::sqrt(dot(row, row));
  return distance > 0.0 ? distance : 0.0;
}

}  // namespace vecstore
