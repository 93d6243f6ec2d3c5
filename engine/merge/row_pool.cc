// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/row_pool.h"

#include <algorithm>
#include <array>
#include <utility>

#include "base/check.h"
#include "base/limits.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kPagesAhead = 16;  // that come with one that front to back follows the one before
constexpr std::uint32_t kPagesInFlight = 64;
// Pages between two that are wanted, which are read with them: of few that are wanted, and of many. A request costs as
// much of a processor as the check of some twenty pages.
constexpr std::uint64_t kGap = 1;
constexpr std::uint64_t kGapOfMany = 7;
constexpr std::uint32_t kSparedCalls = 16;  // in the last of which a page was wanted that stays, if others can go

}  // namespace

void put_page(const GraphLayout& layout, std::uint64_t page, const std::byte* bytes, std::uint32_t first,
              QuantizedRows& rows) {
  const PageView view(layout, bytes);
  for (std::uint32_t slot = 0; slot < layout.rows_on(page); ++slot) {
    const RowParams params = layout.row_params ? view.params(slot) : RowParams{};
    rows.put_stored(first + slot, {params, view.values() + std::size_t{slot} * layout.value_bytes()});
  }
}

std::uint64_t RowPool::frames_for(const GraphLayout& layout, std::uint64_t bytes) {
  const RowShape shape = row_shape(layout, {});
  const std::uint64_t of_page = QuantizedRows::predict_bytes(layout.rows_per_page, shape);
  return std::min<std::uint64_t>(layout.pages(), std::max<std::uint64_t>(kRowsAtOnce, bytes / of_page));
}

std::uint64_t RowPool::predict_bytes(const GraphLayout& layout, std::uint32_t new_rows, std::uint64_t bytes) {
  const std::uint64_t frames = frames_for(layout, bytes);
  return QuantizedRows::predict_bytes(new_rows + frames * layout.rows_per_page, row_shape(layout, {})) +
         (layout.pages() + 1 + 2 * frames) * sizeof(std::uint32_t) + frames +
         PageReader::predict_bytes(kPagesInFlight, layout.page_bytes);
}

Result<RowPool> RowPool::create(const PageFile& file, const GraphLayout& layout, std::span<const float> centre,
                                std::uint32_t new_rows, std::uint64_t bytes, MemoryBudget& budget) {
  const std::uint64_t frames = frames_for(layout, bytes);
  VECSTORE_ASSIGN(auto rows,
                  QuantizedRows::create(new_rows + frames * layout.rows_per_page, row_shape(layout, centre), budget));
  RowPool pool(layout, new_rows, std::move(rows));
  VECSTORE_ASSIGN(pool.frame_of_, Buffer<std::uint32_t>::allocate(budget, layout.pages() + 1));
  VECSTORE_ASSIGN(pool.page_in_, Buffer<std::uint32_t>::allocate(budget, frames));
  VECSTORE_ASSIGN(pool.asked_in_, Buffer<std::uint32_t>::allocate(budget, frames));
  VECSTORE_ASSIGN(pool.is_kept_, Buffer<std::uint8_t>::allocate(budget, frames));
  VECSTORE_ASSIGN(pool.reader_, PageReader::create(file, {Backend::kAutomatic, kPagesInFlight}, budget));
  return pool;
}

Status RowPool::bring_all() {
  VECSTORE_CHECK(holds_all());
  for (std::uint64_t first = 1; first <= layout_.pages(); first += kRowsAtOnce) {
    ++call_;
    missing_.clear();
    for (std::uint64_t page = first; page < std::min(first + kRowsAtOnce, layout_.pages() + 1); ++page)
      if (frame_of_[page] == 0) missing_.push_back(page);
    VECSTORE_TRY(load_missing(kGapOfMany));
  }
  return Status::ok();
}

Status RowPool::bring_pages(std::span<const std::uint64_t> pages) {
  VECSTORE_CHECK(pages.size() <= frames());
  ++call_;
  missing_.clear();
  for (const std::uint64_t page : pages) {
    if (frame_of_[page] == 0) {
      missing_.push_back(page);
    } else {
      asked_in_[frame_of_[page] - 1] = call_;
    }
  }
  return load_missing(kGapOfMany);
}

Status RowPool::keep_pages(std::span<const std::uint64_t> pages) {
  VECSTORE_CHECK(pages.size() + kRowsAtOnce <= frames());
  std::ranges::fill(is_kept_, std::uint8_t{0});
  VECSTORE_TRY(bring_pages(pages));
  for (const std::uint64_t page : pages) is_kept_[frame_of_[page] - 1] = 1;
  return Status::ok();
}

// Pages get their frames in their own order, so that what is in the pool does not depend on which arrives first.
Status RowPool::load_missing(std::uint64_t gap) {
  missing_.erase(std::unique(missing_.begin(), missing_.end()), missing_.end());
  for (const std::uint64_t page : missing_) {
    const std::uint32_t frame = free_frame();
    frame_of_[page] = frame + 1;
    page_in_[frame] = static_cast<std::uint32_t>(page);
    asked_in_[frame] = call_;
  }
  Status outcome = read_missing(gap);
  if (outcome.is_ok()) return outcome;
  for (const std::uint64_t page : missing_) page_in_[std::exchange(frame_of_[page], 0) - 1] = 0;
  return outcome;
}

// As many pages as the reader takes are under way at once. Half of them are waited for before more are asked for.
Status RowPool::read_missing(std::uint64_t gap) {
  std::array<std::uint64_t, kPagesInFlight> asked;
  std::uint64_t page = missing_.empty() ? 0 : missing_.front();
  for (std::size_t next = 0; next < missing_.size() || reader_->in_flight() != 0;) {
    std::size_t count = 0;
    for (const std::size_t room = reader_->free_frames(); next < missing_.size() && count < room; ++count) {
      if (missing_[next] - page > gap) page = missing_[next];
      asked[count] = page;
      if (missing_[next] == page++) ++next;
    }
    VECSTORE_TRY(reader_->submit(std::span(asked).first(count)));
    VECSTORE_TRY(take_arrivals((reader_->in_flight() + 1) / 2));
  }
  return Status::ok();
}

// Pages between those that are wanted came along for nothing.
Status RowPool::take_arrivals(std::size_t requests) {
  VECSTORE_ASSIGN(const auto arrived, reader_->wait(requests));
  for (const ArrivedPage& page : arrived) {
    if (std::ranges::binary_search(missing_, page.page))
      put_page(layout_, page.page, page.bytes, new_rows_ + (frame_of_[page.page] - 1) * layout_.rows_per_page, rows_);
    reader_->release(page.frame);
  }
  return Status::ok();
}

Status RowPool::bring(std::span<const std::uint32_t> numbers, std::vector<std::uint32_t>& slots) {
  ++call_;
  missing_.clear();
  for (const std::uint32_t number : numbers) {
    if (number >= layout_.rows) continue;
    const std::uint64_t page = layout_.page_of(number);
    if (frame_of_[page] == 0) {
      missing_.push_back(page);
    } else {
      asked_in_[frame_of_[page] - 1] = call_;
    }
  }
  std::ranges::sort(missing_);
  VECSTORE_TRY(load_missing(kGap));
  slots.clear();
  const auto before = static_cast<std::uint32_t>(layout_.rows);
  for (const std::uint32_t number : numbers) slots.push_back(number >= before ? number - before : slot_of(number));
  return Status::ok();
}

Result<std::uint32_t> RowPool::bring_one(Pos position) {
  const std::uint64_t first = layout_.page_of(position);
  if (frame_of_[first] != 0) return slot_of(position);
  ++call_;
  missing_.clear();
  const bool goes_on = first == one_after_;
  const std::uint64_t end = std::min(first + (goes_on ? kPagesAhead : 1), layout_.pages() + 1);
  one_after_ = end;
  for (std::uint64_t page = first; page < end; ++page)
    if (frame_of_[page] == 0) missing_.push_back(page);
  VECSTORE_TRY(load_missing(kGap));
  return slot_of(position);
}

// The next one around that was not wanted of late; at the second time around, not in this call.
std::uint32_t RowPool::free_frame() {
  const auto frames = static_cast<std::uint32_t>(page_in_.size());
  for (std::uint32_t step = 0;; ++step) {
    VECSTORE_CHECK(step < 2 * frames);
    const std::uint32_t frame = hand_;
    hand_ = hand_ + 1 == frames ? 0 : hand_ + 1;
    const std::uint32_t spared = step < frames ? kSparedCalls : 0;
    if (page_in_[frame] != 0 && (is_kept_[frame] != 0 || asked_in_[frame] + spared >= call_)) continue;
    if (page_in_[frame] != 0) frame_of_[page_in_[frame]] = 0;
    page_in_[frame] = 0;
    return frame;
  }
}

std::uint32_t RowPool::number_at(std::uint32_t slot) const {
  if (slot < new_rows_) return static_cast<std::uint32_t>(layout_.rows) + slot;
  const std::uint32_t frame = (slot - new_rows_) / layout_.rows_per_page;
  return layout_.first_on(page_in_[frame]) + (slot - new_rows_) % layout_.rows_per_page;
}

}  // namespace vecstore
