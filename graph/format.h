// SPDX-License-Identifier: Apache-2.0
//
// What a page of a graph file holds: `rows_per_page` records of fixed-width parts as arrays, then their neighbour
// lists. Byte-exact description: graph/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "engine/base/ids.h"
#include "engine/base/limits.h"
#include "engine/base/status.h"
#include "engine/base/vector_view.h"
#include "pagestore/format.h"

namespace vecstore {

// How a record stands for its row: x̂[i] = offset + scale · code[i], and norm2 completes a squared distance.
struct RowParams {
  float scale = 1.0f;
  float offset = 0.0f;
  float norm2 = 0.0f;
};
static_assert(sizeof(RowParams) == 12);
// Integers under squared L2 stand for themselves.
constexpr bool needs_row_params(DType dtype, Metric metric) { return !is_integer(dtype) || metric != Metric::kL2; }

// Fixed for a generation.
struct GraphLayout {
  std::uint64_t rows = 0;
  std::uint32_t dim = 0;
  std::uint32_t page_bytes = 4096;
  std::uint32_t rows_per_page = 1;
  std::uint32_t row_id_bytes = 4;  // 4 while RowIds fit, else 8
  bool row_params = false;         // false: scale 1, offset 0 for u8 and −128 for i8, distances are integers
  Metric metric = Metric::kL2;
  DType dtype = DType::kF32;  // of the input

  std::uint64_t pages() const { return (rows + rows_per_page - 1) / rows_per_page; }
  std::uint32_t rows_on(std::uint64_t data_page) const;  // data_page: 1 … pages()
  std::uint64_t page_of(Pos position) const { return 1 + position / rows_per_page; }
  std::uint32_t slot_of(Pos position) const { return position % rows_per_page; }
  Pos first_on(std::uint64_t data_page) const { return static_cast<Pos>((data_page - 1) * rows_per_page); }

  // Bytes of a record without its list, the list's end included.
  std::uint32_t fixed_bytes() const {
    return 2 + row_id_bytes + (row_params ? std::uint32_t{sizeof(RowParams)} : 0u) + dim;
  }
  std::uint32_t list_bytes_of_page() const {
    return static_cast<std::uint32_t>(page_payload_bytes(page_bytes)) - rows_per_page * fixed_bytes();
  }
  // Errors: kCorrupt when the values contradict one another or a limit.
  Status check() const;
};

// Numbers a searcher and `info` want beside the layout; stored with it in the header of the graph file.
struct GraphSummary {
  GraphLayout layout;
  std::uint32_t max_degree = 0;
  std::uint64_t edges = 0;
  std::uint64_t edges_dropped = 0;  // did not fit their page
  std::uint64_t list_bytes = 0;     // in use
  Pos entry = kNoPos;               // every row is reachable from it; kNoPos when there are no rows
};

std::vector<std::byte> encode_summary(const GraphSummary& summary);
Result<GraphSummary> decode_summary(std::span<const std::byte> attributes);  // Errors: kCorrupt, kNewerFormat

// Read access to one page whose checksum holds. Borrowed. Slots are < rows_on(page); list() is bounds-checked, because
// a checksum does not make a file friendly.
class PageView {
 public:
  PageView(const GraphLayout& layout, const std::byte* page) : layout_(&layout), page_(page) {}

  RowId row_id(std::uint32_t slot) const {
    std::uint64_t value = 0;
    std::memcpy(&value, row_ids() + std::size_t{slot} * layout_->row_id_bytes, layout_->row_id_bytes);
    return RowId{value};
  }
  RowParams params(std::uint32_t slot) const {
    RowParams params;
    std::memcpy(&params, params_at(slot), sizeof(params));
    return params;
  }
  // Where they lie, for who will want them soon.
  const std::byte* params_at(std::uint32_t slot) const {
    return row_ids() + std::size_t{layout_->rows_per_page} * layout_->row_id_bytes + slot * sizeof(RowParams);
  }
  // [rows_per_page × dim] codes.
  const std::uint8_t* codes() const {
    return reinterpret_cast<const std::uint8_t*>(
        page_ + kPageChecksumBytes + std::size_t{layout_->rows_per_page} * (layout_->fixed_bytes() - layout_->dim));
  }
  // The encoded list of the record; one that is_damaged() when the ends are not ascending within the page.
  std::span<const std::byte> list(std::uint32_t slot) const;

 private:
  std::uint16_t list_end(std::uint32_t slot) const {
    std::uint16_t end = 0;
    std::memcpy(&end, page_ + kPageChecksumBytes + std::size_t{slot} * 2, 2);
    return end;
  }
  const std::byte* row_ids() const { return page_ + kPageChecksumBytes + std::size_t{layout_->rows_per_page} * 2; }

  const GraphLayout* layout_;
  const std::byte* page_;
};

inline bool is_damaged(std::span<const std::byte> list) { return list.data() == nullptr && !list.empty(); }

// Fills a page of a graph file record by record.
class PageBuilder {
 public:
  PageBuilder(const GraphLayout& layout, std::span<std::byte> whole_page);
  void set_record(std::uint32_t slot, RowId row, const RowParams& params, const std::uint8_t* codes);
  // Lists are appended in slot order; the caller has made sure that they fit.
  void append_list(std::uint32_t slot, Pos self, std::span<const Pos> sorted);

 private:
  const GraphLayout* layout_;
  std::span<std::byte> page_;
  std::uint32_t list_at_ = 0;
};

}  // namespace vecstore
