// SPDX-License-Identifier: Apache-2.0
//
// Writes the catalog's file in the format of LMDB, without LMDB: that maps the file which it writes, and a map ends the
// process when the file is cut or its disk fails. Here each page is made in memory of ours and written once.
//
// Keys come in ascending order, so every level of the tree has one open page. Byte-exact format: engine/rows/README.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/ids.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/rows/catalog_sums.h"
#include "engine/rows/lmdb_format.h"

namespace vecstore {

// Not thread-safe.
class CatalogTreeWriter {
 public:
  // `path` must not exist. Errors: kExists, kIo, kNoSpace, kPermission, kMemoryBudget.
  static Result<CatalogTreeWriter> create(FileSystem& file_system, const std::string& path, const Uuid& store,
                                          MemoryBudget& budget);

  // Keys ascend strictly and have 1 to kKeyBytesMax bytes. Errors: kIo, kNoSpace.
  Status put(std::string_view key, RowId row);
  // Once, after the last put(); the file is on the disk afterwards. Errors: as of put().
  Status finish(const CatalogFacts& facts);

 private:
  // The open page of a level of the tree; that of leaves is 0.
  struct Level {
    std::string first_key;
    std::size_t nodes = 0;
    std::size_t upper = 0;  // begin of the nodes
  };

  CatalogTreeWriter(std::unique_ptr<File> file, const Uuid& store) : file_(std::move(file)), store_(store) {}
  std::span<std::byte> page_of(std::size_t level);
  bool fits(std::size_t level, std::size_t key_bytes, std::size_t value_bytes) const;
  void append(std::size_t level, std::string_view key, lmdb::Node node, std::span<const std::byte> value);
  void append_child(std::size_t level, std::string_view key, std::uint64_t child);
  Status add_child(std::size_t level, std::string_view key, std::uint64_t child);
  Result<std::uint64_t> close(std::size_t level);
  Result<lmdb::TableRecord> finish_table();
  Status write_meta_pages(const lmdb::TableRecord& main);
  Status flush();

  std::unique_ptr<File> file_;
  Uuid store_;
  Buffer<std::byte> pages_;   // the open page of each level
  Buffer<std::byte> output_;  // closed pages that are not written yet
  std::size_t output_filled_ = 0;
  std::uint64_t written_ = lmdb::kMetaPages;       // pages
  std::array<Level, lmdb::kDepthMax + 1> levels_;  // the last stays empty
  lmdb::TableRecord table_;                        // that is being written
};

}  // namespace vecstore
