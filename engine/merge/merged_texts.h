// SPDX-License-Identifier: Apache-2.0
//
// What rows/ keeps of the rows of a merge. Extents stay while few of their rows are gone. What is new is written as one
// extent, together with what the extents behind those have.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/frames.h"
#include "engine/merge/merged_rows.h"
#include "engine/rows/catalog.h"
#include "engine/rows/rows.h"
#include "engine/watch.h"
#include "pagestore/manifest.h"

namespace vecstore {

// For one thread.
class MergedTexts {
 public:
  // `number_keys`: keys are numbers and not all are the RowIds. Everything outlives it.
  MergedTexts(const MergedRows& rows, bool number_keys, MemoryBudget& budget, Watch& watch);

  // What an extent of them has; nothing, and there need be none.
  const RowsLayout& layout() const { return layout_; }
  bool is_needed() const { return layout_.keys || layout_.documents || layout_.vector_bytes != 0; }

  // Before write(): which extents stay. Errors: kIo, kCorrupt, kMemoryBudget.
  Status choose();
  // As many of the first ones of the content before.
  std::size_t extents_that_stay() const { return extents_that_stay_; }
  // Nothing where all rows are in those that stay. Errors: kIo, kNoSpace, kCorrupt, kMemoryBudget, kCancelled.
  Result<std::optional<ManifestFile>> write(FileSystem& file_system, const std::string& path,
                                            const FileIdentity& identity);

 private:
  bool can_stay() const;
  bool is_gone(RowId row) const;
  using Visit = std::function<Status(RowId, const RowPayload&)>;
  // All rows that are written, in their order.
  Status for_each(const Visit& visit);
  Status for_each_old(const Visit& visit);
  Status for_each_new(const Visit& visit);
  std::string_view number_key(std::uint64_t number);

  const MergedRows& rows_;
  MemoryBudget& budget_;
  Watch& watch_;
  RowsLayout layout_;
  std::size_t extents_that_stay_ = 0;
  std::uint64_t old_rows_ = 0;  // of the graph before that are written
  RowId first_;                 // that is written
  std::string key_;
};

}  // namespace vecstore
