// SPDX-License-Identifier: Apache-2.0
//
// Which files in a store's directory are ours, and how those that nothing names any more go away. Internal to
// pagestore.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/io.h"
#include "base/status.h"
#include "pagestore/store_names.h"

namespace vecstore {

inline constexpr const char* kLockName = "LOCK";
inline constexpr const char* kSuperblockName = "superblock";
inline constexpr const char* kTemporaryName = "tmp";

// The sequence of manifest-<s>; nullopt: it is no manifest's name. One beyond all numbers is the greatest.
std::optional<std::uint64_t> manifest_sequence(std::string_view name);

// The first entry of `path` that no store makes; empty when there is none.
Result<std::string> foreign_entry(FileSystem& file_system, const StoreNames& names, const std::string& path);

// A manifest of a later publish than this, or a file of a later generation, relative; empty when there is none.
Result<std::string> newer_file(FileSystem& file_system, const StoreNames& names, const std::string& path,
                               std::uint64_t sequence, std::uint32_t generation);

// Removes the manifests and the files of generations that `referenced` (relative names) does not hold. Stops at the
// first error.
Status collect_garbage(FileSystem& file_system, const StoreNames& names, const std::string& path,
                       const std::set<std::string>& referenced);

// Makes path/tmp, or empties it.
Status clear_temporary(FileSystem& file_system, const std::string& path);

}  // namespace vecstore
