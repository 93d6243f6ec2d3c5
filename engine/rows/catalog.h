// SPDX-License-Identifier: Apache-2.0
//
// The catalog: key → RowId in a file of LMDB's format, which we write and read ourselves, without a map. Derived data:
// it can be rebuilt from rows/ at any time. Every value carries our own checksum. A damaged file is reported, never
// believed and never a crash.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel_token.h"
#include "base/ids.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"

namespace vecstore {

class StoredRows;

// A catalog that waits for its place. Its files go with this, unless somebody began to swap it in.
class NewCatalog {
 public:
  NewCatalog(NewCatalog&&) noexcept;
  NewCatalog& operator=(NewCatalog&&) noexcept;
  ~NewCatalog();
  // Replaces what was there; one that is open goes on with the old files. Once. Errors: kIo, kNoSpace, kPermission.
  Status swap_in();

 private:
  friend class Catalog;
  struct Impl;
  explicit NewCatalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

// Thread-safe for lookups.
class Catalog {
 public:
  // Feeds (key, RowId) pairs in RowId order until it returns false.
  using Feed = std::function<Result<bool>(std::string& key, RowId& row)>;

  // Writes a new catalog into the directory `path` (made if need be), beside what was there. The caller holds the lock
  // of writers. Errors: kExists (a key appears twice; names its second row), kInvalidInput (an empty or too long key),
  // kNoSpace, kIo, kPermission, kMemoryBudget, kCancelled, and those of the feed. cancel: or nullptr.
  static Result<NewCatalog> write(FileSystem& file_system, const std::string& path, const Uuid& store,
                                  std::uint64_t applied_lsn, const Feed& feed, MemoryBudget& budget,
                                  const CancelToken* cancel);
  // Writes one and swaps it in. Errors: of both.
  static Status build(FileSystem& file_system, const std::string& path, const Uuid& store, std::uint64_t applied_lsn,
                      const Feed& feed, MemoryBudget& budget);

  // Removes what a catalog left that never came to its place. The caller holds the lock of writers.
  static void remove_unfinished(FileSystem& file_system, const std::string& path);
  // Whether there is such a one, whole but for a swap that was not completed.
  static bool has_unfinished(FileSystem& file_system, const std::string& path);

  // Reads the header of the checksum file only. Errors: kNotFound; kCorrupt when it is damaged or belongs to another
  // store; kNewerFormat, kIo, kPermission. On kNotFound and kCorrupt, here and in find(), it can be built anew from
  // keys_of(rows/). The budget must outlive the catalog.
  static Result<Catalog> open(FileSystem& file_system, const std::string& path, const Uuid& store,
                              MemoryBudget& budget);
  Catalog(Catalog&&) noexcept;
  ~Catalog();

  std::uint64_t applied_lsn() const;
  std::uint64_t size() const;
  // The first lookup compares the whole file with its checksums and walks all of the tree. Errors: kCorrupt, kIo,
  // kMemoryBudget.
  Result<std::optional<RowId>> find(std::string_view key) const;
  // Does what the first look-up does, again if need be. Errors: as of find(), kCancelled.
  Status verify(const CancelToken* cancel = nullptr) const;

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  static Result<NewCatalog> write_files(FileSystem& file_system, const std::string& path, const Uuid& store,
                                        std::uint64_t applied_lsn, const Feed& feed, MemoryBudget& budget,
                                        const CancelToken* cancel);
  std::unique_ptr<Impl> impl_;
};

// The keys of the rows of a graph, in their order, for building a catalog anew. Rows and budget must outlive the feed.
Catalog::Feed keys_of(const StoredRows& rows, MemoryBudget& budget);

}  // namespace vecstore
