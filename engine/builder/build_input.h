// SPDX-License-Identifier: Apache-2.0
//
// What a generation is made of: a user's vectors and files, or the rows of a store that is merged.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/ids.h"
#include "base/status.h"
#include "engine/generation/properties.h"
#include "engine/vector_source.h"

namespace vecstore {

// Keys and documents of all rows, front to back. Not thread-safe.
class RowTexts {
 public:
  virtual ~RowTexts() = default;
  virtual bool has_keys() const = 0;  // that are byte strings
  virtual bool has_documents() const = 0;
  virtual Status rewind() = 0;  // before the first pass too
  // Of the next row; good until the next call. Errors: those of where they come from.
  virtual Status next(std::string_view& key, std::string_view& document) = 0;
  virtual Status expect_end() { return Status::ok(); }
};

// Borrowed.
struct BuildInput {
  const VectorSource* vectors = nullptr;
  // A merge's; else what the options of the build name.
  RowTexts* texts = nullptr;
  std::span<const std::uint64_t> row_ids = {};      // [rows] ascending; empty: rows are numbered from 0
  std::span<const std::uint64_t> number_keys = {};  // [rows]; empty: keys are byte strings, or the RowIds
  std::uint64_t row_end = 0;                        // RowIds from it on are free; 0: from `rows` on
  std::uint64_t applied_lsn = 0;                    // what the rows hold of the log
  std::optional<Uuid> store = std::nullopt;         // that goes on; none: a new one
  const BuildChoices* choices = nullptr;            // that the store was built by, where the options are others
};

}  // namespace vecstore
