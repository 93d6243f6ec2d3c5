// SPDX-License-Identifier: Apache-2.0
//
// One query in the forms that distances to the vectors on pages are computed from.
#pragma once

#include <cstdint>
#include <span>

#include "compress/kernels.h"
#include "engine/base/memory.h"
#include "engine/base/status.h"
#include "engine/base/vector_view.h"
#include "graph/format.h"

namespace vecstore {

// Prepared for query after query. Not thread-safe.
class PreparedQuery {
 public:
  // Errors: kMemoryBudget.
  static Result<PreparedQuery> create(const GraphLayout& layout, MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint32_t dim) { return dim * 5ull; }

  // query: one row of the input's dtype (f16 and f32 are interchangeable), finite, under cosine not zero.
  void prepare(const VectorView& queries, std::uint64_t query);

  const float* values() const { return values_.data(); }  // [dim], normalised under cosine
  float norm2() const { return norm2_; }
  // [dim], as the bytes of rows lie on pages; empty where distances need parameters of the row.
  std::span<const std::uint8_t> codes() const { return row_params_ ? std::span<const std::uint8_t>() : codes_.span(); }

  // Distances from codes as they lie on pages; params_of(i) gives those of row i, where records carry parameters. out:
  // [codes.count]; integers: scratch of that length.
  template <typename ParamsOf>
  void distances(const Rows& codes, const ParamsOf& params_of, std::uint32_t* integers, float* out) const {
    if (!row_params_) {
      kernels_->l2_u8(codes_.data(), codes, codes_.size(), integers);
      for (std::size_t i = 0; i < codes.count; ++i) out[i] = static_cast<float>(integers[i]);
      return;
    }
    kernels_->dot_f32_u8(values_.data(), codes, values_.size(), out);
    for (std::size_t i = 0; i < codes.count; ++i) {
      const RowParams params = params_of(i);
      const float dot = params.scale * out[i] + params.offset * sum_;
      out[i] = metric_ == Metric::kInnerProduct ? -2.0f * dot : norm2_ + params.norm2 - 2.0f * dot;
    }
  }

 private:
  PreparedQuery() = default;

  const Kernels* kernels_ = nullptr;
  Metric metric_ = Metric::kL2;
  DType dtype_ = DType::kF32;
  bool row_params_ = false;
  Buffer<float> values_;
  Buffer<std::uint8_t> codes_;  // [dim], where distances are integers
  float norm2_ = 0;
  float sum_ = 0;
};

}  // namespace vecstore
