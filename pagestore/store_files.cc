// SPDX-License-Identifier: Apache-2.0
#include "pagestore/store_files.h"

#include <algorithm>
#include <charconv>

#include "pagestore/publish.h"

namespace vecstore {
namespace {

// tmp/catalog/data.mdb is as deep as anything of ours gets.
constexpr int kDepthMax = 4;

bool is_number(std::string_view text) {
  return !text.empty() && text.size() <= 20 && std::ranges::all_of(text, [](char c) { return c >= '0' && c <= '9'; });
}

constexpr std::string_view kManifestPrefix = "manifest-";

// Of a name that is_generation_file() or is_rows_file() knows; one beyond all numbers is the greatest.
std::uint64_t number_in(std::string_view name) {
  const std::size_t begin = std::min(name.find_first_of("0123456789"), name.size());
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(name.data() + begin, name.data() + name.size(), number);
  return error == std::errc() ? number : ~std::uint64_t{0};
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

bool is_generation_file(std::string_view name) {
  for (const std::string_view prefix : {"graph-", "codes-", "rowmap-", "manifest-"})
    if (name.starts_with(prefix)) return is_number(name.substr(prefix.size()));
  return false;
}

bool is_rows_file(std::string_view name) {
  const std::size_t dash = name.find('-');
  return dash != std::string_view::npos && is_number(name.substr(0, dash)) && is_number(name.substr(dash + 1));
}

Result<std::string> foreign_entry(FileSystem& file_system, const std::string& path) {
  VECSTORE_ASSIGN(const auto entries, file_system.list(path));
  for (const DirectoryEntry& entry : entries) {
    const bool ours = entry.is_directory ? entry.name == kTemporaryName || entry.name == kRowsName ||
                                               entry.name == kCatalogName || entry.name == kLogName
                                         : entry.name == kLockName || entry.name == kSuperblockName ||
                                               entry.name == kBuildReportName || is_generation_file(entry.name);
    if (!ours) return entry.name;
  }
  return std::string();
}

Result<std::string> newer_file(FileSystem& file_system, const std::string& path, std::uint64_t sequence,
                               std::uint32_t generation) {
  VECSTORE_ASSIGN(const auto entries, file_system.list(path));
  for (const DirectoryEntry& entry : entries) {
    const std::uint64_t newest = entry.name.starts_with(kManifestPrefix) ? sequence : generation;
    if (!entry.is_directory && is_generation_file(entry.name) && number_in(entry.name) > newest) return entry.name;
    if (!entry.is_directory || entry.name != kRowsName) continue;
    VECSTORE_ASSIGN(const auto extents, file_system.list(path + "/" + entry.name));
    for (const DirectoryEntry& extent : extents)
      if (!extent.is_directory && is_rows_file(extent.name) && number_in(extent.name) > generation)
        return entry.name + "/" + extent.name;
  }
  return std::string();
}

Status collect_garbage(FileSystem& file_system, const std::string& path, const std::set<std::string>& referenced) {
  VECSTORE_ASSIGN(const auto entries, file_system.list(path));
  for (const DirectoryEntry& entry : entries) {
    if (!entry.is_directory && is_generation_file(entry.name) && !referenced.contains(entry.name))
      VECSTORE_TRY(file_system.unlink(path + "/" + entry.name));
    if (!entry.is_directory || entry.name != kRowsName) continue;
    const std::string rows = path + "/" + entry.name;
    VECSTORE_ASSIGN(const auto extents, file_system.list(rows));
    for (const DirectoryEntry& extent : extents)
      if (!extent.is_directory && is_rows_file(extent.name) && !referenced.contains(entry.name + "/" + extent.name))
        VECSTORE_TRY(file_system.unlink(rows + "/" + extent.name));
  }
  return Status::ok();
}

Status clear_temporary(FileSystem& file_system, const std::string& path) {
  const std::string temporary = path + "/" + kTemporaryName;
  Status made = file_system.make_directory(temporary);
  if (made.is_ok()) return file_system.sync_directory(path);  // an intent in it must not go with it
  if (made.code() != Code::kExists) return made;
  return remove_content(file_system, temporary, 0);
}

}  // namespace vecstore
