// SPDX-License-Identifier: Apache-2.0
#include "graph/quantized_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "compress/sq8.h"
#include "engine/base/check.h"

namespace vecstore {
namespace {

// i8 is kept as u8, shifted by 128: differences are unchanged.
void copy_integers(const VectorView& vectors, std::uint64_t row, std::uint8_t* codes) {
  const auto* from = reinterpret_cast<const std::uint8_t*>(vectors.row(row));
  if (vectors.dtype == DType::kU8) {
    std::memcpy(codes, from, vectors.dim);
  } else {
    for (std::uint32_t i = 0; i < vectors.dim; ++i) codes[i] = static_cast<std::uint8_t>(from[i] ^ 0x80u);
  }
}

struct CodeSums {
  std::uint32_t sum = 0;
  std::uint64_t squares = 0;
};

CodeSums sums_of(const std::uint8_t* codes, std::uint32_t dim) {
  CodeSums sums;
  for (std::uint32_t i = 0; i < dim; ++i) {
    sums.sum += codes[i];
    sums.squares += std::uint32_t{codes[i]} * codes[i];
  }
  return sums;
}

}  // namespace

std::uint64_t QuantizedRows::predict_bytes(std::uint64_t rows, std::uint32_t dim, DType dtype, Metric metric) {
  std::uint64_t per_row = dim;
  if (needs_row_params(dtype, metric)) per_row += sizeof(RowParams) + sizeof(float) + sizeof(std::uint32_t);
  if (metric == Metric::kInnerProduct) per_row += sizeof(float);
  return rows * per_row;
}

Result<QuantizedRows> QuantizedRows::create(std::uint64_t rows, std::uint32_t dim, DType dtype, Metric metric,
                                            MemoryBudget& budget) {
  QuantizedRows quantized;
  quantized.rows_ = rows;
  quantized.dim_ = dim;
  quantized.dtype_ = dtype;
  quantized.metric_ = metric;
  quantized.kernels_ = &kernels();
  VECSTORE_ASSIGN(quantized.codes_, Buffer<std::uint8_t>::allocate(budget, rows * dim));
  if (needs_row_params(dtype, metric)) {
    VECSTORE_ASSIGN(quantized.params_, Buffer<RowParams>::allocate(budget, rows));
    VECSTORE_ASSIGN(quantized.own_norm2_, Buffer<float>::allocate(budget, rows));
    VECSTORE_ASSIGN(quantized.code_sum_, Buffer<std::uint32_t>::allocate(budget, rows));
  }
  if (metric == Metric::kInnerProduct) {
    VECSTORE_ASSIGN(quantized.augmented_, Buffer<float>::allocate(budget, rows));
  }
  return quantized;
}

void QuantizedRows::fill(std::uint64_t first, const VectorView& vectors) {
  std::vector<float> scratch(dim_);
  fill(first, vectors, scratch);
}

void QuantizedRows::fill(std::uint64_t first, const VectorView& vectors, std::span<float> widened) {
  VECSTORE_CHECK(vectors.dim == dim_ && vectors.dtype == dtype_ && first + vectors.rows <= rows_);
  VECSTORE_CHECK(widened.size() == dim_);
  for (std::uint64_t i = 0; i < vectors.rows; ++i) {
    const std::uint64_t row = first + i;
    std::uint8_t* codes = codes_.data() + row * dim_;
    if (is_integer(dtype_)) {
      copy_integers(vectors, i, codes);
      if (params_.empty()) continue;
      const float shift = dtype_ == DType::kI8 ? -128.0f : 0.0f;
      const CodeSums sums = sums_of(codes, dim_);
      const double norm2 = static_cast<double>(sums.squares) + 2.0 * shift * sums.sum + double{shift} * shift * dim_;
      const auto scale = static_cast<float>(metric_ == Metric::kCosine ? 1.0 / std::sqrt(norm2) : 1.0);
      const auto scaled_norm2 = static_cast<float>(norm2 * scale * scale);
      params_[row] = {scale, shift * scale, scaled_norm2};
      own_norm2_[row] = scaled_norm2;
      code_sum_[row] = sums.sum;
      continue;
    }
    widen_row(vectors, i, widened.data());
    if (metric_ == Metric::kCosine) {
      double norm2 = 0;
      for (const float x : widened) norm2 += double{x} * x;
      const auto inverse = static_cast<float>(1.0 / std::sqrt(norm2));
      for (float& x : widened) x *= inverse;
    }
    const Sq8Row encoded = encode_sq8(widened.data(), dim_, codes);
    const CodeSums sums = sums_of(codes, dim_);
    params_[row] = {encoded.scale, encoded.offset, encoded.norm2};
    own_norm2_[row] = static_cast<float>(double{encoded.scale} * encoded.scale * static_cast<double>(sums.squares) +
                                         2.0 * encoded.scale * encoded.offset * sums.sum +
                                         double{encoded.offset} * encoded.offset * dim_);
    code_sum_[row] = sums.sum;
  }
}

void QuantizedRows::finish() {
  if (metric_ != Metric::kInnerProduct) return;
  float largest = 0;
  for (const float norm2 : own_norm2_) largest = std::max(largest, norm2);
  for (std::uint64_t row = 0; row < rows_; ++row)
    augmented_[row] = std::sqrt(std::max(0.0f, largest - own_norm2_[row]));
}

RowParams QuantizedRows::params(std::uint32_t row) const { return params_.empty() ? RowParams{} : params_[row]; }

void QuantizedRows::distances(std::uint32_t from, const std::uint32_t* to, std::size_t count, std::uint32_t* scratch,
                              float* out) const {
  const Rows rows{codes_.data(), dim_, to, count};
  if (params_.empty()) {
    kernels_->l2_u8(codes(from), rows, dim_, scratch);
    for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<float>(scratch[i]);
    return;
  }
  kernels_->dot_u8(codes(from), rows, dim_, scratch);
  const RowParams x = params_[from];
  const float x_sum = static_cast<float>(code_sum_[from]);
  const float x_norm2 = own_norm2_[from];
  const bool augment = !augmented_.empty();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t row = to[i];
    const RowParams& y = params_[row];
    float dot = x.scale * y.scale * static_cast<float>(scratch[i]) + x.scale * y.offset * x_sum +
                x.offset * y.scale * static_cast<float>(code_sum_[row]) +
                x.offset * y.offset * static_cast<float>(dim_);
    float norms = x_norm2 + own_norm2_[row];
    if (augment) {
      dot += augmented_[from] * augmented_[row];
      norms += augmented_[from] * augmented_[from] + augmented_[row] * augmented_[row];
    }
    out[i] = std::max(0.0f, norms - 2.0f * dot);
  }
}

void QuantizedRows::project(const float* direction, const std::uint32_t* rows, std::size_t count, float* out) const {
  kernels_->dot_f32_u8(direction, Rows{codes_.data(), dim_, rows, count}, dim_, out);
  if (params_.empty()) return;
  float sum = 0;
  for (std::uint32_t i = 0; i < dim_; ++i) sum += direction[i];
  for (std::size_t i = 0; i < count; ++i) {
    const RowParams& row = params_[rows[i]];
    out[i] = row.scale * out[i] + row.offset * sum;
  }
}

void QuantizedRows::decode(std::uint32_t row, float* out) const {
  const RowParams p = params_.empty() ? RowParams{1.0f, dtype_ == DType::kI8 ? -128.0f : 0.0f, 0.0f} : params_[row];
  decode_sq8(codes(row), p.scale, p.offset, dim_, out);
}

}  // namespace vecstore
