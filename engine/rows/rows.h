// SPDX-License-Identifier: Apache-2.0
//
// rows/: what is kept of a row beside its place in the graph: its key, its document, and the vector as it was put where
// the page is lossy. Append-only checksummed extents by RowId, read only for rows that are returned.
// Byte-exact format: engine/rows/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel_token.h"
#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/frames.h"
#include "pagestore/page_file.h"

namespace vecstore {

struct RowsLayout {
  bool keys = false;
  bool documents = false;
  std::uint32_t vector_bytes = 0;  // size of one original; 0: none are kept
  // Every key is a number of 8 bytes, the highest first, so that keys sort as their numbers do. Only with keys, and
  // only where RowIds may have gaps.
  bool number_keys = false;
  friend bool operator==(const RowsLayout&, const RowsLayout&) = default;
};

// Borrowed.
struct RowPayload {
  std::string_view key;
  std::string_view document;
  std::span<const std::byte> vector;
};

// Writes one extent, front to back. Not thread-safe.
class RowsWriter {
 public:
  // Consecutive RowIds from `first`. `dictionary`, of the documents, is kept in the extent; it may be null and must
  // outlive the writer.
  static Result<RowsWriter> create(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                   RowId first, const RowsLayout& layout, const FrameDictionary* dictionary,
                                   MemoryBudget& budget);
  // RowIds that ascend with gaps of any size.
  static Result<RowsWriter> create_with_gaps(FileSystem& file_system, const std::string& path,
                                             const FileIdentity& identity, const RowsLayout& layout,
                                             const FrameDictionary* dictionary, MemoryBudget& budget);
  RowsWriter(RowsWriter&&) noexcept;
  ~RowsWriter();
  // The next row. Errors: kInvalidInput (key or document too long), kIo, kNoSpace.
  Status append(const RowPayload& row);
  // Where RowIds may have gaps: above all that were appended, and not the greatest number there is. Errors: as above.
  Status append(RowId id, const RowPayload& row);
  Result<PageFileWriter::Finished> finish();

 private:
  struct Impl;
  explicit RowsWriter(std::unique_ptr<Impl> impl);
  // first: none where RowIds may have gaps.
  static Result<RowsWriter> open(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                 std::optional<RowId> first, const RowsLayout& layout,
                                 const FrameDictionary* dictionary, MemoryBudget& budget);
  std::unique_ptr<Impl> impl_;
};

struct StoredRow {
  std::string key;
  std::string document;
  std::vector<std::byte> vector;
};

struct KeyOfRow {
  RowId id;
  std::string key;
};

struct NumberedRow {
  RowId id;
  StoredRow row;
};

// Reads an extent. Thread-safe. On `budget` it holds the dictionary of the documents. Where RowIds have gaps it also
// holds 8 bytes for each 255 groups of rows. A lookup reads the pages it needs.
//
// Whoever goes over all keys goes from group to group; for all rows there is RowsPass.
//   for (RowId from = extent.first(); from < extent.end();) {
//     VECSTORE_ASSIGN(from, extent.read_keys(from, keys));
//     …
//   }
class RowsExtent {
 public:
  static Result<RowsExtent> open(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                 MemoryBudget& budget);
  RowsExtent(RowsExtent&&) noexcept;
  RowsExtent& operator=(RowsExtent&&) noexcept;
  ~RowsExtent();
  RowId first() const;
  RowId end() const;  // one past the greatest RowId; first() where there are no rows
  std::uint64_t rows() const;
  const RowsLayout& layout() const;
  const std::string& path() const;
  std::uint64_t memory_bytes() const;  // on the budget, without a dictionary that cannot be read
  // `reads`, when given, grows by the pages read. Errors: kNotFound (no such row), kIo, kCorrupt.
  Result<StoredRow> read(RowId row, std::uint64_t* reads = nullptr) const;
  // Reads nothing where RowIds are consecutive, else as much as read() does without what the row holds. Errors: kIo,
  // kCorrupt.
  Result<bool> contains(RowId row) const;
  // Of the first row from `from` on and of those after it that share its group; never empty. Returns where the next
  // group begins, or end(): a pass that goes on there reads the pages of each group once. Errors: kNotFound (no row
  // from there on), kIo, kCorrupt.
  Result<RowId> read_keys(RowId from, std::vector<KeyOfRow>& keys) const;  // the layout must have keys
  Result<RowId> read_rows(RowId from, std::vector<NumberedRow>& rows, std::uint64_t* reads = nullptr) const;
  // Reads every page and every row. Appends what it finds to `damage`, one entry a page, at most kDamageMax in all;
  // returns the first of it, or ok. meet, if there is any, is told RowIds in their order until something is damaged;
  // its error is damage too.
  static constexpr std::size_t kDamageMax = 100;
  using MeetRows = std::function<Status(std::span<const std::uint64_t> ids)>;
  Status verify(std::vector<Status>& damage, const CancelToken* cancel = nullptr, const MeetRows& meet = nullptr) const;

 private:
  friend class RowsPass;
  struct Impl;
  explicit RowsExtent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// All rows of an extent, which must outlive it, in their order; reads each page once. For one thread at a time.
class RowsPass {
 public:
  // What it takes, two pages, is on `budget`. `reads`, when given, grows by the pages read. Errors: kMemoryBudget.
  static Result<RowsPass> begin(const RowsExtent& extent, MemoryBudget& budget, std::uint64_t* reads = nullptr);
  RowsPass(RowsPass&&) noexcept;
  ~RowsPass();
  // The rows of the next group; none after the last one. They are as many as the extent says, or it fails. Errors:
  // kIo, kCorrupt.
  Status next(std::vector<NumberedRow>& rows);

 private:
  struct Impl;
  explicit RowsPass(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vecstore
