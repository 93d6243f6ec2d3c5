// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/page_paths.h"

#include <algorithm>
#include <utility>

#include "base/limits.h"

namespace vecstore {

PagePaths::PagePaths(const GraphLayout& layout, Pos entry) : layout_(layout), entry_(entry) { begin_page(); }

void PagePaths::begin_page() {
  const auto rows_on = [this](std::uint64_t page) { return page <= layout_.pages() ? layout_.rows_on(page) : 0; };
  lists_.resize(rows_on(page_));
  for (List& list : lists_) list.clear();
  reached_ = std::move(reached_next_);
  reached_.resize(rows_on(page_), 0);
  reached_next_.assign(rows_on(page_ + 1), 0);
}

void PagePaths::next_page() {
  std::swap(lists_before_, lists_);
  ++page_;
  begin_page();
}

bool PagePaths::keep_paths() {
  const std::uint64_t page_of_entry = layout_.page_of(entry_);
  if (page_ == page_of_entry) reached_[layout_.slot_of(entry_)] = 1;
  if (page_ >= page_of_entry) {
    reach_page();
    if (!reached_next_.empty()) lead_to_next();
  }
  if (page_ <= page_of_entry && page_ > 1) lead_to_before();
  return fit_;
}

void PagePaths::follow(std::span<List> lists, Pos first, std::uint32_t slot, Flags& reached) {
  std::vector<std::uint32_t> waiting{slot};
  reached[slot] = 1;
  while (!waiting.empty()) {
    List& list = lists[waiting.back()];
    waiting.pop_back();
    for (Edge& edge : list) {
      const Pos target = edge.target - first;  // of a row on another page it is beyond the last slot
      if (target >= lists.size() || reached[target] != 0) continue;
      reached[target] = 1;
      edge.must_stay = true;
      waiting.push_back(target);
    }
  }
}

// From the rows of this page that are reached. There is at least one.
void PagePaths::reach_page() {
  for (const Flags roots = reached_; const auto& root : roots)
    if (root != 0) follow(lists_, first(), static_cast<std::uint32_t>(&root - roots.data()), reached_);
  for (std::uint32_t slot = 0; slot < lists_.size(); ++slot) {
    if (reached_[slot] != 0) continue;
    // Those before it are reached by now.
    const auto host =
        slot != 0 ? slot - 1 : static_cast<std::uint32_t>(std::ranges::find(reached_, 1) - reached_.begin());
    add_edge(host, first() + slot);
    follow(lists_, first(), slot, reached_);
  }
}

void PagePaths::lead_to_next() {
  const Pos next = layout_.first_on(page_ + 1);
  bool leads = false;
  for (List& list : lists_) {
    for (Edge& edge : list) {
      const Pos target = edge.target - next;
      if (target >= reached_next_.size() || reached_next_[target] != 0) continue;
      reached_next_[target] = 1;
      edge.must_stay = true;
      leads = true;
    }
  }
  if (leads) return;
  add_edge(static_cast<std::uint32_t>(lists_.size()) - 1, next);
  reached_next_[0] = 1;
}

// Its lists are written already.
void PagePaths::lead_to_before() {
  const Pos before = layout_.first_on(page_ - 1);
  Flags reached(lists_before_.size(), 0);
  for (List& list : lists_) {
    for (Edge& edge : list) {
      const Pos target = edge.target - before;
      if (target >= reached.size() || reached[target] != 0) continue;
      edge.must_stay = true;
      follow(lists_before_, before, target, reached);
    }
  }
  for (std::uint32_t slot = 0; slot < reached.size(); ++slot) {
    if (reached[slot] != 0) continue;
    add_edge(slot % static_cast<std::uint32_t>(lists_.size()), before + slot);
    follow(lists_before_, before, slot, reached);
  }
}

// Hardly more than one to a row, but where a page of few rows leads to one of many.
void PagePaths::add_edge(std::uint32_t slot, Pos target) {
  List& list = lists_[slot];
  fit_ = fit_ && list.size() < kDegreeMax;
  if (!fit_) return;
  const auto at = std::ranges::lower_bound(list, target, {}, &Edge::target);
  list.insert(at, {target, true});
}

}  // namespace vecstore
