// SPDX-License-Identifier: Apache-2.0
#include "engine/snapshot/store_copy.h"

#include <algorithm>
#include <vector>

#include "engine/generation/file_names.h"
#include "engine/generation/properties.h"
#include "engine/live/log_records.h"
#include "wal/log_copy.h"

namespace vecstore {
namespace {

constexpr std::size_t kCopyBytes = 1u << 18;

Status make_directory(FileSystem& file_system, const std::string& path) {
  const Status made = file_system.make_directory(path);
  return made.code() == Code::kExists ? Status::ok() : made;
}

Result<std::uint64_t> copy_file(FileSystem& file_system, const std::string& from_path, const std::string& to_path,
                                const CancelToken* cancel) {
  std::vector<std::byte> buffer(kCopyBytes);
  VECSTORE_ASSIGN(const auto from, file_system.open(from_path, {OpenMode::kRead, false}));
  VECSTORE_ASSIGN(const auto to, file_system.open(to_path, {OpenMode::kCreateNew, false}));
  for (std::uint64_t done = 0;;) {
    VECSTORE_TRY(check_cancelled(cancel));
    VECSTORE_ASSIGN(const std::size_t got, from->read_at(buffer, done));
    VECSTORE_TRY(to->write_at(std::span(buffer).first(got), done));
    done += got;
    if (got == buffer.size()) continue;
    VECSTORE_TRY(to->sync());
    return done;
  }
}

bool is_same(const ManifestFile& a, const ManifestFile& b) {
  return a.name == b.name && a.kind == b.kind && a.generation == b.generation && a.bytes == b.bytes &&
         a.hash_low == b.hash_low && a.hash_high == b.hash_high;
}

// What was derived of the other files; where it is not there, keys are found without it.
Status copy_catalog(FileSystem& file_system, const CopySource& source, const StoreDirectory& into, CopyManner manner,
                    const CancelToken* cancel, CopiedStore& copied) {
  const std::string from = source.path + "/" + kCatalogName;
  const std::string to = into.file_path(kCatalogName);
  const auto entries = file_system.list(from);
  if (!entries) return entries.error().code() == Code::kNotFound ? Status::ok() : entries.error();
  VECSTORE_TRY(make_directory(file_system, to));
  for (const DirectoryEntry& entry : *entries) {
    if (entry.is_directory) continue;
    const std::string name = "/" + entry.name;
    if (manner == CopyManner::kLink) {
      VECSTORE_TRY(file_system.link(from + name, to + name));
    } else {
      VECSTORE_ASSIGN(const std::uint64_t bytes, copy_file(file_system, from + name, to + name, cancel));
      copied.bytes_copied += bytes;
    }
  }
  return file_system.sync_directory(to);
}

}  // namespace

Status copy_files(FileSystem& file_system, const CopySource& source, const StoreDirectory& into, CopyManner manner,
                  const CancelToken* cancel, CopiedStore& copied) {
  for (const ManifestFile& file : source.content.files) {
    VECSTORE_TRY(check_cancelled(cancel));
    const std::string to = into.file_path(file.name);
    if (const std::size_t slash = file.name.rfind('/'); slash != std::string::npos)
      VECSTORE_TRY(make_directory(file_system, into.file_path(file.name.substr(0, slash))));
    const bool is_there = source.since.store == source.content.store &&
                          std::ranges::any_of(source.since.files, [&](const auto& one) { return is_same(one, file); });
    Status linked(Code::kUnsupported, "");
    if (is_there) linked = file_system.link(source.since_path + "/" + file.name, to);
    if (manner == CopyManner::kLink) linked = file_system.link(source.path + "/" + file.name, to);
    if (linked.is_ok()) {
      copied.bytes_linked += file.bytes;
      continue;
    }
    if (manner == CopyManner::kLink || linked.code() != Code::kUnsupported) return linked;
    VECSTORE_ASSIGN(const std::uint64_t bytes, copy_file(file_system, source.path + "/" + file.name, to, cancel));
    copied.bytes_copied += bytes;
  }
  return Status::ok();
}

Result<CopiedStore> copy_store(FileSystem& file_system, const CopySource& source, const StoreDirectory& into,
                               CopyManner manner, MemoryBudget& budget, const CancelToken* cancel) {
  VECSTORE_ASSIGN(const StoreProperties properties, decode_properties(source.content.properties));
  CopiedStore copied;
  copied.rows = properties.rows;
  copied.lsn = {source.content.applied_lsn};
  VECSTORE_TRY(copy_files(file_system, source, into, manner, cancel, copied));
  VECSTORE_TRY(copy_catalog(file_system, source, into, manner, cancel, copied));
  if (!properties.has_log) return copied;
  const auto count = [&](Lsn, const LogRecord& record) {
    if (const auto put = decode_put(record)) {
      copied.rows += put->replaced == kNoRow ? 1 : 0;
    } else if (decode_erase(record)) {
      --copied.rows;
    }
    return Status::ok();
  };
  const std::string log = into.file_path(kLogName);
  VECSTORE_TRY(make_directory(file_system, log));
  const SealedSegments sealed = manner == CopyManner::kLink ? SealedSegments::kLink : SealedSegments::kCopy;
  VECSTORE_ASSIGN(const CopiedLog log_copied,
                  copy_log(file_system, source.path + "/" + kLogName, log, {source.content.store, copied.lsn}, sealed,
                           budget, cancel, count));
  copied.lsn = log_copied.last_lsn;
  copied.bytes_copied += log_copied.bytes;
  copied.bytes_linked += log_copied.bytes_linked;
  return copied;
}

}  // namespace vecstore
