// SPDX-License-Identifier: Apache-2.0
//
// From a key to its row of the graph: by the catalog, and what is done where that is missing or damaged.
//
// Only a writer makes the catalog anew, once, under the lock that it has. A reader writes nothing into a store: it
// makes a table in memory from rows/. Where its budget has no room for that, it reads the keys one after the other for
// each look-up. Both ask rows/ alone, so they are right whatever becomes of the catalog.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/status.h"
#include "engine/rows/catalog.h"
#include "engine/rows/stored_rows.h"

namespace vecstore {

// Thread-safe.
class KeyLookup {
 public:
  struct Options {
    std::string directory;  // where the catalog lies
    Uuid store{};
    std::uint64_t applied_lsn = 0;  // of the content: a catalog of another one is not believed
    bool may_write = false;         // the caller has the lock of writers
  };

  // File system, rows and budget must outlive it.
  KeyLookup(FileSystem& file_system, Options options, const StoredRows& rows, MemoryBudget& budget);

  // Errors: kCorrupt and kIo of rows/, kMemoryBudget.
  Result<std::optional<RowId>> find(std::string_view key);
  // Nothing is written afterwards: waits for a rebuild that is under way.
  void stop_writing();

 private:
  // Open addressing, a slot for each key and a third more: 10.7 bytes a key. The low bits tell the row, from the first
  // one and plus one; as few as the greatest one needs. What of a hash the others have room for is there. 0: free.
  using Slot = std::uint64_t;

  Result<std::optional<RowId>> ask_catalog(std::string_view key) VECSTORE_REQUIRES(mutex_);
  Status rebuild_catalog() VECSTORE_REQUIRES(mutex_);
  Status make_table() VECSTORE_REQUIRES(mutex_);
  Status fill_table() VECSTORE_REQUIRES(mutex_);
  // Any number of threads at once.
  Result<std::optional<RowId>> ask_table(std::span<const Slot> table, std::string_view key) const
      VECSTORE_EXCLUDES(mutex_);
  Result<std::optional<RowId>> ask_rows(std::string_view key) const VECSTORE_EXCLUDES(mutex_);
  std::uint64_t hash_of(std::string_view key) const;
  Slot row_mask() const;
  void put_into_table(const KeyOfRow& key) VECSTORE_REQUIRES(mutex_);

  FileSystem& file_system_;
  const Options options_;
  const StoredRows& rows_;
  MemoryBudget& budget_;

  Mutex mutex_;
  bool may_write_ VECSTORE_GUARDED_BY(mutex_);
  bool catalog_lost_ VECSTORE_GUARDED_BY(mutex_) = false;  // for good
  std::optional<Catalog> catalog_ VECSTORE_GUARDED_BY(mutex_);
  // Once this is set, the slots of the table change no more, so that look-ups read them without the mutex.
  bool table_tried_ VECSTORE_GUARDED_BY(mutex_) = false;
  Buffer<Slot> table_ VECSTORE_GUARDED_BY(mutex_);
};

}  // namespace vecstore
