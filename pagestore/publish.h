// SPDX-License-Identifier: Apache-2.0
//
// The directory of a store: its lock, its manifests and its superblock, the only commit point.
//
// publish() makes a set of finished files the content of the store: sync the directory, write and sync a checksummed
// manifest that names them, then overwrite one slot of the superblock, sync, overwrite the other and sync. A crash at
// any moment leaves the old content or the new. Afterwards both slots name the new one, so that damage to either, or to
// the manifest, is never answered with an older content. Byte-exact formats: pagestore/README.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/status.h"
#include "pagestore/manifest.h"
#include "pagestore/store_names.h"

namespace vecstore {

enum class LockMode : std::uint8_t { kShared, kExclusive };

// Thread-safe for reading; publish() by one thread. File system and names outlive it.
class StoreDirectory {
 public:
  // Takes LOCK (exclusive for writers, retried for a second) and reads the newest intact superblock slot and its
  // manifest. A writer renews a slot that is damaged, and removes leftovers that are known to be such. Errors:
  // kNotFound (no such directory), kInvalidInput ("not a VecStore index"), kBusy naming the holder's pid, kCorrupt
  // naming the manifest, or a file that is newer than the content and that nothing accounts for, kNewerFormat,
  // kPermission. A read-only directory can be opened kShared. kShared takes no lock and writes nothing: a writer
  // excludes other writers, never readers, which keep descriptors. A reader whose files were collected before it opened
  // them opens the directory again.
  static Result<StoreDirectory> open(FileSystem& file_system, const StoreNames& names, const std::string& path,
                                     LockMode mode);
  // Makes the directory if need be and takes the exclusive lock. An existing store is returned with its manifest;
  // whether it may be replaced is the caller's to decide. Includes begin_publish().
  // An error leaves nothing behind. Errors: kExists when the path is a file or a directory with foreign content,
  // kCorrupt as of open(), or when it holds files of an index whose superblock is missing, kPermission, kBusy,
  // kNoSpace.
  static Result<StoreDirectory> create(FileSystem& file_system, const StoreNames& names, const std::string& path);
  // For salvage alone: does what open(kShared) does. Where that finds damage, it takes the newest manifest that is
  // whole and whose files are there. That may be older than what was lost; damage() tells. Errors: as of open(kShared).
  static Result<StoreDirectory> open_what_is_left(FileSystem& file_system, const StoreNames& names,
                                                  const std::string& path);
  StoreDirectory(StoreDirectory&&) noexcept;
  StoreDirectory& operator=(StoreDirectory&&) noexcept;
  ~StoreDirectory();

  const std::string& path() const;
  const std::optional<Manifest>& manifest() const;  // none: nothing was ever published here
  // The content before the last publish, where the other slot of the superblock still keeps it: only in a store whose
  // writer was of before slots were mirrored, or died within its publish. nullptr: none.
  const Manifest* previous() const;
  // Minor version of the format that the content was published in: 1 since both slots of the superblock name it.
  std::uint16_t format_minor() const;
  // A publish was begun here and has not ended: it is under way, or whoever began it died.
  bool has_unfinished_publish() const;
  // What is wrong although the content could be found: a slot that is damaged, or whose manifest is; a newer file that
  // nothing accounts for. One Status each, naming file and offset.
  std::vector<Status> damage() const;
  std::string file_path(const std::string& name) const;
  // An error of a file under tmp/, said of the store; any other as it is.
  Status about_store(const Status& status) const;
  std::string temporary_path(const std::string& name) const;  // under tmp/, emptied by create() and open(kExclusive)

  // Before the first file of a later generation is written, unless create() was called and nothing published since:
  // what is found of it after a crash is then known to be a leftover. Errors: kIo, kNoSpace, and as of publish() after
  // a commit that failed.
  Status begin_publish();
  // What was written since begin_publish() is not wanted: it goes for good, and the note of it. What a disk that does
  // not answer keeps, the next publish removes.
  void withdraw_publish();
  // All files of `manifest` are finished and synced. Afterwards manifest() is the new one, and files that neither it
  // nor the one before names are removed. Errors: kIo, kNoSpace, kInvalidArgument (a file is missing or has another
  // size). The old content stays, unless the very commit failed. Then either may be found, and the directory refuses
  // to publish until it is opened again.
  Status publish(Manifest manifest);

  // After publish(): the files of the content before go too. A reader that was about to open them finds that another
  // content was published, and opens that.
  void drop_superseded();

  // A commit failed: what the disk holds is known only to who opens the directory again.
  bool has_failed() const;

  // Of what create() returned, where nothing was published: what was written since goes, and what create() made, the
  // directory too. What lay there before stays as it was. Where the very commit failed, a store that can be found
  // stays. What a disk that does not answer keeps, the next writer removes. Nothing may be published afterwards.
  void abandon();

  // Lets other writers in. Nothing may be published afterwards.
  void unlock();

  // Bytes free on the file system for an unprivileged writer.
  Result<std::uint64_t> free_bytes() const;

 private:
  struct Impl;
  explicit StoreDirectory(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace vecstore
