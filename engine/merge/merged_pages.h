// SPDX-License-Identifier: Apache-2.0
//
// Writes the pages of a merge, window after window, once every row is placed.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/merge/merge_window.h"
#include "engine/merge/page_paths.h"
#include "engine/merge/window_order.h"
#include "graph/format.h"
#include "pagestore/manifest.h"
#include "pagestore/page_file.h"

namespace vecstore {

// For one file, and one thread.
class MergedPages {
 public:
  // Everything outlives it. Errors: kMemoryBudget.
  static Result<MergedPages> create(const MergedRows& rows, const NewLinks& links, WindowReader& windows,
                                    MergeWindow& room, const GraphLayout& layout, MemoryBudget& budget);
  static std::uint64_t predict_bytes(const GraphLayout& layout);

  // Errors: kIo, kNoSpace, kCorrupt, kMemoryBudget, kCancelled; kUnsupported: the edges that must stay do not fit a
  // page.
  Result<ManifestFile> write(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                             Watch& watch);
  const GraphSummary& summary() const { return summary_; }
  // Data pages, those first on which the most rows have themselves or one of their nearest.
  Buffer<std::uint32_t> take_ranking() { return std::move(ranking_); }

 private:
  MergedPages(const MergedRows& rows, const NewLinks& links, WindowReader& windows, MergeWindow& room,
              const GraphLayout& layout, MemoryBudget& budget)
      : rows_(rows),
        links_(links),
        windows_(windows),
        window_(room),
        layout_(layout),
        budget_(budget),
        near_(layout.rows_per_page, 0) {}
  Pos find_entry() const;
  Status write_page(std::uint64_t page, PagePaths& paths, PageFileWriter& writer);
  std::uint32_t place_at(Pos position) const { return order_[position - first_]; }
  void fill_lists(Pos first, PagePaths& paths);
  void count_near(Pos position);
  // Takes edges until the lists of the page fit; false: those that must stay do not.
  bool cut(Pos first, PagePaths& paths);
  void find_lengths(Pos first, std::uint32_t slot, const PagePaths::List& list);
  std::size_t block_of(std::uint32_t number) const;
  void rank();

  const MergedRows& rows_;
  const NewLinks& links_;
  WindowReader& windows_;
  MergeWindow& window_;
  const GraphLayout layout_;
  MemoryBudget& budget_;
  WindowNearest near_;
  GraphSummary summary_;
  Pos first_ = 0;                     // position of the window at hand
  std::vector<std::uint32_t> order_;  // its places by position
  Buffer<std::uint32_t> rows_near_;   // [pages + 1]
  Buffer<std::uint32_t> ranking_;     // [pages]

  struct Length {
    float distance = 0;
    std::uint32_t slot = 0;
    Pos target = 0;
  };
  std::vector<Length> lengths_;  // of edges that may go
  std::vector<Pos> positions_;
  Buffer<float> row_;  // [dim]
};

}  // namespace vecstore
