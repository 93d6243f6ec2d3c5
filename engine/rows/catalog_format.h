// SPDX-License-Identifier: Apache-2.0
//
// The records of the catalog and the one way VecStore opens LMDB. Byte-exact description: engine/rows/README.md.
//
// Files in the catalog's directory: data.mdb (LMDB), data.sums (catalog_sums.h). LMDB's lock file is never made: a
// catalog that is open is immutable, and its builder works on files under other names.
#pragma once

#include <lmdb.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/ids.h"
#include "base/status.h"
#include "engine/rows/catalog_sums.h"

namespace vecstore::catalog {

inline constexpr const char* kDataName = "/data.mdb";
inline constexpr const char* kSumsName = "/data.sums";
inline constexpr const char* kNewSuffix = ".new";
inline constexpr const char* kKeysTable = "keys";
inline constexpr const char* kMetaTable = "meta";
inline constexpr std::string_view kMetaKey = "catalog";
inline constexpr std::uint32_t kVersion = 1;
inline constexpr const char* kDamaged = "the catalog is damaged; the next writer rebuilds it from rows/";

// Value of a key. The checksum binds it to its key and store, so that no record passes for another.
struct Entry {
  std::uint64_t row = 0;
  std::uint64_t sum = 0;  // XXH3-64 of key, row, store uuid
};
static_assert(sizeof(Entry) == 16);

struct Meta {
  std::uint32_t version = kVersion;
  std::uint32_t zero = 0;
  Uuid store{};
  std::uint64_t applied_lsn = 0;
  std::uint64_t keys = 0;
  std::uint64_t sum = 0;  // XXH3-64 of what precedes it
};
static_assert(sizeof(Meta) == 48);

std::uint64_t entry_sum(std::string_view key, std::uint64_t row, const Uuid& store);
std::uint64_t meta_sum(const Meta& meta);

inline MDB_val value_of(std::string_view text) { return {text.size(), const_cast<char*>(text.data())}; }
inline std::span<const std::byte> bytes_of(const MDB_val& value) {
  return {static_cast<const std::byte*>(value.mv_data), value.mv_size};
}

// LMDB's return code as a Status: errno as of errno_status; a full map is kNoSpace; LMDB's own complaints kCorrupt.
Status lmdb_status(int code, const std::string& path);

struct CloseEnvironment {
  void operator()(MDB_env* environment) const { ::mdb_env_close(environment); }
};
using Environment = std::unique_ptr<MDB_env, CloseEnvironment>;
struct AbortTransaction {
  void operator()(MDB_txn* transaction) const { ::mdb_txn_abort(transaction); }
};
using Transaction = std::unique_ptr<MDB_txn, AbortTransaction>;

// Without LMDB's lock file; `map_bytes` = 0: as large as the file says. Errors: as of lmdb_status.
Result<Environment> open_environment(const std::string& path, unsigned flags, std::uint64_t map_bytes);
Result<Transaction> begin(MDB_env* environment, unsigned flags, const std::string& path);

}  // namespace vecstore::catalog
