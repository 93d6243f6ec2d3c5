// SPDX-License-Identifier: Apache-2.0
//
// The bounded pool of a search: the best candidates seen, ordered by distance. Each position is in it at most once,
// without a table of visited rows: an estimate is the same number every time it is computed, so a candidate that comes
// again is found at its place in the order.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <span>

#include "base/check.h"
#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"

namespace vecstore {

enum class CandidateState : std::uint8_t {
  kEstimated,  // distance from the code; its page is not here
  kExact,      // distance from the page, list not yet followed
  kExpanded,
};

struct PoolEntry {
  float distance = 0;
  Pos position = 0;
  CandidateState state = CandidateState::kEstimated;
};

class CandidatePool {
 public:
  static Result<CandidatePool> create(std::size_t capacity_max, MemoryBudget& budget) {
    CandidatePool pool;
    VECSTORE_ASSIGN(pool.entries_, Buffer<PoolEntry>::allocate(budget, capacity_max + 1));
    return pool;
  }

  void clear(std::size_t capacity) {
    size_ = 0;
    capacity_ = std::min(capacity, entries_.size() - 1);
    VECSTORE_CHECK(capacity_ > 0);
  }
  std::size_t size() const { return size_; }
  const PoolEntry& operator[](std::size_t i) const { return entries_[i]; }
  void set_state(std::size_t i, CandidateState state) { entries_[i].state = state; }
  // A candidate farther than this would not enter.
  float worst() const {
    return size_ < capacity_ ? std::numeric_limits<float>::infinity() : entries_[size_ - 1].distance;
  }

  // Inserts unless the entry is there already or too far; returns its place, or capacity().
  std::size_t insert(const PoolEntry& entry) {
    if (size_ == capacity_ && !before(entry, entries_[size_ - 1])) return capacity_;
    PoolEntry* low = entries_.data();
    PoolEntry* at = std::lower_bound(low, low + size_, entry, before);
    const auto place = static_cast<std::size_t>(at - low);
    if (place < size_ && at->position == entry.position && at->distance == entry.distance) return capacity_;
    if (size_ < capacity_) ++size_;
    std::memmove(at + 1, at, (size_ - 1 - place) * sizeof(PoolEntry));
    *at = entry;
    return place;
  }
  std::size_t capacity() const { return capacity_; }
  // How many are no farther.
  std::size_t count_within(float distance) const {
    const PoolEntry* low = entries_.data();
    const auto nearer = [](float limit, const PoolEntry& entry) { return limit < entry.distance; };
    return static_cast<std::size_t>(std::upper_bound(low, low + size_, distance, nearer) - low);
  }

  // Puts the best of many distinct candidates first, capacity() at most, in no order; returns how many. Then
  // what is farther than the last of these need not be offered.
  std::size_t keep_best(std::span<PoolEntry> candidates) const {
    if (candidates.size() <= capacity_) return candidates.size();
    std::nth_element(candidates.begin(), candidates.begin() + (capacity_ - 1), candidates.end(), before);
    return capacity_;
  }
  // An empty pool takes distinct candidates, at most capacity().
  void fill(std::span<PoolEntry> candidates) {
    VECSTORE_CHECK(size_ == 0 && candidates.size() <= capacity_);
    std::sort(candidates.begin(), candidates.end(), before);
    std::copy(candidates.begin(), candidates.end(), entries_.data());
    size_ = candidates.size();
  }

  // For tests: aborts unless the entries are distinct and in order.
  void check_invariants() const {
    VECSTORE_CHECK(size_ <= capacity_);
    for (std::size_t i = 0; i < size_; ++i) {
      VECSTORE_CHECK(i == 0 || before(entries_[i - 1], entries_[i]));
      for (std::size_t j = 0; j < i; ++j) VECSTORE_CHECK(entries_[i].position != entries_[j].position);
    }
  }

  void remove(std::size_t i) {
    std::copy(entries_.data() + i + 1, entries_.data() + size_, entries_.data() + i);
    --size_;
  }
  // Removes the entries that `goes` is true of, keeping the order.
  template <typename Predicate>
  void remove_if(const Predicate& goes) {
    PoolEntry* low = entries_.data();
    size_ = static_cast<std::size_t>(std::remove_if(low, low + size_, goes) - low);
  }

 private:
  static bool before(const PoolEntry& a, const PoolEntry& b) {
    return a.distance != b.distance ? a.distance < b.distance : a.position < b.position;
  }

  Buffer<PoolEntry> entries_;
  std::size_t size_ = 0;
  std::size_t capacity_ = 0;
};

}  // namespace vecstore
