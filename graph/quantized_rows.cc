// SPDX-License-Identifier: Apache-2.0
#include "graph/quantized_rows.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/check.h"
#include "base/sums.h"
#include "compress/sq16.h"
#include "compress/sq8.h"

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

void read_row(const VectorView& vectors, std::uint64_t row, const RowShape& shape, bool centred, float* out) {
  widen_row(vectors, row, out);
  const std::span<float> values(out, shape.dim);
  if (shape.metric == Metric::kCosine) {
    const double inverse = 1.0 / std::sqrt(sum_of_squares(values));
    for (float& x : values) x = static_cast<float>(double{x} * inverse);
  }
  if (!centred || shape.centre.empty()) return;
  for (std::size_t i = 0; i < values.size(); ++i) values[i] -= shape.centre[i];
}

std::uint64_t QuantizedRows::predict_bytes(std::uint64_t rows, const RowShape& shape) {
  std::uint64_t per_row = shape.dim;
  if (shape.value_bits != kValueBitsMin) {
    per_row *= sizeof(float);
  } else if (shape.has_params()) {
    per_row += sizeof(RowParams) + sizeof(float) + sizeof(std::uint32_t);
  }
  if (shape.metric == Metric::kInnerProduct) per_row += sizeof(float);
  if (shape.metric == Metric::kInnerProduct && shape.value_bits != kValueBitsMin) per_row += sizeof(float);
  return rows * per_row;
}

Result<QuantizedRows> QuantizedRows::create(std::uint64_t rows, const RowShape& shape, MemoryBudget& budget) {
  VECSTORE_CHECK(is_value_bits(shape.value_bits) && (shape.centre.empty() || shape.centre.size() == shape.dim));
  VECSTORE_CHECK(!is_integer(shape.dtype) || (shape.value_bits == kValueBitsMin && shape.centre.empty()));
  QuantizedRows quantized;
  quantized.rows_ = rows;
  quantized.shape_ = shape;
  quantized.kernels_ = &kernels();
  const bool inner_product = shape.metric == Metric::kInnerProduct;
  if (quantized.is_wide()) {
    VECSTORE_ASSIGN(quantized.floats_, Buffer<float>::allocate(budget, rows * shape.dim));
  } else {
    VECSTORE_ASSIGN(quantized.codes_, Buffer<std::uint8_t>::allocate(budget, rows * shape.dim));
    if (shape.has_params()) {
      VECSTORE_ASSIGN(quantized.params_, Buffer<RowParams>::allocate(budget, rows));
      VECSTORE_ASSIGN(quantized.code_sum_, Buffer<std::uint32_t>::allocate(budget, rows));
    }
  }
  if (!quantized.params_.empty() || inner_product) {
    VECSTORE_ASSIGN(quantized.own_norm2_, Buffer<float>::allocate(budget, rows));
  }
  if (inner_product) {
    VECSTORE_ASSIGN(quantized.augmented_, Buffer<float>::allocate(budget, rows));
  }
  return quantized;
}

void QuantizedRows::fill(std::uint64_t first, const VectorView& vectors) {
  std::vector<float> scratch(shape_.dim);
  fill(first, vectors, scratch);
}

void QuantizedRows::fill(std::uint64_t first, const VectorView& vectors, std::span<float> scratch) {
  VECSTORE_CHECK(vectors.dim == shape_.dim && vectors.dtype == shape_.dtype && first + vectors.rows <= rows_);
  VECSTORE_CHECK(scratch.size() == shape_.dim);
  for (std::uint64_t i = 0; i < vectors.rows; ++i) {
    if (is_integer(shape_.dtype)) {
      fill_integers(first + i, vectors, i);
    } else {
      fill_floats(first + i, vectors, i, scratch);
    }
    augment(first + i);
  }
}

void QuantizedRows::fill_integers(std::uint64_t row, const VectorView& vectors, std::uint64_t from) {
  std::uint8_t* codes = codes_.data() + row * shape_.dim;
  copy_integers(vectors, from, codes);
  if (params_.empty()) return;
  const float shift = shape_.dtype == DType::kI8 ? -128.0f : 0.0f;
  const CodeSums sums = sums_of(codes, shape_.dim);
  const double norm2 = static_cast<double>(sums.squares) + 2.0 * shift * sums.sum + double{shift} * shift * shape_.dim;
  const auto scale = static_cast<float>(shape_.metric == Metric::kCosine ? 1.0 / std::sqrt(norm2) : 1.0);
  const auto scaled_norm2 = static_cast<float>(norm2 * scale * scale);
  params_[row] = {scale, shift * scale, scaled_norm2};
  own_norm2_[row] = scaled_norm2;
  code_sum_[row] = sums.sum;
}

void QuantizedRows::fill_floats(std::uint64_t row, const VectorView& vectors, std::uint64_t from,
                                std::span<float> scratch) {
  if (is_wide()) {
    float* values = floats_.data() + row * shape_.dim;
    read_row(vectors, from, shape_, shape_.is_centred(), values);
    if (!own_norm2_.empty()) own_norm2_[row] = static_cast<float>(sum_of_squares({values, shape_.dim}));
    return;
  }
  std::uint8_t* codes = codes_.data() + row * shape_.dim;
  read_row(vectors, from, shape_, true, scratch.data());
  const Sq8Row encoded = encode_sq8(scratch.data(), shape_.dim, codes);
  params_[row] = {encoded.scale, encoded.offset, encoded.norm2};
  note_sums(row, false);
}

void QuantizedRows::finish() {
  if (shape_.metric != Metric::kInnerProduct) return;
  for (const float norm2 : own_norm2_) largest_norm2_ = std::max(largest_norm2_, norm2);
  for (std::uint64_t row = 0; row < rows_; ++row) augment(row);
}

void QuantizedRows::expect_norm2(float largest) { largest_norm2_ = largest; }

void QuantizedRows::augment(std::uint64_t row) {
  if (!augmented_.empty()) augmented_[row] = std::sqrt(std::max(0.0f, largest_norm2_ - own_norm2_[row]));
}

void QuantizedRows::put_stored(std::uint32_t row, const StoredValues& stored) {
  const std::uint32_t dim = shape_.dim;
  const RowParams& params = stored.params;
  if (!is_wide()) {
    std::uint8_t* codes = codes_.data() + std::size_t{row} * dim;
    std::memcpy(codes, stored.values, dim);
    if (!params_.empty()) {
      params_[row] = params;
      note_sums(row, is_integer(shape_.dtype));
    }
  } else {
    float* values = floats_.data() + std::size_t{row} * dim;
    if (shape_.value_bits == 32) {
      std::memcpy(values, stored.values, dim * sizeof(float));
    } else {
      decode_sq16(reinterpret_cast<const std::uint16_t*>(stored.values), params.scale, params.offset, dim, values);
    }
    if (!own_norm2_.empty()) own_norm2_[row] = params.norm2;
  }
  augment(row);
}

// Of codes and parameters that are there. Of integers the norm is among the parameters.
void QuantizedRows::note_sums(std::uint64_t row, bool has_exact_norm) {
  const RowParams& params = params_[row];
  const CodeSums sums = sums_of(codes_.data() + row * shape_.dim, shape_.dim);
  code_sum_[row] = sums.sum;
  own_norm2_[row] = has_exact_norm
                        ? params.norm2
                        : static_cast<float>(double{params.scale} * params.scale * static_cast<double>(sums.squares) +
                                             2.0 * params.scale * params.offset * sums.sum +
                                             double{params.offset} * params.offset * shape_.dim);
}

RowParams QuantizedRows::params(std::uint32_t row) const { return params_.empty() ? RowParams{} : params_[row]; }

StoredValues QuantizedRows::stored(std::uint32_t row, std::span<std::byte> scratch) const {
  if (!is_wide()) return {params(row), reinterpret_cast<const std::byte*>(codes(row))};
  const auto norm2 = own_norm2_.empty() ? 0.0f : own_norm2_[row];
  if (shape_.value_bits == 32) return {{1.0f, 0.0f, norm2}, reinterpret_cast<const std::byte*>(floats(row))};
  VECSTORE_CHECK(scratch.size() >= shape_.dim * sizeof(float));
  const Sq16Row encoded = encode_sq16(floats(row), shape_.dim, reinterpret_cast<std::uint16_t*>(scratch.data()));
  return {{encoded.scale, encoded.offset, norm2}, scratch.data()};
}

// By differences: near rows keep their distance wherever they lie.
void QuantizedRows::wide_distances(std::uint32_t from, const std::uint32_t* to, std::size_t count, float* out) const {
  kernels_->l2_f32(floats(from), Rows{floats_.data(), shape_.dim * sizeof(float), to, count}, shape_.dim, out);
  if (augmented_.empty()) return;
  for (std::size_t i = 0; i < count; ++i) {
    const float difference = augmented_[from] - augmented_[to[i]];
    out[i] += difference * difference;
  }
}

void QuantizedRows::distances(std::uint32_t from, const std::uint32_t* to, std::size_t count, std::uint32_t* scratch,
                              float* out) const {
  if (is_wide()) return wide_distances(from, to, count, out);
  const std::uint32_t dim = shape_.dim;
  const Rows rows{codes_.data(), dim, to, count};
  if (params_.empty()) {
    kernels_->l2_u8(codes(from), rows, dim, scratch);
    for (std::size_t i = 0; i < count; ++i) out[i] = static_cast<float>(scratch[i]);
    return;
  }
  kernels_->dot_u8(codes(from), rows, dim, scratch);
  const RowParams x = params_[from];
  const float x_sum = static_cast<float>(code_sum_[from]);
  const float x_norm2 = own_norm2_[from];
  const bool augment = !augmented_.empty();
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint32_t row = to[i];
    const RowParams& y = params_[row];
    float dot = x.scale * y.scale * static_cast<float>(scratch[i]) + x.scale * y.offset * x_sum +
                x.offset * y.scale * static_cast<float>(code_sum_[row]) + x.offset * y.offset * static_cast<float>(dim);
    float norms = x_norm2 + own_norm2_[row];
    if (augment) {
      dot += augmented_[from] * augmented_[row];
      norms += augmented_[from] * augmented_[from] + augmented_[row] * augmented_[row];
    }
    out[i] = std::max(0.0f, norms - 2.0f * dot);
  }
}

void QuantizedRows::project(const float* direction, const std::uint32_t* rows, std::size_t count, float* out) const {
  const std::uint32_t dim = shape_.dim;
  if (is_wide()) return kernels_->dot_f32(direction, {floats_.data(), dim * sizeof(float), rows, count}, dim, out);
  kernels_->dot_f32_u8(direction, Rows{codes_.data(), dim, rows, count}, dim, out);
  if (params_.empty()) return;
  float sum = 0;
  for (std::uint32_t i = 0; i < dim; ++i) sum += direction[i];
  for (std::size_t i = 0; i < count; ++i) {
    const RowParams& row = params_[rows[i]];
    out[i] = row.scale * out[i] + row.offset * sum;
  }
}

void QuantizedRows::decode(std::uint32_t row, float* out) const {
  if (is_wide()) {
    const float* values = floats(row);
    const bool centre = !shape_.centre.empty() && !shape_.is_centred();
    for (std::uint32_t i = 0; i < shape_.dim; ++i) out[i] = values[i] - (centre ? shape_.centre[i] : 0.0f);
    return;
  }
  if (params_.empty()) return decode_integers(row, out);
  decode_sq8(codes(row), params_[row].scale, params_[row].offset, shape_.dim, out);
}

void QuantizedRows::decode_integers(std::uint32_t row, float* out) const {
  decode_sq8(codes(row), 1.0f, shape_.dtype == DType::kI8 ? -128.0f : 0.0f, shape_.dim, out);
}

}  // namespace vecstore
