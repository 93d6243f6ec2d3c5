// SPDX-License-Identifier: Apache-2.0
//
// The rows of a build in memory, one byte a dimension, and the distances the builder computes with.
//
// u8 and i8 input is kept exactly (i8 shifted by 128), floats as SQ8. Under cosine rows are normalised. Under inner
// product the rows get one virtual dimension, sqrt(M² − |x|²) with M the largest norm, which turns the search for the
// largest ⟨q,x⟩ into one for the smallest L2 distance (Bachrach et al., RecSys 2014); only distances between rows need
// it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "compress/kernels.h"
#include "engine/base/executor.h"
#include "engine/base/memory.h"
#include "engine/base/status.h"
#include "engine/base/vector_view.h"
#include "graph/format.h"

namespace vecstore {

// Thread-safe once filled.
class QuantizedRows {
 public:
  // Room for `rows` rows. Errors: kMemoryBudget.
  static Result<QuantizedRows> create(std::uint64_t rows, std::uint32_t dim, DType dtype, Metric metric,
                                      MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint64_t rows, std::uint32_t dim, DType dtype, Metric metric);

  // Encodes rows [first, first + vectors.rows) of the build. Values are finite, under cosine not all zero: the caller
  // has checked. Different ranges may be filled from different threads.
  void fill(std::uint64_t first, const VectorView& vectors);
  // The same without allocating. scratch: [dim].
  void fill(std::uint64_t first, const VectorView& vectors, std::span<float> scratch);
  // After the last fill(): completes what needs all rows (the norms under inner product).
  void finish();

  std::uint64_t rows() const { return rows_; }
  std::uint32_t dim() const { return dim_; }
  Metric metric() const { return metric_; }
  DType dtype() const { return dtype_; }
  bool has_params() const { return !params_.empty(); }
  const std::uint8_t* codes(std::uint32_t row) const { return codes_.data() + std::size_t{row} * dim_; }
  RowParams params(std::uint32_t row) const;

  // Squared L2 between row `from` and each of `to` (for inner product: of the augmented rows). out: [count];
  // scratch: [count].
  void distances(std::uint32_t from, const std::uint32_t* to, std::size_t count, std::uint32_t* scratch,
                 float* out) const;
  // out[i] = ⟨direction, x̂⟩ for each of `rows`; direction: [dim].
  void project(const float* direction, const std::uint32_t* rows, std::size_t count, float* out) const;
  // x̂ → out: [dim].
  void decode(std::uint32_t row, float* out) const;

 private:
  QuantizedRows() = default;

  std::uint64_t rows_ = 0;
  std::uint32_t dim_ = 0;
  DType dtype_ = DType::kF32;
  Metric metric_ = Metric::kL2;
  const Kernels* kernels_ = nullptr;
  Buffer<std::uint8_t> codes_;      // [rows × dim]
  Buffer<RowParams> params_;        // [rows], or empty: integers and L2
  Buffer<float> own_norm2_;         // [rows] |x̂|², with params_
  Buffer<std::uint32_t> code_sum_;  // [rows], with params_
  Buffer<float> augmented_;         // [rows] the virtual dimension, inner product only
};

}  // namespace vecstore
