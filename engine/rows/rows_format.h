// SPDX-License-Identifier: Apache-2.0
//
// The bytes of an extent of rows/. Byte-exact description: engine/rows/README.md, figures behind the choices: NOTES.
//
// The payloads of the data pages, one after the other, are a stream. Groups of up to kGroupRowsMax rows follow each
// other in it, then, from the next page on, the directory: where each group lies. Where RowIds have gaps, an index of
// the directory follows. Then the dictionary of the documents' frames, twice, where there is one.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/limits.h"
#include "engine/rows/rows.h"
#include "pagestore/format.h"

namespace vecstore::rows {

// RowIds are consecutive in the first two.
inline constexpr std::uint32_t kVersionWithoutDictionary = 1;
inline constexpr std::uint32_t kVersionWithDictionary = 2;
inline constexpr std::uint32_t kVersionWithGaps = 3;
inline constexpr std::uint32_t kVersion = kVersionWithGaps;  // the newest
inline constexpr std::uint32_t kPageBytes = 4096;
inline constexpr std::uint64_t kStreamPageBytes = page_payload_bytes(kPageBytes);
inline constexpr std::uint32_t kGroupRowsMax = 16;
inline constexpr std::size_t kFrameRawBytesMax = 16384;            // text of a frame of more than one document
inline constexpr std::size_t kFrameRawBytesWithDictionary = 4096;  // text written: the dictionary knows what they share
inline constexpr std::uint64_t kDictionaryCopies = 2;
inline constexpr std::uint32_t kVectorBytesMax = kDimMax * 4;
inline constexpr std::uint32_t kGroupVectorBytes = 3072;  // vectors beside documents, which have the rest of the page
inline constexpr std::uint32_t kKeyBytesUsual = 32;
inline constexpr std::uint32_t kHasKeys = 1;
inline constexpr std::uint32_t kHasDocuments = 2;
inline constexpr std::uint32_t kHasNumberKeys = 4;  // version 3, with kHasKeys

struct Attributes {
  std::uint32_t version = kVersion;
  std::uint32_t flags = 0;
  std::uint32_t vector_bytes = 0;
  std::uint32_t group_rows = 0;
  std::uint64_t first = 0;
  std::uint64_t rows = 0;
  std::uint64_t stream_bytes = 0;  // end of the last group
};
static_assert(sizeof(Attributes) == 40);

// Follows the attributes from version 2 on. Its copies lie behind the directory, each from a page of its own on.
struct DictionaryAttributes {
  std::uint32_t bytes = 0;
  std::uint32_t reserved = 0;
};
static_assert(sizeof(DictionaryAttributes) == 8);

// Follows those in version 3. A group may end early there, so that their number does not follow from the rows.
struct GapAttributes {
  std::uint64_t end = 0;  // one past the greatest RowId
  std::uint64_t groups = 0;
};
static_assert(sizeof(GapAttributes) == 16);

// Followed by rows × {u32 RowId less the first} where they have gaps, rows × {u16 key bytes}, rows × {u32 document
// bytes}, frames × FrameEntry, the keys, the frames and the vectors. The tables of what the layout does not have are
// absent.
struct GroupHeader {
  std::uint32_t group_bytes = 0;  // all of it, this header included
  std::uint16_t rows = 0;
  std::uint16_t frames = 0;
  std::uint64_t first = 0;  // RowId
};
static_assert(sizeof(GroupHeader) == 16);

// The documents of the next `rows` rows. bytes = their sum: stored as they are; less: one zstd frame.
inline constexpr std::size_t kFrameEntryBytes = 6;  // u32 bytes, u16 rows

inline constexpr std::size_t kNumberKeyBytes = 8;
inline constexpr std::size_t kTablesBytesMax = kGroupRowsMax * (4 + 2 + 4 + kFrameEntryBytes);

// What the directory tells of a group. Where RowIds are consecutive only the offset is stored.
struct DirectoryEntry {
  std::uint64_t offset = 0;  // in the stream
  std::uint64_t first = 0;   // RowId
};
static_assert(sizeof(DirectoryEntry) == 16);
inline constexpr std::uint64_t kOffsetBytes = 8;
inline constexpr std::uint64_t kIndexEntryBytes = 8;  // the first RowId of a page of the directory
// Of a page, whole ones.
inline constexpr std::uint64_t kOffsetsPerPage = kStreamPageBytes / kOffsetBytes;
inline constexpr std::uint64_t kEntriesPerPage = kStreamPageBytes / sizeof(DirectoryEntry);
inline constexpr std::uint64_t kIndexEntriesPerPage = kStreamPageBytes / kIndexEntryBytes;
static_assert(kStreamPageBytes % kOffsetBytes == 0 && kStreamPageBytes % kIndexEntryBytes == 0);
static_assert(kStreamPageBytes - kEntriesPerPage * sizeof(DirectoryEntry) == 8, "the README says so");
static_assert(kKeyBytesMax <= 0xFFFF && kDocumentBytesMax <= 0xFFFFFFFF);

// With originals a group is made small enough to stay on one page with them; without, 16 texts compress together.
// Beside documents, whose size nobody knows, there is room left; else as many rows as a page holds.
constexpr std::uint32_t group_rows_for(const RowsLayout& layout) {
  std::uint32_t rows = kGroupRowsMax;
  if (layout.documents) {
    while (rows > 1 && std::uint64_t{rows} * layout.vector_bytes > kGroupVectorBytes) rows /= 2;
    return rows;
  }
  const std::uint32_t key_bytes = !layout.keys ? 0 : 2 + (layout.number_keys ? kNumberKeyBytes : kKeyBytesUsual);
  const std::uint32_t row_bytes = layout.vector_bytes + 4 + key_bytes;
  while (rows > 1 && sizeof(GroupHeader) + std::uint64_t{rows} * row_bytes > kStreamPageBytes) --rows;
  return rows;
}

constexpr std::uint64_t divided_up(std::uint64_t number, std::uint64_t by) { return number / by + (number % by != 0); }

constexpr std::uint64_t pages_of(std::uint64_t stream_bytes) { return divided_up(stream_bytes, kStreamPageBytes); }

// Where a group of `size` bytes goes when the stream is at `at`: right there, unless it would then touch a page more
// than it has to.
constexpr std::uint64_t group_start(std::uint64_t at, std::uint64_t size) {
  const std::uint64_t within = at % kStreamPageBytes;
  const bool one_more = pages_of(within + size) > pages_of(size);
  return within != 0 && one_more ? at + (kStreamPageBytes - within) : at;
}

}  // namespace vecstore::rows
