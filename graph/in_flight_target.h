// SPDX-License-Identifier: Apache-2.0
//
// How many queries the searchers of a store keep under way together. A fast device wants all it can get. What a slow
// one cannot read at once only waits in its queue, and behind it every read of a lone caller. So while rounds of reads
// take long, fewer queries are tried, and kept where as many are answered as before: where rounds get shorter in
// proportion. Where they do not, the device is far away, or others would take our share of it. Now and then more are
// tried, and kept where more are answered.
#pragma once

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "base/mutex.h"

namespace vecstore {

// Thread-safe.
class InFlightTarget {
 public:
  static constexpr std::uint32_t kMost = 32;  // more gain a few per cent at best (NOTES)
  static constexpr std::uint32_t kLeast = 4;  // fewer leave even a slow device idle
  static constexpr std::chrono::nanoseconds kLongRound = std::chrono::milliseconds(4);

  std::size_t queries() const { return queries_.load(std::memory_order_relaxed); }

  // `rounds` of reads took `sum` together, each from its request until the searcher went on with it. Meanwhile all
  // searchers had `under_way` queries: for want of lanes maybe fewer than wanted.
  void add_rounds(std::size_t rounds, std::chrono::nanoseconds sum, std::size_t under_way) {
    const MutexLock guard(lock_);
    told_ += rounds;
    if (to_skip_ != 0) {
      to_skip_ -= std::min(to_skip_, rounds);
      return;
    }
    rounds_ += rounds;
    sum_ += sum;
    under_way_ += rounds * under_way;
    if (rounds_ >= std::max(kRoundsLeast, kRoundsOfEach * queries())) judge();
  }

  // Rounds of which it was told so far.
  std::uint64_t rounds() const {
    const MutexLock guard(lock_);
    return told_;
  }

 private:
  static constexpr std::size_t kRoundsLeast = 64;
  static constexpr std::size_t kRoundsOfEach = 8;
  static constexpr double kSame = 0.97;  // least share of the answers in a time
  static constexpr std::size_t kPauseLeast = 4;
  static constexpr std::size_t kPauseMost = 64;

  void judge() VECSTORE_REQUIRES(lock_) {
    const std::chrono::nanoseconds mean = sum_ / rounds_;
    const double under_way = static_cast<double>(under_way_) / static_cast<double>(rounds_);
    const double rate = under_way / static_cast<double>(mean.count());  // Little's law
    rounds_ = 0;
    sum_ = {};
    under_way_ = 0;
    if (const std::size_t before = std::exchange(before_, 0); before == 0) {
      best_rate_ = rate;
    } else if (fewer_ ? rate >= kSame * best_rate_ : kSame * rate > best_rate_) {
      best_rate_ = std::max(best_rate_, rate);
      next_pause_ = kPauseLeast;
    } else {
      pause_ = next_pause_;
      next_pause_ = std::min(kPauseMost, 2 * next_pause_);
      fewer_ = !fewer_;
      return set(before);
    }
    if (mean < kLongRound / 2) {
      set(std::min<std::size_t>(kMost, more()));
    } else if (pause_ != 0) {
      --pause_;
    } else {
      attempt(mean > kLongRound, static_cast<std::size_t>(under_way));
    }
  }

  // Tries fewer or more, in turn where both can be.
  void attempt(bool may_be_fewer, std::size_t under_way) VECSTORE_REQUIRES(lock_) {
    may_be_fewer = may_be_fewer && queries() > kLeast;
    const bool may_be_more = queries() < kMost;
    if (!may_be_fewer && !may_be_more) return;
    fewer_ = may_be_fewer && (fewer_ || !may_be_more);
    before_ = queries();
    const std::size_t fewer = std::min(queries(), under_way) * 3 / 4;
    set(fewer_ ? std::max<std::size_t>(kLeast, fewer) : std::min<std::size_t>(kMost, more()));
  }

  std::size_t more() const { return (queries() * 4 + 2) / 3; }

  // Rounds that were asked for before the change say little about it.
  void set(std::size_t queries) VECSTORE_REQUIRES(lock_) {
    to_skip_ = queries == this->queries() ? 0 : 2 * std::max(queries, this->queries());
    queries_.store(queries, std::memory_order_relaxed);
  }

  std::atomic<std::size_t> queries_{kMost};
  mutable Mutex lock_;
  std::uint64_t told_ VECSTORE_GUARDED_BY(lock_) = 0;          // rounds
  std::size_t to_skip_ VECSTORE_GUARDED_BY(lock_) = 0;         // rounds
  std::size_t rounds_ VECSTORE_GUARDED_BY(lock_) = 0;          // since then, or since the last judgement
  std::chrono::nanoseconds sum_ VECSTORE_GUARDED_BY(lock_){};  // of these
  std::size_t under_way_ VECSTORE_GUARDED_BY(lock_) = 0;       // the sum over these
  std::size_t before_ VECSTORE_GUARDED_BY(lock_) = 0;          // while another number is tried: what it was
  bool fewer_ VECSTORE_GUARDED_BY(lock_) = true;               // what is tried, or will be next
  double best_rate_ VECSTORE_GUARDED_BY(lock_) = 0;            // before the try, or on a way of several
  std::size_t pause_ VECSTORE_GUARDED_BY(lock_) = 0;           // judgements until the next try
  std::size_t next_pause_ VECSTORE_GUARDED_BY(lock_) = kPauseLeast;
};

}  // namespace vecstore
