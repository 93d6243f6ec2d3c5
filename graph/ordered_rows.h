// SPDX-License-Identifier: Apache-2.0
//
// Rows in an order, as pages hold them: what codes are made of.
#pragma once

#include <cstdint>
#include <span>

#include "compress/float_rows.h"
#include "graph/quantized_rows.h"

namespace vecstore {

// Borrows both. `order[position] = row`.
class OrderedRows final : public FloatRows {
 public:
  OrderedRows(const QuantizedRows& rows, std::span<const std::uint32_t> order) : rows_(&rows), order_(order) {}
  std::uint64_t rows() const override { return order_.size(); }
  std::uint32_t dim() const override { return rows_->dim(); }
  void read(Pos position, float* out) const override { rows_->decode(order_[position], out); }

 private:
  const QuantizedRows* rows_;
  std::span<const std::uint32_t> order_;
};

}  // namespace vecstore
