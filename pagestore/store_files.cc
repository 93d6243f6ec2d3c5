// SPDX-License-Identifier: Apache-2.0
#include "pagestore/store_files.h"

#include <algorithm>
#include <cerrno>
#include <charconv>

namespace vecstore {
namespace {

// tmp/catalog/data.mdb is as deep as anything of ours gets.
constexpr int kDepthMax = 4;

constexpr std::string_view kManifestPrefix = "manifest-";

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 20 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

// One beyond all numbers is the greatest. nullopt: it is none.
std::optional<std::uint64_t> number_of(std::string_view text) {
  if (!is_number(text)) return std::nullopt;
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() ? number : ~std::uint64_t{0};
}

std::optional<std::uint64_t> number_behind(std::string_view prefix, std::string_view name) {
  return name.starts_with(prefix) ? number_of(name.substr(prefix.size())) : std::nullopt;
}

bool holds(std::span<const std::string_view> names, std::string_view name) {
  return std::ranges::find(names, name) != names.end();
}

// The n of a name like graph-<n>.
std::optional<std::uint64_t> generation_of_file(const StoreNames& names, std::string_view name) {
  for (const std::string_view prefix : names.generation_prefixes)
    if (const auto number = number_behind(prefix, name)) return number;
  return std::nullopt;
}

// Of <n>-<m>, and of <n>-<m>.<what its writer needs besides>.
std::optional<std::uint64_t> generation_of_extent(std::string_view name) {
  name = name.substr(0, name.find('.'));
  const std::size_t dash = name.find('-');
  if (dash == std::string_view::npos || !is_number(name.substr(dash + 1))) return std::nullopt;
  return number_of(name.substr(0, dash));
}

// Calls visit(relative name, whether it is a manifest, its sequence or generation) until it returns an error. It is
// called for whatever a publish names, or was about to name.
template <typename Visit>
Status for_each_published(FileSystem& file_system, const StoreNames& names, const std::string& path,
                          const Visit& visit) {
  VECSTORE_ASSIGN(const auto entries, file_system.list(path));
  for (const DirectoryEntry& entry : entries) {
    if (!entry.is_directory) {
      const auto sequence = manifest_sequence(entry.name);
      const auto number = sequence ? sequence : generation_of_file(names, entry.name);
      if (number) VECSTORE_TRY(visit(entry.name, sequence.has_value(), *number));
    } else if (holds(names.extent_directories, entry.name)) {
      VECSTORE_ASSIGN(const auto extents, file_system.list(path + "/" + entry.name));
      for (const DirectoryEntry& extent : extents) {
        const auto number = extent.is_directory ? std::nullopt : generation_of_extent(extent.name);
        if (number) VECSTORE_TRY(visit(entry.name + "/" + extent.name, false, *number));
      }
    }
  }
  return Status::ok();
}

Status remove_content(FileSystem& file_system, const std::string& path, int depth) {
  if (depth > kDepthMax)
    return Status(Code::kIo, "directories are nested too deeply here; empty it by hand").about(path);
  VECSTORE_ASSIGN(const auto entries, file_system.list(path));
  for (const DirectoryEntry& entry : entries) {
    const std::string inner = path + "/" + entry.name;
    if (entry.is_directory) {
      VECSTORE_TRY(remove_content(file_system, inner, depth + 1));
      VECSTORE_TRY(file_system.remove_directory(inner));
    } else {
      VECSTORE_TRY(file_system.unlink(inner));
    }
  }
  return Status::ok();
}

}  // namespace

std::optional<std::uint64_t> manifest_sequence(std::string_view name) { return number_behind(kManifestPrefix, name); }

std::string parent_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

Status check_is_index(FileSystem& file_system, const std::string& path) {
  const auto entries = file_system.list(path);
  if (!entries && entries.error().error_number() == ENOTDIR)
    return Status(Code::kInvalidInput, "not a VecStore index: it is a file, not a directory").about(path);
  if (!entries) return entries.error();
  for (const DirectoryEntry& entry : *entries)
    if (entry.name == kSuperblockName && !entry.is_directory) return Status::ok();
  return Status(Code::kInvalidInput, "not a VecStore index: the directory has no superblock").about(path);
}

std::string foreign_entry(const StoreNames& names, std::span<const DirectoryEntry> entries) {
  for (const DirectoryEntry& entry : entries) {
    const bool ours = entry.is_directory
                          ? entry.name == kTemporaryName || holds(names.extent_directories, entry.name) ||
                                holds(names.other_directories, entry.name)
                          : entry.name == kLockName || entry.name == kSuperblockName ||
                                holds(names.other_files, entry.name) || manifest_sequence(entry.name) ||
                                generation_of_file(names, entry.name);
    if (!ours) return entry.name;
  }
  return {};
}

Result<std::string> newer_file(FileSystem& file_system, const StoreNames& names, const std::string& path,
                               std::uint64_t sequence, std::uint32_t generation) {
  std::string newer;
  const auto visit = [&](const std::string& name, bool is_manifest, std::uint64_t number) {
    if (newer.empty() && number > (is_manifest ? sequence : generation)) newer = name;
    return Status::ok();
  };
  VECSTORE_TRY(for_each_published(file_system, names, path, visit));
  return newer;
}

Status collect_garbage(FileSystem& file_system, const StoreNames& names, const std::string& path,
                       const std::set<std::string>& referenced) {
  return for_each_published(file_system, names, path, [&](const std::string& name, bool, std::uint64_t) {
    return referenced.contains(name) ? Status::ok() : file_system.unlink(path + "/" + name);
  });
}

Status remove_tree(FileSystem& file_system, const std::string& path) {
  VECSTORE_TRY(remove_content(file_system, path, 0));
  return file_system.remove_directory(path);
}

Status of_store(const Status& status, const std::string& path) {
  return status.subject().starts_with(path + "/" + kTemporaryName) ? Status(status).about(path) : status;
}

Status clear_temporary(FileSystem& file_system, const std::string& path) {
  const std::string temporary = path + "/" + kTemporaryName;
  Status made = file_system.make_directory(temporary);
  if (made.is_ok()) return file_system.sync_directory(path);  // an intent in it must not go with it
  if (made.code() != Code::kExists) return of_store(made, path);
  return of_store(remove_content(file_system, temporary, 0), path);
}

void remove_empty_directories(FileSystem& file_system, const StoreNames& names, const std::string& path,
                              const std::set<std::string>& found) {
  for (const auto& directories : {names.extent_directories, names.other_directories})
    for (const std::string_view name : directories)
      if (!found.contains(std::string(name)))
        static_cast<void>(file_system.remove_directory(path + "/" + std::string(name)));
}

}  // namespace vecstore
