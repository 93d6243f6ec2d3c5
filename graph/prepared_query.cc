// SPDX-License-Identifier: Apache-2.0
#include "graph/prepared_query.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/sums.h"
#include "compress/sq16.h"

namespace vecstore {
namespace {

constexpr float kUnitRoundoff = std::numeric_limits<float>::epsilon() / 2;

}  // namespace

PreparedQuery::Form PreparedQuery::form_of(const GraphLayout& layout) {
  if (layout.is_integral()) return Form::kIntegers;
  return layout.value_bits == 8 ? Form::kBytes : layout.value_bits == 16 ? Form::kWords : Form::kFloats;
}

std::uint64_t PreparedQuery::predict_bytes(const GraphLayout& layout) {
  const Form form = form_of(layout);
  const std::uint64_t floats = form == Form::kWords ? 1 + kTileRows : form == Form::kFloats ? 2 : 1;
  return layout.dim * (sizeof(float) * floats + (form == Form::kIntegers ? 1 : 0));
}

Result<PreparedQuery> PreparedQuery::create(const GraphLayout& layout, Centre centre, MemoryBudget& budget) {
  PreparedQuery query;
  query.kernels_ = &kernels();
  query.metric_ = layout.metric;
  query.dtype_ = layout.dtype;
  query.form_ = form_of(layout);
  query.centre_ = centre;
  VECSTORE_ASSIGN(query.values_, Buffer<float>::allocate(budget, layout.dim));
  if (query.form_ == Form::kIntegers) {
    VECSTORE_ASSIGN(query.codes_, Buffer<std::uint8_t>::allocate(budget, layout.dim));
  } else if (query.form_ == Form::kWords) {
    VECSTORE_ASSIGN(query.tile_, Buffer<float>::allocate(budget, kTileRows * layout.dim));
  } else if (query.form_ == Form::kFloats && layout.metric != Metric::kInnerProduct) {
    VECSTORE_ASSIGN(query.plain_, Buffer<float>::allocate(budget, layout.dim));
  }
  return query;
}

void PreparedQuery::prepare(const VectorView& queries, std::uint64_t query) {
  widen_row(queries, query, values_.data());
  if (metric_ == Metric::kCosine) {
    const double inverse = 1.0 / std::sqrt(sum_of_squares(values_.span()));
    for (float& x : values_) x = static_cast<float>(double{x} * inverse);
  }
  if (!plain_.empty()) std::copy(values_.begin(), values_.end(), plain_.begin());
  constant_ = 0;
  for (std::size_t i = 0; i < centre_.size(); ++i) {
    if (metric_ == Metric::kInnerProduct) {
      constant_ -= 2.0 * double{values_[i]} * double{centre_[i]};
    } else {
      values_[i] -= centre_[i];
    }
  }
  // Where nothing was taken off a normalised query, its norm is known better than its rounded values tell.
  const bool is_unit = metric_ == Metric::kCosine && centre_.empty();
  norm2_ = is_unit ? 1.0f : static_cast<float>(sum_of_squares(values_.span()));
  norm_ = std::sqrt(norm2_);
  sum_ = static_cast<float>(sum_of(values_.span()));
  if (codes_.empty()) return;
  const auto* from = reinterpret_cast<const std::uint8_t*>(queries.row(query));
  const std::uint8_t shift = dtype_ == DType::kI8 ? 0x80u : 0u;
  for (std::size_t i = 0; i < codes_.size(); ++i) codes_[i] = from[i] ^ shift;
}

void PreparedQuery::decode_words(const std::byte* row, const RowParams& params, std::size_t place) const {
  decode_sq16(reinterpret_cast<const std::uint16_t*>(row), params.scale, params.offset, values_.size(),
              tile_.data() + place * values_.size());
}

void PreparedQuery::float_distances(const Rows& rows, float* out) const {
  if (metric_ != Metric::kInnerProduct)
    return kernels_->l2_f32(plain_.empty() ? values_.data() : plain_.data(), rows, values_.size(), out);
  kernels_->dot_f32(values_.data(), rows, values_.size(), out);
  for (std::size_t i = 0; i < rows.count; ++i) out[i] *= -2.0f;
}

// The values of a record are off by half a step at most, and by the rounding of the floats they are made of. A sum of
// products is off by the unit roundoff, times the elements that one lane adds and some, times the sum of the
// magnitudes. The lanes that divide dim elements are sixteen at least.
PreparedQuery::Slack PreparedQuery::slack(const RowParams& params) const {
  const auto dim = static_cast<float>(values_.size());
  const float rounding = kUnitRoundoff * (dim / 16 + 16);
  const float unit = metric_ == Metric::kCosine ? 2 * kUnitRoundoff : 0.0f;  // rounding of normalising
  if (form_ == Form::kFloats) {
    const float norm = std::sqrt(params.norm2);
    return {norm * kUnitRoundoff + unit, metric_ == Metric::kInnerProduct ? 2 * rounding * norm_ * norm : 0.0f};
  }
  const float levels = form_ == Form::kBytes ? 255.0f : 65535.0f;
  const float largest = std::abs(params.offset) + levels * params.scale;  // greatest of a record's values
  const float row = std::sqrt(dim) * (0.501f * params.scale + 2 * kUnitRoundoff * largest) + unit;
  const float products = 2 * norm_ * largest * std::sqrt(dim);
  if (metric_ == Metric::kInnerProduct) return {row, 2 * rounding * products};
  return {row, form_ == Form::kBytes ? rounding * (norm2_ + params.norm2 + products) : 0.0f};
}

PreparedQuery::Interval PreparedQuery::interval(float distance, const RowParams& params) const {
  const Slack off = slack(params);
  if (metric_ == Metric::kInnerProduct) {
    const float most = 2 * norm_ * off.row + off.sum;
    return {distance - most, distance + most};
  }
  const float relative = kUnitRoundoff * (static_cast<float>(values_.size()) / 16 + 16) * distance;
  const float error = off.row + (metric_ == Metric::kCosine ? 2 * kUnitRoundoff : 0.0f);  // and of the query
  // Bytes: |q|² + |r̂|² + |r − r̂|² − 2⟨q, r̂⟩, of which |r − r̂|² is a part of the row's norm².
  const float rounded = form_ == Form::kBytes ? off.row * off.row : 0.0f;
  const float nearest = std::max(0.0f, std::sqrt(std::max(0.0f, distance - off.sum - relative - rounded)) - error);
  const float farthest = std::sqrt(distance + off.sum + relative) + error;
  return {nearest * nearest, farthest * farthest};
}

// The inverse of interval().nearest, and a little more for its own rounding.
float PreparedQuery::reach(double limit, const RowParams& greatest) const {
  if (limit == std::numeric_limits<double>::infinity()) return std::numeric_limits<float>::infinity();
  const Slack off = slack(greatest);
  const double within = limit - constant_;
  if (metric_ == Metric::kInnerProduct) {
    const double most = within + 2.0 * norm_ * off.row + off.sum;
    return static_cast<float>(most + 1e-6 * std::abs(most) + std::numeric_limits<float>::min());
  }
  const double root = std::sqrt(within) + off.row + 2 * kUnitRoundoff;
  const double relative = kUnitRoundoff * (static_cast<double>(values_.size()) / 16 + 16);
  const double most = (root * root + off.sum + double{off.row} * off.row) / (1 - relative);
  return static_cast<float>(most * (1 + 1e-6) + std::numeric_limits<float>::min());
}

}  // namespace vecstore
