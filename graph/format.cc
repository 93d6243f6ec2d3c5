// SPDX-License-Identifier: Apache-2.0
#include "graph/format.h"

#include <algorithm>

#include "base/bytes.h"
#include "base/check.h"
#include "compress/neighbour_list.h"

namespace vecstore {
namespace {

// 2 brought the bits of a value, 3 keys beside RowIds. Each graph is written as the first version that can express it,
// so that it has the bytes that it always had.
constexpr std::uint16_t kSummaryVersion = 3;

std::uint16_t version_of(const GraphLayout& layout) {
  if (layout.key_bytes != 0) return 3;
  return layout.value_bits != kValueBitsMin ? 2 : 1;
}

bool fits(std::uint64_t number, std::uint32_t bytes) { return bytes == 8 || number >> (8 * bytes) == 0; }

Status damaged(const char* text) { return Status(Code::kCorrupt, text); }

}  // namespace

std::uint32_t GraphLayout::rows_on(std::uint64_t data_page) const {
  if (data_page == 0 || data_page > pages()) return 0;
  const std::uint64_t first = (data_page - 1) * rows_per_page;
  return static_cast<std::uint32_t>(std::min<std::uint64_t>(rows_per_page, rows - first));
}

Status GraphLayout::check() const {
  if (rows > kRowsMax || dim == 0 || dim > kDimMax)
    return damaged("the graph header has an impossible row count or dimension");
  if (page_bytes < kPageBytesMin || page_bytes > kGraphPageBytesMax || page_bytes % kPageBytesMin != 0)
    return damaged("the graph header has an impossible page size");
  if (row_id_bytes != 4 && row_id_bytes != 8) return damaged("the graph header has an impossible row id width");
  if (key_bytes != 0 && key_bytes != 4 && key_bytes != 8)
    return damaged("the graph header has an impossible key width");
  if (!is_value_bits(value_bits) || (is_integer(dtype) && value_bits != kValueBitsMin))
    return damaged("the graph header names an impossible width of values");
  if (rows_per_page == 0 || rows_per_page > page_bytes || lists_at() > page_bytes)
    return damaged("the graph header puts more rows on a page than fit");
  if (metric > Metric::kCosine || dtype > DType::kI8)
    return damaged("the graph header names an unknown metric or type");
  if (rows != 0 && row_params != needs_row_params(dtype, metric, value_bits))
    return damaged("the graph header has row parameters that contradict its metric and type");
  return Status::ok();
}

std::vector<std::byte> encode_summary(const GraphSummary& summary) {
  const GraphLayout& layout = summary.layout;
  ByteWriter out;
  const std::uint16_t version = version_of(layout);
  out.write(version);
  out.write(static_cast<std::uint8_t>(layout.metric));
  out.write(static_cast<std::uint8_t>(layout.dtype));
  out.write(layout.dim);
  out.write(layout.rows);
  out.write(layout.page_bytes);
  out.write(layout.rows_per_page);
  out.write(layout.row_id_bytes);
  out.write(static_cast<std::uint32_t>(layout.row_params));
  out.write(summary.max_degree);
  out.write(summary.entry);
  out.write(summary.edges);
  out.write(summary.edges_dropped);
  out.write(summary.list_bytes);
  if (version >= 2) out.write(layout.value_bits);
  if (version >= 3) out.write(layout.key_bytes);
  return std::move(out).take();
}

Result<GraphSummary> decode_summary(std::span<const std::byte> attributes) {
  ByteReader in(attributes);
  GraphSummary summary;
  GraphLayout& layout = summary.layout;
  const auto version = in.read<std::uint16_t>();
  if (version > kSummaryVersion)
    return Status(Code::kNewerFormat, "the graph was written by a newer VecStore; upgrade to read it");
  layout.metric = static_cast<Metric>(in.read<std::uint8_t>());
  layout.dtype = static_cast<DType>(in.read<std::uint8_t>());
  layout.dim = in.read<std::uint32_t>();
  layout.rows = in.read<std::uint64_t>();
  layout.page_bytes = in.read<std::uint32_t>();
  layout.rows_per_page = in.read<std::uint32_t>();
  layout.row_id_bytes = in.read<std::uint32_t>();
  layout.row_params = in.read<std::uint32_t>() != 0;
  summary.max_degree = in.read<std::uint32_t>();
  summary.entry = in.read<Pos>();
  summary.edges = in.read<std::uint64_t>();
  summary.edges_dropped = in.read<std::uint64_t>();
  summary.list_bytes = in.read<std::uint64_t>();
  if (version >= 2) layout.value_bits = in.read<std::uint32_t>();
  if (version >= 3) layout.key_bytes = in.read<std::uint32_t>();
  if (!in.done()) return damaged("the graph header is cut short or too long");
  VECSTORE_TRY(layout.check());
  if (summary.max_degree > kDegreeMax) return damaged("the graph header has an impossible degree");
  if (layout.rows == 0 ? summary.entry != kNoPos : summary.entry >= layout.rows)
    return damaged("the graph header has an impossible entry row");
  return summary;
}

std::span<const std::byte> PageView::list(std::uint32_t slot) const {
  const std::uint32_t begin = slot == 0 ? 0 : list_end(slot - 1);
  const std::uint32_t end = list_end(slot);
  if (begin > end || end > layout_->list_bytes_of_page()) return {static_cast<const std::byte*>(nullptr), 1};
  return {page_ + layout_->lists_at() + begin, end - begin};
}

PageBuilder::PageBuilder(const GraphLayout& layout, std::span<std::byte> whole_page)
    : layout_(&layout), page_(whole_page) {
  VECSTORE_CHECK(whole_page.size() == layout.page_bytes);
}

void PageBuilder::set_record(std::uint32_t slot, const PageRecord& record) {
  const std::size_t rows = layout_->rows_per_page;
  VECSTORE_CHECK(slot < rows);
  VECSTORE_CHECK(fits(record.row.value, layout_->row_id_bytes));
  VECSTORE_CHECK(layout_->key_bytes == 0 || fits(record.key, layout_->key_bytes));
  std::byte* at = page_.data() + kPageChecksumBytes + rows * 2;
  std::memcpy(at + slot * layout_->row_id_bytes, &record.row.value, layout_->row_id_bytes);
  at += rows * layout_->row_id_bytes;
  std::memcpy(at + slot * layout_->key_bytes, &record.key, layout_->key_bytes);
  at += rows * layout_->key_bytes;
  if (layout_->row_params) {
    std::memcpy(at + slot * sizeof(RowParams), &record.params, sizeof(RowParams));
  }
  std::memcpy(page_.data() + layout_->values_at() + std::size_t{slot} * layout_->value_bytes(), record.values,
              layout_->value_bytes());
}

void PageBuilder::append_list(std::uint32_t slot, Pos self, std::span<const Pos> sorted) {
  const std::size_t bytes = neighbour_list_bytes(self, sorted);
  VECSTORE_CHECK(list_at_ + bytes <= layout_->list_bytes_of_page());
  encode_neighbours(self, sorted, page_.data() + layout_->lists_at() + list_at_);
  list_at_ += static_cast<std::uint32_t>(bytes);
  // Later slots end where this one does until they bring a list of their own.
  for (std::uint32_t later = slot; later < layout_->rows_per_page; ++later) {
    const auto end = static_cast<std::uint16_t>(list_at_);
    std::memcpy(page_.data() + kPageChecksumBytes + std::size_t{later} * 2, &end, 2);
  }
}

}  // namespace vecstore
