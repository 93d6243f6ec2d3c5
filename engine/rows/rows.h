// SPDX-License-Identifier: Apache-2.0
//
// rows/: what is kept of a row beside its place in the graph: its key, its document, and the vector as it was put where
// the page is lossy. Append-only checksummed extents by RowId, read only for rows that are returned.
// Byte-exact format: engine/rows/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
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
};

// Borrowed.
struct RowPayload {
  std::string_view key;
  std::string_view document;
  std::span<const std::byte> vector;
};

// Writes one extent: consecutive RowIds from `first`, front to back. Not thread-safe.
class RowsWriter {
 public:
  // `dictionary`, of the documents, is kept in the extent; it may be null and must outlive the writer.
  static Result<RowsWriter> create(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                   RowId first, const RowsLayout& layout, const FrameDictionary* dictionary,
                                   MemoryBudget& budget);
  RowsWriter(RowsWriter&&) noexcept;
  ~RowsWriter();
  Status append(const RowPayload& row);  // Errors: kInvalidInput (key or document too long), kIo, kNoSpace
  Result<PageFileWriter::Finished> finish();

 private:
  struct Impl;
  explicit RowsWriter(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

struct StoredRow {
  std::string key;
  std::string document;
  std::vector<std::byte> vector;
};

// Reads an extent. Thread-safe. Holds no table that grows with the rows, only the dictionary of the documents, on
// `budget`: a lookup reads the pages it needs.
class RowsExtent {
 public:
  static Result<RowsExtent> open(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                 MemoryBudget& budget);
  RowsExtent(RowsExtent&&) noexcept;
  ~RowsExtent();
  RowId first() const;
  std::uint64_t rows() const;
  const RowsLayout& layout() const;
  std::uint64_t memory_bytes() const;  // on the budget; 0 where there is no dictionary, or none that can be read
  // `reads`, when given, grows by the pages read. Errors: kNotFound (outside the extent), kIo, kCorrupt.
  Result<StoredRow> read(RowId row, std::uint64_t* reads = nullptr) const;
  // The keys of `row` and of the rows after it that share its group, so that a pass over all keys reads each page once.
  // The layout must have keys. Errors: as of read().
  Status read_keys(RowId row, std::vector<std::string>& keys) const;
  // Reads every page and every row. Appends what it finds to `damage`, one entry a page, at most kDamageMax in all;
  // returns the first of it, or ok.
  static constexpr std::size_t kDamageMax = 100;
  Status verify(std::vector<Status>& damage, const CancelToken* cancel = nullptr) const;

 private:
  struct Impl;
  explicit RowsExtent(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vecstore
