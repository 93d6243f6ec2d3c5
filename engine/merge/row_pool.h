// SPDX-License-Identifier: Apache-2.0
//
// The vectors of rows by number, as pages hold them: those of the rows that were put since, and of the graph those
// pages that were wanted last.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "graph/format.h"
#include "graph/quantized_rows.h"
#include "pagestore/page_file.h"
#include "pagestore/page_reader.h"

namespace vecstore {

// What the rows of a graph file are.
inline RowShape row_shape(const GraphLayout& layout, std::span<const float> centre) {
  return {layout.dim, layout.dtype, layout.metric, layout.value_bits, centre};
}

// Rows of `rows` [first, first + rows on the page) become those of a page whose checksum holds.
void put_page(const GraphLayout& layout, std::uint64_t page, const std::byte* bytes, std::uint32_t first,
              QuantizedRows& rows);

// For one thread.
class RowPool {
 public:
  // Rows that bring() may be asked for at a time.
  static constexpr std::uint32_t kRowsAtOnce = 512;

  // Room for about `bytes` of pages, and for as many as bring() may need. `file` outlives it. Errors: kMemoryBudget.
  static Result<RowPool> create(const PageFile& file, const GraphLayout& layout, std::span<const float> centre,
                                std::uint32_t new_rows, std::uint64_t bytes, MemoryBudget& budget);
  static std::uint64_t predict_bytes(const GraphLayout& layout, std::uint32_t new_rows, std::uint64_t bytes);

  // There is room for every page, so that none is read twice.
  bool holds_all() const { return page_in_.size() == layout_.pages(); }
  // The first new_rows of them are the caller's.
  QuantizedRows& rows() { return rows_; }
  const QuantizedRows& rows() const { return rows_; }
  // Whether a pool of so many bytes would hold all pages.
  static bool would_hold_all(const GraphLayout& layout, std::uint64_t bytes) {
    return frames_for(layout, bytes) == layout.pages();
  }
  std::size_t frames() const { return page_in_.size(); }  // pages that there is room for
  // Reads those of these pages that are not here; they come ascending, at most frames() of them. Of many wanted soon
  // several lie side by side, which takes fewer requests than when they are wanted. Errors: kIo, kCorrupt.
  Status bring_pages(std::span<const std::uint64_t> pages);
  // The same, and they stay until others are kept: at most frames() − kRowsAtOnce.
  Status keep_pages(std::span<const std::uint64_t> pages);
  // Reads all pages that are not here, front to back: where most will be wanted, that takes few requests. There must be
  // room for them. Errors: kIo, kCorrupt naming the page.
  Status bring_all();
  // Where these rows are within rows(), until the next call. Of the graph at most kRowsAtOnce. Errors: kIo, kCorrupt
  // naming the page.
  Status bring(std::span<const std::uint32_t> numbers, std::vector<std::uint32_t>& slots);
  // Where a row is within rows() if it is here, until the next call; else kNoPos.
  std::uint32_t find(std::uint32_t number) const {
    if (number >= layout_.rows) return number - static_cast<std::uint32_t>(layout_.rows);
    return frame_of_[layout_.page_of(number)] == 0 ? kNoPos : slot_of(number);
  }
  // Where one row of the graph is. Where pages are asked for front to back, several come with one request.
  Result<std::uint32_t> bring_one(Pos position);
  std::uint32_t number_at(std::uint32_t slot) const;

 private:
  RowPool(const GraphLayout& layout, std::uint32_t new_rows, QuantizedRows rows)
      : layout_(layout), new_rows_(new_rows), rows_(std::move(rows)) {}
  std::uint32_t slot_of(Pos position) const {
    return new_rows_ + (frame_of_[layout_.page_of(position)] - 1) * layout_.rows_per_page + layout_.slot_of(position);
  }
  static std::uint64_t frames_for(const GraphLayout& layout, std::uint64_t bytes);
  Status load_missing(std::uint64_t gap);
  Status read_missing(std::uint64_t gap);
  Status take_arrivals(std::size_t requests);
  std::uint32_t free_frame();

  GraphLayout layout_;
  std::uint32_t new_rows_;
  QuantizedRows rows_;
  Buffer<std::uint32_t> frame_of_;  // [pages + 1] its frame + 1; 0: it is not here
  Buffer<std::uint32_t> page_in_;   // [frames] 0: it is free
  Buffer<std::uint32_t> asked_in_;  // [frames] the call in which it was wanted last
  Buffer<std::uint8_t> is_kept_;    // [frames]
  std::unique_ptr<PageReader> reader_;
  std::vector<std::uint64_t> missing_;  // pages that load_missing() is to read, ascending
  std::uint32_t call_ = 0;
  std::uint32_t hand_ = 0;
  std::uint64_t one_after_ = 1;  // the page behind the last that bring_one() has read
};

}  // namespace vecstore
