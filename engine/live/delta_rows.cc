// SPDX-License-Identifier: Apache-2.0
#include "engine/live/delta_rows.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <ranges>

#include "base/check.h"

namespace vecstore {

std::size_t KeyHash::operator()(const Key& key) const {
  if (key.kind() == KeyKind::kNumber) return static_cast<std::size_t>((key.number() * 0x9E3779B97F4A7C15ull) >> 20);
  return static_cast<std::size_t>(XXH3_64bits(key.bytes().data(), key.bytes().size()));
}

GraphLayout layout_of(const DeltaShape& shape) {
  GraphLayout layout;
  layout.dim = shape.dim;
  layout.dtype = shape.dtype;
  layout.metric = shape.metric;
  layout.row_params = needs_row_params(shape.dtype, shape.metric, layout.value_bits);
  return layout;
}

bool DeltaStripe::is_visible(const Row& row, Lsn snapshot) {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): C++20 has no atomic_ref of a const object
  const std::uint64_t died = std::atomic_ref(const_cast<std::uint64_t&>(row.died)).load(std::memory_order_acquire);
  return row.born <= snapshot.value && snapshot.value < died;
}

std::uint64_t DeltaRows::rows() const {
  std::uint64_t rows = 0;
  for (const auto& stripe : stripes_) rows += stripe->filled.load(std::memory_order_acquire);
  return rows;
}

std::uint64_t DeltaRows::bytes_of(const DeltaStripe& stripe) const {
  const std::uint64_t vectors = stripe.vectors ? QuantizedRows::predict_bytes(stripe.capacity(), form_->row_shape) : 0;
  return vectors + stripe.tiles.size_bytes() + stripe.norms2.size_bytes() + stripe.originals.size_bytes() +
         stripe.rows.size_bytes();
}

// Texts that two neighbours share count once, and not at all where a stripe of the other has them too.
std::uint64_t DeltaRows::bytes_beside(const DeltaRows* later) const {
  std::uint64_t bytes = keys_ == nullptr ? 0 : keys_->size() * sizeof(KeySlot);
  const std::size_t others = later == nullptr ? 0 : later->stripes_.size();
  std::size_t shared = 0;
  while (shared < std::min(others, stripes_.size()) &&
         stripes_[stripes_.size() - 1 - shared] == later->stripes_[others - 1 - shared])
    ++shared;
  const Buffer<char>* counted = nullptr;
  for (std::size_t i = stripes_.size(); i-- > 0;) {
    const bool is_shared = stripes_.size() - i <= shared;
    if (!is_shared) bytes += bytes_of(*stripes_[i]);
    for (const auto& text : std::views::reverse(stripes_[i]->texts)) {
      if (!is_shared && text.get() != counted) bytes += text->size_bytes();
      counted = text.get();
    }
  }
  return bytes;
}

// A stripe that was filled from the front has consecutive rows; one that replaced others has gaps between them.
DeltaRows::Place DeltaRows::place_of(std::uint32_t offset) const {
  const auto behind = std::upper_bound(firsts_.begin(), firsts_.end(), offset);
  if (behind == firsts_.begin()) return {};
  DeltaStripe& stripe = *stripes_[static_cast<std::size_t>(behind - firsts_.begin()) - 1];
  const std::size_t filled = stripe.filled.load(std::memory_order_acquire);
  if (filled == 0) return {};
  DeltaStripe::Row* const rows = stripe.rows.data();
  const std::size_t most = std::min<std::size_t>(offset - rows[0].offset, filled - 1);
  DeltaStripe::Row* found = rows + most;
  if (found->offset != offset)
    found = std::lower_bound(rows, rows + most, offset,
                             [](const DeltaStripe::Row& row, std::uint32_t wanted) { return row.offset < wanted; });
  if (found->offset != offset) return {};
  return {&stripe, found, static_cast<std::size_t>(found - rows)};
}

DeltaRows::Place DeltaRows::find_place(RowId row) const {
  const std::uint64_t first = form_->first.value;
  if (row.value < first || row.value - first > ~std::uint32_t{0}) return {};
  return place_of(static_cast<std::uint32_t>(row.value - first));
}

bool DeltaRows::has_key(const DeltaStripe::Row& row, const Key& key) const {
  if (form_->shape.keys == KeyKind::kNumber) return row.number == key.number();
  return std::string_view(row.text, row.key_bytes) == key.bytes();
}

Key DeltaRows::key_of(const DeltaStripe::Row& row) const {
  if (form_->shape.keys == KeyKind::kNumber) return {row.number};
  return {std::string_view(row.text, row.key_bytes)};
}

// A slot may lead to a row that is gone: nobody needs it, nor one that had its key before.
std::optional<RowId> DeltaRows::find(const Key& key, Lsn snapshot) const {
  if (keys_ == nullptr || key.kind() != form_->shape.keys) return std::nullopt;
  for (std::size_t slot = keys_->first(KeyHash()(key));; slot = keys_->next(slot)) {
    const std::uint32_t there = (*keys_)[slot].load(std::memory_order_acquire);
    if (there == 0) return std::nullopt;
    const DeltaStripe::Row* row = place_of(there - 1).row;
    if (row == nullptr || !has_key(*row, key)) continue;
    while (row != nullptr && !DeltaStripe::is_visible(*row, snapshot))
      row = row->older == 0 ? nullptr : place_of(row->older - 1).row;
    return row == nullptr ? std::nullopt : std::optional(row_id(*row));
  }
}

bool DeltaRows::is_live(RowId row, Lsn snapshot) const {
  const DeltaStripe::Row* stored = find_place(row).row;
  return stored != nullptr && DeltaStripe::is_visible(*stored, snapshot);
}

Key DeltaRows::key(RowId row) const {
  const Place place = find_place(row);
  VECSTORE_CHECK(place.row != nullptr);
  return key_of(*place.row);
}

DeltaRows::KeptDocument DeltaRows::document(RowId row) const {
  const Place place = find_place(row);
  VECSTORE_CHECK(place.row != nullptr);
  return {{place.row->text + place.row->key_bytes, place.row->kept_bytes}, place.row->document_bytes};
}

void DeltaRows::copy_vector(RowId row, std::byte* out) const {
  const Place place = find_place(row);
  VECSTORE_CHECK(place.row != nullptr);
  copy_vector(*place.stripe, place.within, out);
}

std::size_t DeltaRows::tile_place(std::size_t within, std::size_t groups) {
  return within / Tiles::kRows * groups * Tiles::kGroupBytes + within % Tiles::kRows * 4;
}

void DeltaRows::copy_vector(const DeltaStripe& stripe, std::size_t within, std::byte* out) const {
  const DeltaShape& shape = form_->shape;
  if (!stripe.originals.empty()) {
    std::memcpy(out, stripe.originals.data() + within * shape.row_bytes(), shape.row_bytes());
    return;
  }
  // Integers are kept as they were put, i8 shifted by 128.
  const std::uint8_t shift = shape.dtype == DType::kI8 ? 0x80u : 0u;
  const std::uint8_t* tile = stripe.vectors ? nullptr : stripe.tiles.data() + tile_place(within, groups());
  const std::uint8_t* codes = stripe.vectors ? stripe.vectors->codes(static_cast<std::uint32_t>(within)) : nullptr;
  for (std::uint32_t d = 0; d < shape.dim; ++d)
    out[d] = static_cast<std::byte>((codes != nullptr ? codes[d] : tile[d / 4 * Tiles::kGroupBytes + d % 4]) ^ shift);
}

}  // namespace vecstore
