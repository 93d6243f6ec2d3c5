// SPDX-License-Identifier: Apache-2.0
//
// What merges a store has made since it was opened, and how far the one is that is under way.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/mutex.h"
#include "engine/progress.h"

namespace vecstore {

// Thread-safe. One merge at a time.
class MergeTally {
 public:
  void begin() {
    tell({});
    is_merging_.store(true, std::memory_order_relaxed);
  }
  void tell(const Progress& progress) {
    const MutexLock guard(mutex_);
    progress_ = progress;
  }
  // is_made: else it came to nothing.
  void end(bool is_made) {
    (is_made ? made_ : failed_).fetch_add(1, std::memory_order_relaxed);
    is_merging_.store(false, std::memory_order_relaxed);
  }

  bool is_merging() const { return is_merging_.load(std::memory_order_relaxed); }
  std::uint64_t made() const { return made_.load(std::memory_order_relaxed); }
  std::uint64_t failed() const { return failed_.load(std::memory_order_relaxed); }
  Progress progress() const {  // of the last one where none is under way
    const MutexLock guard(mutex_);
    return progress_;
  }

 private:
  std::atomic<bool> is_merging_{false};
  std::atomic<std::uint64_t> made_{0};
  std::atomic<std::uint64_t> failed_{0};
  mutable Mutex mutex_;
  Progress progress_ VECSTORE_GUARDED_BY(mutex_);
};

}  // namespace vecstore
