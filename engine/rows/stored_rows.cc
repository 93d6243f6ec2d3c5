// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/stored_rows.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace vecstore {

Result<StoredRows> StoredRows::open(FileSystem& file_system, std::span<const File> files, const RowMap* map,
                                    MemoryBudget& budget) {
  std::vector<RowsExtent> extents;
  extents.reserve(files.size());
  for (const File& file : files) {
    VECSTORE_ASSIGN(RowsExtent extent, RowsExtent::open(file_system, file.path, file.identity, budget));
    extents.push_back(std::move(extent));
  }
  return of(std::move(extents), map);
}

Result<StoredRows> StoredRows::of(std::vector<RowsExtent> extents, const RowMap* map) {
  VECSTORE_CHECK(!extents.empty());
  std::ranges::sort(extents, {}, &RowsExtent::first);
  for (std::size_t i = 1; i < extents.size(); ++i)
    if (extents[i].first() < extents[i - 1].end() || extents[i].layout() != extents[0].layout())
      return Status(Code::kCorrupt,
                    "the rows kept here do not go together with those of other files; restore or rebuild")
          .about(extents[i].path());
  return StoredRows(std::move(extents), map);
}

std::uint64_t StoredRows::rows_kept() const {
  std::uint64_t rows = 0;
  for (const RowsExtent& extent : extents_) rows += extent.rows();
  return rows;
}

std::uint64_t StoredRows::memory_bytes() const {
  std::uint64_t bytes = 0;
  for (const RowsExtent& extent : extents_) bytes += extent.memory_bytes();
  return bytes;
}

// The one that would have it.
const RowsExtent& StoredRows::extent_of(RowId row) const {
  const auto behind = std::ranges::upper_bound(extents_, row, {}, &RowsExtent::first);
  return behind == extents_.begin() ? *behind : *(behind - 1);
}

Result<StoredRow> StoredRows::read(RowId row, std::uint64_t* reads) const { return extent_of(row).read(row, reads); }

Result<std::string> StoredRows::read_key(RowId row) const {
  const RowsExtent& extent = extent_of(row);
  std::vector<KeyOfRow> keys;
  if (const auto next = extent.read_keys(row, keys); !next) return next.error();
  if (keys.front().id != row)
    return Status(Code::kNotFound, "there is no such row").about(extent.path()).at(Detail::kRow, row.value);
  return std::move(keys.front().key);
}

Status StoredRows::verify(std::vector<Status>& damage, MemoryBudget& budget, const CancelToken* cancel) const {
  auto graph = RowsOfGraph::begin(*this, RowId{0}, budget);
  if (!graph && graph.error().code() == Code::kMemoryBudget) return graph.error();
  Status worst;
  const RowsExtent::MeetRows meet = [&graph](std::span<const std::uint64_t> ids) {
    for (const std::uint64_t id : ids)
      if (const auto known = graph->has(RowId{id}); !known) return known.error();
    return Status::ok();
  };
  for (const RowsExtent& extent : extents_) {
    // What is damaged may be what is missed.
    const Status found = extent.verify(damage, cancel, graph && worst.is_ok() ? meet : nullptr);
    if (found.code() == Code::kCancelled) return found;
    if (worst.is_ok()) worst = found;
  }
  if (!graph || !worst.is_ok()) return worst;
  worst = graph->expect_end();
  if (!worst.is_ok()) damage.push_back(worst);
  return worst;
}

// --------------------------------------------------------------------------------------------------- rows of the graph

Result<RowsOfGraph> RowsOfGraph::begin(const StoredRows& rows, RowId first, MemoryBudget& budget) {
  RowsOfGraph graph(rows);
  if (rows.map() == nullptr) return graph;
  VECSTORE_ASSIGN(RowMapCursor cursor, RowMapCursor::begin(*rows.map(), budget));
  graph.cursor_ = std::make_unique<RowMapCursor>(std::move(cursor));
  do {
    VECSTORE_ASSIGN(graph.next_, graph.cursor_->next());
  } while (graph.next_ && graph.next_->row < first);
  return graph;
}

Result<bool> RowsOfGraph::has(RowId row) {
  if (!cursor_) return true;
  if (!next_ || next_->row > row) return false;
  if (next_->row != row) return lacks(next_->row);
  VECSTORE_ASSIGN(next_, cursor_->next());
  return true;
}

Status RowsOfGraph::expect_end() const { return next_ ? lacks(next_->row) : Status::ok(); }

Status RowsOfGraph::lacks(RowId row) const {
  return Status(Code::kCorrupt, "a row that the graph has is not here; restore or rebuild")
      .about(rows_->extent_of(row).path())
      .at(Detail::kRow, row.value);
}

// -------------------------------------------------------------------------------------------------------------- passes

Result<StoredRowsPass> StoredRowsPass::begin(const StoredRows& rows, MemoryBudget& budget, std::size_t extent) {
  VECSTORE_CHECK(extent <= rows.extents().size());
  const RowId first = extent == 0                      ? RowId{0}
                      : extent < rows.extents().size() ? rows.extents()[extent].first()
                                                       : rows.end();
  VECSTORE_ASSIGN(RowsOfGraph graph, RowsOfGraph::begin(rows, first, budget));
  return StoredRowsPass(rows, std::move(graph), budget, extent);
}

Status StoredRowsPass::next(std::vector<NumberedRow>& rows) {
  while (true) {
    rows.clear();
    if (extent_ == rows_->extents().size()) return graph_.expect_end();
    if (!pass_) {
      VECSTORE_ASSIGN(RowsPass pass, RowsPass::begin(rows_->extents()[extent_], *budget_));
      pass_.emplace(std::move(pass));
    }
    VECSTORE_TRY(pass_->next(rows));
    if (rows.empty()) {
      pass_.reset();
      ++extent_;
      continue;
    }
    VECSTORE_TRY(graph_.keep(rows));
    if (!rows.empty()) return Status::ok();
  }
}

Result<StoredKeysPass> StoredKeysPass::begin(const StoredRows& rows, MemoryBudget& budget) {
  VECSTORE_CHECK(rows.layout().keys);
  VECSTORE_ASSIGN(RowsOfGraph graph, RowsOfGraph::begin(rows, RowId{0}, budget));
  return StoredKeysPass(rows, std::move(graph));
}

Status StoredKeysPass::next(std::vector<KeyOfRow>& keys) {
  while (true) {
    keys.clear();
    if (extent_ == rows_->extents().size()) return graph_.expect_end();
    const RowsExtent& extent = rows_->extents()[extent_];
    if (from_ >= extent.end()) {
      if (++extent_ < rows_->extents().size()) from_ = rows_->extents()[extent_].first();
      continue;
    }
    VECSTORE_ASSIGN(from_, extent.read_keys(from_, keys));
    VECSTORE_TRY(graph_.keep(keys));
    if (!keys.empty()) return Status::ok();
  }
}

}  // namespace vecstore
