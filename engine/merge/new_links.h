// SPDX-License-Identifier: Apache-2.0
//
// The edges that new rows bring: to rows of the graph before, to one another, and back. Candidates are found by codes
// and compared by vectors, row after row in an order that keeps near rows together, so that few pages are read often.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/merge/code_candidates.h"
#include "engine/merge/merged_rows.h"
#include "engine/merge/row_pool.h"
#include "engine/watch.h"
#include "graph/build.h"
#include "graph/prune.h"

namespace vecstore {

// The greatest degree that a merge builds with: a row may have to lead to some more, and pages take kDegreeMax.
inline constexpr std::uint32_t kDegreeBuilt = 240;
static_assert(kDegreeBuilt + 15 <= kDegreeMax);

// For one thread.
class NewLinks {
 public:
  // Everything outlives it. `pool` has room for the new rows; options.max_degree is kDegreeBuilt at most. Errors:
  // kMemoryBudget.
  static Result<NewLinks> create(const MergedRows& rows, RowPool& pool, const GraphBuildOptions& options,
                                 MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint32_t added, const GraphBuildOptions& options);

  // Fills the pool with the new rows, and links them. Errors: kIo, kCorrupt, kMemoryBudget, kCancelled.
  Status link(Executor& executor, Watch& watch);

  // Edges that a list may have, and to how many it is pruned then. Pages have room for lists of about these on average.
  // Longer lists would be cut where their page is full: its longest edges would go, of which pruning keeps some.
  static std::uint32_t capacity_of(const GraphBuildOptions& options) {
    return options.max_degree - options.max_degree / 10;
  }
  static std::uint32_t pruned_degree(const GraphBuildOptions& options) {
    return std::max(1u, options.max_degree * 3 / 4);
  }
  std::uint32_t capacity() const { return capacity_; }
  // The neighbours of a new row, by number.
  std::span<const std::uint32_t> list(std::uint32_t nth) const {
    return {edges_.data() + std::size_t{nth} * capacity_, degree_[nth]};
  }
  struct BackEdge {
    Pos target = 0;
    std::uint32_t source = 0;  // number of a new row
    auto operator<=>(const BackEdge&) const = default;
  };
  // The new rows that became neighbours of a row of the graph, ascending.
  std::span<const BackEdge> added_to(Pos position) const;
  // The rows nearest to a new row, by number, nearest first.
  std::span<const std::uint32_t> nearest(std::uint32_t nth) const {
    const auto all = nearest_.span().subspan(std::size_t{nth} * kNearestKept, kNearestKept);
    return all.first(static_cast<std::size_t>(std::ranges::find(all, kNoPos) - all.begin()));
  }
  // The position that the new row goes behind.
  Pos anchor(std::uint32_t nth) const { return anchor_[nth]; }
  // All new rows by their anchors; near rows of the same one stand together.
  std::span<const std::uint32_t> by_anchor() const { return order_.span(); }

 private:
  struct Finders;

  NewLinks(const MergedRows& rows, RowPool& pool, const GraphBuildOptions& options, MemoryBudget& budget);
  Status fill_pool();
  Status fill_pool(float largest_norm2);
  Result<float> largest_norm2_of_graph() const;
  Status put_in_order(Executor& executor);
  // Candidates of the rows that come next → found_, as long as they lie on no more pages than half of the pool holds.
  // Returns how many rows that are.
  std::uint32_t find_candidates(std::uint32_t rank, Finders& finders);
  Status link_row(std::uint32_t nth, std::span<const std::uint32_t> candidates);
  // Distances to `numbers_`, from a new row or one of the graph → seen_, sorted.
  Status compare(std::uint32_t number);
  Pos anchor_of(std::uint32_t nth) const;
  Status add_back(std::uint32_t nth, std::uint32_t number);
  void take_list(std::uint32_t nth, std::span<const std::uint32_t> slots);
  void sort_back_edges();

  const MergedRows& rows_;
  RowPool& pool_;
  GraphBuildOptions options_;
  MemoryBudget& budget_;
  std::uint32_t capacity_;
  Pruner pruner_;
  Buffer<std::uint32_t> order_;    // [added] first an order in which near rows are together, at last by anchor
  Buffer<std::uint32_t> rank_;     // [added] place in that order
  Buffer<std::uint32_t> edges_;    // [added × capacity] numbers
  Buffer<std::uint16_t> degree_;   // [added]
  Buffer<Pos> anchor_;             // [added] kNoPos: it has none yet
  Buffer<std::uint32_t> nearest_;  // [added × kNearestKept] kNoPos behind the last
  Buffer<BackEdge> back_edges_;    // [added × most of a row]
  std::size_t back_edge_count_ = 0;
  bool has_all_pages_ = false;                     // the pool: none is missing
  std::vector<std::vector<std::uint32_t>> found_;  // numbers, for each of the rows that come next
  std::vector<Pos> positions_;                     // of one of them, in the graph and among the new
  std::vector<std::uint64_t> pages_;               // on which those of the graph lie, ascending
  std::vector<std::uint64_t> pages_before_;        // those without the last row's
  std::vector<std::uint64_t> pages_of_row_;
  std::vector<std::uint32_t> numbers_;
  std::vector<std::uint32_t> nearest_numbers_;
  std::vector<std::uint32_t> slots_;
  std::vector<std::uint32_t> scratch_;
  std::vector<float> distances_;
  std::vector<Candidate> seen_;  // by slot
  Buffer<float> query_;          // [dim]
};

}  // namespace vecstore
