// SPDX-License-Identifier: Apache-2.0
#include "engine/live/live_state.h"

#include <algorithm>

#include "base/limits.h"
#include "base/thrown.h"

namespace vecstore {
namespace {

Status contradiction(Lsn lsn) {
  return Status(Code::kCorrupt, "this contradicts what the store holds; restore or salvage")
      .at(Detail::kLsn, lsn.value);
}

}  // namespace

void LiveMoments::publish() {
  const std::uint64_t through = std::min(applied_.load(), safe_.load());
  std::uint64_t before = published_.load();
  while (before < through && !published_.compare_exchange_weak(before, through)) {
  }
}

LivePin::~LivePin() {
  if (pinned_ != nullptr) pinned_->unpin(moment_);
}

// With the lock no row is shown or forgotten, so that these rows are those of the moment.
std::shared_ptr<const LivePin> LiveState::pin() const {
  const MutexLock guard(pinning_);
  const Lsn moment = snapshot();
  if (watched_.empty() || watched_.back().moment != moment) watched_.push_back({moment, 0});
  std::shared_ptr<LivePin> pin(new LivePin(shown_, moment));
  ++watched_.back().pins;
  pins_->fetch_add(1, std::memory_order_relaxed);
  pin->pinned_ = this;
  return pin;
}

std::shared_ptr<const LivePin> LiveState::pin_newest() const {
  return std::shared_ptr<const LivePin>(new LivePin(delta(), newest()));
}

void LiveState::unpin(Lsn moment) const {
  const MutexLock guard(pinning_);
  pins_->fetch_sub(1, std::memory_order_relaxed);
  --std::ranges::lower_bound(watched_, moment, {}, &Watched::moment)->pins;
  while (!watched_.empty() && watched_.front().pins == 0) watched_.pop_front();
}

std::shared_ptr<const DeltaRows> LiveState::delta() const {
  const MutexLock guard(pinning_);
  return shown_;
}

// While they are the newest rows, they have every row that a key leads to and anybody needs.
std::optional<RowId> LiveState::find(const Key& key, Lsn moment) const {
  for (std::shared_ptr<const DeltaRows> rows = delta(); rows != nullptr;) {
    if (const auto row = rows->find(key, moment)) return row;
    std::shared_ptr<const DeltaRows> now = delta();
    if (now == rows) break;
    rows = std::move(now);
  }
  return std::nullopt;
}

std::uint64_t LiveState::bytes_left() const {
  if (bytes_left_) return *bytes_left_;
  const std::shared_ptr<const DeltaRows> rows = delta();
  return rows == nullptr ? 0 : rows->bytes_beside(nullptr);
}

Lsn LiveState::floor() const {
  const MutexLock guard(pinning_);
  const Lsn now = snapshot();
  for (const Watched& watched : watched_)
    if (watched.pins != 0) return std::min(now, watched.moment);
  return now;
}

void LiveState::show_delta() {
  if (!has_delta_) return;
  std::shared_ptr<const DeltaRows> before = owned_delta_->rows();  // freed without the lock
  const MutexLock guard(pinning_);
  shown_.swap(before);
}

void LiveState::forget() {
  if (owned_delta_ == nullptr) return;
  // Where the system has no memory left the rows stay.
  static_cast<void>(without_throwing([this] {
    owned_delta_->forget(floor(), false);
    return Status::ok();
  }));
  show_delta();
}

// ------------------------------------------------------------------------------------------------------------- merging

void LiveState::cut() {
  if (owned_delta_ == nullptr) return;
  owned_delta_->cut();
  show_delta();
}

void LiveState::mend() {
  if (owned_delta_ != nullptr) owned_delta_->mend();
}

// Rows of the graph, old or new, that ended since.
Status LiveState::inherit_tombstones(const LiveState& before, Lsn since) {
  const auto for_each = [&](const auto& visit) {
    before.tombstones_.for_each([&](RowId row, Lsn died) {
      if (died > since) visit(row, died);
    });
    if (before.owned_delta_ == nullptr) return;
    const DeltaRows& rows = *before.owned_delta_->rows();
    rows.for_each_row([&](const DeltaStripe::Row& row) {
      const bool has_ended = row.died != DeltaStripe::kNeverDied && row.died > since.value;
      if (has_ended && rows.row_id(row).value < row_end_) visit(rows.row_id(row), Lsn{row.died});
    });
  };
  std::uint64_t ended = 0;
  for_each([&](RowId, Lsn) { ++ended; });
  if (ended == 0) return Status::ok();
  Status reserved = tombstones_.reserve(ended, *budget_);
  if (!reserved.is_ok()) reserved = tombstones_.reserve(ended, *erasing_budget_);
  if (!reserved.is_ok()) reserved = tombstones_.reserve(ended, *succeeding_budget_);
  VECSTORE_TRY(reserved);
  for_each([&](RowId row, Lsn died) { tombstones_.add(row, died); });
  return Status::ok();
}

// A delta that is full must not keep the merge back that empties it.
Result<LiveState::Successor> LiveState::prepare_successor(const Base& base) const {
  Successor successor;
  successor.live.reset(new LiveState(base, moments_, *budget_));
  successor.live->erasing_budget_ = erasing_budget_;
  successor.live->succeeding_budget_ = succeeding_budget_;
  VECSTORE_TRY(successor.live->inherit_tombstones(*this, base.applied));
  if (has_rows_from(base.row_end)) {
    auto rest = owned_delta_->behind_cut(*budget_);
    if (!rest) rest = owned_delta_->behind_cut(*erasing_budget_);
    if (!rest) rest = owned_delta_->behind_cut(*succeeding_budget_);
    if (!rest) return rest.error();
    successor.rest = std::move(*rest);
  }
  return successor;
}

// Rows that the successor does not take are shown here for as long as this lives.
std::shared_ptr<LiveState> LiveState::succeed(Successor successor) {
  LiveState& next = *successor.live;
  const std::shared_ptr<const DeltaRows> before = delta();
  if (has_rows_from(next.row_end_)) {
    owned_delta_->keep(std::move(successor.rest));
    next.owned_delta_ = std::move(owned_delta_);
    next.has_delta_ = true;
    next.show_delta();
    next.owned_delta_->rows()->for_each_row([&](const DeltaStripe::Row& row) {
      if (row.died == DeltaStripe::kNeverDied) next.delta_rows_.fetch_add(1, std::memory_order_relaxed);
    });
  }
  bytes_left_ = before == nullptr ? 0 : before->bytes_beside(next.delta().get());
  owned_delta_.reset();
  next.owned_dictionary_ = owned_dictionary_;
  next.dictionary_.store(dictionary(), std::memory_order_relaxed);
  next.bytes_since_dictionary_ = bytes_since_dictionary_;
  next.rows_.store(live_rows(), std::memory_order_relaxed);
  return std::move(successor.live);
}

// One that nobody has seen, because the batch that it was made for was refused, may have another dimension.
Status LiveState::make_delta(std::uint32_t dim) {
  if (owned_delta_ != nullptr && (has_delta_ || owned_delta_->shape().dim == dim)) return Status::ok();
  owned_delta_.reset();
  DeltaShape shape = shape_;
  shape.dim = dim;
  VECSTORE_ASSIGN(owned_delta_, Delta::create(shape, RowId{row_end_}, *budget_));
  return Status::ok();
}

void LiveState::charge_to(MemoryBudget& budget, MemoryBudget& for_erasing, MemoryBudget& for_succeeding) {
  budget_ = &budget;
  erasing_budget_ = &for_erasing;
  succeeding_budget_ = &for_succeeding;
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
    if (!owned_delta_->has_room(needs.rows, needs.text_bytes)) {
      const Status reserved = owned_delta_->reserve(needs.rows, needs.text_bytes, floor());
      show_delta();
      VECSTORE_TRY(reserved);
    }
  }
  if (needs.graph_rows_ended == 0) return Status::ok();
  const Status reserved = tombstones_.reserve(needs.graph_rows_ended, *budget_);
  const bool only_erases = needs.rows == 0;
  return reserved.is_ok() || !only_erases ? reserved : tombstones_.reserve(needs.graph_rows_ended, *erasing_budget_);
}

std::uint64_t LiveState::bytes_for(const Needs& needs) const {
  const bool is_made = owned_delta_ != nullptr && owned_delta_->shape().dim == needs.dim;
  return (is_made ? owned_delta_->bytes_for(needs.rows, needs.text_bytes) : bytes_alone(needs)) +
         tombstones_.bytes_for(needs.graph_rows_ended);
}

std::uint64_t LiveState::bytes_alone(const Needs& needs) const {
  DeltaShape shape = shape_;
  shape.dim = needs.dim;
  return Delta::bytes_alone(shape, needs.rows, needs.text_bytes);
}

Status LiveState::end_row(RowId row, Lsn lsn) {
  if (row.value < row_end_) {
    if (tombstones_.gone(row, {~std::uint64_t{0}})) return contradiction(lsn);
    VECSTORE_TRY(tombstones_.reserve(1, *budget_));
    tombstones_.add(row, lsn);
  } else {
    if (owned_delta_ == nullptr || !owned_delta_->rows()->is_live(row, lsn)) return contradiction(lsn);
    owned_delta_->end(row, lsn);
  }
  return Status::ok();
}

Status LiveState::erase_row(RowId row, Lsn lsn) {
  VECSTORE_TRY(end_row(row, lsn));
  if (row.value >= row_end_) delta_rows_.fetch_sub(1, std::memory_order_relaxed);
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
      return erase ? erase_row(erase->row, lsn) : contradiction(lsn);
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
  if (!has_delta_) {
    has_delta_ = true;
    show_delta();
  }
  // Whoever counts meanwhile misses no row that is replaced: where one takes the place of another nothing changes.
  const bool is_new = put->replaced == kNoRow;
  if (is_new) rows_.fetch_add(1, std::memory_order_relaxed);
  if (is_new || put->replaced.value < row_end_) delta_rows_.fetch_add(1, std::memory_order_relaxed);
  return Status::ok();
}

Result<std::string> LiveState::document(const DeltaRows& delta, RowId row) const {
  const DeltaRows::KeptDocument document = delta.document(row);
  if (document.kept.size() == document.bytes) return std::string(document.kept);
  std::string text(document.bytes, '\0');
  VECSTORE_TRY(
      decompress_frame(std::as_bytes(std::span(document.kept)), std::as_writable_bytes(std::span(text)), dictionary()));
  return text;
}

}  // namespace vecstore
