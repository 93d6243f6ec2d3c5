// SPDX-License-Identifier: Apache-2.0
//
// Snapshots of a store, and copies. Each is a store's directory of its own: what its superblock does not name yet is
// none, and goes.
#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/thrown.h"
#include "engine/generation/file_names.h"
#include "engine/snapshot/snapshot_note.h"
#include "engine/snapshot/store_copy.h"
#include "engine/store/impl.h"
#include "engine/store/merger.h"
#include "pagestore/store_files.h"

namespace vecstore {
namespace {

constexpr std::size_t kNameBytesMax = 100;
constexpr int kCopyAttempts = 5;
constexpr const char* kSomethingThere = "something is there already; choose another path";

// Never a path.
Status check_name(const std::string& name) {
  const auto is_plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
           c == '-';
  };
  if (!name.empty() && name.size() <= kNameBytesMax && name.front() != '.' && std::ranges::all_of(name, is_plain))
    return Status::ok();
  return Status(Code::kInvalidArgument, "a snapshot's name is 1 to 100 letters, digits, '.', '_' or '-', not '.' first")
      .about(name);
}

std::string without_slashes(std::string path) {
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  return path;
}

std::string directory_of_snapshots(const std::string& store) { return store + "/" + kSnapshotsName; }

Result<bool> is_published(FileSystem& files, const std::string& path) {
  VECSTORE_ASSIGN(const EntryKind kind, files.kind_of(path + "/" + kSuperblockName));
  return kind != EntryKind::kNone;
}

// Where it is gone, what is left of it is no store any more.
Status remove_store(FileSystem& files, const std::string& path) {
  const Status unnamed = files.unlink(path + "/" + kSuperblockName);
  if (unnamed.code() != Code::kNotFound) VECSTORE_TRY(unnamed);
  VECSTORE_TRY(files.sync_directory(path));
  VECSTORE_TRY(remove_tree(files, path));
  return files.sync_directory(parent_of(path));
}

// Unless it is kept, the store goes, whether by an error or by what a caller's own function throws.
class Unfinished {
 public:
  Unfinished(FileSystem& files, std::string path) : files_(files), path_(std::move(path)) {}
  ~Unfinished() {
    if (!path_.empty()) static_cast<void>(without_throwing([this] { return remove_store(files_, path_); }));
  }
  Unfinished(const Unfinished&) = delete;
  Unfinished& operator=(const Unfinished&) = delete;
  void keep() { path_.clear(); }

 private:
  FileSystem& files_;
  std::string path_;
};

// Makes a store in `to`, where there is none: `fill` brings its files, and `content` is published. What fails leaves
// nothing.
template <typename Fill>
Status make_store(FileSystem& files, const std::string& to, const Manifest& content, const Fill& fill) {
  auto into = StoreDirectory::create(files, kStoreNames, to);
  if (!into) return into.error();
  if (into->manifest()) return Status(Code::kExists, kSomethingThere).about(to);
  Unfinished unfinished(files, to);
  Status made = without_throwing([&] { return fill(*into); });
  if (made.is_ok()) made = into->publish(content);
  if (made.is_ok()) {
    unfinished.keep();
  } else {
    into->abandon();
  }
  return made;
}

Status add_sizes(FileSystem& files, const std::string& path, SnapshotInfo& info) {
  VECSTORE_ASSIGN(const auto entries, files.list(path));
  for (const DirectoryEntry& entry : entries) {
    const std::string inside = path + "/" + entry.name;
    if (entry.is_directory) {
      VECSTORE_TRY(add_sizes(files, inside, info));
      continue;
    }
    VECSTORE_ASSIGN(const FileUse use, files.use_of(inside));
    (use.names > 1 ? info.shared_bytes : info.own_bytes) += use.bytes;
  }
  return Status::ok();
}

SnapshotInfo describe(FileSystem& files, const std::string& path, const std::string& name) {
  SnapshotInfo info;
  info.name = name;
  info.path = path;
  const auto note = read_snapshot_note(files, path);
  if (note) {
    info.made_at = note->made_at;
    info.rows = note->rows;
    info.lsn = note->lsn.value;
  }
  const Status sized = add_sizes(files, path, info);
  info.problem = note ? sized : note.error();
  return info;
}

// A writer may merge meanwhile. Then files are gone that the manifest named, and there is another to begin with.
bool was_replaced(FileSystem& files, const std::string& path, std::uint64_t sequence) {
  const auto now = StoreDirectory::open(files, kStoreNames, path, LockMode::kShared);
  return now && now->manifest()->sequence != sequence;
}

Result<CopySource> source_of(FileSystem& files, const std::string& from, const std::string& since) {
  VECSTORE_ASSIGN(const StoreDirectory directory, StoreDirectory::open(files, kStoreNames, from, LockMode::kShared));
  CopySource source{from, *directory.manifest()};
  if (since.empty()) return source;
  VECSTORE_ASSIGN(const StoreDirectory before, StoreDirectory::open(files, kStoreNames, since, LockMode::kShared));
  source.since_path = since;
  source.since = *before.manifest();
  return source;
}

// The first that is found → damage.
Status find_damage(const std::string& to, const CopiedStore& copied, const CopyOptions& options,
                   const StoreEnvironment& environment, std::uint64_t& pages, Status& damage) {
  OpenOptions reading;
  reading.cache_bytes = 0;
  reading.searchers = 1;
  reading.cancel = options.cancel;
  const auto store = StoreFactory::open(to, reading, environment);
  if (!store && store.error().code() == Code::kCorrupt) {
    damage = store.error();
    return Status::ok();
  }
  if (!store) return store.error();
  VECSTORE_ASSIGN(const VerifyReport verified,
                  store->verify({.deep = true, .progress = options.progress, .cancel = options.cancel}));
  pages = verified.pages_checked;
  if (!verified.damage.empty()) damage = verified.damage.front();
  if (verified.damage.empty() && store->size() != copied.rows) damage = Status(Code::kCorrupt, "");
  return Status::ok();
}

Result<CopyReport> verify_copy(const std::string& to, const CopySource& source, const CopiedStore& copied,
                               const CopyOptions& options, const StoreEnvironment& environment) {
  CopyReport report{copied.rows, copied.lsn.value, copied.bytes_copied, copied.bytes_linked, 0};
  Status damage;
  VECSTORE_TRY(find_damage(to, copied, options, environment, report.pages_checked, damage));
  if (damage.is_ok()) return report;
  return Status(Code::kCorrupt, "what was copied is damaged; verify the source, and salvage it or take another")
      .about(source.path)
      .at(damage.detail(), damage.number());
}

}  // namespace

Result<SnapshotInfo> Store::snapshot(const std::string& name, const SnapshotOptions& options) try {
  VECSTORE_TRY(impl_->check_writable());
  return impl_->snapshot(name, options);
} catch (...) {
  return status_of_exception();
}

Result<SnapshotInfo> Store::Impl::snapshot(const std::string& name, const SnapshotOptions& options) {
  VECSTORE_TRY(check_name(name));
  FileSystem& files = *environment.file_system;
  const MutexLock guard(merging);
  VECSTORE_TRY(options.copy ? writer->flush() : writer->seal_log());
  const std::string all = directory_of_snapshots(directory->path());
  const Status made = files.make_directory(all);
  if (made.code() != Code::kExists) {
    VECSTORE_TRY(made);
    VECSTORE_TRY(files.sync_directory(directory->path()));
  }
  const std::string path = all + "/" + name;
  VECSTORE_TRY(remove_unfinished_snapshots());
  VECSTORE_ASSIGN(const EntryKind kind, files.kind_of(path));
  if (kind != EntryKind::kNone)
    return Status(Code::kExists, "there is a snapshot of this name; remove it or choose another").about(path);
  const CopySource source{directory->path(), *directory->manifest()};
  const CopyManner manner = options.copy ? CopyManner::kCopy : CopyManner::kLink;
  const auto fill = [&](const StoreDirectory& into) -> Status {
    VECSTORE_ASSIGN(const CopiedStore copied, copy_store(files, source, into, manner, budget, options.cancel));
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    return write_snapshot_note(
        files, path, {std::chrono::duration_cast<std::chrono::seconds>(now).count(), copied.rows, copied.lsn});
  };
  Status outcome;
  run_in_background([&] { outcome = make_store(files, path, source.content, fill); });  // searches go first
  VECSTORE_TRY(outcome);
  return describe(files, path, name);
}

// Of a writer: what a crash has left of snapshots that were never whole.
Status Store::Impl::remove_unfinished_snapshots() const {
  FileSystem& files = *environment.file_system;
  const std::string all = directory_of_snapshots(directory->path());
  const auto entries = files.list(all);
  if (!entries) return entries.error().code() == Code::kNotFound ? Status::ok() : entries.error();
  for (const DirectoryEntry& entry : *entries) {
    if (!entry.is_directory) continue;
    VECSTORE_ASSIGN(const bool is_whole, is_published(files, all + "/" + entry.name));
    if (is_whole) continue;
    // What is not ours stays, whoever put it there.
    VECSTORE_ASSIGN(const auto inside, files.list(all + "/" + entry.name));
    if (foreign_entry(kStoreNames, inside).empty()) VECSTORE_TRY(remove_store(files, all + "/" + entry.name));
  }
  return Status::ok();
}

Result<std::vector<SnapshotInfo>> Store::snapshots(const std::string& path) {
  return StoreFactory::snapshots(path, {});
}

Result<std::vector<SnapshotInfo>> StoreFactory::snapshots(const std::string& path,
                                                          const StoreEnvironment& environment) try {
  FileSystem& files = *environment.file_system;
  const std::string store = without_slashes(path);
  VECSTORE_ASSIGN(const bool is_store, is_published(files, store));
  if (!is_store) return StoreDirectory::open(files, kStoreNames, store, LockMode::kShared).error();
  std::vector<SnapshotInfo> found;
  const std::string all = directory_of_snapshots(store);
  const auto entries = files.list(all);
  if (!entries && entries.error().code() == Code::kNotFound) return found;
  if (!entries) return entries.error();
  for (const DirectoryEntry& entry : *entries) {
    const std::string inside = all + "/" + entry.name;
    const auto is_whole = is_published(files, inside);
    if (entry.is_directory && is_whole && *is_whole) found.push_back(describe(files, inside, entry.name));
  }
  return found;
} catch (...) {
  return status_of_exception();
}

Status Store::remove_snapshot(const std::string& path, const std::string& name) {
  return StoreFactory::remove_snapshot(path, name, {});
}

Status StoreFactory::remove_snapshot(const std::string& path, const std::string& name,
                                     const StoreEnvironment& environment) try {
  VECSTORE_TRY(check_name(name));
  FileSystem& files = *environment.file_system;
  const std::string snapshot = directory_of_snapshots(without_slashes(path)) + "/" + name;
  VECSTORE_ASSIGN(const bool is_whole, is_published(files, snapshot));
  if (!is_whole)
    return Status(Code::kNotFound, "there is no snapshot of this name; see those that there are").about(snapshot);
  return remove_store(files, snapshot);
} catch (...) {
  return status_of_exception();
}

Result<CopyReport> Store::copy(const std::string& from, const std::string& to, const CopyOptions& options) {
  return StoreFactory::copy(from, to, options, {});
}

Result<CopyReport> StoreFactory::copy(const std::string& from_path, const std::string& to_path,
                                      const CopyOptions& options, const StoreEnvironment& environment) try {
  FileSystem& files = *environment.file_system;
  const std::string from = without_slashes(from_path);
  const std::string to = without_slashes(to_path);
  VECSTORE_ASSIGN(const EntryKind kind, files.kind_of(to));
  if (kind != EntryKind::kNone) return Status(Code::kExists, kSomethingThere).about(to);
  for (int attempt = 1;; ++attempt) {
    VECSTORE_ASSIGN(const CopySource source, source_of(files, from, without_slashes(options.since)));
    MemoryBudget budget;
    CopiedStore copied;
    const Status made = make_store(files, to, source.content, [&](const StoreDirectory& into) -> Status {
      VECSTORE_ASSIGN(copied, copy_store(files, source, into, CopyManner::kCopy, budget, options.cancel));
      return Status::ok();
    });
    if (!made.is_ok() && attempt < kCopyAttempts && was_replaced(files, from, source.content.sequence)) continue;
    VECSTORE_TRY(made);
    Unfinished unfinished(files, to);
    auto report = verify_copy(to, source, copied, options, environment);
    if (report) unfinished.keep();
    return report;
  }
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
