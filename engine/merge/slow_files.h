// SPDX-License-Identifier: Apache-2.0
//
// Another file system's files, written to at no more than so many bytes a second: a merge in the background leaves the
// device to who waits for it. Everything else is as there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/cancel_token.h"
#include "base/io.h"
#include "base/mutex.h"

namespace vecstore {

// Thread-safe. `files` outlives it; it outlives its files.
class SlowFiles final : public FileSystem {
 public:
  // Once `cancel` (or nullptr) is cancelled nothing waits any more.
  SlowFiles(FileSystem& files, std::uint64_t bytes_per_second, const CancelToken* cancel)
      : files_(files), rate_(bytes_per_second), cancel_(cancel) {}

  Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) override;
  Status rename(const std::string& from, const std::string& to) override { return files_.rename(from, to); }
  Status rename_to_new(const std::string& from, const std::string& to) override {
    return files_.rename_to_new(from, to);
  }
  Status unlink(const std::string& path) override { return files_.unlink(path); }
  Status remove_directory(const std::string& path) override { return files_.remove_directory(path); }
  Status make_directory(const std::string& path) override { return files_.make_directory(path); }
  Status sync_directory(const std::string& path) override { return files_.sync_directory(path); }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override { return files_.list(path); }
  Result<EntryKind> kind_of(const std::string& path) override { return files_.kind_of(path); }
  Result<std::uint64_t> free_bytes(const std::string& path) override { return files_.free_bytes(path); }
  Clock& clock() override { return files_.clock(); }

 private:
  class SlowFile;

  // Before so many bytes are written: sleeps until those before them have had their time.
  void wait_for(std::uint64_t bytes);

  FileSystem& files_;
  const std::uint64_t rate_;  // bytes per second
  const CancelToken* const cancel_;
  Mutex mutex_;
  Clock::TimePoint free_at_ VECSTORE_GUARDED_BY(mutex_){};  // when what was written has had its time
};

}  // namespace vecstore
