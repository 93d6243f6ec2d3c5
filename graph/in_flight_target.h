// SPDX-License-Identifier: Apache-2.0
//
// How many queries the searchers of a store keep under way together. A fast device wants all it can get; what a slow
// one cannot read at once only waits in its queue, and behind it every read of a lone caller. So while rounds of reads
// take long, fewer queries are tried, and kept where as many are answered as before: where rounds get shorter in
// proportion. Where they do not, the wait is the device's way (it is far) or others' doing (they would take our share).
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <utility>

namespace vecstore {

// Thread-safe.
class InFlightTarget {
 public:
  static constexpr std::uint32_t kMost = 32;  // more only wait in the queue of any device (README)
  static constexpr std::uint32_t kLeast = 4;  // fewer leave even a slow device idle
  static constexpr std::chrono::nanoseconds kLongRound = std::chrono::milliseconds(4);

  std::size_t queries() const { return queries_.load(std::memory_order_relaxed); }

  // `rounds` of reads, each from its request to its last page, took `sum` together; of searches that always had another
  // query to start.
  void add_rounds(std::size_t rounds, std::chrono::nanoseconds sum) {
    const std::lock_guard guard(lock_);
    if (to_skip_ != 0) {  // asked for before the last change
      to_skip_ -= std::min(to_skip_, rounds);
      return;
    }
    rounds_ += rounds;
    sum_ += sum;
    if (rounds_ >= kRoundsOfEach * queries()) judge(sum_ / rounds_);
  }

 private:
  static constexpr std::size_t kRoundsOfEach = 4;
  static constexpr double kKept = 0.95;  // of the answers in a time
  static constexpr std::size_t kPauseLeast = 4;
  static constexpr std::size_t kPauseMost = 256;

  void judge(std::chrono::nanoseconds mean) {
    const double rate = static_cast<double>(queries()) / static_cast<double>(mean.count());  // Little's law
    rounds_ = 0;
    sum_ = {};
    const std::size_t before = std::exchange(before_, 0);
    if (before != 0 && rate < kKept * best_rate_) {
      pause_ = next_pause_;
      next_pause_ = std::min(kPauseMost, 2 * next_pause_);
      return set(before);
    }
    if (before != 0) {
      next_pause_ = kPauseLeast;
    } else {
      best_rate_ = 0;
    }
    if (mean < kLongRound / 2) {
      set(std::min<std::size_t>(kMost, queries() + std::max<std::size_t>(1, queries() / 4)));
    } else if (pause_ != 0) {
      --pause_;
    } else if (mean > kLongRound && queries() > kLeast) {
      best_rate_ = std::max(best_rate_, rate);
      before_ = queries();
      set(std::max<std::size_t>(kLeast, queries() * 3 / 4));
    }
  }

  void set(std::size_t queries) {
    if (queries == this->queries()) return;
    queries_.store(queries, std::memory_order_relaxed);
    to_skip_ = 2 * kMost;
  }

  std::atomic<std::size_t> queries_{kMost};
  std::mutex lock_;                 // guards what follows
  std::size_t to_skip_ = 0;         // rounds
  std::size_t rounds_ = 0;          // since then, or since the last judgement
  std::chrono::nanoseconds sum_{};  // of these
  std::size_t before_ = 0;          // while fewer queries are tried: how many there were
  double best_rate_ = 0;            // on the way down
  std::size_t pause_ = 0;           // judgements until fewer are tried again
  std::size_t next_pause_ = kPauseLeast;
};

}  // namespace vecstore
