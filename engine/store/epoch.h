// SPDX-License-Identifier: Apache-2.0
//
// What a store consists of between two merges, and the one that calls take their views of. A merge puts another in its
// place; who has a view goes on with the one that it was taken of.
#pragma once

#include <memory>
#include <utility>

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

// Thread-safe.
class CurrentEpoch {
 public:
  std::shared_ptr<const Epoch> get() const {
    const MutexLock guard(lock_);
    return epoch_;
  }
  // Before anything is written that the one before must not see.
  void set(std::shared_ptr<const Epoch> epoch) {
    const MutexLock guard(lock_);
    epoch_.swap(epoch);  // the one before goes without the lock
  }

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
  mutable Mutex lock_;
  std::shared_ptr<const Epoch> epoch_ VECSTORE_GUARDED_BY(lock_);
};

}  // namespace vecstore
