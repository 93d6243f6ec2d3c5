// SPDX-License-Identifier: Apache-2.0
//
// All rows of a view, batch by batch: first those of the graph, by rows/ and row map read front to back, then those of
// the delta.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "engine/content/view.h"
#include "engine/options.h"
#include "engine/reports.h"
#include "engine/rows/stored_rows.h"

namespace vecstore {

// For one thread at a time.
class ScanOfView {
 public:
  // The budget, which a few pages are charged to, must outlive it. Errors: kMemoryBudget, kIo, kCorrupt.
  static Result<ScanOfView> begin(View view, const ScanOptions& options, MemoryBudget& budget);
  // As Scan::next() says.
  Status next(ScanBatch& batch, std::size_t rows_max);

 private:
  ScanOfView(View view, const ScanOptions& options, MemoryBudget& budget)
      : view_(std::move(view)), options_(options), budget_(&budget) {}
  Status begin_graph();
  bool wants_rows() const;  // more of rows/ than keys
  Status next_of_graph(ScanBatch& batch, std::size_t rows_max);
  Status next_of_delta(ScanBatch& batch, std::size_t rows_max);
  Status refill();
  Result<Pos> position_of(RowId row);
  Status take(const NumberedRow& row, ScanBatch& batch);
  void append_key(const Key& key, ScanBatch& batch) const;
  Status read_pages(ScanBatch& batch);  // the vectors of all, whose positions are known

  View view_;
  ScanOptions options_;
  MemoryBudget* budget_;
  bool is_graph_done_ = false;
  std::optional<StoredRowsPass> rows_pass_;  // one of these, or neither: rows are named by the map alone
  std::optional<StoredKeysPass> keys_pass_;
  std::optional<RowMapCursor> cursor_;  // where positions are needed, or the map names the rows
  std::vector<NumberedRow> waiting_;    // that a pass brought
  std::vector<KeyOfRow> keys_;
  std::size_t taken_ = 0;       // of those that wait
  std::vector<Pos> positions_;  // of the batch at hand, where vectors lie on pages
  Buffer<std::byte> page_;
  DeltaRows::ScanPlace delta_place_;
};

}  // namespace vecstore
