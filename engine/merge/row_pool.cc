// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/row_pool.h"

#include <algorithm>

#include "base/check.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kPagesTogether = 16;  // that are read with one request
constexpr std::uint64_t kGap = 1;             // pages between two that are wanted, which are read with them
constexpr std::uint32_t kSparedCalls = 16;    // in the last of which a page was wanted that stays, if others can go

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
         (layout.pages() + 1 + 2 * frames) * sizeof(std::uint32_t) + kPagesTogether * layout.page_bytes;
}

Result<RowPool> RowPool::create(const PageFile& file, const GraphLayout& layout, std::span<const float> centre,
                                std::uint32_t new_rows, std::uint64_t bytes, MemoryBudget& budget) {
  const std::uint64_t frames = frames_for(layout, bytes);
  VECSTORE_ASSIGN(auto rows,
                  QuantizedRows::create(new_rows + frames * layout.rows_per_page, row_shape(layout, centre), budget));
  RowPool pool(file, layout, new_rows, std::move(rows));
  VECSTORE_ASSIGN(pool.frame_of_, Buffer<std::uint32_t>::allocate(budget, layout.pages() + 1));
  VECSTORE_ASSIGN(pool.page_in_, Buffer<std::uint32_t>::allocate(budget, frames));
  VECSTORE_ASSIGN(pool.asked_in_, Buffer<std::uint32_t>::allocate(budget, frames));
  VECSTORE_ASSIGN(pool.bytes_, Buffer<std::byte>::allocate(budget, kPagesTogether * layout.page_bytes));
  return pool;
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
  for (std::size_t i = 0; i < missing_.size();) {
    const std::uint64_t first = missing_[i];
    std::uint64_t last = first;
    while (i < missing_.size() && missing_[i] <= last + 1 + kGap && missing_[i] - first < kPagesTogether)
      last = missing_[i++];
    VECSTORE_TRY(load(first, last + 1 - first));
  }
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
  const std::uint64_t end = std::min(first + (goes_on ? kPagesTogether : 1), layout_.pages() + 1);
  one_after_ = end;
  for (std::uint64_t page = first; page < end; ++page)
    if (frame_of_[page] == 0) missing_.push_back(page);
  VECSTORE_TRY(load(first, missing_.back() + 1 - first));
  return slot_of(position);
}

// Of those between pages that are wanted, those that are here already stay as they are.
Status RowPool::load(std::uint64_t first, std::uint64_t count) {
  const std::span<std::byte> bytes = bytes_.span().first(count * layout_.page_bytes);
  VECSTORE_TRY(file_->read_pages(first, bytes));
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t page = first + i;
    if (frame_of_[page] != 0 || !std::ranges::binary_search(missing_, page)) continue;
    const std::uint32_t frame = free_frame();
    put_page(layout_, page, bytes.data() + i * layout_.page_bytes, new_rows_ + frame * layout_.rows_per_page, rows_);
    frame_of_[page] = frame + 1;
    page_in_[frame] = static_cast<std::uint32_t>(page);
    asked_in_[frame] = call_;
  }
  return Status::ok();
}

// The next one around that was not wanted of late; at the second time around, not in this call.
std::uint32_t RowPool::free_frame() {
  const auto frames = static_cast<std::uint32_t>(page_in_.size());
  for (std::uint32_t step = 0;; ++step) {
    VECSTORE_CHECK(step < 2 * frames);
    const std::uint32_t frame = hand_;
    hand_ = hand_ + 1 == frames ? 0 : hand_ + 1;
    const std::uint32_t spared = step < frames ? kSparedCalls : 0;
    if (page_in_[frame] != 0 && asked_in_[frame] + spared >= call_) continue;
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
