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
  // `near`: rows on either side of a row that are looked at beside its list.
  explicit WindowNearest(std::uint32_t near) : near_(near) {}
  // Places, nearest first, at most kNearestKept; until the next call.
  std::span<const std::uint32_t> find(const MergeWindow& window, std::uint32_t place);

 private:
  std::uint32_t near_;
  std::vector<std::uint32_t> others_;
  std::vector<std::uint32_t> scratch_;
  std::vector<float> distances_;
  std::vector<Candidate> candidates_;
  std::array<std::uint32_t, kNearestKept> nearest_{};
};

// Places all rows: the order of before, with new rows behind their anchors; and within every window that
// `is_due(window)` an order anew. Errors: kIo, kCorrupt, kMemoryBudget, kCancelled.
Status place_rows(MergedRows& rows, WindowReader& windows, MergeWindow& room, std::uint32_t rows_per_page,
                  std::uint64_t seed, const std::vector<bool>& is_due, Executor& executor, MemoryBudget& budget,
                  Watch& watch);

}  // namespace vecstore
