// SPDX-License-Identifier: Apache-2.0
//
// rowmap-<n>: where each row of a graph stands. Byte-exact format: engine/generation/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>

#include "base/ids.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/generation/page_stream.h"
#include "pagestore/manifest.h"
#include "pagestore/page_file.h"

namespace vecstore {

// What the attributes of a row map say.
struct RowMapForm {
  std::uint64_t rows = 0;          // that the map names
  bool has_row_ids = false;        // version 2
  std::uint32_t row_id_bytes = 0;  // in version 2
  std::uint64_t row_end = 0;       // one past the greatest RowId

  std::uint32_t entry_bytes() const { return row_id_bytes + std::uint32_t{sizeof(Pos)}; }
  std::uint64_t index_at() const { return rows * entry_bytes(); }
  std::uint64_t index_entries() const;
  std::uint64_t bytes() const { return index_at() + index_entries() * sizeof(std::uint64_t); }
};

// positions: [rows], kNoPos for rows that are not in the graph. row_ids: [rows] theirs, strictly ascending, each below
// 2^64 − 1; empty: a row's place in `positions` is its RowId. Rows that have gaps take a longer form of the map.
Result<ManifestFile> write_row_map(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                   std::span<const Pos> positions, MemoryBudget& budget,
                                   std::span<const std::uint64_t> row_ids = {});

// The same of rows that come one by one, by RowId.
class RowMapWriter {
 public:
  // `rows` will come, and `greatest` is the greatest RowId among them. Errors: as of PageFileWriter::create().
  static Result<RowMapWriter> create(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                     std::uint64_t rows, std::uint64_t greatest, MemoryBudget& budget);
  // RowIds ascend. Errors: kIo, kNoSpace.
  Status add(RowId row, Pos position);
  Result<ManifestFile> finish();

 private:
  RowMapWriter(PageFileWriter file, const FileIdentity& identity)
      : file_(std::make_unique<PageFileWriter>(std::move(file))), stream_(*file_), identity_(identity) {}

  std::unique_ptr<PageFileWriter> file_;  // of which the stream knows the place
  PageStreamWriter stream_;
  FileIdentity identity_;
  RowMapForm form_;
  std::uint64_t added_ = 0;
  Buffer<std::uint64_t> index_;
};

class RowMapCursor;

// An open row map. Thread-safe.
class RowMap {
 public:
  using Visit = std::function<Status(RowId row, Pos position)>;

  // The map of a graph of so many rows. Errors: kCorrupt, kNewerFormat, kIo, kMemoryBudget.
  static Result<RowMap> open(PageFile file, std::uint64_t graph_rows, MemoryBudget& budget);
  // Bytes that open() keeps in memory. Errors: kCorrupt, kNewerFormat.
  static Result<std::uint64_t> predict_bytes(const PageFile& file, std::uint64_t graph_rows);

  // nullopt: the graph does not have the row. Reads a page of the map, or two. Errors: kCorrupt, kIo, kMemoryBudget.
  Result<std::optional<Pos>> find(RowId row, MemoryBudget& budget) const;
  // Every row of the graph with its position, ascending, until visit() returns an error, which is then returned. The
  // whole map is read and checked. Errors: as of find(). Who wants them one by one takes a RowMapCursor.
  Status for_each(MemoryBudget& budget, const Visit& visit) const;

  // Every RowId below row_end() is in the map; a map without gaps.
  bool is_dense() const { return !form_.has_row_ids; }
  std::uint64_t rows() const { return form_.rows; }
  std::uint64_t row_end() const { return form_.row_end; }
  const PageFile& file() const { return file_; }

 private:
  friend class RowMapCursor;
  RowMap(PageFile file, const RowMapForm& form, std::uint64_t graph_rows)
      : file_(std::move(file)), form_(form), graph_rows_(graph_rows) {}
  static Result<RowMapForm> read_form(const PageFile& file, std::uint64_t graph_rows);
  Status load_index(MemoryBudget& budget);
  Result<PageStreamReader> stream_from(std::uint64_t byte, MemoryBudget& budget) const;
  Status check_position(RowId row, Pos position) const;
  Status damaged(const char* text, RowId row) const;

  PageFile file_;
  RowMapForm form_;
  std::uint64_t graph_rows_;
  Buffer<std::uint64_t> index_;  // the first RowId of every part of the entries; none where the map is dense
};

// Brings the rows of a map, which must outlive it, one by one. For one thread at a time.
class RowMapCursor {
 public:
  struct Entry {
    RowId row;
    Pos position = kNoPos;
  };
  // Errors: kMemoryBudget.
  static Result<RowMapCursor> begin(const RowMap& map, MemoryBudget& budget) { return begin_at(map, 0, budget); }
  // Ascending; nullopt after the last one. Errors: kCorrupt, kIo.
  Result<std::optional<Entry>> next() { return map_->is_dense() ? next_dense() : next_numbered(); }

 private:
  friend class RowMap;
  RowMapCursor(const RowMap& map, std::uint64_t nth, PageStreamReader stream)
      : map_(&map), nth_(nth), stream_(std::move(stream)) {}
  // nth: the entry that comes first; where the map is not dense the first of a part.
  static Result<RowMapCursor> begin_at(const RowMap& map, std::uint64_t nth, MemoryBudget& budget);
  Result<std::optional<Entry>> next_dense();
  Result<std::optional<Entry>> next_numbered();

  const RowMap* map_;
  std::uint64_t nth_ = 0;  // entry that comes next
  std::uint64_t least_ = 0;
  PageStreamReader stream_;
};

}  // namespace vecstore
