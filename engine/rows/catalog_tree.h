// SPDX-License-Identifier: Apache-2.0
//
// Reads the catalog's LMDB file without LMDB, which believes whatever it maps: of 69 damaged files whose sums fitted,
// 14 ended the process. Here each page is read into memory of ours, compared with its sum and checked before anything
// in it is followed: kind and number of the page, offsets within it, the size of keys and values, levels.
//
// check() walks all of it once. What it accepts is a tree in which every key is where a search looks for it, so that
// "not found" can be believed too. Byte-exact format: engine/rows/README.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/cancel_token.h"
#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/rows/catalog_sums.h"

namespace vecstore {

// Not thread-safe.
class CatalogTree {
 public:
  // Reads the file's root pages and records. `blocks` must outlive the tree. Errors: kCorrupt, kIo, kMemoryBudget.
  static Result<CatalogTree> open(const CatalogBlocks& blocks, MemoryBudget& budget);

  // Every page and every value: sums, strict order, and that there are as many keys as are said to be. Errors: as of
  // open(), kCancelled. cancel: or nullptr.
  Status check(MemoryBudget& budget, const CancelToken* cancel) const;
  // Errors: kCorrupt, kIo.
  Result<std::optional<RowId>> find(std::string_view key);

 private:
  // A table of LMDB.
  struct Table {
    std::uint64_t root = 0;
    std::uint64_t entries = 0;
    std::uint32_t depth = 0;  // levels of pages; 0: it is empty
  };

  explicit CatalogTree(const CatalogBlocks& blocks) : blocks_(&blocks) {}
  Status read_roots(Table& main);
  Result<Table> table_of(std::span<const std::byte> record, std::uint64_t at) const;
  Status read_tables(const Table& main);
  Status read_page(std::uint64_t number, std::span<std::byte> page) const;
  Result<std::span<const std::byte>> page_for(std::uint64_t number, bool branch);
  Status damaged(std::uint64_t page) const;

  const CatalogBlocks* blocks_;
  std::uint64_t page_bytes_ = 0;
  std::uint64_t pages_ = 0;
  Table keys_;
  Buffer<std::byte> page_;              // the last one read
  Buffer<std::byte> branches_;          // pages of the upper levels, each in the place that its number gives it
  Buffer<std::uint64_t> branch_pages_;  // their numbers; 0: none
};

}  // namespace vecstore
