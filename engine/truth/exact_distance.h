// SPDX-License-Identifier: Apache-2.0
//
// Distances between vectors as they were put, in double precision.
#pragma once

#include <cmath>
#include <cstddef>

#include "base/vector_view.h"

namespace vecstore {

// As graph/prepared_query.h has them, with its constant(). query, row: [dim], under cosine not zero. Independent
// partial sums, so that the compiler may vectorise without changing the result from machine to machine.
inline double exact_distance(Metric metric, const float* query, const float* row, std::size_t dim) {
  constexpr std::size_t kParts = 4;
  double sums[3][kParts] = {};
  const bool is_l2 = metric == Metric::kL2;
  const auto add = [&](std::size_t i, std::size_t part) {
    const double q = query[i];
    const double x = row[i];
    sums[0][part] += is_l2 ? (q - x) * (q - x) : q * x;
    if (metric != Metric::kCosine) return;
    sums[1][part] += q * q;
    sums[2][part] += x * x;
  };
  std::size_t i = 0;
  for (; i + kParts <= dim; i += kParts)
    for (std::size_t part = 0; part < kParts; ++part) add(i + part, part);
  for (; i < dim; ++i) add(i, i % kParts);
  const auto total = [&](int which) { return (sums[which][0] + sums[which][2]) + (sums[which][1] + sums[which][3]); };
  if (is_l2) return total(0);
  if (metric == Metric::kInnerProduct) return -2.0 * total(0);
  // Rounding may leave equal vectors a little less than no distance.
  const double distance = 2.0 - 2.0 * total(0) / std::sqrt(total(1)) / std::sqrt(total(2));
  return distance > 0.0 ? distance : 0.0;
}

}  // namespace vecstore
