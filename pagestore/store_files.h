// SPDX-License-Identifier: Apache-2.0
//
// Which files in a store's directory are ours, and how those that nothing names any more go away. For pagestore, and
// for who makes and removes whole stores.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <span>
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

std::string parent_of(const std::string& path);

// Tells a missing directory, a file, and a directory that is no index apart. Errors: kNotFound, kInvalidInput.
Status check_is_index(FileSystem& file_system, const std::string& path);

// The first of `entries` that no store makes; empty when there is none.
std::string foreign_entry(const StoreNames& names, std::span<const DirectoryEntry> entries);

// A manifest of a later publish than this, or a file of a later generation, relative; empty when there is none.
Result<std::string> newer_file(FileSystem& file_system, const StoreNames& names, const std::string& path,
                               std::uint64_t sequence, std::uint32_t generation);

// Removes the manifests and the files of generations that `referenced` (relative names) does not hold. Stops at the
// first error.
Status collect_garbage(FileSystem& file_system, const StoreNames& names, const std::string& path,
                       const std::set<std::string>& referenced);

// The same error, said of the store in `path` where it names something under tmp/, which comes and goes.
Status of_store(const Status& status, const std::string& path);
// Removes a directory and all that is in it. Errors: kIo where directories are nested deeper than those of a store.
Status remove_tree(FileSystem& file_system, const std::string& path);
// Makes path/tmp, or empties it.
Status clear_temporary(FileSystem& file_system, const std::string& path);

// Removes the directories of ours that are empty, tmp aside, and were not among the names `found`.
void remove_empty_directories(FileSystem& file_system, const StoreNames& names, const std::string& path,
                              const std::set<std::string>& found);

}  // namespace vecstore
