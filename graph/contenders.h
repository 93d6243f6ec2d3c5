// SPDX-License-Identifier: Apache-2.0
//
// Which rows that a search has seen may be among the k nearest by the vectors as they were put. A page keeps them
// rounded, so each is known to lie within an interval (PreparedQuery::interval). Those may that can be nearer than the
// k-th farthest end.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <span>

#include "base/ids.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/status.h"
#include "graph/prepared_query.h"
#include "graph/search_types.h"

namespace vecstore {

// Whether pages may keep a row otherwise than it was put, so that there are contenders.
constexpr bool rounds_rows(const GraphLayout& layout) { return !is_integer(layout.dtype); }

// For one query after the other.
class Contenders {
 public:
  // Errors: kMemoryBudget.
  static Result<Contenders> create(MemoryBudget& budget) {
    Contenders contenders;
    VECSTORE_ASSIGN(contenders.rows_, Buffer<Contender>::allocate(budget, kContendersMax));
    VECSTORE_ASSIGN(contenders.farthest_, Buffer<float>::allocate(budget, kResultsMax));
    return contenders;
  }
  static constexpr std::uint64_t predict_bytes() {
    return kContendersMax * sizeof(Contender) + kResultsMax * sizeof(float);
  }

  void begin(std::size_t k) {
    k_ = k;
    count_ = 0;
    known_ = 0;
  }
  // What lies beyond is none.
  float limit() const { return known_ < k_ ? std::numeric_limits<float>::infinity() : farthest_[0]; }
  // Each row once. `key`: as of FoundRow.
  void offer(RowId row, std::uint64_t key, const PreparedQuery::Interval& interval) {
    if (interval.nearest > limit()) return;
    if (count_ == rows_.size()) make_room();
    rows_[count_++] = {interval.nearest, row, key};
    float* heap = farthest_.data();
    if (known_ == k_) {
      if (interval.farthest >= heap[0]) return;
      std::pop_heap(heap, heap + known_--);
    }
    heap[known_++] = interval.farthest;
    std::push_heap(heap, heap + known_);
  }
  // Those that may be nearest first. Valid until the next begin().
  std::span<const Contender> sorted() {
    drop_beyond_limit();
    std::sort(rows_.begin(), rows_.begin() + count_);
    return rows_.span().first(count_);
  }

 private:
  // Half as many again as the most that are asked for.
  static constexpr std::size_t kContendersMax = kResultsMax + kResultsMax / 2;

  Contenders() = default;
  void drop_beyond_limit() {
    const auto gone = [this](const Contender& row) { return row.nearest > limit(); };
    count_ = static_cast<std::size_t>(std::remove_if(rows_.begin(), rows_.begin() + count_, gone) - rows_.begin());
  }
  // Where more rows than there is room for lie within each other's rounding, those that may be nearest stay.
  void make_room() {
    drop_beyond_limit();
    const std::size_t most = rows_.size() - rows_.size() / 8;
    if (count_ <= most) return;
    std::nth_element(rows_.begin(), rows_.begin() + most, rows_.begin() + count_);
    count_ = most;
  }

  Buffer<Contender> rows_;
  Buffer<float> farthest_;  // a max-heap of the k least
  std::size_t k_ = 0;
  std::size_t count_ = 0;
  std::size_t known_ = 0;
};

}  // namespace vecstore
