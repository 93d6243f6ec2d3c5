// SPDX-License-Identifier: Apache-2.0
//
// Merges a store in the background, once enough has been written to it.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "base/cancel_token.h"
#include "base/mutex.h"
#include "base/status.h"

namespace vecstore {

// What waits to be merged.
struct MergeLoad {
  std::uint64_t graph_rows = 0;
  std::uint64_t dead_rows = 0;    // of these
  std::uint64_t delta_rows = 0;   // live
  std::uint64_t delta_bytes = 0;  // of memory
  std::uint64_t delta_bytes_max = 0;
  std::uint64_t log_bytes = 0;
  std::uint64_t log_bytes_max = 0;
  std::uint64_t records = 0;  // of the log that the graph does not hold; what they brought may have ended
};

// What the last merge left, because the log goes by segments, and readers of before may hold its rows in memory.
struct MergeLeft {
  std::uint64_t log_bytes = 0;
  std::uint64_t delta_bytes = 0;
};

// New rows, or dead ones, that make a merge into a graph of so many rows due.
std::uint64_t merge_share_of(std::uint64_t graph_rows);
// Whether that is worth a merge.
bool is_merge_due(const MergeLoad& load, const MergeLeft& left);

// One thread, from construction to stop(). Thread-safe.
class Merger {
 public:
  struct Calls {
    std::function<MergeLoad()> load;                         // from any thread
    std::function<Status(const CancelToken& cancel)> merge;  // on a thread of the merger's
  };
  explicit Merger(Calls calls);
  ~Merger() { stop(); }
  Merger(const Merger&) = delete;
  Merger& operator=(const Merger&) = delete;

  void wrote();  // after every write
  // A write has no room. Whether a merge that may give some is under way or about to begin.
  bool want_room();
  void stop();  // one that is under way is cancelled

  // Why the last merge did not come about; ok where it did.
  Status last_outcome() const;

 private:
  bool begin();  // false: it is being stopped, or the last one failed a moment ago
  void run(const std::stop_token& stop);

  const Calls calls_;
  MergeLeft left() const {
    return {log_bytes_left_.load(std::memory_order_relaxed), delta_bytes_left_.load(std::memory_order_relaxed)};
  }
  std::atomic<std::uint64_t> log_bytes_left_{0};
  std::atomic<std::uint64_t> delta_bytes_left_{0};
  std::atomic<bool> is_due_{false};
  CancelToken cancel_;
  mutable Mutex mutex_;
  CondVar changed_;
  bool is_stopping_ VECSTORE_GUARDED_BY(mutex_) = false;
  Status outcome_ VECSTORE_GUARDED_BY(mutex_);
  std::chrono::steady_clock::time_point not_before_ VECSTORE_GUARDED_BY(mutex_){};
  std::jthread thread_;
};

// Runs on a thread that gets less of a processor than others, and waits for it. What it throws comes out here.
void run_in_background(const std::function<void()>& work);

}  // namespace vecstore
