// SPDX-License-Identifier: Apache-2.0
//
// Centroids in two levels: of every block, and of every group of kGroupBlocks neighbouring blocks. Rows are ordered so
// that what is near lies together. So the nearest groups hold the nearest blocks, and a query is compared with a few of
// the blocks instead of with all. A centroid has one byte a dimension. Where steps of bytes would be more than what the
// rows of a block differ by, centroids are wide: a float a dimension.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "compress/kernels/kernels.h"

namespace vecstore {

inline constexpr std::size_t kGroupBlocks = 8;

struct Centroids {
  Buffer<std::uint8_t> codes;  // [count × dim]
  Buffer<float> scale;         // [count] ĉ = offset + scale · code
  Buffer<float> offset;        // [count]
  Buffer<float> values;        // [count × dim] ĉ instead of these three, where centroids are wide
  Buffer<float> norm2;         // [count] |ĉ|²

  // Errors: kMemoryBudget.
  static Result<Centroids> allocate(std::uint64_t count, std::uint32_t dim, bool wide, MemoryBudget& budget);
  static std::uint64_t bytes_for(std::uint64_t count, std::uint32_t dim, bool wide) {
    return count * (wide ? (dim + 1) * sizeof(float) : dim + 3 * sizeof(float));
  }
  std::size_t count() const { return norm2.size(); }
  bool is_wide() const { return !values.empty(); }
  std::uint64_t bytes() const {
    return codes.size_bytes() + scale.size_bytes() + offset.size_bytes() + values.size_bytes() + norm2.size_bytes();
  }
  void encode(std::size_t i, const float* centroid, std::size_t dim);
  void decode(std::size_t i, std::size_t dim, float* out) const;
  void subtract_from(float* row, std::size_t i, std::size_t dim) const;
  void compute_norms(std::size_t dim);  // where all but norm2 came from a file

  // |q − ĉ|² by differences, which is right however far from the origin both lie.
  void distances(const float* query, std::size_t dim, std::size_t first, std::size_t count, float* out) const;
  // Element `at` of all values, which is one of centroid i.
  float value(std::size_t at, std::size_t i) const {
    return values.empty() ? offset[i] + scale[i] * static_cast<float>(codes[at]) : values[at];
  }
  // key(ĉ) of `count` centroids from `first` on → out: [count]. query: [dim], query_sum: of its elements.
  void keys(const Kernels& kernels, const float* query, float query_sum, std::size_t dim, Metric metric,
            std::size_t first, std::size_t count, float* out) const;
};

// The means of groups. Errors: kMemoryBudget.
Result<Centroids> group_centroids(const Centroids& blocks, std::uint32_t dim, MemoryBudget& budget);

inline std::uint64_t groups_of(std::uint64_t blocks) { return (blocks + kGroupBlocks - 1) / kGroupBlocks; }

}  // namespace vecstore
