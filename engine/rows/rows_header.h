// SPDX-License-Identifier: Apache-2.0
//
// What the header page of an extent says, checked, and where it has the parts of the file.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "engine/rows/rows.h"
#include "engine/rows/rows_format.h"
#include "pagestore/page_file.h"

namespace vecstore::rows {

struct Header {
  Attributes attributes;
  DictionaryAttributes dictionary;  // bytes = 0: there is none
  GapAttributes gaps;               // where RowIds have none, what follows from the rest

  bool has_gaps() const { return attributes.version == kVersionWithGaps; }
  RowsLayout layout() const;

  std::uint64_t directory_pages() const;
  std::uint64_t index_pages() const;
  // Offsets in the stream.
  std::uint64_t directory_at() const { return pages_of(attributes.stream_bytes) * kStreamPageBytes; }
  std::uint64_t index_at() const { return directory_at() + directory_pages() * kStreamPageBytes; }
  std::uint64_t dictionary_at(std::uint64_t copy) const;  // copy = kDictionaryCopies: where the file ends
};

// Errors: kNewerFormat, kCorrupt. With what it returns no sum of offsets overflows, and each part lies in the file.
Result<Header> read_header(const PageFile& file);
Status damaged_header(const PageFile& file);

}  // namespace vecstore::rows
