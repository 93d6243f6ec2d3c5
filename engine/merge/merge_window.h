// SPDX-License-Identifier: Apache-2.0
//
// The rows of a merge, one window after the other: rows that will stand side by side, with what their pages will hold
// of them and with their lists. So a merge has only one window of the graph in memory.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "engine/merge/merged_rows.h"
#include "engine/merge/new_links.h"
#include "engine/merge/row_pool.h"
#include "engine/watch.h"
#include "graph/format.h"
#include "graph/prune.h"

namespace vecstore {

// Pages of a window, by what memory there is: a wider one is ordered better (NOTES.md).
inline constexpr std::uint32_t kWindowPagesLeast = 64;
inline constexpr std::uint32_t kWindowPagesMost = 4096;

// Rows have a place within it: the order of before, with new rows behind their anchors.
class MergeWindow {
 public:
  struct Row {
    std::uint32_t number = 0;
    RowId id;
    std::uint64_t key = 0;
    RowParams params;
  };

  // Room for so many rows. Errors: kMemoryBudget.
  static Result<MergeWindow> create(std::uint64_t rows, const GraphLayout& layout, std::span<const float> centre,
                                    float largest_norm2, MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint64_t rows, const GraphLayout& layout);

  std::uint32_t size() const { return static_cast<std::uint32_t>(rows_.size()); }
  const Row& row(std::uint32_t place) const { return rows_[place]; }
  const std::byte* values(std::uint32_t place) const { return values_.data() + std::size_t{place} * value_bytes_; }
  // Its neighbours by number, in no order.
  std::span<const std::uint32_t> list(std::uint32_t place) const {
    return std::span(edges_).subspan(ends_[place], ends_[place + 1] - ends_[place]);
  }
  // Rows beside these that may be near, by number: of a new row those that it was compared with.
  std::span<const std::uint32_t> near(std::uint32_t place) const {
    return std::span(near_).subspan(near_ends_[place], near_ends_[place + 1] - near_ends_[place]);
  }
  // Of a row by number; kNoPos: it is not in this window.
  std::uint32_t place_of(std::uint32_t number) const;
  // Their vectors, by place.
  const QuantizedRows& vectors() const { return *vectors_; }

 private:
  friend class WindowReader;
  MergeWindow() = default;
  void clear(Pos first);
  void add(const Row& row, const std::byte* values);
  void end_list() {
    ends_.push_back(static_cast<std::uint32_t>(edges_.size()));
    near_ends_.push_back(static_cast<std::uint32_t>(near_.size()));
  }

  std::uint32_t value_bytes_ = 0;
  std::uint32_t before_ = 0;
  Pos first_ = 0;  // of the graph before, that may be in it
  std::vector<Row> rows_;
  Buffer<std::byte> values_;
  std::optional<QuantizedRows> vectors_;
  std::vector<std::uint32_t> edges_;
  std::vector<std::uint32_t> ends_;
  std::vector<std::uint32_t> near_;
  std::vector<std::uint32_t> near_ends_;
  std::vector<std::uint32_t> place_of_old_;                        // by position − first_
  std::unordered_map<std::uint32_t, std::uint32_t> place_of_new_;  // by number
  Charge charge_;                                                  // of all but the buffers
};

// Reads windows, in any order.
class WindowReader {
 public:
  // Everything outlives it. `lists_bytes` of memory spare load() what load_to_order() has pruned. Errors: kIo,
  // kCorrupt, kMemoryBudget, kCancelled.
  static Result<WindowReader> create(const MergedRows& rows, const NewLinks& links, RowPool& pool,
                                     const GraphBuildOptions& options, std::uint32_t rows_each,
                                     std::uint64_t lists_bytes, MemoryBudget& budget, Watch& watch);
  static std::uint64_t predict_bytes(const GraphLayout& layout, std::uint64_t gone, std::uint32_t max_degree);

  std::uint32_t count() const { return static_cast<std::uint32_t>(starts_.size()); }
  std::uint64_t first(std::uint32_t window) const { return std::uint64_t{window} * rows_each_; }
  std::uint32_t rows_each() const { return rows_each_; }
  // The numbers of its rows, without a read.
  void list_rows(std::uint32_t window, std::vector<std::uint32_t>& numbers) const;
  // Errors: kIo, kCorrupt naming the page.
  Status load(std::uint32_t window, MergeWindow& into);
  // The same, of a window that will be loaded once more. Windows come ascending, here and there.
  Status load_to_order(std::uint32_t window, MergeWindow& into);

 private:
  struct Cursor {
    Pos position = 0;           // of the graph before
    std::uint32_t nth_new = 0;  // by anchor
  };

  WindowReader(const MergedRows& rows, const NewLinks& links, RowPool& pool, const GraphBuildOptions& options,
               std::uint32_t rows_each)
      : rows_(rows),
        links_(links),
        pool_(pool),
        options_(options),
        rows_each_(rows_each),
        pruner_(pool.rows(), options.alpha) {}
  // The next row of all, by number; kNoPos: there is none.
  std::uint32_t next(Cursor& at) const;
  void find_starts();
  Status read_lists_of_the_dead(MemoryBudget& budget, Watch& watch);
  Status bring_surroundings(std::uint32_t window);
  Status add_old(Pos position, MergeWindow& into);
  Status add_new(std::uint32_t number, MergeWindow& into);
  Status take_list(Pos position, std::span<const Pos> neighbours);
  Status add_nearest_of(const std::vector<Pos>& dead_list, Pos position);
  Status prune(std::uint32_t number);
  void keep_list(Pos position);
  bool take_kept_list(Pos position);
  Result<const std::byte*> page(std::uint64_t page);

  const MergedRows& rows_;
  const NewLinks& links_;
  RowPool& pool_;
  GraphBuildOptions options_;
  std::uint32_t rows_each_;
  Pruner pruner_;
  std::vector<Cursor> starts_;
  Charge dead_charge_;  // of what follows
  // By position: the rows that a row which is gone led to, and that stay; ascending.
  std::unordered_map<Pos, std::vector<Pos>> dead_lists_;
  Buffer<std::byte> bytes_;  // pages that were read together
  std::uint64_t first_page_ = 0;
  std::uint64_t pages_ = 0;
  std::vector<std::uint64_t> surroundings_;
  std::vector<std::uint32_t> list_;
  std::vector<std::uint32_t> others_;
  std::vector<std::uint32_t> absent_;
  std::vector<std::uint32_t> slots_;
  std::vector<std::uint32_t> scratch_;
  std::vector<float> distances_;
  std::vector<Candidate> seen_;
  Buffer<std::byte> values_;  // of a new row
  // Pruned lists: a position, how many numbers follow, and these; positions ascend.
  Buffer<std::uint32_t> kept_lists_;
  std::size_t kept_end_ = 0;
  std::size_t kept_at_ = 0;  // the next that is taken
  bool keeps_lists_ = false;
};

}  // namespace vecstore
