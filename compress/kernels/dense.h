// SPDX-License-Identifier: Apache-2.0
//
// Small dense products over float matrices: what training, encoding and the tables of a query spend their time in.
//
// Points are rows of floats. A table is [depth × columns]. Its row k holds coordinate k of every column, so that one
// vector register holds neighbouring columns. Columns come in multiples of kColumnStep: pad() a width, zero the rest.
// The unit is chosen once by the level of compress/kernels/kernels.h. Thread safety: pure functions. Sums run over the
// depth in order, so a result does not depend on how the points are batched.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecstore {

inline constexpr std::size_t kColumnStep = 16;

constexpr std::size_t padded(std::size_t width) { return (width + kColumnStep - 1) / kColumnStep * kColumnStep; }

struct Points {
  const float* data = nullptr;
  std::size_t count = 0;
  std::size_t stride = 0;  // floats between points
  std::size_t depth = 0;   // floats of a point that count
};

struct Table {
  const float* data = nullptr;
  std::size_t stride = 0;   // floats between rows, ≥ columns
  std::size_t columns = 0;  // a multiple of kColumnStep
};

struct DenseUnit {
  // out[p · out_stride + j] = Σ_k points[p][k] · table[k][j].
  void (*multiply)(const Points& points, const Table& table, float* out, std::size_t out_stride);
  // index[p]: the first column j that minimises score[p] = norms[j] − 2 Σ_k points[p][k] · table[k][j]. With norms of
  // |column|² that is the nearest column; a norm of +infinity takes a column out. score may be nullptr.
  void (*nearest)(const Points& points, const Table& table, const float* norms, std::uint32_t* index, float* score);
};

// The unit of this process, that of kernels().level.
const DenseUnit& dense();

// Each is present when the build has it; tests compare them.
namespace detail {
extern const DenseUnit kDenseBaseline;
extern const DenseUnit kDenseAvx2;
extern const DenseUnit kDenseAvx512;
}  // namespace detail

}  // namespace vecstore
