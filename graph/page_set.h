// SPDX-License-Identifier: Apache-2.0
//
// The pages a query has seen, at most kPagesPerQueryMax of them: a bit for every page of the graph, or, where that
// would be more memory and longer to clear, an open-addressing table.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "base/check.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/status.h"

namespace vecstore {

class PageSet {
 public:
  static constexpr std::uint64_t kBitsMax = std::uint64_t{1} << 19;  // 64 KiB

  // A set for a graph whose pages are numbered 1 … pages. Errors: kMemoryBudget.
  static Result<PageSet> create(std::uint64_t pages, MemoryBudget& budget) {
    PageSet set;
    set.pages_ = pages;
    set.pages_max_ = pages_max(pages);
    if (pages <= kBitsMax) {
      VECSTORE_ASSIGN(set.bits_, Buffer<std::uint64_t>::allocate(budget, words_of(pages)));
    } else {
      VECSTORE_ASSIGN(set.slots_, Buffer<std::uint32_t>::allocate(budget, kSlots));
      VECSTORE_ASSIGN(set.used_, Buffer<std::uint32_t>::allocate(budget, set.pages_max_));
    }
    return set;
  }

  static std::uint64_t predict_bytes(std::uint64_t pages) {
    if (pages <= kBitsMax) return words_of(pages) * sizeof(std::uint64_t);
    return (kSlots + pages_max(pages)) * sizeof(std::uint32_t);
  }

  bool contains(std::uint64_t page) const {
    if (!bits_.empty()) return ((bits_[page / kWordBits] >> (page % kWordBits)) & 1u) != 0;
    return slots_[find(page)] != 0;
  }
  // False when the page is there already or no more are taken.
  bool insert(std::uint64_t page) {
    VECSTORE_CHECK(page >= 1 && page <= pages_);
    if (size_ == pages_max_) return false;
    if (!bits_.empty()) {
      std::uint64_t& word = bits_[page / kWordBits];
      const std::uint64_t bit = std::uint64_t{1} << (page % kWordBits);
      if ((word & bit) != 0) return false;
      word |= bit;
    } else {
      const std::size_t slot = find(page);
      if (slots_[slot] != 0) return false;
      slots_[slot] = static_cast<std::uint32_t>(page);
      used_[size_] = static_cast<std::uint32_t>(slot);
    }
    ++size_;
    return true;
  }
  bool full() const { return size_ == pages_max_; }
  std::size_t size() const { return size_; }
  void clear() {
    if (size_ != 0) std::fill(bits_.begin(), bits_.end(), 0);
    for (std::size_t i = 0; i < size_ && !used_.empty(); ++i) slots_[used_[i]] = 0;
    size_ = 0;
  }

 private:
  static constexpr std::uint64_t kWordBits = 64;
  static constexpr std::size_t kSlots = std::bit_ceil(std::size_t{kPagesPerQueryMax} * 2);

  static std::size_t words_of(std::uint64_t pages) { return static_cast<std::size_t>(pages / kWordBits + 1); }
  static std::size_t pages_max(std::uint64_t pages) {
    return static_cast<std::size_t>(std::min<std::uint64_t>(pages, kPagesPerQueryMax));
  }
  // The slot that holds `page`, or the empty one where it belongs.
  std::size_t find(std::uint64_t page) const {
    constexpr std::size_t kMask = kSlots - 1;
    std::size_t slot = (page * 0x9E3779B97F4A7C15ull >> 32) & kMask;
    while (slots_[slot] != 0 && slots_[slot] != page) slot = (slot + 1) & kMask;
    return slot;
  }

  Buffer<std::uint64_t> bits_;  // one for each page; empty where the table serves
  Buffer<std::uint32_t> slots_;
  Buffer<std::uint32_t> used_;  // slots, in the order of their filling
  std::uint64_t pages_ = 0;
  std::size_t pages_max_ = 0;
  std::size_t size_ = 0;
};

}  // namespace vecstore
