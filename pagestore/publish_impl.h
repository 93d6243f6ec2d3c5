// SPDX-License-Identifier: Apache-2.0
//
// What a StoreDirectory knows. Internal to pagestore.
#pragma once

#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>

#include "base/thrown.h"
#include "pagestore/publish.h"
#include "pagestore/store_files.h"
#include "pagestore/store_state.h"

namespace vecstore {

struct StoreDirectory::Impl {
  Impl(FileSystem& system, const StoreNames& of_store, std::string directory)
      : file_system(system), names(of_store), path(std::move(directory)) {}

  Status load() {
    VECSTORE_ASSIGN(state, load_state(file_system, names, path));
    current = state->content().manifest;
    return Status::ok();
  }
  Status make();
  Status look_around();
  Status take_over();
  Status take_over_leftovers();
  Status abandon();
  Status abandon_beginnings();
  Status remove_newer(const std::set<std::string>& referenced) const;
  Status mirror();
  // Garbage that cannot be removed now is removed after the next publish.
  void collect() {
    static_cast<void>(without_throwing([this] {
      std::set<std::string> needed = state ? state->referenced() : std::set<std::string>{};
      if (superseded) add_files_of(*superseded, needed);
      return collect_garbage(file_system, names, path, needed);
    }));
  }
  Status check_going_on() const;  // no commit failed
  Status announce();
  Status withdraw();
  Status check_files(const Manifest& manifest) const;
  Status sync_directories(const Manifest& manifest) const;
  Status write_manifest(const std::string& name, std::span<const std::byte> bytes) const;
  Status check_holds(const std::string& file_path, std::uint64_t offset, std::span<const std::byte> bytes) const;
  Status write_slot(const Slot& slot, std::size_t index) const;
  Status commit(const Slot& slot);
  Status commit_first(const Slot& slot);  // superblock of a new store

  FileSystem& file_system;
  const StoreNames& names;
  const std::string path;
  std::unique_ptr<File> lock;             // of a writer
  std::unique_ptr<File> superblock_file;  // of a writer, locked too, once there is one
  std::optional<StoreState> state;        // none: nothing was ever published
  std::optional<Manifest> current;
  std::optional<Manifest> superseded;  // by the last publish: readers may be about to open its files
  Status salvaged_from;                // why the content is only what is left
  std::set<std::string> lay_there;     // by make(): the names that it found
  bool has_looked = false;             // by make(): these are all
  bool is_made = false;                // by make(): the directory was not there
  bool is_taken_over = false;          // by make(): whatever is newer than the content is of this writer
  bool announced = false;              // the intent of the next publish is on the disk
  Status failure;  // of a commit or of a directory's sync: what is on the disk is not known any more
};

}  // namespace vecstore
