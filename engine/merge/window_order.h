// SPDX-License-Identifier: Apache-2.0
//
// Where the rows of a merge will stand.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/merge/merge_window.h"
#include "graph/build.h"

namespace vecstore {

// The nearest rows of each row of a window, within it. For one thread.
class WindowNearest {
 public:
  // Beside its list, `near` rows on either side of a row are looked at, and the lists of the nearest `lists` of all
  // these.
  WindowNearest(std::uint32_t near, std::uint32_t lists) : near_(near), lists_(lists) {}
  // Places, nearest first, at most kNearestKept; until the next call.
  std::span<const std::uint32_t> find(const MergeWindow& window, std::uint32_t place);

 private:
  void begin_row(const MergeWindow& window, std::uint32_t place);
  void add(std::uint32_t other);
  void add_list(const MergeWindow& window, std::span<const std::uint32_t> numbers);
  void compare_others(const MergeWindow& window, std::uint32_t place);

  std::uint32_t near_;
  std::uint32_t lists_;
  std::uint32_t row_ = 0;               // how many rows were asked for
  std::vector<std::uint32_t> seen_in_;  // by place: the row for which it came last
  std::vector<std::uint32_t> others_;   // places to be compared
  std::vector<std::uint32_t> scratch_;
  std::vector<float> distances_;
  std::array<Candidate, kNearestKept> nearest_{};  // by place
  std::size_t nearest_count_ = 0;
  std::array<std::uint32_t, kNearestKept> places_{};
};

// Places all rows: the order of before, with new rows behind their anchors; and within every window that
// `is_due(window)` an order anew. Errors: kIo, kCorrupt, kMemoryBudget, kCancelled.
Status place_rows(MergedRows& rows, WindowReader& windows, MergeWindow& room, std::uint32_t rows_per_page,
                  std::uint64_t seed, const std::vector<bool>& is_due, Executor& executor, MemoryBudget& budget,
                  Watch& watch);

}  // namespace vecstore
