// SPDX-License-Identifier: Apache-2.0
#include "graph/prepared_query.h"

#include <cmath>

#include "engine/base/sums.h"

namespace vecstore {

Result<PreparedQuery> PreparedQuery::create(const GraphLayout& layout, MemoryBudget& budget) {
  PreparedQuery query;
  query.kernels_ = &kernels();
  query.metric_ = layout.metric;
  query.dtype_ = layout.dtype;
  query.row_params_ = layout.row_params;
  VECSTORE_ASSIGN(query.values_, Buffer<float>::allocate(budget, layout.dim));
  VECSTORE_ASSIGN(query.codes_, Buffer<std::uint8_t>::allocate(budget, layout.dim));
  return query;
}

void PreparedQuery::prepare(const VectorView& queries, std::uint64_t query) {
  widen_row(queries, query, values_.data());
  double norm2 = sum_of_squares(values_.span());
  if (metric_ == Metric::kCosine) {
    const auto inverse = static_cast<float>(1.0 / std::sqrt(norm2));
    for (float& x : values_) x *= inverse;
    norm2 = 1.0;
  }
  norm2_ = static_cast<float>(norm2);
  sum_ = static_cast<float>(sum_of(values_.span()));
  if (row_params_) return;
  const auto* from = reinterpret_cast<const std::uint8_t*>(queries.row(query));
  const std::uint8_t shift = dtype_ == DType::kI8 ? 0x80u : 0u;
  for (std::size_t i = 0; i < codes_.size(); ++i) codes_[i] = from[i] ^ shift;
}

}  // namespace vecstore
