// SPDX-License-Identifier: Apache-2.0
//
// The body of every unit of compress/kernels/dense.h, written once over vectors of kBytes and compiled once per
// instruction set. Only the dense_*.cc units include it. Everything lies in an unnamed namespace and calls no library
// code. So no copy compiled for a newer processor can be linked into another unit.
#pragma once

#include "compress/kernels/dense.h"

namespace vecstore {
namespace {

template <std::size_t kBytes>
struct Lanes {
  static constexpr std::size_t kCount = kBytes / sizeof(float);
  typedef float Floats __attribute__((vector_size(kBytes)));
  typedef std::int32_t Ints __attribute__((vector_size(kBytes)));

  static Floats load(const float* from) {
    Floats value;
    __builtin_memcpy(&value, from, kBytes);
    return value;
  }
  static void store(float* to, const Floats& value) { __builtin_memcpy(to, &value, kBytes); }
};

// Four points by two vectors: eight sums that do not wait for each other, and two loads shared by four points.
constexpr std::size_t kPointsAtOnce = 4;

template <std::size_t kBytes, std::size_t kPoints, std::size_t kVectors>
struct Block {
  using L = Lanes<kBytes>;
  typename L::Floats sums[kPoints][kVectors] = {};

  void add(const Points& points, std::size_t first, const Table& table, std::size_t column) {
    const float* from = points.data + first * points.stride;
    const float* row = table.data + column;
    for (std::size_t k = 0; k < points.depth; ++k, row += table.stride) {
      typename L::Floats columns[kVectors];
      for (std::size_t v = 0; v < kVectors; ++v) columns[v] = L::load(row + v * L::kCount);
      for (std::size_t p = 0; p < kPoints; ++p) {
        const float value = from[p * points.stride + k];
        for (std::size_t v = 0; v < kVectors; ++v) sums[p][v] += value * columns[v];
      }
    }
  }
};

template <std::size_t kBytes, std::size_t kPoints, std::size_t kVectors>
void multiply_block(const Points& points, std::size_t first, const Table& table, std::size_t column, float* out,
                    std::size_t out_stride) {
  Block<kBytes, kPoints, kVectors> block;
  block.add(points, first, table, column);
  for (std::size_t p = 0; p < kPoints; ++p) {
    for (std::size_t v = 0; v < kVectors; ++v)
      Lanes<kBytes>::store(out + (first + p) * out_stride + column + v * Lanes<kBytes>::kCount, block.sums[p][v]);
  }
}

// Columns outside, points inside: a strip of the table stays in the nearest cache while all points pass.
template <std::size_t kBytes, std::size_t kVectors>
void multiply_strip(const Points& points, const Table& table, std::size_t column, float* out, std::size_t out_stride) {
  std::size_t p = 0;
  for (; p + kPointsAtOnce <= points.count; p += kPointsAtOnce)
    multiply_block<kBytes, kPointsAtOnce, kVectors>(points, p, table, column, out, out_stride);
  for (; p < points.count; ++p) multiply_block<kBytes, 1, kVectors>(points, p, table, column, out, out_stride);
}

template <std::size_t kBytes>
void multiply(const Points& points, const Table& table, float* out, std::size_t out_stride) {
  constexpr std::size_t kLanes = Lanes<kBytes>::kCount;
  std::size_t column = 0;
  for (; column + 2 * kLanes <= table.columns; column += 2 * kLanes)
    multiply_strip<kBytes, 2>(points, table, column, out, out_stride);
  for (; column < table.columns; column += kLanes) multiply_strip<kBytes, 1>(points, table, column, out, out_stride);
}

// The best column of each lane so far, for a few points.
template <std::size_t kBytes, std::size_t kPoints>
struct Best {
  using L = Lanes<kBytes>;
  typename L::Floats scores[kPoints] = {};
  typename L::Ints columns[kPoints] = {};

  Best() {
    for (std::size_t p = 0; p < kPoints; ++p) scores[p] += __builtin_huge_valf();
  }

  template <std::size_t kVectors>
  void offer(const Block<kBytes, kPoints, kVectors>& block, const float* norms, std::size_t column) {
    typename L::Ints here = {};
    for (std::size_t lane = 0; lane < L::kCount; ++lane) here[lane] = static_cast<std::int32_t>(column + lane);
    for (std::size_t v = 0; v < kVectors; ++v) {
      const typename L::Floats norm = L::load(norms + column + v * L::kCount);
      for (std::size_t p = 0; p < kPoints; ++p) {
        const typename L::Floats score = norm - 2.0f * block.sums[p][v];
        const auto better = score < scores[p];
        scores[p] = better ? score : scores[p];
        columns[p] = better ? here : columns[p];
      }
      here += static_cast<std::int32_t>(L::kCount);
    }
  }

  void settle(std::size_t first, std::uint32_t* index, float* score) const {
    for (std::size_t p = 0; p < kPoints; ++p) {
      float least = scores[p][0];
      std::int32_t column = columns[p][0];
      for (std::size_t lane = 1; lane < L::kCount; ++lane) {
        const bool better = scores[p][lane] < least || (scores[p][lane] == least && columns[p][lane] < column);
        least = better ? scores[p][lane] : least;
        column = better ? columns[p][lane] : column;
      }
      index[first + p] = static_cast<std::uint32_t>(column);
      if (score != nullptr) score[first + p] = least;
    }
  }
};

template <std::size_t kBytes, std::size_t kPoints>
void nearest_block(const Points& points, std::size_t first, const Table& table, const float* norms,
                   std::uint32_t* index, float* score) {
  constexpr std::size_t kLanes = Lanes<kBytes>::kCount;
  Best<kBytes, kPoints> best;
  std::size_t column = 0;
  for (; column + 2 * kLanes <= table.columns; column += 2 * kLanes) {
    Block<kBytes, kPoints, 2> block;
    block.add(points, first, table, column);
    best.offer(block, norms, column);
  }
  for (; column < table.columns; column += kLanes) {
    Block<kBytes, kPoints, 1> block;
    block.add(points, first, table, column);
    best.offer(block, norms, column);
  }
  best.settle(first, index, score);
}

template <std::size_t kBytes>
void nearest(const Points& points, const Table& table, const float* norms, std::uint32_t* index, float* score) {
  std::size_t p = 0;
  for (; p + kPointsAtOnce <= points.count; p += kPointsAtOnce)
    nearest_block<kBytes, kPointsAtOnce>(points, p, table, norms, index, score);
  for (; p < points.count; ++p) nearest_block<kBytes, 1>(points, p, table, norms, index, score);
}

}  // namespace
}  // namespace vecstore
