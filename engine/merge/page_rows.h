// SPDX-License-Identifier: Apache-2.0
//
// The rows of a graph file by position, as floats: what codes are made of once pages are written.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/mutex.h"
#include "base/status.h"
#include "compress/float_rows.h"
#include "engine/merge/row_pool.h"
#include "graph/format.h"
#include "pagestore/page_file.h"

namespace vecstore {

// Fastest where rows are read front to back.
class PageRows final : public FloatRows {
 public:
  // `pool` has no new rows, and outlives it.
  PageRows(const GraphLayout& layout, RowPool& pool) : layout_(layout), pool_(pool) {}
  std::uint64_t rows() const override { return layout_.rows; }
  std::uint32_t dim() const override { return layout_.dim; }
  // Zeros where it fails: outcome() tells.
  void read(Pos position, float* out) const override;
  void expect(std::span<const Pos> positions) const override;
  // The first failure. Errors: kIo, kCorrupt naming the page.
  Status outcome() const;

 private:
  const GraphLayout layout_;
  mutable Mutex mutex_;
  RowPool& pool_ VECSTORE_GUARDED_BY(mutex_);
  mutable std::vector<std::uint32_t> slots_ VECSTORE_GUARDED_BY(mutex_);
  mutable Status outcome_ VECSTORE_GUARDED_BY(mutex_);
};

}  // namespace vecstore
