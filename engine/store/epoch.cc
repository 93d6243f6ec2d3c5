// SPDX-License-Identifier: Apache-2.0
#include "engine/store/epoch.h"

namespace vecstore {

void CurrentEpoch::reserve_old() {
  std::erase_if(old_, [](const Old& old) { return old.is_gone(); });
  old_.reserve(old_.size() + 1);
}

void CurrentEpoch::prepare_set() {
  const MutexLock guard(lock_);
  reserve_old();
}

void CurrentEpoch::set(std::shared_ptr<const Epoch> epoch) {
  const MutexLock guard(lock_);
  if (epoch_ != nullptr && epoch != nullptr) {
    reserve_old();
    const Content& content = *epoch_->content;
    const std::uint64_t searcher_bytes = epoch_->searchers == nullptr ? 0 : epoch_->searchers->bytes();
    old_.push_back({epoch_, epoch_->content, epoch_->live, epoch_->live->pins(), searcher_bytes, content.memory_bytes(),
                    epoch_->live->bytes_left(), content.disk_bytes_beside(*epoch->content)});
  }
  epoch_.swap(epoch);  // the one before goes without the lock
}

OldEpochs CurrentEpoch::old() const {
  OldEpochs sum;
  const MutexLock guard(lock_);
  for (const Old& old : old_) {
    if (old.is_gone()) continue;
    ++sum.epochs;
    sum.readers += old.pins->load(std::memory_order_relaxed);
    if (!old.epoch.expired()) sum.memory_bytes += old.searcher_bytes;
    if (!old.live.expired()) sum.memory_bytes += old.row_bytes;
    if (old.content.expired()) continue;
    sum.memory_bytes += old.content_bytes;
    sum.disk_bytes += old.disk_bytes;
  }
  return sum;
}

}  // namespace vecstore
