// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/window_order.h"

#include <algorithm>

#include "graph/order.h"
#include "graph/page_groups.h"

namespace vecstore {

std::span<const std::uint32_t> WindowNearest::find(const MergeWindow& window, std::uint32_t place) {
  begin_row(window, place);
  add_list(window, window.list(place));
  add_list(window, window.near(place));
  const std::uint32_t begin = place < near_ ? 0 : place - near_;
  const std::uint32_t end = std::min(window.size(), place + near_ + 1);
  for (std::uint32_t other = begin; other < end; ++other) add(other);
  compare_others(window, place);
  const std::size_t lists = std::min<std::size_t>(lists_, nearest_count_);
  for (std::size_t i = 0; i < lists; ++i) add_list(window, window.list(nearest_[i].row));
  compare_others(window, place);
  for (std::size_t i = 0; i < nearest_count_; ++i) places_[i] = nearest_[i].row;
  return std::span(places_).first(nearest_count_);
}

void WindowNearest::begin_row(const MergeWindow& window, std::uint32_t place) {
  if (++row_ == 0 || seen_in_.size() < window.size()) {
    seen_in_.assign(std::max<std::size_t>(seen_in_.size(), window.size()), 0);
    row_ = 1;
  }
  seen_in_[place] = row_;
  nearest_count_ = 0;
}

void WindowNearest::add(std::uint32_t other) {
  if (seen_in_[other] == row_) return;
  seen_in_[other] = row_;
  others_.push_back(other);
}

void WindowNearest::add_list(const MergeWindow& window, std::span<const std::uint32_t> numbers) {
  for (const std::uint32_t number : numbers)
    if (const std::uint32_t other = window.place_of(number); other != kNoPos) add(other);
}

// Takes others_ in among the nearest.
void WindowNearest::compare_others(const MergeWindow& window, std::uint32_t place) {
  scratch_.resize(others_.size());
  distances_.resize(others_.size());
  window.vectors().distances(place, others_.data(), others_.size(), scratch_.data(), distances_.data());
  for (std::size_t i = 0; i < others_.size(); ++i) {
    const Candidate candidate{distances_[i], others_[i]};
    if (nearest_count_ == kNearestKept && !(candidate < nearest_.back())) continue;
    std::size_t at = nearest_count_ < kNearestKept ? nearest_count_++ : kNearestKept - 1;
    for (; at != 0 && candidate < nearest_[at - 1]; --at) nearest_[at] = nearest_[at - 1];
    nearest_[at] = candidate;
  }
  others_.clear();
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
      VECSTORE_TRY(windows.load_to_order(window, room));
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
