// SPDX-License-Identifier: Apache-2.0
#include "engine/live/delta.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kNeverDied = std::numeric_limits<std::uint64_t>::max();
constexpr std::uint64_t kRowsMaxHere = std::uint64_t{1} << 24;
constexpr std::uint64_t kTextBytes = 64u << 10;

static_assert(Delta::kStripeRows % Tiles::kRows == 0);

}  // namespace

GraphLayout layout_of(const DeltaShape& shape) {
  GraphLayout layout;
  layout.dim = shape.dim;
  layout.dtype = shape.dtype;
  layout.metric = shape.metric;
  layout.row_params = needs_row_params(shape.dtype, shape.metric, layout.value_bits);
  return layout;
}

Result<std::unique_ptr<Delta>> Delta::create(const DeltaShape& shape, RowId first, MemoryBudget& budget) {
  std::unique_ptr<Delta> delta(new Delta(shape, first, budget));
  VECSTORE_ASSIGN(delta->stripes_, Buffer<StripePlace>::allocate(budget, kRowsMaxHere / kStripeRows));
  VECSTORE_ASSIGN(delta->widened_, Buffer<float>::allocate(budget, shape.dim));
  delta->row_shape_ = {shape.dim, shape.dtype, shape.metric, kValueBitsMin, shape.centre};
  // Products are the same sums wherever the centre is; beside a graph they have to be of its centre.
  if (shape.centre.empty() && !is_integer(shape.dtype) && shape.metric != Metric::kInnerProduct) {
    VECSTORE_ASSIGN(delta->own_centre_, Buffer<float>::allocate(budget, shape.dim));
    delta->row_shape_.centre = delta->own_centre_.span();
  }
  return delta;
}

// ------------------------------------------------------------------------------------------------------------- writing

Status Delta::add_stripe() {
  if (stripe_count_ == stripes_.size())
    return Status(Code::kMemoryBudget, "too many rows wait to be merged into the graph");
  auto stripe = std::make_unique<Stripe>();
  if (!layout_of(shape_).row_params) {
    const std::size_t tile_bytes = kStripeRows / Tiles::kRows * groups() * Tiles::kGroupBytes;
    VECSTORE_ASSIGN(stripe->tiles, Buffer<std::uint8_t>::allocate(*budget_, tile_bytes));
    VECSTORE_ASSIGN(stripe->norms2, Buffer<std::uint32_t>::allocate(*budget_, kStripeRows));
  } else {
    VECSTORE_ASSIGN(auto vectors, QuantizedRows::create(kStripeRows, row_shape_, *budget_));
    stripe->vectors.emplace(std::move(vectors));
  }
  if (!is_integer(shape_.dtype)) {
    VECSTORE_ASSIGN(stripe->originals, Buffer<std::byte>::allocate(*budget_, kStripeRows * std::size_t{row_bytes()}));
  }
  VECSTORE_ASSIGN(stripe->rows, Buffer<Row>::allocate(*budget_, kStripeRows));
  owned_.push_back(std::move(stripe));
  stripes_[stripe_count_++].stripe = owned_.back().get();
  return Status::ok();
}

// A key and its document lie in one piece, so the end of a buffer may stay empty.
Status Delta::reserve_text(std::uint64_t bytes) {
  if (bytes == 0) return Status::ok();
  const std::uint64_t left = texts_.empty() ? 0 : texts_.back().size() - text_used_;
  if (left >= bytes) return Status::ok();
  VECSTORE_ASSIGN(auto text, Buffer<char>::allocate(*budget_, std::max(kTextBytes, bytes)));
  texts_.push_back(std::move(text));
  text_used_ = 0;
  return Status::ok();
}

Status Delta::reserve_keys(std::uint64_t more) {
  return keys_.reserve(keys_count_ + more, *budget_, [this](const KeySlot& old, KeyTable::Slots& larger) {
    const std::uint32_t index = old.load(std::memory_order_relaxed);
    if (index != 0) index_key(larger, index);
  });
}

Status Delta::reserve(std::uint64_t rows, std::uint64_t text_bytes) {
  VECSTORE_TRY(reserve_keys(rows));
  while (stripe_count_ * kStripeRows < this->rows() + rows) VECSTORE_TRY(add_stripe());
  return reserve_text(text_bytes);  // last: what is left of a buffer is given up for a new one
}

std::size_t Delta::tile_place(std::uint64_t within, std::size_t groups) {
  return within / Tiles::kRows * groups * Tiles::kGroupBytes + within % Tiles::kRows * 4;
}

// i8 shifted by 128, as on pages.
void Delta::put_integers(Stripe& stripe, std::uint64_t within, std::span<const std::byte> vector) {
  const std::uint8_t shift = shape_.dtype == DType::kI8 ? 0x80u : 0u;
  std::uint8_t* tile = stripe.tiles.data() + tile_place(within, groups());
  std::uint32_t norm2 = 0;
  for (std::size_t d = 0; d < vector.size(); ++d) {
    const auto code = static_cast<std::uint8_t>(static_cast<std::uint8_t>(vector[d]) ^ shift);
    tile[d / 4 * Tiles::kGroupBytes + d % 4] = code;
    norm2 += std::uint32_t{code} * code;
  }
  stripe.norms2[within] = norm2;
}

void Delta::append(const PutRecord& record, Lsn born) {
  const std::uint64_t index = rows();
  VECSTORE_CHECK(record.row == next() && record.vector.size() == row_bytes() && record.key.kind() == shape_.keys);
  Stripe& stripe = stripe_of(index);
  const std::uint64_t within = index % kStripeRows;
  if (stripe.vectors) {
    const VectorView vector{record.vector.data(), shape_.dtype, 1, shape_.dim, 0};
    if (index == 0 && !own_centre_.empty()) read_row(vector, 0, row_shape_, false, own_centre_.data());
    stripe.vectors->fill(within, vector, widened_.span());
  } else {
    put_integers(stripe, within, record.vector);
  }
  if (!stripe.originals.empty())
    std::copy(record.vector.begin(), record.vector.end(), stripe.originals.begin() + within * row_bytes());
  Row& row = stripe.rows[within];
  row.born = born.value;
  row.died = kNeverDied;
  row.number = record.key.number();
  row.key_bytes = static_cast<std::uint16_t>(record.key.bytes().size());
  row.document_bytes = record.document_bytes;
  row.kept_bytes = static_cast<std::uint32_t>(record.document.size());
  document_bytes_.fetch_add(row.document_bytes, std::memory_order_relaxed);
  kept_document_bytes_.fetch_add(row.kept_bytes, std::memory_order_relaxed);
  if (const std::size_t bytes = row.key_bytes + std::size_t{row.kept_bytes}; bytes != 0) {
    VECSTORE_CHECK(!texts_.empty() && texts_.back().size() - text_used_ >= bytes);
    char* text = texts_.back().data() + text_used_;
    text_used_ += bytes;
    row.text = text;
    text = std::copy(record.key.bytes().begin(), record.key.bytes().end(), text);
    std::copy(record.document.begin(), record.document.end(), text);
  }
  rows_.store(index + 1, std::memory_order_release);
  if (index_key(keys_.filling(), static_cast<std::uint32_t>(index + 1))) ++keys_count_;
}

void Delta::end(RowId row, Lsn died) {
  VECSTORE_CHECK(has(row));
  std::atomic_ref(row_at(row.value - first_.value).died).store(died.value, std::memory_order_release);
}

std::size_t KeyHash::operator()(const Key& key) const {
  if (key.kind() == KeyKind::kNumber) return static_cast<std::size_t>((key.number() * 0x9E3779B97F4A7C15ull) >> 20);
  return static_cast<std::size_t>(XXH3_64bits(key.bytes().data(), key.bytes().size()));
}

bool Delta::has_key(const Row& row, const Key& key) const {
  if (shape_.keys == KeyKind::kNumber) return row.number == key.number();
  return std::string_view(row.text, row.key_bytes) == key.bytes();
}

bool Delta::index_key(KeyTable::Slots& table, std::uint32_t index) {
  Row& row = row_at(index - 1);
  const Key own = key({first_.value + index - 1});
  for (std::size_t slot = table.first(KeyHash()(own));; slot = table.next(slot)) {
    const std::uint32_t there = table[slot].load(std::memory_order_relaxed);
    if (there != 0 && !has_key(row_at(there - 1), own)) continue;
    if (there != 0) row.older = there;
    table[slot].store(index, std::memory_order_release);
    return there == 0;
  }
}

// ------------------------------------------------------------------------------------------------------------- reading

bool Delta::is_visible(const Row& row, Lsn snapshot) const {
  // NOLINTNEXTLINE(cppcoreguidelines-pro-type-const-cast): C++20 has no atomic_ref of a const object
  const std::uint64_t died = std::atomic_ref(const_cast<std::uint64_t&>(row.died)).load(std::memory_order_acquire);
  return row.born <= snapshot.value && snapshot.value < died;
}

std::optional<RowId> Delta::find(const Key& key, Lsn snapshot) const {
  const KeyTable::Slots* table = keys_.newest();
  if (table == nullptr || key.kind() != shape_.keys) return std::nullopt;
  for (std::size_t slot = table->first(KeyHash()(key));; slot = table->next(slot)) {
    std::uint32_t index = (*table)[slot].load(std::memory_order_acquire);
    if (index == 0) return std::nullopt;
    if (!has_key(row_at(index - 1), key)) continue;
    for (; index != 0; index = row_at(index - 1).older)
      if (is_visible(row_at(index - 1), snapshot)) return RowId{first_.value + index - 1};
    return std::nullopt;
  }
}

bool Delta::is_live(RowId row, Lsn snapshot) const {
  return has(row) && is_visible(row_at(row.value - first_.value), snapshot);
}

Key Delta::key(RowId row) const {
  const Row& stored = row_at(row.value - first_.value);
  if (shape_.keys == KeyKind::kNumber) return {stored.number};
  return {std::string_view(stored.text, stored.key_bytes)};
}

Delta::KeptDocument Delta::document(RowId row) const {
  const Row& stored = row_at(row.value - first_.value);
  return {{stored.text + stored.key_bytes, stored.kept_bytes}, stored.document_bytes};
}

void Delta::copy_vector(RowId row, std::byte* out) const {
  const std::uint64_t index = row.value - first_.value;
  const Stripe& stripe = stripe_of(index);
  const std::uint64_t within = index % kStripeRows;
  if (!stripe.originals.empty()) {
    std::memcpy(out, stripe.originals.data() + within * row_bytes(), row_bytes());
    return;
  }
  // Integers are kept as they were put, i8 shifted by 128.
  const std::uint8_t shift = shape_.dtype == DType::kI8 ? 0x80u : 0u;
  const std::uint8_t* tile = stripe.vectors ? nullptr : stripe.tiles.data() + tile_place(within, groups());
  const std::uint8_t* codes = stripe.vectors ? stripe.vectors->codes(static_cast<std::uint32_t>(within)) : nullptr;
  for (std::uint32_t d = 0; d < shape_.dim; ++d)
    out[d] = static_cast<std::byte>((codes != nullptr ? codes[d] : tile[d / 4 * Tiles::kGroupBytes + d % 4]) ^ shift);
}

}  // namespace vecstore
