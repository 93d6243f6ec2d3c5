// SPDX-License-Identifier: Apache-2.0
//
// Where an extent has its row groups. Where RowIds are consecutive the directory is indexed by row number. Where they
// have gaps it is searched: the first RowId of each of its pages is in memory, so that a look-up reads one of them.
#pragma once

#include <cstdint>

#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/rows/rows_header.h"
#include "engine/rows/rows_stream.h"

namespace vecstore::rows {

// What the directory says of a group; not yet compared with the group itself.
struct GroupPlace {
  std::uint64_t group = 0;   // its number
  std::uint64_t offset = 0;  // in the stream, before the end of the groups
  std::uint64_t first = 0;   // RowId of its first row
  std::uint64_t end = 0;     // its rows are below this
};

// Thread-safe: each caller brings a stream. Errors of all: kIo, kCorrupt.
class Directory {
 public:
  // File and header must outlive it. A page of the index that is damaged is made anew. Errors: kMemoryBudget too.
  static Result<Directory> open(const PageFile& file, const Header& header, MemoryBudget& budget);

  std::uint64_t memory_bytes() const { return index_.size_bytes(); }

  Status place_of(Stream& stream, std::uint64_t group, GroupPlace& place) const;
  // The last group that begins at or before `row`, else the first one. The row must be before the end of the extent.
  Status locate(Stream& stream, RowId row, GroupPlace& place) const;
  // Whether the index on disk has the first RowId of a page of the directory.
  Status verify_index(Stream& stream, std::uint64_t directory_page) const;
  std::uint64_t index_size() const { return index_.size(); }

 private:
  Directory(const PageFile& file, const Header& header) : file_(&file), header_(&header) {}
  Status load_index();
  bool can_follow(std::uint64_t page, std::uint64_t first) const;
  std::uint64_t entry_at(std::uint64_t group) const;
  std::uint64_t index_entry_at(std::uint64_t page) const;
  Status read_gap_place(Stream& stream, GroupPlace& place) const;
  Status find_in_page(Stream& stream, std::uint64_t page, RowId row, std::uint64_t& group) const;

  const PageFile* file_;
  const Header* header_;
  Buffer<std::uint64_t> index_;  // where RowIds have gaps: the first one of each page, never descending
};

}  // namespace vecstore::rows
