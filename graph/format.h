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

#include "base/ids.h"
#include "base/limits.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "pagestore/format.h"

namespace vecstore {

// How a record of 8 or 16 bits a value stands for its row: r̂[i] = offset + scale · code[i], and norm2 completes a
// squared distance.
struct RowParams {
  float scale = 1.0f;
  float offset = 0.0f;
  float norm2 = 0.0f;
};
static_assert(sizeof(RowParams) == 12);

// Bits in which a page keeps each value of a vector. Integers always take 8.
inline constexpr std::uint32_t kValueBitsMin = 8;
constexpr bool is_value_bits(std::uint32_t bits) { return bits == 8 || bits == 16 || bits == 32; }

// Integers under squared L2 stand for themselves. So do values of 32 bits, which bring their norm under inner product.
constexpr bool needs_row_params(DType dtype, Metric metric, std::uint32_t value_bits) {
  return value_bits == 32 ? metric == Metric::kInnerProduct : !is_integer(dtype) || metric != Metric::kL2;
}

// Fixed for a generation.
struct GraphLayout {
  std::uint64_t rows = 0;
  std::uint32_t dim = 0;
  std::uint32_t page_bytes = 4096;
  std::uint32_t rows_per_page = 1;
  std::uint32_t row_id_bytes = 4;  // 4 while RowIds fit, else 8
  // Bytes of the number key that a record keeps beside its RowId, 4 or 8. 0: keys are bytes, or RowIds.
  std::uint32_t key_bytes = 0;
  std::uint32_t value_bits = kValueBitsMin;
  bool row_params = false;  // false with 8 bits: scale 1, offset 0 for u8 and −128 for i8, distances are integers
  Metric metric = Metric::kL2;
  DType dtype = DType::kF32;  // element type of the input

  std::uint64_t pages() const { return (rows + rows_per_page - 1) / rows_per_page; }
  std::uint32_t rows_on(std::uint64_t data_page) const;  // data_page: 1 … pages()
  std::uint64_t page_of(Pos position) const { return 1 + position / rows_per_page; }
  std::uint32_t slot_of(Pos position) const { return position % rows_per_page; }
  Pos first_on(std::uint64_t data_page) const { return static_cast<Pos>((data_page - 1) * rows_per_page); }

  // Distances are those of integers.
  bool is_integral() const { return value_bits == kValueBitsMin && !row_params; }
  // Bytes of the values of a record.
  std::uint32_t value_bytes() const { return dim * (value_bits / 8); }
  // Bytes of a record without its list, the list's end included.
  std::uint32_t fixed_bytes() const {
    return 2 + row_id_bytes + key_bytes + (row_params ? std::uint32_t{sizeof(RowParams)} : 0u) + value_bytes();
  }
  // Where the values and the lists begin in a page. Values lie at a multiple of their size.
  std::uint32_t values_at() const {
    const auto heads = static_cast<std::uint32_t>(kPageChecksumBytes) + rows_per_page * (fixed_bytes() - value_bytes());
    const std::uint32_t unit = value_bits / 8;
    return (heads + unit - 1) / unit * unit;
  }
  std::uint32_t lists_at() const { return values_at() + rows_per_page * value_bytes(); }
  std::uint32_t list_bytes_of_page() const { return page_bytes - lists_at(); }
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
  // The number key of the row; its RowId where the page keeps none.
  std::uint64_t key(std::uint32_t slot) const {
    if (layout_->key_bytes == 0) return row_id(slot).value;
    std::uint64_t value = 0;
    std::memcpy(&value, keys() + std::size_t{slot} * layout_->key_bytes, layout_->key_bytes);
    return value;
  }
  RowParams params(std::uint32_t slot) const {
    RowParams params;
    std::memcpy(&params, params_at(slot), sizeof(params));
    return params;
  }
  // Where they lie, for who will want them soon.
  const std::byte* params_at(std::uint32_t slot) const {
    return keys() + std::size_t{layout_->rows_per_page} * layout_->key_bytes + slot * sizeof(RowParams);
  }
  // [rows_per_page × dim] values of layout.value_bits.
  const std::byte* values() const { return page_ + layout_->values_at(); }
  // Of integers, which lie here as they were put, but for i8, which is shifted by 128. out: [dim].
  void copy_integers(std::uint32_t slot, std::byte* out) const {
    const std::byte* from = values() + std::size_t{slot} * layout_->value_bytes();
    const auto shift = std::byte{layout_->dtype == DType::kI8 ? std::uint8_t{0x80} : std::uint8_t{0}};
    for (std::uint32_t i = 0; i < layout_->dim; ++i) out[i] = from[i] ^ shift;
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
  const std::byte* keys() const { return row_ids() + std::size_t{layout_->rows_per_page} * layout_->row_id_bytes; }

  const GraphLayout* layout_;
  const std::byte* page_;
};

inline bool is_damaged(std::span<const std::byte> list) { return list.data() == nullptr && !list.empty(); }

// A record without its list.
struct PageRecord {
  RowId row;
  std::uint64_t key = 0;  // kept where the layout has key_bytes
  RowParams params;
  const std::byte* values = nullptr;  // [dim] of layout.value_bits
};

// Fills a page of a graph file record by record.
class PageBuilder {
 public:
  PageBuilder(const GraphLayout& layout, std::span<std::byte> whole_page);
  // RowId and key fit the bytes that the layout has for them.
  void set_record(std::uint32_t slot, const PageRecord& record);
  // Lists are appended in slot order; the caller has made sure that they fit.
  void append_list(std::uint32_t slot, Pos self, std::span<const Pos> sorted);

 private:
  const GraphLayout* layout_;
  std::span<std::byte> page_;
  std::uint32_t list_at_ = 0;
};

}  // namespace vecstore
