// SPDX-License-Identifier: Apache-2.0
//
// One query in the forms that distances to the vectors on pages are computed from.
//
// Distances in this folder are squared L2. Under cosine they are that of the normalised vectors, 2 − 2 cos. Under inner
// product they are −2⟨q, x − centre⟩: they lack constant(), which is the same for all rows.
#pragma once

#include <cstdint>
#include <span>

#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "compress/kernels/kernels.h"
#include "graph/format.h"
#include "graph/search_types.h"

namespace vecstore {

// Prepared for query after query. Not thread-safe.
class PreparedQuery {
 public:
  // `centre` must outlive the query. Errors: kMemoryBudget.
  static Result<PreparedQuery> create(const GraphLayout& layout, Centre centre, MemoryBudget& budget);
  static std::uint64_t predict_bytes(const GraphLayout& layout);

  void set_centre(Centre centre) { centre_ = centre; }  // from the next prepare() on
  // query: one row of the input's dtype (f16 and f32 are interchangeable), finite, under cosine not zero.
  void prepare(const VectorView& queries, std::uint64_t query);

  // [dim] for codes, which are of rows less the centre: so is this, but under inner product. Normalised under cosine.
  const float* values() const { return values_.data(); }
  float norm2() const { return norm2_; }  // |values()|²
  // −2⟨q, centre⟩ under inner product, else 0: what distances lack.
  double constant() const { return constant_; }
  // [dim], as the bytes of rows lie on pages; empty where distances are not of integers.
  std::span<const std::uint8_t> codes() const { return codes_.span(); }

  // Distances from values as they lie on pages; params_of(i) gives the parameters of row i, where records carry them.
  // out: [rows.count]; integers: scratch of that length.
  template <typename ParamsOf>
  void distances(const Rows& rows, const ParamsOf& params_of, std::uint32_t* integers, float* out) const {
    switch (form_) {
      case Form::kIntegers:
        kernels_->l2_u8(codes_.data(), rows, codes_.size(), integers);
        for (std::size_t i = 0; i < rows.count; ++i) out[i] = static_cast<float>(integers[i]);
        return;
      case Form::kBytes:
        kernels_->dot_f32_u8(values_.data(), rows, values_.size(), out);
        for (std::size_t i = 0; i < rows.count; ++i) {
          const RowParams params = params_of(i);
          const float dot = params.scale * out[i] + params.offset * sum_;
          const float distance = norm2_ + params.norm2 - 2.0f * dot;
          out[i] = metric_ == Metric::kInnerProduct ? -2.0f * dot : distance > 0.0f ? distance : 0.0f;
        }
        return;
      case Form::kWords:
        for (std::size_t i = 0; i < rows.count; i += kTileRows) word_distances(rows, i, params_of, out);
        return;
      case Form::kFloats:
        return float_distances(rows, out);
    }
  }

  // A distance that the row as it was put cannot be nearer than, or farther: what rounding to a page's values and of
  // this arithmetic can have changed at most. distance: of distances().
  struct Interval {
    float nearest = 0;
    float farthest = 0;
  };
  Interval interval(float distance, const RowParams& params) const;
  // The greatest distance() of rows of 8 bits a value, with such parameters at most, whose interval begins within
  // `limit`, which includes constant().
  float reach(double limit, const RowParams& greatest) const;

 private:
  // What may be off: of a row's values together, of squared distances or products, in any row.
  struct Slack {
    float row = 0;
    float sum = 0;
  };
  Slack slack(const RowParams& params) const;

  enum class Form : std::uint8_t { kIntegers, kBytes, kWords, kFloats };
  static constexpr std::size_t kTileRows = 16;  // decoded at a time

  PreparedQuery() = default;
  static Form form_of(const GraphLayout& layout);

  // The floats that up to kTileRows rows from `first` on stand for, and their distances.
  template <typename ParamsOf>
  void word_distances(const Rows& rows, std::size_t first, const ParamsOf& params_of, float* out) const {
    const std::size_t count = rows.count - first < kTileRows ? rows.count - first : kTileRows;
    for (std::size_t i = 0; i < count; ++i) {
      const std::size_t row = first + i;
      decode_words(static_cast<const std::byte*>(rows.base) + (rows.ids ? rows.ids[row] : row) * rows.stride_bytes,
                   params_of(row), i);
    }
    float_distances({tile_.data(), values_.size() * sizeof(float), nullptr, count}, out + first);
  }
  void decode_words(const std::byte* row, const RowParams& params, std::size_t place) const;
  void float_distances(const Rows& rows, float* out) const;

  const Kernels* kernels_ = nullptr;
  Metric metric_ = Metric::kL2;
  DType dtype_ = DType::kF32;
  Form form_ = Form::kBytes;
  Centre centre_;
  Buffer<float> values_;
  Buffer<float> plain_;         // [dim] not centred, where values of 32 bits are not
  Buffer<std::uint8_t> codes_;  // [dim], where distances are integers
  mutable Buffer<float> tile_;  // [kTileRows × dim] rows of 16 bits a value as floats
  float norm2_ = 0;
  float norm_ = 0;
  float sum_ = 0;
  double constant_ = 0;
};

}  // namespace vecstore
