// SPDX-License-Identifier: Apache-2.0
//
// Which files in a store's directory are ours, and how those that nothing names any more go away. Internal to
// pagestore.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/io.h"
#include "base/status.h"

namespace vecstore {

inline constexpr const char* kLockName = "LOCK";
inline constexpr const char* kSuperblockName = "superblock";
inline constexpr const char* kTemporaryName = "tmp";
inline constexpr const char* kRowsName = "rows";
inline constexpr const char* kCatalogName = "catalog";
inline constexpr const char* kLogName = "wal";

// graph-7, codes-7, rowmap-7, manifest-7: what a publish names, or was about to name.
bool is_generation_file(std::string_view name);
// 7-0: an extent in rows/.
bool is_rows_file(std::string_view name);

// The first entry of `path` that no store makes; empty when there is none.
Result<std::string> foreign_entry(FileSystem& file_system, const std::string& path);

// A generation file, rows or manifest of a later publish than this, relative; empty when there is none.
Result<std::string> newer_file(FileSystem& file_system, const std::string& path, std::uint64_t sequence,
                               std::uint32_t generation);

// Removes the generation files and rows that `referenced` (relative names) does not hold. Stops at the first error.
Status collect_garbage(FileSystem& file_system, const std::string& path, const std::set<std::string>& referenced);

// Makes path/tmp, or empties it.
Status clear_temporary(FileSystem& file_system, const std::string& path);

}  // namespace vecstore
