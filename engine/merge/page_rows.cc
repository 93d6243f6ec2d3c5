// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/page_rows.h"

#include <algorithm>

namespace vecstore {

void PageRows::read(Pos position, float* out) const {
  const MutexLock guard(mutex_);
  const auto slot = pool_.bring_one(position);
  if (slot) return pool_.rows().decode(*slot, out);
  std::fill_n(out, layout_.dim, 0.0f);
  if (outcome_.is_ok()) outcome_ = slot.error();
}

void PageRows::expect(std::span<const Pos> positions) const {
  static_assert(kExpectedMost <= RowPool::kRowsAtOnce);
  const MutexLock guard(mutex_);
  const Status brought = pool_.bring(positions, slots_);
  if (outcome_.is_ok()) outcome_ = brought;
}

Status PageRows::outcome() const {
  const MutexLock guard(mutex_);
  return outcome_;
}

}  // namespace vecstore
