// SPDX-License-Identifier: Apache-2.0
//
// Another file system's files, written to at no more than so many bytes a second: a merge in the background leaves the
// device to who waits for it. Everything else is as there.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/cancel_token.h"
#include "base/forwarding_files.h"
#include "base/mutex.h"

namespace vecstore {

// Thread-safe. `files` outlives it; it outlives its files.
class SlowFiles final : public ForwardingFiles {
 public:
  // Once `cancel` (or nullptr) is cancelled nothing waits any more.
  SlowFiles(FileSystem& files, std::uint64_t bytes_per_second, const CancelToken* cancel)
      : ForwardingFiles(files), rate_(bytes_per_second), cancel_(cancel) {}

  Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) override;

 private:
  class SlowFile;

  // Before so many bytes are written: sleeps until those before them have had their time.
  void wait_for(std::uint64_t bytes);

  const std::uint64_t rate_;  // bytes per second
  const CancelToken* const cancel_;
  Mutex mutex_;
  Clock::TimePoint free_at_ VECSTORE_GUARDED_BY(mutex_){};  // when what was written has had its time
};

}  // namespace vecstore
