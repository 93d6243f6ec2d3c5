// SPDX-License-Identifier: Apache-2.0
//
// The pages a query has seen: a small open-addressing table that is emptied in the time it was filled.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "engine/base/limits.h"
#include "engine/base/memory.h"
#include "engine/base/status.h"

namespace vecstore {

class PageSet {
 public:
  static Result<PageSet> create(std::uint64_t pages_max, MemoryBudget& budget) {
    PageSet set;
    set.pages_max_ = static_cast<std::size_t>(std::min<std::uint64_t>(pages_max, kPagesPerQueryMax));
    VECSTORE_ASSIGN(set.slots_, Buffer<std::uint32_t>::allocate(budget, std::bit_ceil(set.pages_max_ * 2 + 2)));
    VECSTORE_ASSIGN(set.used_, Buffer<std::uint32_t>::allocate(budget, set.pages_max_ + 1));
    return set;
  }

  static std::uint64_t predict_bytes(std::uint64_t pages_max) {
    const std::uint64_t pages = std::min<std::uint64_t>(pages_max, kPagesPerQueryMax);
    return (std::bit_ceil(pages * 2 + 2) + pages + 1) * sizeof(std::uint32_t);
  }

  bool contains(std::uint64_t page) const { return slots_[find(page)] != 0; }
  // False when the page is there already or the table is full.
  bool insert(std::uint64_t page) {
    const std::size_t slot = find(page);
    if (slots_[slot] != 0 || size_ == pages_max_) return false;
    slots_[slot] = static_cast<std::uint32_t>(page);
    used_[size_++] = static_cast<std::uint32_t>(slot);
    return true;
  }
  bool full() const { return size_ == pages_max_; }
  std::size_t size() const { return size_; }
  void clear() {
    for (std::size_t i = 0; i < size_; ++i) slots_[used_[i]] = 0;
    size_ = 0;
  }

 private:
  // The slot that holds `page` (data pages are numbered from 1), or the empty one where it belongs.
  std::size_t find(std::uint64_t page) const {
    const std::size_t mask = slots_.size() - 1;
    std::size_t slot = (page * 0x9E3779B97F4A7C15ull >> 32) & mask;
    while (slots_[slot] != 0 && slots_[slot] != page) slot = (slot + 1) & mask;
    return slot;
  }

  Buffer<std::uint32_t> slots_;
  Buffer<std::uint32_t> used_;
  std::size_t pages_max_ = 0;
  std::size_t size_ = 0;
};

}  // namespace vecstore
