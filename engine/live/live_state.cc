// SPDX-License-Identifier: Apache-2.0
#include "engine/live/live_state.h"

#include <algorithm>

#include "base/limits.h"

namespace vecstore {
namespace {

Status contradiction(Lsn lsn) {
  return Status(Code::kCorrupt, "a record of the log contradicts the store; restore or salvage")
      .at(Detail::kLsn, lsn.value);
}

}  // namespace

void LiveState::publish() {
  const std::uint64_t through = std::min(applied_.load(), safe_.load());
  std::uint64_t before = published_.load();
  while (before < through && !published_.compare_exchange_weak(before, through)) {
  }
}

// One that nobody has seen, because the batch that it was made for was refused, may have another dimension.
Status LiveState::make_delta(std::uint32_t dim) {
  if (owned_delta_ != nullptr && (delta() != nullptr || owned_delta_->shape().dim == dim)) return Status::ok();
  owned_delta_.reset();
  DeltaShape shape = shape_;
  shape.dim = dim;
  VECSTORE_ASSIGN(owned_delta_, Delta::create(shape, RowId{base_rows_}, *budget_));
  return Status::ok();
}

void LiveState::charge_to(MemoryBudget& budget, MemoryBudget& for_erasing) {
  budget_ = &budget;
  erasing_budget_ = &for_erasing;
  if (owned_delta_ != nullptr) owned_delta_->charge_to(budget);
}

// A dictionary that nobody has seen may be replaced, as a delta may.
Status LiveState::prepare_dictionary(std::span<const std::byte> bytes) {
  if (bytes.empty() || (owned_dictionary_ != nullptr && std::ranges::equal(owned_dictionary_->bytes(), bytes)))
    return Status::ok();
  if (dictionary() != nullptr)
    return Status(Code::kCorrupt, "the log has a second dictionary for the same documents; restore or salvage");
  owned_dictionary_.reset();
  VECSTORE_ASSIGN(owned_dictionary_, FrameDictionary::open(bytes, *budget_));
  return Status::ok();
}

Status LiveState::reserve(const Needs& needs) {
  VECSTORE_TRY(prepare_dictionary(needs.dictionary));
  if (needs.rows != 0) {
    VECSTORE_TRY(make_delta(needs.dim));
    VECSTORE_TRY(owned_delta_->reserve(needs.rows, needs.text_bytes));
  }
  if (needs.base_rows_ended == 0) return Status::ok();
  const Status reserved = tombstones_.reserve(needs.base_rows_ended, *budget_);
  const bool only_erases = needs.rows == 0;
  return reserved.is_ok() || !only_erases ? reserved : tombstones_.reserve(needs.base_rows_ended, *erasing_budget_);
}

Status LiveState::end_row(RowId row, Lsn lsn) {
  if (row.value < base_rows_) {
    if (tombstones_.gone(row, {~std::uint64_t{0}})) return contradiction(lsn);
    VECSTORE_TRY(tombstones_.reserve(1, *budget_));
    tombstones_.add(row, lsn);
  } else {
    if (owned_delta_ == nullptr || !owned_delta_->is_live(row, lsn)) return contradiction(lsn);
    owned_delta_->end(row, lsn);
    delta_rows_.fetch_sub(1, std::memory_order_relaxed);
  }
  rows_.fetch_sub(1, std::memory_order_relaxed);
  return Status::ok();
}

Status LiveState::take_dictionary(Lsn lsn, std::span<const std::byte> bytes) {
  if (bytes.empty()) return contradiction(lsn);
  VECSTORE_TRY(prepare_dictionary(bytes));
  dictionary_.store(owned_dictionary_.get(), std::memory_order_release);
  bytes_since_dictionary_ = 0;
  return Status::ok();
}

Status LiveState::apply(Lsn lsn, const LogRecord& record) {
  bytes_since_dictionary_ += record.payload.size();
  switch (static_cast<RecordType>(record.type)) {
    case RecordType::kPut:
    case RecordType::kPutPacked:
      break;
    case RecordType::kErase: {
      const auto erase = decode_erase(record);
      return erase ? end_row(erase->row, lsn) : contradiction(lsn);
    }
    case RecordType::kDictionary:
      return take_dictionary(lsn, record.payload);
    default:
      return Status(Code::kNewerFormat, "the log holds records that this VecStore does not know; upgrade to read it");
  }
  const auto put = decode_put(record);
  if (!put || put->row != next_row() || put->key.kind() != shape_.keys) return contradiction(lsn);
  const std::size_t bytes_each = element_bytes(shape_.dtype);
  const std::uint64_t dim = put->vector.size() / bytes_each;
  const bool fits = dim * bytes_each == put->vector.size() && dim != 0 && dim <= kDimMax;
  if (!fits || (shape_.dim != 0 && dim != shape_.dim)) return contradiction(lsn);
  const std::uint64_t text_bytes = put->key.bytes().size() + put->document.size();
  VECSTORE_TRY(reserve({static_cast<std::uint32_t>(dim), 1, text_bytes}));
  if (put->replaced != kNoRow) VECSTORE_TRY(end_row(put->replaced, lsn));
  owned_delta_->append(*put, lsn);
  shape_.dim = static_cast<std::uint32_t>(dim);
  delta_.store(owned_delta_.get(), std::memory_order_release);
  rows_.fetch_add(1, std::memory_order_relaxed);
  delta_rows_.fetch_add(1, std::memory_order_relaxed);
  return Status::ok();
}

Result<std::string> LiveState::document(RowId row) const {
  const Delta::KeptDocument document = delta()->document(row);
  if (document.kept.size() == document.bytes) return std::string(document.kept);
  std::string text(document.bytes, '\0');
  VECSTORE_TRY(
      decompress_frame(std::as_bytes(std::span(document.kept)), std::as_writable_bytes(std::span(text)), dictionary()));
  return text;
}

}  // namespace vecstore
