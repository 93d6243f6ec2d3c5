// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/window_order.h"

#include <algorithm>

#include "graph/order.h"
#include "graph/page_groups.h"

namespace vecstore {

std::span<const std::uint32_t> WindowNearest::find(const MergeWindow& window, std::uint32_t place) {
  others_.clear();
  candidates_.clear();
  compared_.clear();
  add_list(window, window.list(place), place);
  add_list(window, window.near(place), place);
  const std::uint32_t begin = place < near_ ? 0 : place - near_;
  const std::uint32_t end = std::min(window.size(), place + near_ + 1);
  for (std::uint32_t other = begin; other < end; ++other)
    if (other != place) others_.push_back(other);
  compare_others(window, place);
  if (lists_ != 0) {
    sort_nearest(lists_);
    for (std::size_t i = 0; i < std::min<std::size_t>(lists_, candidates_.size()); ++i)
      add_list(window, window.list(candidates_[i].row), place);
    compare_others(window, place);
  }
  const std::size_t kept = std::min<std::size_t>(kNearestKept, candidates_.size());
  sort_nearest(kept);
  for (std::size_t i = 0; i < kept; ++i) nearest_[i] = candidates_[i].row;
  return std::span(nearest_).first(kept);
}

void WindowNearest::add_list(const MergeWindow& window, std::span<const std::uint32_t> numbers, std::uint32_t place) {
  for (const std::uint32_t number : numbers)
    if (const std::uint32_t other = window.place_of(number); other != kNoPos && other != place)
      others_.push_back(other);
}

// Moves those of others_ that were not compared yet to candidates_.
void WindowNearest::compare_others(const MergeWindow& window, std::uint32_t place) {
  std::ranges::sort(others_);
  others_.erase(std::unique(others_.begin(), others_.end()), others_.end());
  std::erase_if(others_, [this](std::uint32_t other) { return std::ranges::binary_search(compared_, other); });
  scratch_.resize(others_.size());
  distances_.resize(others_.size());
  window.vectors().distances(place, others_.data(), others_.size(), scratch_.data(), distances_.data());
  for (std::size_t i = 0; i < others_.size(); ++i) candidates_.push_back({distances_[i], others_[i]});
  compared_.swap(others_);
  others_.clear();
}

void WindowNearest::sort_nearest(std::size_t count) {
  const auto end = candidates_.begin() + static_cast<std::ptrdiff_t>(std::min(count, candidates_.size()));
  std::partial_sort(candidates_.begin(), end, candidates_.end());
}

namespace {

constexpr std::uint32_t kListsLookedAt = 4;  // more do not order better

Status order_window(const MergeWindow& window, std::uint32_t rows_per_page, std::uint64_t seed, Executor& executor,
                    MemoryBudget& budget, std::span<std::uint32_t> order) {
  WindowNearest near(rows_per_page, kListsLookedAt);
  VECSTORE_ASSIGN(auto nearest, Buffer<std::uint32_t>::allocate(budget, std::size_t{window.size()} * kNearestKept));
  std::ranges::fill(nearest, kNoPos);
  for (std::uint32_t place = 0; place < window.size(); ++place)
    std::ranges::copy(near.find(window, place), nearest.begin() + std::size_t{place} * kNearestKept);
  VECSTORE_ASSIGN(const AffinityGraph affinity, affinity_graph(nearest.span(), budget));
  VECSTORE_TRY(order_rows(window.vectors(), affinity, {rows_per_page, seed, true}, executor, budget, order, {}));
  return gather_groups(window.vectors(), rows_per_page, executor, budget, order);
}

}  // namespace

Status place_rows(MergedRows& rows, WindowReader& windows, MergeWindow& room, std::uint32_t rows_per_page,
                  std::uint64_t seed, const std::vector<bool>& is_due, Executor& executor, MemoryBudget& budget,
                  Watch& watch) {
  VECSTORE_ASSIGN(auto order, Buffer<std::uint32_t>::allocate(budget, windows.rows_each()));
  std::vector<std::uint32_t> numbers;
  for (std::uint32_t window = 0; window < windows.count(); ++window) {
    const std::uint64_t first = windows.first(window);
    VECSTORE_TRY(watch.step({Phase::kOrder, first, rows.rows()}));
    windows.list_rows(window, numbers);
    const auto of_window = order.span().first(numbers.size());
    if (is_due[window]) {
      VECSTORE_TRY(windows.load(window, room));
      VECSTORE_TRY(order_window(room, rows_per_page, seed, executor, budget, of_window));
    } else {
      for (std::uint32_t place = 0; place < numbers.size(); ++place) of_window[place] = place;
    }
    for (std::size_t i = 0; i < of_window.size(); ++i)
      rows.places()[numbers[of_window[i]]] = static_cast<Pos>(first + i);
  }
  return Status::ok();
}

}  // namespace vecstore
