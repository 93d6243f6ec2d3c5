// SPDX-License-Identifier: Apache-2.0
//
// What is kept of the rows of a graph. A merge leaves extents as they are while few of their rows are gone, and adds
// one of those that are new. So there are several, and some have rows that the graph has no longer: the row map tells.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/generation/row_map.h"
#include "engine/rows/rows.h"

namespace vecstore {

// Extents of one layout by ascending RowId, whose ranges do not overlap. Thread-safe.
class StoredRows {
 public:
  struct File {
    std::string path;
    FileIdentity identity;
  };
  // At least one, in any order. map: of the graph, which must outlive this; nullptr: every row is of it. Errors: as of
  // RowsExtent::open(); kCorrupt where they do not go together.
  static Result<StoredRows> open(FileSystem& file_system, std::span<const File> files, const RowMap* map,
                                 MemoryBudget& budget);
  static Result<StoredRows> of(std::vector<RowsExtent> extents, const RowMap* map);

  std::span<const RowsExtent> extents() const { return extents_; }
  const RowMap* map() const { return map_; }
  std::uint64_t rows() const { return map_ == nullptr ? rows_kept() : map_->rows(); }  // of the graph
  std::uint64_t rows_kept() const;                                                     // those that are gone too
  RowId first() const { return extents_.front().first(); }
  RowId end() const { return extents_.back().end(); }
  const RowsLayout& layout() const { return extents_.front().layout(); }
  std::uint64_t memory_bytes() const;  // on the budget, without dictionaries that cannot be read

  // Of a row of the graph. `reads`, when given, grows by the pages read. Errors: kNotFound, kIo, kCorrupt.
  Result<StoredRow> read(RowId row, std::uint64_t* reads = nullptr) const;
  // Without anything else that is kept of it. The layout must have keys. Errors: as above.
  Result<std::string> read_key(RowId row) const;
  // Every page of the extents, and that they have every row of the graph; appends to `damage` as an extent does. Of a
  // row map that cannot be read nothing is told. Errors besides: kMemoryBudget, kCancelled.
  Status verify(std::vector<Status>& damage, MemoryBudget& budget, const CancelToken* cancel = nullptr) const;

 private:
  friend class RowsOfGraph;
  StoredRows(std::vector<RowsExtent> extents, const RowMap* map) : extents_(std::move(extents)), map_(map) {}
  const RowsExtent& extent_of(RowId row) const;

  std::vector<RowsExtent> extents_;
  const RowMap* map_;
};

// Tells rows of the graph from others, as they come by ascending RowId. For one thread at a time.
class RowsOfGraph {
 public:
  // Of the rows from `first` on. The stored rows must outlive it. Errors: kCorrupt, kIo, kMemoryBudget.
  static Result<RowsOfGraph> begin(const StoredRows& rows, RowId first, MemoryBudget& budget);
  // Whether it is one. Errors: kCorrupt where the graph has a row between the last one that was asked for and this.
  Result<bool> has(RowId row);
  // Takes those out that are not. Row: with an id. Errors: as above.
  template <typename Row>
  Status keep(std::vector<Row>& rows) {
    std::size_t kept = 0;
    for (Row& row : rows) {
      VECSTORE_ASSIGN(const bool is_kept, has(row.id));
      if (!is_kept) continue;
      if (&rows[kept] != &row) rows[kept] = std::move(row);
      ++kept;
    }
    rows.resize(kept);
    return Status::ok();
  }
  // kCorrupt where the graph has more rows.
  Status expect_end() const;

 private:
  explicit RowsOfGraph(const StoredRows& rows) : rows_(&rows) {}
  Status lacks(RowId row) const;

  const StoredRows* rows_;
  std::unique_ptr<RowMapCursor> cursor_;  // none where every row is of the graph
  std::optional<RowMapCursor::Entry> next_;
};

// All rows of a graph in their order; of each extent every page is read once. For one thread at a time.
class StoredRowsPass {
 public:
  // From that extent on. The stored rows must outlive it. Three pages are on `budget`. Errors: kMemoryBudget, kIo,
  // kCorrupt.
  static Result<StoredRowsPass> begin(const StoredRows& rows, MemoryBudget& budget, std::size_t extent = 0);
  // Some more; none after the last one. Errors: kIo; kCorrupt, also where a row of the graph is missing.
  Status next(std::vector<NumberedRow>& rows);

 private:
  StoredRowsPass(const StoredRows& rows, RowsOfGraph graph, MemoryBudget& budget, std::size_t extent)
      : rows_(&rows), graph_(std::move(graph)), budget_(&budget), extent_(extent) {}

  const StoredRows* rows_;
  RowsOfGraph graph_;
  MemoryBudget* budget_;
  std::size_t extent_;
  std::optional<RowsPass> pass_;  // over that extent
};

// The keys of all rows of a graph in their order. For one thread at a time.
class StoredKeysPass {
 public:
  // The stored rows, whose layout must have keys, must outlive it. Errors: kMemoryBudget, kIo, kCorrupt.
  static Result<StoredKeysPass> begin(const StoredRows& rows, MemoryBudget& budget);
  // Some more; none after the last one. Errors: kIo; kCorrupt, also where a row of the graph is missing.
  Status next(std::vector<KeyOfRow>& keys);

 private:
  StoredKeysPass(const StoredRows& rows, RowsOfGraph graph)
      : rows_(&rows), graph_(std::move(graph)), from_(rows.first()) {}

  const StoredRows* rows_;
  RowsOfGraph graph_;
  std::size_t extent_ = 0;
  RowId from_;  // in that extent
};

}  // namespace vecstore
