// SPDX-License-Identifier: Apache-2.0
//
// Making the directory of a store, and taking it back where nothing came of it.
#include "base/thrown.h"
#include "pagestore/publish_impl.h"
#include "pagestore/store_files.h"
#include "pagestore/store_lock.h"

namespace vecstore {
namespace {

constexpr int kMakeAttempts = 3;  // a build that fails takes the directory away that it made

}  // namespace

Result<StoreDirectory> StoreDirectory::create(FileSystem& file_system, const StoreNames& names,
                                              const std::string& path) {
  for (int attempt = 1;; ++attempt) {
    StoreDirectory directory(std::make_unique<Impl>(file_system, names, path));
    const Status made = without_throwing([&] { return directory.impl_->make(); });
    if (made.is_ok()) return directory;
    directory.abandon();
    if (made.code() != Code::kNotFound || attempt == kMakeAttempts) return made;
  }
}

Status StoreDirectory::Impl::make() {
  const Status made = file_system.make_directory(path);
  is_made = made.is_ok();
  if (is_made) {
    VECSTORE_TRY(file_system.sync_directory(parent_of(path)));
  } else if (made.code() != Code::kExists) {
    return made;
  }
  VECSTORE_TRY(look_around());
  VECSTORE_ASSIGN(lock, lock_store(file_system, path));
  // Only now: a build that held the lock until a moment ago may have published.
  if (const Status index = check_is_index(file_system, path); index.is_ok()) {
    VECSTORE_TRY(take_over());
  } else if (index.code() == Code::kInvalidInput) {
    VECSTORE_TRY(take_over_leftovers());
  } else {
    return index;
  }
  is_taken_over = true;
  return announce();
}

// Nothing but what stores make may lie there.
Status StoreDirectory::Impl::look_around() {
  const auto entries = file_system.list(path);
  if (!entries && entries.error().code() == Code::kNotFound) {
    VECSTORE_ASSIGN(const EntryKind kind, file_system.kind_of(path));
    if (kind != EntryKind::kNone)
      return Status(Code::kExists, "a file is in the way; name a directory for the index").about(path);
  }
  if (!entries) return entries.error();
  if (const std::string foreign = foreign_entry(names, *entries); !foreign.empty())
    return Status(Code::kExists, "this is not part of an index; name an empty or a new directory")
        .about(path + "/" + foreign);
  for (const DirectoryEntry& entry : *entries) lay_there.insert(entry.name);
  has_looked = true;
  return Status::ok();
}

void StoreDirectory::abandon() {
  static_cast<void>(without_throwing([this] { return impl_->abandon(); }));
  unlock();
}

Status StoreDirectory::Impl::abandon() {
  if (lock == nullptr) {
    if (is_made && file_system.remove_directory(path).is_ok()) return Status::ok();
    if (!is_made && (!has_looked || lay_there.contains(kLockName))) return Status::ok();  // nothing was made
    VECSTORE_ASSIGN(lock, try_lock_store(file_system, path));
    if (lock == nullptr) return Status::ok();  // somebody else's by now
  }
  if (!state) return abandon_beginnings();
  if (!is_taken_over) return Status::ok();
  if (!failure.is_ok()) {  // of the commit, perhaps: then what lies there is the store, whole
    VECSTORE_ASSIGN(const StoreState now, load_state(file_system, names, path));
    if (now.sequence() != state->sequence()) return Status::ok();
  }
  // As the next writer would do it.
  superblock_file.reset();
  VECSTORE_TRY(take_over());
  remove_empty_directories(file_system, names, path, lay_there);
  return Status::ok();
}

// Where nothing was published before. The intent goes after what it accounts for.
Status StoreDirectory::Impl::abandon_beginnings() {
  VECSTORE_ASSIGN(const EntryKind superblock, file_system.kind_of(path + "/" + kSuperblockName));
  if (superblock != EntryKind::kNone) return Status::ok();  // the store is whole, or another's
  if (is_taken_over) VECSTORE_TRY(remove_newer({}));
  if (is_taken_over || !lay_there.contains(kTemporaryName)) {
    VECSTORE_TRY(clear_temporary(file_system, path));
    VECSTORE_TRY(file_system.remove_directory(path + "/" + kTemporaryName));
  }
  remove_empty_directories(file_system, names, path, lay_there);
  if (is_taken_over || !lay_there.contains(kLockName)) VECSTORE_TRY(file_system.unlink(path + "/" + kLockName));
  if (!is_made) return Status::ok();
  VECSTORE_TRY(file_system.remove_directory(path));
  return file_system.sync_directory(parent_of(path));
}

}  // namespace vecstore
