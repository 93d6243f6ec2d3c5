// SPDX-License-Identifier: Apache-2.0
//
// The lists of a page that is about to be written, and which of their edges must stay so that every row can be reached
// from the entry. Pages come front to back, and none comes twice. From the page of the entry on, a page is reached from
// the page before it; ahead of it, from the page behind. Rows that no edge from there leads to are reached from the
// other rows of their page. Hardly ever is an edge added for that, since rows stand beside those that they lead to.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/ids.h"
#include "graph/format.h"

namespace vecstore {

class PagePaths {
 public:
  struct Edge {
    Pos target = 0;
    bool must_stay = false;
  };
  using List = std::vector<Edge>;  // by target

  // Of a graph with rows.
  PagePaths(const GraphLayout& layout, Pos entry);

  // Of the page at hand, empty at first. Fill them, sorted, with at most kDegreeMax edges each; then call keep_paths().
  // After that, edges that need not stay may go. False: a row would have to lead to more than kDegreeMax.
  std::span<List> lists() { return lists_; }
  [[nodiscard]] bool keep_paths();
  void next_page();

 private:
  using Flags = std::vector<std::uint8_t>;  // [slots] of a page

  // Rows that edges within the page lead to, from `slot` on.
  static void follow(std::span<List> lists, Pos first, std::uint32_t slot, Flags& reached);
  void reach_page();
  void lead_to_next();
  void lead_to_before();
  void add_edge(std::uint32_t slot, Pos target);
  void begin_page();
  Pos first() const { return layout_.first_on(page_); }

  GraphLayout layout_;
  Pos entry_;
  std::uint64_t page_ = 1;
  std::vector<List> lists_;
  std::vector<List> lists_before_;  // of the page before, as they were written
  bool fit_ = true;                 // no list had to have more than kDegreeMax
  Flags reached_;
  Flags reached_next_;
};

}  // namespace vecstore
