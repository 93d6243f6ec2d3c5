// SPDX-License-Identifier: Apache-2.0
//
// Which rows a merge has, and what it calls them. A row has a number for as long as the merge lasts: a row of the graph
// before its position there, a row that was put since one behind these.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "base/memory.h"
#include "base/status.h"
#include "engine/content/view.h"
#include "engine/watch.h"

namespace vecstore {

class MergedRows {
 public:
  // Of a view whose content has a graph. View and budget outlive it. Errors: kCorrupt, kIo, kMemoryBudget, kCancelled;
  // kUnsupported: there are more than a graph can have.
  static Result<std::unique_ptr<MergedRows>> find(const View& view, MemoryBudget& budget, Watch& watch);
  static std::uint64_t predict_bytes(std::uint64_t graph_rows, std::uint64_t added) {
    return (graph_rows + added) * sizeof(Pos) + added * sizeof(std::uint64_t);
  }

  const View& view() const { return view_; }
  const Generation& graph() const { return *view_.content().graph(); }
  std::uint32_t before() const { return before_; }  // rows of the graph before; numbers from here on are of new rows
  std::uint32_t added() const { return static_cast<std::uint32_t>(new_ids_.size()); }
  std::uint32_t stay() const { return stay_; }  // of the graph before
  std::uint64_t rows() const { return std::uint64_t{stay_} + added(); }
  bool is_new(std::uint32_t number) const { return number >= before_; }
  RowId new_id(std::uint32_t nth) const { return {new_ids_[nth]}; }  // ascending
  std::uint64_t greatest_id() const { return greatest_id_; }         // of those that are in the merge

  // [before() + added()] where each stands afterwards; kNoPos: it is gone. Until it is placed any other position.
  std::span<Pos> places() { return places_.span(); }
  std::span<const Pos> places() const { return places_.span(); }
  bool is_gone(std::uint32_t number) const { return places_[number] == kNoPos; }

 private:
  explicit MergedRows(const View& view) : view_(view) {}
  Status find_new_rows(MemoryBudget& budget);
  Status find_rows_that_stay(MemoryBudget& budget, Watch& watch);

  const View& view_;
  std::uint32_t before_ = 0;
  std::uint32_t stay_ = 0;
  std::uint64_t greatest_id_ = 0;
  Buffer<std::uint64_t> new_ids_;
  Buffer<Pos> places_;
};

}  // namespace vecstore
