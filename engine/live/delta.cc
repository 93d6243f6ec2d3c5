// SPDX-License-Identifier: Apache-2.0
#include "engine/live/delta.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "base/check.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kRowsMaxHere = ~std::uint32_t{0} - DeltaStripe::kRowsMax;  // ever put, so that offsets fit
// A stripe itself, and its place in the versions that readers may hold beside the newest.
constexpr std::uint64_t kStripeOverhead = sizeof(DeltaStripe) + 8 * (sizeof(std::shared_ptr<DeltaStripe>) + 4);
constexpr std::uint64_t kTextBytes = 64u << 10;
constexpr std::size_t kStripeBytes = 256u << 10;  // of a stripe's vectors, where that is at least a tile's rows

static_assert(DeltaStripe::kRowsMax % Tiles::kRows == 0);

bool is_full(const DeltaStripe& stripe) {
  return stripe.is_closed || stripe.filled.load(std::memory_order_relaxed) == stripe.capacity();
}

// Few rows a stripe where they are long, so that a stripe is a small part of any delta.
std::size_t stripe_rows_of(const DeltaShape& shape) {
  const std::size_t each = shape.row_bytes() + (is_integer(shape.dtype) ? 0 : shape.dim);
  return std::clamp<std::size_t>(kStripeBytes / each / Tiles::kRows * Tiles::kRows, Tiles::kRows,
                                 DeltaStripe::kRowsMax);
}

// Products are the same sums wherever the centre is.
bool has_centre(const DeltaShape& shape) {
  return !is_integer(shape.dtype) && (!shape.centre.empty() || shape.metric != Metric::kInnerProduct);
}

// Of one stripe: what make_stripe() charges.
std::uint64_t stripe_bytes_of(const DeltaShape& shape) {
  const std::size_t rows = stripe_rows_of(shape);
  std::uint64_t bytes = kStripeOverhead + rows * sizeof(DeltaStripe::Row);
  if (!is_integer(shape.dtype)) bytes += rows * shape.row_bytes();
  if (layout_of(shape).row_params)
    return bytes + QuantizedRows::predict_bytes(rows, {shape.dim, shape.dtype, shape.metric, kValueBitsMin});
  return bytes + rows / Tiles::kRows * Tiles::groups_of(shape.dim) * Tiles::kGroupBytes + rows * sizeof(std::uint32_t);
}

std::uint64_t text_buffer_bytes(std::uint64_t bytes) { return bytes == 0 ? 0 : std::max(kTextBytes, bytes); }

}  // namespace

Delta::Delta(std::shared_ptr<DeltaRows::Form> form, MemoryBudget& budget)
    : form_(std::move(form)), budget_(&budget), stripe_rows_(stripe_rows_of(form_->shape)) {}

Result<std::unique_ptr<Delta>> Delta::create(const DeltaShape& shape, RowId first, MemoryBudget& budget) {
  auto form = std::make_shared<DeltaRows::Form>();
  form->shape = shape;
  form->first = first;
  if (has_centre(shape)) {
    VECSTORE_ASSIGN(form->centre, Buffer<float>::allocate(budget, shape.dim));
    std::ranges::copy(shape.centre, form->centre.begin());
  }
  form->is_first_row_centre = shape.centre.empty();
  form->shape.centre = form->centre.span();
  form->row_shape = {shape.dim, shape.dtype, shape.metric, kValueBitsMin, form->centre.span()};
  std::unique_ptr<Delta> delta(new Delta(std::move(form), budget));
  VECSTORE_ASSIGN(delta->widened_, Buffer<float>::allocate(budget, shape.dim));
  VECSTORE_ASSIGN(delta->as_put_, Buffer<std::byte>::allocate(budget, shape.row_bytes()));
  auto rows = std::make_shared<DeltaRows>();
  rows->form_ = delta->form_;
  delta->rows_ = std::move(rows);
  return delta;
}

// ---------------------------------------------------------------------------------------------------------------- room

Result<std::shared_ptr<DeltaStripe>> Delta::make_stripe() const {
  const DeltaShape& shape = form_->shape;
  auto stripe = std::make_shared<Stripe>();
  VECSTORE_ASSIGN(stripe->overhead, Charge::take(*budget_, kStripeOverhead));
  if (!layout_of(shape).row_params) {
    const std::size_t tile_bytes = stripe_rows_ / Tiles::kRows * Tiles::groups_of(shape.dim) * Tiles::kGroupBytes;
    VECSTORE_ASSIGN(stripe->tiles, Buffer<std::uint8_t>::allocate(*budget_, tile_bytes));
    VECSTORE_ASSIGN(stripe->norms2, Buffer<std::uint32_t>::allocate(*budget_, stripe_rows_));
  } else {
    VECSTORE_ASSIGN(auto vectors, QuantizedRows::create(stripe_rows_, form_->row_shape, *budget_));
    stripe->vectors.emplace(std::move(vectors));
  }
  if (!is_integer(shape.dtype)) {
    VECSTORE_ASSIGN(stripe->originals, Buffer<std::byte>::allocate(*budget_, stripe_rows_ * shape.row_bytes()));
  }
  VECSTORE_ASSIGN(stripe->rows, Buffer<Row>::allocate(*budget_, stripe_rows_));
  return stripe;
}

std::uint64_t Delta::bytes_for(std::uint64_t rows, std::uint64_t text_bytes) const {
  const std::uint64_t new_rows = rows - std::min(rows, room_);
  const std::uint64_t stripes = (new_rows + stripe_rows_ - 1) / stripe_rows_;
  const bool has_text = text_ != nullptr && text_->size() - text_used_ >= text_bytes;
  const bool has_keys = rows_->keys_ != nullptr && 2 * (keys_used_ + rows) <= rows_->keys_->size();
  const std::uint64_t slots = has_keys ? 0 : ReaderTable<DeltaRows::KeySlot>::slots_for(keys_used_ + rows);
  return stripes * stripe_bytes_of(form_->shape) + (has_text ? 0 : text_buffer_bytes(text_bytes)) +
         slots * sizeof(DeltaRows::KeySlot);
}

std::uint64_t Delta::bytes_alone(const DeltaShape& shape, std::uint64_t rows, std::uint64_t text_bytes) {
  const std::uint64_t stripes = (rows + stripe_rows_of(shape) - 1) / stripe_rows_of(shape);
  const std::uint64_t itself = (has_centre(shape) ? 2 : 1) * shape.dim * sizeof(float) + shape.row_bytes();
  return itself + stripes * stripe_bytes_of(shape) + text_buffer_bytes(text_bytes) +
         ReaderTable<DeltaRows::KeySlot>::slots_for(rows) * sizeof(DeltaRows::KeySlot);
}

bool Delta::has_room(std::uint64_t rows, std::uint64_t text_bytes) const {
  const bool has_keys = rows_->keys_ != nullptr && 2 * (keys_used_ + rows) <= rows_->keys_->size();
  const bool has_text = text_bytes == 0 || (is_text_kept_ && text_->size() - text_used_ >= text_bytes);
  return has_keys && has_text && room_ >= rows;
}

// Rows are appended in order, so that it is known what a stripe begins with before it does.
Status Delta::reserve_stripes(std::uint64_t rows, DeltaRows& next) const {
  if (appended_ + rows > kRowsMaxHere)
    return Status(Code::kMemoryBudget, "too many rows wait to be merged into the graph");
  for (std::uint64_t room = room_; room < rows; room += stripe_rows_) {
    VECSTORE_ASSIGN(auto stripe, make_stripe());
    next.add_stripe(std::move(stripe), static_cast<std::uint32_t>(appended_ + room));
  }
  return Status::ok();
}

// A key and its document lie in one piece, so the end of a buffer may stay empty.
Status Delta::reserve_text(std::uint64_t bytes) {
  const std::uint64_t left = text_ == nullptr ? 0 : text_->size() - text_used_;
  if (left >= bytes) return Status::ok();
  VECSTORE_ASSIGN(auto text, Buffer<char>::allocate(*budget_, text_buffer_bytes(bytes)));
  is_text_kept_ = false;
  text_ = std::make_shared<Buffer<char>>(std::move(text));
  text_used_ = 0;
  return Status::ok();
}

Status Delta::reserve_keys(std::uint64_t more, DeltaRows& next) {
  if (next.keys_ != nullptr && 2 * (keys_used_ + more) <= next.keys_->size()) return Status::ok();
  return make_keys(more, next, keys_used_, *budget_);
}

// A table of its own for `next`. Slots whose row is gone are left behind.
Status Delta::make_keys(std::uint64_t more, DeltaRows& next, std::uint64_t& used, MemoryBudget& budget) {
  const auto for_each_kept = [&next](const auto& visit) {
    for (std::size_t slot = 0; next.keys_ != nullptr && slot < next.keys_->size(); ++slot) {
      const std::uint32_t there = (*next.keys_)[slot].load(std::memory_order_relaxed);
      Row* const row = there == 0 ? nullptr : next.place_of(there - 1).row;
      if (row != nullptr) visit(*row);
    }
  };
  std::uint64_t kept = 0;
  for_each_kept([&](Row&) { ++kept; });
  VECSTORE_ASSIGN(auto larger, ReaderTable<DeltaRows::KeySlot>::make(kept + more, budget));
  for_each_kept([&](Row& row) { index_key(next, *larger, row); });
  used = kept;
  next.keys_ = std::move(larger);
  return Status::ok();
}

Status Delta::reserve(std::uint64_t rows, std::uint64_t text_bytes, Lsn floor) {
  if (has_room(rows, text_bytes)) return Status::ok();
  forget(floor, false);
  const Status reserved = reserve_all(rows, text_bytes);
  if (reserved.code() != Code::kMemoryBudget || since_merging_ == 0) return reserved;
  forget(floor, true);
  return reserve_all(rows, text_bytes);
}

Status Delta::reserve_all(std::uint64_t rows, std::uint64_t text_bytes) {
  auto next = std::make_shared<DeltaRows>(*rows_);
  VECSTORE_TRY(reserve_stripes(rows, *next));
  VECSTORE_TRY(reserve_text(text_bytes));  // what is left of a buffer is given up for a new one
  for (std::size_t i = filling_; text_ != nullptr && i < next->stripes_.size(); ++i)
    if (auto& texts = next->stripes_[i]->texts; texts.empty() || texts.back() != text_) texts.push_back(text_);
  VECSTORE_TRY(reserve_keys(rows, *next));
  room_ += (next->stripes_.size() - rows_->stripes_.size()) * stripe_rows_;
  is_text_kept_ = text_ != nullptr;
  rows_ = std::move(next);
  return Status::ok();
}

// ------------------------------------------------------------------------------------------------------------- writing

// i8 shifted by 128, as on pages.
void Delta::put_integers(Stripe& stripe, std::size_t within, std::span<const std::byte> vector) const {
  const std::uint8_t shift = form_->shape.dtype == DType::kI8 ? 0x80u : 0u;
  std::uint8_t* tile = stripe.tiles.data() + DeltaRows::tile_place(within, Tiles::groups_of(form_->shape.dim));
  std::uint32_t norm2 = 0;
  for (std::size_t d = 0; d < vector.size(); ++d) {
    const auto code = static_cast<std::uint8_t>(static_cast<std::uint8_t>(vector[d]) ^ shift);
    tile[d / 4 * Tiles::kGroupBytes + d % 4] = code;
    norm2 += std::uint32_t{code} * code;
  }
  stripe.norms2[within] = norm2;
}

void Delta::put_vector(Stripe& stripe, std::size_t within, std::span<const std::byte> vector) {
  if (stripe.vectors) {
    stripe.vectors->fill(within, {vector.data(), form_->shape.dtype, 1, form_->shape.dim, 0}, widened_.span());
  } else {
    put_integers(stripe, within, vector);
  }
  if (!stripe.originals.empty())
    std::copy(vector.begin(), vector.end(), stripe.originals.begin() + within * vector.size());
}

void Delta::append(const PutRecord& record, Lsn born) {
  const DeltaShape& shape = form_->shape;
  VECSTORE_CHECK(record.row == next() && record.vector.size() == shape.row_bytes() && record.key.kind() == shape.keys);
  const auto& stripes = rows_->stripes_;
  while (is_full(*stripes[filling_])) ++filling_;
  Stripe& stripe = *stripes[filling_];
  const std::uint32_t within = stripe.filled.load(std::memory_order_relaxed);
  if (appended_ == 0 && form_->is_first_row_centre && !form_->centre.empty())
    read_row({record.vector.data(), shape.dtype, 1, shape.dim, 0}, 0, form_->row_shape, false, form_->centre.data());
  form_->had_rows.store(true, std::memory_order_release);
  put_vector(stripe, within, record.vector);
  Row& row = stripe.rows[within];
  row.born = born.value;
  row.died = DeltaStripe::kNeverDied;
  row.number = record.key.number();
  row.offset = static_cast<std::uint32_t>(appended_);
  row.key_bytes = static_cast<std::uint16_t>(record.key.bytes().size());
  row.document_bytes = record.document_bytes;
  row.kept_bytes = static_cast<std::uint32_t>(record.document.size());
  document_bytes_put_ += row.document_bytes;
  form_->document_bytes.fetch_add(row.document_bytes, std::memory_order_relaxed);
  form_->kept_document_bytes.fetch_add(row.kept_bytes, std::memory_order_relaxed);
  if (const std::size_t bytes = row.key_bytes + std::size_t{row.kept_bytes}; bytes != 0) {
    VECSTORE_CHECK(text_ != nullptr && text_->size() - text_used_ >= bytes && !stripe.texts.empty() &&
                   stripe.texts.back() == text_);
    char* text = text_->data() + text_used_;
    text_used_ += bytes;
    row.text = text;
    text = std::copy(record.key.bytes().begin(), record.key.bytes().end(), text);
    std::copy(record.document.begin(), record.document.end(), text);
  }
  ++appended_;
  --room_;
  stripe.filled.store(within + 1, std::memory_order_release);
  if (index_key(*rows_, *rows_->keys_, row)) ++keys_used_;
}

bool Delta::index_key(const DeltaRows& rows, KeySlots& table, Row& row) {
  const Key own = rows.key_of(row);
  for (std::size_t slot = table.first(KeyHash()(own));; slot = table.next(slot)) {
    const std::uint32_t there = table[slot].load(std::memory_order_relaxed);
    if (there != 0) {
      const Row* before = rows.place_of(there - 1).row;
      if (before == nullptr || !rows.has_key(*before, own)) continue;
      row.older = there;
    }
    table[slot].store(row.offset + 1, std::memory_order_release);
    return there == 0;
  }
}

void Delta::end(RowId row, Lsn died) {
  Row* const ended = rows_->find_place(row).row;
  VECSTORE_CHECK(ended != nullptr);
  std::atomic_ref(ended->died).store(died.value, std::memory_order_release);
  if (ended_first_ == 0) {
    ended_first_ = ended->offset + 1;
  } else {
    rows_->place_of(ended_last_ - 1).row->ended_next = ended->offset + 1;
  }
  ended_last_ = ended->offset + 1;
}

void Delta::discount_documents(const Row& row) const {
  form_->document_bytes.fetch_sub(row.document_bytes, std::memory_order_relaxed);
  form_->kept_document_bytes.fetch_sub(row.kept_bytes, std::memory_order_relaxed);
}

// --------------------------------------------------------------------------------------------------------- cutting off

// Stripes that were reserved and hold no row go: what their first row will be is not known any more.
void Delta::cut() {
  auto next = std::make_shared<DeltaRows>();
  next->form_ = form_;
  next->keys_ = rows_->keys_;
  for (std::size_t i = 0; i < rows_->stripes_.size(); ++i) {
    const auto& stripe = rows_->stripes_[i];
    if (stripe->filled.load(std::memory_order_relaxed) != 0) next->add_stripe(stripe, rows_->firsts_[i]);
  }
  for (const auto& stripe : next->stripes_) stripe->is_closed = true;
  filling_ = next->stripes_.size();
  room_ = 0;
  cut_ = appended_;
  rows_ = std::move(next);
}

// The table of keys is a new one, because the old version goes on being asked for what was here.
Result<Delta::Rest> Delta::behind_cut(MemoryBudget& budget) const {
  Rest rest{std::make_shared<DeltaRows>()};
  rest.rows->form_ = form_;
  rest.rows->keys_ = rows_->keys_;
  for (std::size_t i = 0; i < rows_->stripes_.size(); ++i)
    if (!is_before_cut(*rows_->stripes_[i])) rest.rows->add_stripe(rows_->stripes_[i], rows_->firsts_[i]);
  VECSTORE_TRY(make_keys(room_, *rest.rows, rest.keys, budget));
  return rest;
}

void Delta::keep(Rest rest) {
  std::size_t dropped = 0;
  for (const auto& stripe : rows_->stripes_) {
    if (!is_before_cut(*stripe)) continue;
    ++dropped;
    for (const Row& row : stripe->rows.span().first(stripe->filled.load(std::memory_order_relaxed)))
      if (is_needed(row)) discount_documents(row);
  }
  keep_ended_from(static_cast<std::uint32_t>(cut_));
  keys_used_ = rest.keys;
  filling_ -= std::min(filling_, dropped);
  since_merging_ = 0;
  for (const auto& stripe : rest.rows->stripes_) since_merging_ += stripe->unneeded;
  rows_ = std::move(rest.rows);
  cut_ = 0;
}

bool Delta::is_before_cut(const Stripe& stripe) const {
  return stripe.filled.load(std::memory_order_relaxed) != 0 && stripe.rows[0].offset < cut_;
}

void Delta::keep_ended_from(std::uint32_t offset) {
  std::uint32_t first = 0;
  Row* last = nullptr;
  for (std::uint32_t at = ended_first_; at != 0;) {
    Row* const row = rows_->place_of(at - 1).row;
    at = row->ended_next;
    if (row->offset < offset) continue;
    if (last == nullptr) {
      first = row->offset + 1;
    } else {
      last->ended_next = row->offset + 1;
    }
    last = row;
    row->ended_next = 0;
  }
  ended_first_ = first;
  ended_last_ = last == nullptr ? 0 : last->offset + 1;
}

// ---------------------------------------------------------------------------------------------------------- forgetting

void Delta::count_unneeded(Lsn floor) {
  forgotten_ = std::max(forgotten_, floor);
  while (ended_first_ != 0) {
    const DeltaRows::Place place = rows_->place_of(ended_first_ - 1);
    if (is_needed(*place.row)) return;
    ++place.stripe->unneeded;
    ++since_merging_;
    discount_documents(*place.row);
    ended_first_ = place.row->ended_next;
  }
  ended_last_ = 0;
}

// Neighbours whose rows fit one stripe become one. That copies no more rows than came to be unneeded since, and leaves
// stripes that are half full at the least, two by two.
void Delta::forget(Lsn floor, bool in_any_case) {
  count_unneeded(floor);
  if (since_merging_ == 0 || (!in_any_case && since_merging_ < stripe_rows_)) return;
  while (filling_ < rows_->stripes_.size() && is_full(*rows_->stripes_[filling_])) ++filling_;
  auto next = std::make_shared<DeltaRows>();
  next->form_ = form_;
  next->keys_ = rows_->keys_;
  std::vector<std::shared_ptr<Stripe>> together;
  std::size_t needed = 0;  // rows of these
  const auto end_run = [&] {
    if (together.size() > 1) {
      if (auto merged = merge(together)) together = {std::move(*merged)};
    }
    for (auto& stripe : together) {
      const std::uint32_t first = stripe->rows[0].offset;
      next->add_stripe(std::move(stripe), first);
    }
    together.clear();
    needed = 0;
  };
  for (std::size_t i = 0; i < filling_; ++i) {
    const auto& stripe = rows_->stripes_[i];
    const std::size_t more = stripe->filled.load(std::memory_order_relaxed) - stripe->unneeded;
    if (more == 0) continue;
    const bool crosses_cut =
        !together.empty() && together.back()->rows[0].offset < cut_ && stripe->rows[0].offset >= cut_;
    if (needed + more > stripe_rows_ || crosses_cut) end_run();
    together.push_back(stripe);
    needed += more;
  }
  end_run();
  const std::size_t filling = next->stripes_.size();
  for (std::size_t i = filling_; i < rows_->stripes_.size(); ++i)
    next->add_stripe(rows_->stripes_[i], rows_->firsts_[i]);
  rows_ = std::move(next);
  filling_ = filling;
  since_merging_ = 0;
}

Result<std::shared_ptr<DeltaStripe>> Delta::merge(std::span<const std::shared_ptr<Stripe>> stripes) {
  std::size_t text_bytes = 0;
  for (const auto& stripe : stripes)
    for (const Row& row : stripe->rows.span().first(stripe->filled.load(std::memory_order_relaxed)))
      if (is_needed(row)) text_bytes += row.key_bytes + std::size_t{row.kept_bytes};
  VECSTORE_ASSIGN(auto merged, make_stripe());
  char* text = nullptr;
  if (text_bytes != 0) {
    VECSTORE_ASSIGN(auto bytes, Buffer<char>::allocate(*budget_, text_bytes));
    text = bytes.data();
    merged->texts.push_back(std::make_shared<Buffer<char>>(std::move(bytes)));
  }
  for (const auto& stripe : stripes) {
    const std::size_t filled = stripe->filled.load(std::memory_order_relaxed);
    for (std::size_t i = 0; i < filled; ++i)
      if (is_needed(stripe->rows[i])) copy_row(*stripe, i, *merged, text);
  }
  return merged;
}

void Delta::copy_row(const Stripe& from, std::size_t within, Stripe& to, char*& text) {
  const std::uint32_t place = to.filled.load(std::memory_order_relaxed);
  rows_->copy_vector(from, within, as_put_.data());
  put_vector(to, place, as_put_.span());
  Row& row = to.rows[place];
  row = from.rows[within];
  const std::size_t bytes = row.key_bytes + std::size_t{row.kept_bytes};
  if (bytes != 0) {
    std::copy_n(row.text, bytes, text);
    row.text = std::exchange(text, text + bytes);
  }
  to.filled.store(place + 1, std::memory_order_relaxed);
}

}  // namespace vecstore
