// SPDX-License-Identifier: Apache-2.0
//
// What a store consists of between two merges, and the one that calls take their views of. A merge puts another in its
// place; who has a view goes on with the one that it was taken of.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/mutex.h"
#include "engine/content/content.h"
#include "engine/content/view.h"
#include "engine/live/live_state.h"
#include "engine/store/searchers.h"

namespace vecstore {

struct Epoch {
  std::shared_ptr<Content> content;
  std::shared_ptr<LiveState> live;
  std::unique_ptr<Searchers> searchers;  // over the content
};

// Those that others took the place of, and that calls go on reading which began before.
struct OldEpochs {
  std::uint64_t epochs = 0;
  std::uint64_t readers = 0;       // calls
  std::uint64_t memory_bytes = 0;  // that goes with them: of graphs, searchers, and rows that are in later graphs
  std::uint64_t disk_bytes = 0;    // of their files, which were removed and are open still
};

// Thread-safe.
class CurrentEpoch {
 public:
  std::shared_ptr<const Epoch> get() const {
    const MutexLock guard(lock_);
    return epoch_;
  }
  // Before anything is written that the one before must not see. Allocates nothing after prepare_set().
  void set(std::shared_ptr<const Epoch> epoch);
  void prepare_set();
  OldEpochs old() const;

  // The moment that readers see now, with the epoch that it is of.
  std::pair<std::shared_ptr<const Epoch>, View> pin() const {
    while (true) {
      std::shared_ptr<const Epoch> epoch = get();
      View view(epoch->content, epoch->live, epoch->live->pin());
      // Where another took its place before the moment was pinned, what was written since may be missing.
      if (get() == epoch) return {std::move(epoch), std::move(view)};
    }
  }

 private:
  // It is gone once nothing leads to it any more. What it takes was counted when another took its place.
  struct Old {
    std::weak_ptr<const Epoch> epoch;
    std::weak_ptr<const Content> content;
    std::weak_ptr<const LiveState> live;
    std::shared_ptr<const std::atomic<std::uint64_t>> pins;
    std::uint64_t searcher_bytes = 0;
    std::uint64_t content_bytes = 0;
    std::uint64_t row_bytes = 0;
    std::uint64_t disk_bytes = 0;
    bool is_gone() const { return epoch.expired() && content.expired() && live.expired(); }
  };
  void reserve_old() VECSTORE_REQUIRES(lock_);

  mutable Mutex lock_;
  std::shared_ptr<const Epoch> epoch_ VECSTORE_GUARDED_BY(lock_);
  std::vector<Old> old_ VECSTORE_GUARDED_BY(lock_);
};

}  // namespace vecstore
