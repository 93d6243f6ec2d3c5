// SPDX-License-Identifier: Apache-2.0
#include "compress/centroids.h"

#include <algorithm>

#include "base/sums.h"
#include "compress/sq8.h"

namespace vecstore {
namespace {

// Centroid i, whose values begin at `begin`, as a vector.
struct OneCentroid {
  const Centroids& centroids;
  std::size_t i;
  std::size_t begin;
  float operator[](std::size_t k) const { return centroids.value(begin + k, i); }
};

}  // namespace

Result<Centroids> Centroids::allocate(std::uint64_t count, std::uint32_t dim, bool wide, MemoryBudget& budget) {
  Centroids centroids;
  VECSTORE_ASSIGN(centroids.norm2, Buffer<float>::allocate(budget, count));
  if (wide) {
    VECSTORE_ASSIGN(centroids.values, Buffer<float>::allocate(budget, count * dim));
    return centroids;
  }
  VECSTORE_ASSIGN(centroids.codes, Buffer<std::uint8_t>::allocate(budget, count * dim));
  VECSTORE_ASSIGN(centroids.scale, Buffer<float>::allocate(budget, count));
  VECSTORE_ASSIGN(centroids.offset, Buffer<float>::allocate(budget, count));
  return centroids;
}

void Centroids::encode(std::size_t i, const float* centroid, std::size_t dim) {
  if (is_wide()) {
    std::copy_n(centroid, dim, values.data() + i * dim);
    norm2[i] = static_cast<float>(sum_of_squares({centroid, dim}));
    return;
  }
  const Sq8Row encoded = encode_sq8(centroid, dim, codes.data() + i * dim);
  scale[i] = encoded.scale;
  offset[i] = encoded.offset;
  norm2[i] = norm2_sq8(codes.data() + i * dim, encoded.scale, encoded.offset, dim);
}

void Centroids::decode(std::size_t i, std::size_t dim, float* out) const {
  if (is_wide()) {
    std::copy_n(values.data() + i * dim, dim, out);
  } else {
    decode_sq8(codes.data() + i * dim, scale[i], offset[i], dim, out);
  }
}

void Centroids::subtract_from(float* row, std::size_t i, std::size_t dim) const {
  for (std::size_t k = 0; k < dim; ++k) row[k] -= value(i * dim + k, i);
}

void Centroids::compute_norms(std::size_t dim) {
  for (std::size_t i = 0; i < count(); ++i) {
    norm2[i] = is_wide() ? static_cast<float>(sum_of_squares({values.data() + i * dim, dim}))
                         : norm2_sq8(codes.data() + i * dim, scale[i], offset[i], dim);
  }
}

void Centroids::keys(const Kernels& kernels, const float* query, float query_sum, std::size_t dim, Metric metric,
                     std::size_t first, std::size_t count, float* out) const {
  const float with_norm = metric == Metric::kInnerProduct ? 0.0f : 1.0f;
  if (is_wide()) {
    kernels.dot_f32(query, {values.data() + first * dim, dim * sizeof(float), nullptr, count}, dim, out);
    for (std::size_t i = 0; i < count; ++i) out[i] = with_norm * norm2[first + i] - 2 * out[i];
    return;
  }
  kernels.dot_f32_u8(query, {codes.data() + first * dim, dim, nullptr, count}, dim, out);
  for (std::size_t i = 0; i < count; ++i)
    out[i] = with_norm * norm2[first + i] - 2 * (offset[first + i] * query_sum + scale[first + i] * out[i]);
}

void Centroids::distances(const float* query, std::size_t dim, std::size_t first, std::size_t count, float* out) const {
  for (std::size_t i = first; i < first + count; ++i)
    out[i - first] = static_cast<float>(squared_distance(query, OneCentroid{*this, i, i * dim}, dim));
}

Result<Centroids> group_centroids(const Centroids& blocks, std::uint32_t dim, MemoryBudget& budget) {
  VECSTORE_ASSIGN(auto row, Buffer<float>::allocate(budget, dim));
  VECSTORE_ASSIGN(auto sums, Buffer<float>::allocate(budget, dim));
  VECSTORE_ASSIGN(Centroids groups, Centroids::allocate(groups_of(blocks.count()), dim, blocks.is_wide(), budget));
  for (std::size_t group = 0; group < groups.count(); ++group) {
    const std::size_t begin = group * kGroupBlocks;
    const std::size_t end = std::min(blocks.count(), begin + kGroupBlocks);
    std::fill(sums.begin(), sums.end(), 0.0f);
    for (std::size_t block = begin; block < end; ++block) {
      blocks.decode(block, dim, row.data());
      for (std::size_t k = 0; k < dim; ++k) sums[k] += row[k];
    }
    for (float& sum : sums) sum /= static_cast<float>(end - begin);
    groups.encode(group, sums.data(), dim);
  }
  return groups;
}

}  // namespace vecstore
