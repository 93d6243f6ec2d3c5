// SPDX-License-Identifier: Apache-2.0
//
// The records of the catalog. Byte-exact description: engine/rows/README.md.
//
// Files in the catalog's directory: data.mdb (lmdb_format.h), data.sums (catalog_sums.h). A catalog that is open is
// immutable; its builder works on files under other names.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "base/ids.h"

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

}  // namespace vecstore::catalog
