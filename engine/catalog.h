// SPDX-License-Identifier: Apache-2.0
//
// The catalog: key → RowId in LMDB. Derived data: it can be rebuilt from rows/ at any time, every value carries our own
// checksum, and a damaged file is reported or rebuilt, never believed and never a crash.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/ids.h"
#include "engine/base/memory.h"
#include "engine/base/status.h"

namespace vecstore {

// Thread-safe for lookups.
class Catalog {
 public:
  // Feeds (key, RowId) pairs in RowId order until it returns false.
  using Feed = std::function<Result<bool>(std::string& key, RowId& row)>;

  // Writes a new catalog into the directory `path` (made if need be), replacing what was there. Errors: kExists (a key
  // appears twice; names its second row), kNoSpace, kIo, kPermission.
  static Status build(const std::string& path, const Uuid& store, std::uint64_t applied_lsn, const Feed& feed,
                      MemoryBudget& budget);

  // Errors: kNotFound; kCorrupt when the file's structure does not hold or it belongs to another store.
  static Result<Catalog> open(const std::string& path, const Uuid& store, MemoryBudget& budget);
  Catalog(Catalog&&) noexcept;
  ~Catalog();

  std::uint64_t applied_lsn() const;
  std::uint64_t size() const;
  Result<std::optional<RowId>> find(std::string_view key) const;  // Errors: kCorrupt, kIo

 private:
  struct Impl;
  explicit Catalog(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vecstore
