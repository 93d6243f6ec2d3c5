// SPDX-License-Identifier: Apache-2.0
//
// The rows of a build in memory, and the distances the builder computes with.
//
// u8 and i8 input is kept exactly (i8 shifted by 128). Floats are kept less the centre of all rows, which costs nothing
// and saves the bits that a common offset would take: as SQ8, or where pages are to hold more than 8 bits a value, as
// floats. Under cosine rows are normalised first. Under inner product the rows get one virtual dimension, sqrt(M² −
// |x|²) with M the largest norm. It turns the search for the largest ⟨q,x⟩ into one for the smallest L2 distance
// (Bachrach et al., RecSys 2014). Only distances between rows need it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "compress/kernels/kernels.h"
#include "graph/format.h"

namespace vecstore {

// What rows are and how they are kept.
struct RowShape {
  std::uint32_t dim = 0;
  DType dtype = DType::kF32;
  Metric metric = Metric::kL2;
  std::uint32_t value_bits = kValueBitsMin;
  // [dim], borrowed; empty: the origin, and always for integers.
  std::span<const float> centre = {};

  bool has_params() const { return needs_row_params(dtype, metric, value_bits); }
  // Floats of 32 bits lie on pages as they are: nothing is gained by centring them, and a row far from the centre would
  // lose what it differs in from its neighbours. Products are the same sums either way, and smaller ones when centred.
  bool is_centred() const { return !centre.empty() && (value_bits != 32 || metric == Metric::kInnerProduct); }
};

// A row as its page will hold it.
struct StoredValues {
  RowParams params;
  const std::byte* values = nullptr;  // [dim] of value_bits
};

// Row `row` of `vectors` as floats: widened, under cosine normalised (in double precision: of any scale), and less
// shape.centre when `centred`. out: [dim].
void read_row(const VectorView& vectors, std::uint64_t row, const RowShape& shape, bool centred, float* out);

// Thread-safe once filled.
class QuantizedRows {
 public:
  // Room for `rows` rows; shape.centre must outlive them. Errors: kMemoryBudget.
  static Result<QuantizedRows> create(std::uint64_t rows, const RowShape& shape, MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint64_t rows, const RowShape& shape);

  // Encodes rows [first, first + vectors.rows) of the build. Values are finite, under cosine not all zero: the caller
  // has checked. Different ranges may be filled from different threads.
  void fill(std::uint64_t first, const VectorView& vectors);
  // The same without allocating. scratch: [dim].
  void fill(std::uint64_t first, const VectorView& vectors, std::span<float> scratch);
  // After the last fill(): completes what needs all rows (the norms under inner product).
  void finish();
  // Instead of it, before the first row: under inner product, the largest norm that any row will have. Rows may then
  // come and be replaced at any time.
  void expect_norm2(float largest);
  // What a page holds of a row, as stored() gave it.
  void put_stored(std::uint32_t row, const StoredValues& stored);
  float largest_norm2() const { return largest_norm2_; }
  // |x̂|² of a row, under inner product.
  float norm2(std::uint32_t row) const { return own_norm2_[row]; }

  std::uint64_t rows() const { return rows_; }
  std::uint32_t dim() const { return shape_.dim; }
  const RowShape& shape() const { return shape_; }
  // With 8 bits a value.
  const std::uint8_t* codes(std::uint32_t row) const { return codes_.data() + std::size_t{row} * shape_.dim; }
  RowParams params(std::uint32_t row) const;
  // scratch: [4 · dim] bytes, aligned for floats.
  StoredValues stored(std::uint32_t row, std::span<std::byte> scratch) const;

  // Squared L2 between row `from` and each of `to` (for inner product: of the augmented rows). out: [count];
  // scratch: [count].
  void distances(std::uint32_t from, const std::uint32_t* to, std::size_t count, std::uint32_t* scratch,
                 float* out) const;
  // out[i] = ⟨direction, x̂⟩ for each of `rows`; direction: [dim].
  void project(const float* direction, const std::uint32_t* rows, std::size_t count, float* out) const;
  // The row less the centre, as far as it is kept → out: [dim].
  void decode(std::uint32_t row, float* out) const;
  // u8 or i8 as it was put → out: [dim].
  void decode_integers(std::uint32_t row, float* out) const;

 private:
  QuantizedRows() = default;

  void augment(std::uint64_t row);
  void note_sums(std::uint64_t row, bool has_exact_norm);
  void fill_integers(std::uint64_t row, const VectorView& vectors, std::uint64_t from);
  void fill_floats(std::uint64_t row, const VectorView& vectors, std::uint64_t from, std::span<float> scratch);
  void wide_distances(std::uint32_t from, const std::uint32_t* to, std::size_t count, float* out) const;
  bool is_wide() const { return shape_.value_bits != kValueBitsMin; }
  const float* floats(std::uint32_t row) const { return floats_.data() + std::size_t{row} * shape_.dim; }

  std::uint64_t rows_ = 0;
  RowShape shape_;
  const Kernels* kernels_ = nullptr;
  Buffer<std::uint8_t> codes_;      // [rows × dim] with 8 bits a value
  Buffer<float> floats_;            // [rows × dim] with more
  Buffer<RowParams> params_;        // [rows] with 8 bits a value, or empty: integers and L2
  Buffer<float> own_norm2_;         // [rows] |x̂|², with params_ or under inner product
  Buffer<std::uint32_t> code_sum_;  // [rows], with params_
  Buffer<float> augmented_;         // [rows] the virtual dimension, inner product only
  float largest_norm2_ = 0;         // of all rows, inner product only; until it is known 0
};

}  // namespace vecstore
