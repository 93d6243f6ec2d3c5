// SPDX-License-Identifier: Apache-2.0
#include "wal/log.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/check.h"
#include "base/thrown.h"

namespace vecstore {
namespace {

constexpr std::size_t kZeroBytes = 1u << 20;
constexpr std::uint64_t kBatchBytesFirst = 256u << 10;
constexpr const char* kPreparingName = "preparing";
constexpr const char* kTornPrefix = "torn-";
constexpr std::uint64_t kSegmentBytesLeast = 64u << 10;  // of a log that begins on a disk with little room
constexpr std::uint64_t kAmpleSegments = 2;  // as the one in use, for which a disk must have room before it is left
constexpr std::uint64_t kKeptShare = 2;      // this part of a segment is kept for what is urgent

constexpr const char* kFailedMidway =
    "a write failed midway, so that no more is taken; check the disk and open the store again, which shows whether it "
    "came through";
constexpr const char* kFullMidway =
    "the disk was full in the midst of a write, so that no more is taken; free space and open the store again, which "
    "shows whether it came through";

Lsn before(Lsn lsn) { return {lsn.value - 1}; }

Status full(const std::string& directory, std::uint64_t bytes_max) {
  return Status(Code::kNoSpace, "the log is full; open the store with a larger log_bytes than")
      .about(directory)
      .at(Detail::kBytes, bytes_max);
}

// What could not be made has only the name that it would have got.
Status not_made(const Status& fault, const std::string& path, std::uint64_t bytes) {
  if (fault.code() != Code::kNoSpace) return Status(fault).about(path);
  return Status(Code::kNoSpace, "the disk has too little room for this file of the log; free some, at least")
      .about(path)
      .at(Detail::kBytes, bytes)
      .with_errno(fault.error_number());
}

}  // namespace

Log::Log(FileSystem& file_system, std::string directory, const LogOptions& options, MemoryBudget& budget,
         Committed committed)
    : file_system_(file_system),
      directory_(std::move(directory)),
      options_(options),
      budget_(budget),
      committed_(std::move(committed)),
      salts_(options.salt_seed != 0 ? Random(options.salt_seed) : Random::of_system()) {}

Result<std::unique_ptr<Log>> Log::open(FileSystem& file_system, const std::string& directory, const LogTail& tail,
                                       const LogOptions& options, MemoryBudget& budget, Committed committed) {
  VECSTORE_CHECK(options.segment_bytes_first >= kSegmentBytesMin || !options.background);
  std::unique_ptr<Log> log(new Log(file_system, directory, options, budget, std::move(committed)));
  if (const Status begun = log->begin(tail); !begun.is_ok()) {
    const MutexLock lock(log->mutex_);
    log->fail(begun);  // closing it must not write what belongs behind a beginning
    return begun;
  }
  if (options.background)
    log->background_ = std::jthread([raw = log.get()](const std::stop_token& stop) { raw->run_background(stop); });
  return log;
}

// NOLINTNEXTLINE(bugprone-exception-escape): a mutex of a living object and a joinable thread do not throw
Log::~Log() { static_cast<void>(close()); }

// The first segment of this writer: durable, and pinning what came before, before anything is taken.
Status Log::begin(const LogTail& tail) {
  const MutexLock lock(mutex_);
  VECSTORE_TRY(keep_torn_tail(tail));
  VECSTORE_TRY(remove_leftovers(tail));
  // Before a segment says that there is such a record.
  VECSTORE_TRY(
      end_.open(file_system_, directory_, directory_ + "/" + kPreparingName, tail.end, options_.store, budget_));
  // The new segment tells where the one before it ends, so all of that must be there for good: what was replayed may
  // not have been on the disk yet when its writer was killed.
  if (!tail.segments.empty()) {
    VECSTORE_ASSIGN(const auto last,
                    file_system_.open(path_of(tail.segments.back().number), {OpenMode::kReadWrite, false}));
    VECSTORE_TRY(last->sync());
  }
  // A header that a crash tore must not come back behind one that is whole: make_segment() syncs the directory.
  for (const std::uint64_t number : tail.unbegun) VECSTORE_TRY(file_system_.unlink(path_of(number)));
  last_ = written_ = synced_ = tail.last_lsn;
  numbers_ = tail.number_max;
  old_ = tail.segments;
  old_.reserve(old_.size() + 1);
  for (const SegmentInfo& segment : old_) bytes_ += segment.bytes;
  const bool ends_in_newest =
      tail.newest && tail.place.segment == tail.newest->number && tail.place.last_lsn == tail.last_lsn;
  const bool is_full = bytes_ + options_.segment_bytes_first > options_.bytes_max;
  auto first =
      is_full && ends_in_newest ? Result<Segment>(full(directory_, options_.bytes_max)) : make_first_segment(tail);
  if (first) {
    VECSTORE_TRY(begin_segment(std::move(*first), tail));
  } else if (first.error().code() == Code::kNoSpace && ends_in_newest) {
    VECSTORE_TRY(go_on_in_newest(tail));
  } else {
    return first.error();
  }
  for (const std::uint64_t number : tail.abandoned)
    if (number != current_.number) VECSTORE_TRY(file_system_.unlink(path_of(number)));
  return Status::ok();
}

// A log that begins takes what room there is.
Result<Log::Segment> Log::make_first_segment(const LogTail& tail) {
  ++numbers_;
  auto made = make_segment(path_of(numbers_), numbers_, options_.segment_bytes_first);
  for (std::uint64_t bytes = options_.segment_bytes_first / 2;
       !made && made.error().code() == Code::kNoSpace && !tail.newest && bytes >= kSegmentBytesLeast; bytes /= 2)
    made = make_segment(path_of(numbers_), numbers_, bytes);
  return made;
}

Status Log::begin_segment(Segment segment, const LogTail& tail) {
  if (!old_.empty()) current_.number = old_.back().number;
  chain_ = tail.chain;
  next_ = std::move(segment);
  bytes_ += next_.bytes;
  VECSTORE_TRY(switch_segment());
  return current_.file->sync();
}

// What a crash left behind its last group becomes zeros again: of the same salt, it could be taken for what comes. That
// the log was closed is taken back before anything is written.
Status Log::go_on_in_newest(const LogTail& tail) {
  const SegmentHeader& header = *tail.newest;
  if (tail.place.offset > header.bytes)
    return Status(Code::kCorrupt, "a log segment is longer than it was made; restore it, or salvage what is left")
        .about(path_of(header.number))
        .at(Detail::kOffset, header.bytes);
  VECSTORE_ASSIGN(auto file, file_system_.open(path_of(header.number), {OpenMode::kReadWrite, true}));
  if (tail.torn_segment == header.number && tail.torn_bytes != 0) {
    VECSTORE_ASSIGN(auto zeros, Buffer<std::byte>::allocate(budget_, kLogBlockBytes));
    for (std::uint64_t at = tail.torn_at; at < tail.torn_at + tail.torn_bytes; at += zeros.size())
      VECSTORE_TRY(file->write_at(zeros.span(), at));
  }
  VECSTORE_TRY(file->sync());
  if (!old_.empty() && old_.back().number == header.number) {
    old_.pop_back();
  } else {
    bytes_ += header.bytes;
  }
  current_ = {header.number, header.bytes, header.first_lsn, std::move(file), {}};
  salt_ = header.salt;
  header_hash_ = tail.newest_hash;
  chain_ = tail.place.chain;
  offset_ = tail.place.offset;
  ends_in_mark_ = tail.end && tail.end->closed && tail.end->segment == header.number && tail.end->chain == chain_;
  return tail.end && tail.end->closed ? end_.write(end_of_current(last_, false)) : Status::ok();
}

// For people: what a crash left behind is not evidence that anything is missing, but it is not thrown away either.
// Unless the disk is full.
Status Log::keep_torn_tail(const LogTail& tail) {
  if (tail.torn_bytes == 0) return Status::ok();
  const std::string copy_path = directory_ + "/" + kTornPrefix + std::to_string(tail.torn_segment);
  const Status kept = copy_torn_tail(tail, copy_path);
  if (kept.code() != Code::kNoSpace) return kept;
  const Status removed = file_system_.unlink(copy_path);
  return removed.code() == Code::kNotFound ? Status::ok() : removed;
}

Status Log::copy_torn_tail(const LogTail& tail, const std::string& copy_path) {
  VECSTORE_ASSIGN(const auto from, file_system_.open(path_of(tail.torn_segment), {OpenMode::kRead, false}));
  VECSTORE_ASSIGN(const auto to, file_system_.open(copy_path, {OpenMode::kReadWriteCreate, false}));
  VECSTORE_ASSIGN(auto buffer,
                  Buffer<std::byte>::allocate(budget_, std::min<std::uint64_t>(tail.torn_bytes, kZeroBytes)));
  for (std::uint64_t done = 0; done < tail.torn_bytes; done += buffer.size()) {
    const auto part = buffer.span().first(std::min<std::uint64_t>(buffer.size(), tail.torn_bytes - done));
    VECSTORE_ASSIGN(const std::size_t got, from->read_at(part, tail.torn_at + done));
    VECSTORE_TRY(to->write_at(part.first(got), done));
  }
  return to->sync();
}

// A segment that was being made, and copies of torn tails before this one. The name of what is made is used again:
// where it were still taken after a power cut, the next rename could bring up what is removed here.
Status Log::remove_leftovers(const LogTail& tail) {
  const std::string newest = kTornPrefix + std::to_string(tail.torn_segment);
  bool frees_name = false;
  VECSTORE_ASSIGN(const auto entries, file_system_.list(directory_));
  for (const DirectoryEntry& entry : entries) {
    const bool old_copy = tail.torn_bytes != 0 && entry.name.starts_with(kTornPrefix) && entry.name != newest;
    frees_name = frees_name || entry.name == kPreparingName;
    if (!old_copy && entry.name != kPreparingName) continue;
    if (const Status removed = file_system_.unlink(directory_ + "/" + entry.name); !removed.is_ok())
      return Status(removed).about(directory_);
  }
  return frees_name ? file_system_.sync_directory(directory_) : Status::ok();
}

// ------------------------------------------------------------------------------------------------------------ segments

// Of the next segment where the others have so many; 0: there is no room for another.
std::uint64_t Log::next_bytes(std::uint64_t others) const {
  if (others + options_.segment_bytes_first > options_.bytes_max) return 0;
  const std::uint64_t wanted = std::clamp(current_.bytes * 2, options_.segment_bytes_first, options_.segment_bytes_max);
  return std::min(wanted, options_.bytes_max - others);
}

// A file of zeros that is whole on the disk under its name.
Result<Log::Segment> Log::make_segment(const std::string& path, std::uint64_t number, std::uint64_t bytes) {
  const std::string preparing = directory_ + "/" + kPreparingName;
  VECSTORE_ASSIGN(auto zeros, Buffer<std::byte>::allocate(budget_, std::min<std::uint64_t>(kZeroBytes, bytes)));
  VECSTORE_ASSIGN(auto header, Buffer<std::byte>::allocate(budget_, kLogBlockBytes));
  auto opened = file_system_.open(preparing, {OpenMode::kReadWriteCreate, true});
  if (!opened) return not_made(opened.error(), path, bytes);
  std::unique_ptr<File> file = std::move(*opened);
  Status made;
  for (std::uint64_t done = 0; done < bytes && made.is_ok(); done += zeros.size())
    made = file->write_at(zeros.span().first(std::min<std::uint64_t>(zeros.size(), bytes - done)), done);
  if (made.is_ok()) made = file->sync();
  if (made.is_ok()) made = file_system_.rename(preparing, path);
  if (made.is_ok()) made = file_system_.sync_directory(directory_);
  if (made.is_ok()) {  // once more, so that its errors have the name that it has now
    opened = file_system_.open(path, {OpenMode::kReadWrite, true});
    if (opened) {
      file = std::move(*opened);
    } else {
      made = opened.error();
      static_cast<void>(file_system_.unlink(path));
    }
  }
  if (!made.is_ok()) {
    if (file_system_.unlink(preparing).is_ok()) static_cast<void>(file_system_.sync_directory(directory_));
    return not_made(made, path, bytes);
  }
  return Segment{number, bytes, {}, std::move(file), std::move(header)};
}

// The mutex is released while zeros are written.
Result<Log::Segment> Log::make_segment_unlocked(std::uint64_t number, std::uint64_t bytes) try {
  const MutexUnlock unlock(mutex_);
  return make_segment(path_of(number), number, bytes);
} catch (...) {
  return status_of_exception();
}

// The segments come out in the order of their numbers, because only one is made at a time.
Status Log::prepare_next(std::uint64_t bytes_least) try {
  if (next_.file != nullptr && next_.bytes >= bytes_least) return Status::ok();
  const std::uint64_t others = bytes_ - next_.bytes;
  std::uint64_t bytes = std::max(next_bytes(others), bytes_least);
  if (others + bytes > options_.bytes_max) return full(directory_, options_.bytes_max);
  // Less than twice the one before is better than none. What there is goes for a larger one only where the disk has
  // room for that, so that a put that is refused takes nothing from what is kept for erasing.
  const std::uint64_t too_small = next_.bytes;
  const auto free = file_system_.free_bytes(directory_);
  const std::uint64_t room = free ? *free + too_small : options_.bytes_max;
  if (bytes > room) bytes = std::min(bytes, std::max(bytes_least, options_.segment_bytes_first));
  prepared_in_vain_ = bytes > room;
  if (prepared_in_vain_) return not_made(Status(Code::kNoSpace, "").with_errno(ENOSPC), path_of(numbers_ + 1), bytes);
  return replace_next(bytes);
} catch (...) {
  return status_of_exception();
}

// Makes the next segment of so many bytes, in the place of one that may be there.
Status Log::replace_next(std::uint64_t bytes) {
  const std::uint64_t bytes_before = next_.bytes;
  old_.reserve(old_.size() + 1);  // beginning the segment, which comes behind the queueing of records, must not fail
  if (next_.file != nullptr) VECSTORE_TRY(drop_next());
  bytes_ += bytes;
  preparing_bytes_ = bytes;
  ++numbers_;
  auto made = make_segment_unlocked(numbers_, bytes);
  const Status outcome = made ? Status::ok() : made.error();
  if (outcome.code() == Code::kNoSpace && bytes_before != 0) {  // others were faster: what was there comes back
    bytes_ = bytes_ - bytes + bytes_before;
    bytes = bytes_before;
    made = make_segment_unlocked(numbers_, bytes);
  }
  preparing_bytes_ = 0;
  prepared_in_vain_ = !outcome.is_ok();
  changed_.notify_all();
  if (made) {
    next_ = std::move(*made);
  } else {
    bytes_ -= bytes;
  }
  if (outcome.code() == Code::kIo) fail(outcome);
  return outcome;
}

Status Log::drop_next() {
  const Status removed = file_system_.unlink(path_of(next_.number));
  if (removed.code() == Code::kIo) fail(removed);
  VECSTORE_TRY(removed);
  bytes_ -= next_.bytes;
  next_ = {};
  return Status::ok();
}

// The leader's. Everything in the segment before is durable first, so that a successor proves its predecessor whole.
Status Log::switch_segment() {
  VECSTORE_CHECK(next_.file != nullptr);
  if (current_.file != nullptr) {
    VECSTORE_TRY(current_.file->sync());
    if (written_ >= current_.first_lsn) VECSTORE_TRY(record_end(end_of_current(written_, false)));
  }
  SegmentHeader header;
  header.store = options_.store;
  header.number = next_.number;
  header.salt = salts_.next();
  header.first_lsn = {written_.value + 1};
  header.previous = current_.number;
  header.chain = chain_;
  header.bytes = next_.bytes;
  const std::uint64_t chain = encode_segment_header(header, next_.header.span());
  VECSTORE_TRY(next_.file->write_at(next_.header.span(), 0));
  if (current_.file != nullptr) old_.push_back({current_.number, current_.bytes, current_.first_lsn});
  current_ = std::move(next_);
  current_.first_lsn = header.first_lsn;
  current_.header.reset();
  next_ = {};
  salt_ = header.salt;
  chain_ = header_hash_ = chain;
  offset_ = kLogBlockBytes;
  return Status::ok();
}

EndRecord Log::end_of_current(Lsn durable, bool closed) const {
  EndRecord record;
  record.segment = current_.number;
  record.header_hash = header_hash_;
  record.durable_lsn = durable;
  record.closed = closed;
  record.chain = closed ? chain_ : 0;
  return record;
}

// The leader's. Once in a segment, when something of it is on the disk and before anybody is told so; and at the end.
Status Log::record_end(const EndRecord& record) {
  if (!record.closed && end_.tells_of(record.segment)) return Status::ok();
  return end_.write(record);
}

// What waits was let in because it fits here or into the next segment: that stays true of the one which is left.
Status Log::begin_small_segment() try {
  MutexLock lock(mutex_);
  const std::uint64_t bytes = options_.segment_bytes_first;
  while (failure_.is_ok() && !closed_ && current_.bytes > bytes) {
    const std::uint64_t waiting = pending_.records == 0 ? 0 : group_bytes(pending_.body_bytes);
    const bool has_small = next_.file != nullptr && next_.bytes <= bytes;
    const std::uint64_t room = has_small ? next_.bytes - kLogBlockBytes : current_.bytes - offset_;
    if (leading_ || preparing_bytes_ != 0) {
      changed_.wait(lock);
    } else if (waiting > room) {
      lead(options_.sync == SyncMode::kAlways);
    } else if (has_small) {
      const Status begun = switch_segment();
      if (!begun.is_ok()) fail(begun);
    } else {
      const auto free = file_system_.free_bytes(directory_);
      const bool is_disk_low = free && *free < kAmpleSegments * current_.bytes;
      if (is_disk_low || bytes_ - next_.bytes + bytes > options_.bytes_max) return Status::ok();
      const Status made = replace_next(bytes);
      if (made.code() == Code::kNoSpace) return Status::ok();
      VECSTORE_TRY(made);
    }
  }
  return failure_;
} catch (...) {
  return status_of_exception();
}

Status Log::release(Lsn through) {
  MutexLock lock(mutex_);
  while (leading_) changed_.wait(lock);
  bool is_begun = false;  // the current segment, for good
  while (!old_.empty()) {
    const Lsn end = before(old_.size() > 1 ? old_[1].first_lsn : current_.first_lsn);
    if (end > through) break;
    // What the record of the end tells of may only go when something behind it is there.
    if (!is_begun && failure_.is_ok())
      if (const Status synced = current_.file->sync(); !synced.is_ok()) fail(synced);
    VECSTORE_TRY(failure_);
    is_begun = true;
    VECSTORE_TRY(file_system_.unlink(path_of(old_.front().number)));
    bytes_ -= old_.front().bytes;
    old_.erase(old_.begin());
  }
  return Status::ok();
}

// ------------------------------------------------------------------------------------------------------------- writing

Status Log::reserve(Batch& batch, std::uint64_t body_bytes) {
  const std::uint64_t needed = group_bytes(body_bytes);
  if (batch.bytes.size() >= needed) return Status::ok();
  const std::uint64_t ample = std::max(2 * std::uint64_t{batch.bytes.size()}, kBatchBytesFirst);
  const std::uint64_t bytes = std::max(needed, std::min(ample, group_bytes(options_.group_body_bytes_max)));
  if (batch.body_bytes == 0) batch.bytes.reset();
  VECSTORE_ASSIGN(auto larger, Buffer<std::byte>::allocate(budget_, bytes));
  if (batch.body_bytes != 0) std::copy_n(batch.bytes.data(), kGroupHeaderBytes + batch.body_bytes, larger.data());
  batch.bytes = std::move(larger);
  return Status::ok();
}

// Whether a group with so much body is sure to find room, in this segment or in the prepared one.
bool Log::fits(std::uint64_t body_bytes) const {
  const std::uint64_t needed = group_bytes(body_bytes) + in_flight_bytes_;
  return needed <= current_.bytes - offset_ || (next_.file != nullptr && needed + kLogBlockBytes <= next_.bytes);
}

// What is left for other groups behind one of so many bytes. ahead: what the segments have that come after this one.
std::uint64_t Log::room_behind(std::uint64_t group, std::uint64_t ahead) const {
  const std::uint64_t needed = group + in_flight_bytes_;
  const std::uint64_t here = current_.bytes - offset_;
  if (needed <= here) return here - needed + ahead;
  return ahead - std::min(ahead, needed + kLogBlockBytes);
}

// In the segments that the bound leaves room for, whether the disk does or not.
std::uint64_t Log::room_ahead() const {
  const std::uint64_t prepared = next_.file != nullptr ? next_.bytes : preparing_bytes_;
  return prepared + (next_bytes(bytes_) == 0 ? 0 : options_.bytes_max - bytes_);
}

// Bytes that others leave in segments that are there, so that erasing goes on when the disk is full.
std::uint64_t Log::kept_for_urgent() const {
  return std::min(options_.spare_bytes, current_.bytes / kKeptShare) / kLogBlockBytes * kLogBlockBytes;
}

// Waits for the leader where the group under way cannot take more, and prepares a segment where there is none.
Status Log::make_room(std::uint64_t body_bytes, Urgency urgency, MutexLock& lock) {
  const bool is_urgent = urgency == Urgency::kUrgent;
  while (true) {
    if (!failure_.is_ok()) return failure_;
    if (closed_) return Status(Code::kInvalidArgument, "the log is closed").about(directory_);
    const std::uint64_t whole = pending_.body_bytes + body_bytes;
    const std::uint64_t group = group_bytes(whole);
    if (room_behind(group, room_ahead()) < (is_urgent ? 0 : options_.spare_bytes))
      return full(directory_, options_.bytes_max);
    const std::uint64_t kept = is_urgent ? 0 : kept_for_urgent();
    const bool leaves_enough = room_behind(group, next_.file != nullptr ? next_.bytes : 0) >= kept;
    if (whole <= options_.group_body_bytes_max && fits(whole) && leaves_enough) return Status::ok();
    if (leading_ || preparing_bytes_ != 0) {
      changed_.wait(lock);
    } else if (pending_.records != 0) {
      lead(options_.sync == SyncMode::kAlways);  // what waits goes first; then this batch has a group of its own
    } else {
      VECSTORE_TRY(prepare_next(group_bytes(body_bytes) + kLogBlockBytes + kept));
    }
  }
}

Result<Lsn> Log::enqueue(std::span<const LogRecord> batch, Urgency urgency) {
  std::uint64_t body_bytes = 0;
  for (const LogRecord& record : batch) {
    if (record.payload.size() > kRecordBytesMax)
      return Status(Code::kInvalidArgument, "a record is too large for the log; the most is")
          .at(Detail::kBytes, kRecordBytesMax);
    body_bytes += record_bytes(record.payload.size());
  }
  if (batch.empty() || body_bytes > options_.group_body_bytes_max)
    return Status(Code::kInvalidArgument, "a batch must have records, and is too large for the log beyond")
        .at(Detail::kBytes, options_.group_body_bytes_max);
  MutexLock lock(mutex_);
  VECSTORE_TRY(make_room(body_bytes, urgency, lock));
  VECSTORE_TRY(reserve(pending_, pending_.body_bytes + body_bytes));
  if (pending_.records == 0) pending_.first_lsn = {last_.value + 1};
  std::byte* at = pending_.bytes.data() + kGroupHeaderBytes + pending_.body_bytes;
  for (const LogRecord& record : batch) append_record(record, at);
  pending_.body_bytes += body_bytes;
  pending_.records += static_cast<std::uint32_t>(batch.size());
  last_.value += batch.size();
  return last_;
}

Status Log::commit(Lsn through) {
  MutexLock lock(mutex_);
  VECSTORE_CHECK(through <= last_);
  const bool always = options_.sync == SyncMode::kAlways;
  while (true) {
    if ((always ? synced_lsn() : written_) >= through) return Status::ok();
    if (!failure_.is_ok()) return failure_;
    if (leading_) {
      changed_.wait(lock);
    } else {
      lead(always);
    }
  }
}

Status Log::sync() {
  MutexLock lock(mutex_);
  const Lsn through = last_;
  while (synced_lsn() < through) {
    if (!failure_.is_ok()) return failure_;
    if (leading_) {
      changed_.wait(lock);
    } else {
      lead(true);
    }
  }
  return failure_;
}

// Takes what is pending and writes it while others queue the next group.
void Log::lead(bool must_sync) {
  leading_ = true;
  Batch writing = std::move(spare_);
  std::swap(pending_, writing);
  in_flight_bytes_ = group_bytes(writing.body_bytes);
  pending_.body_bytes = 0;
  pending_.records = 0;
  const Lsn through{writing.records == 0 ? written_.value : writing.first_lsn.value + writing.records - 1};
  const Lsn synced = synced_lsn();
  const bool next_wanted = writing.records != 0 && offset_ + group_bytes(writing.body_bytes) > current_.bytes;
  // Whoever prepares does so with the mutex, so the next segment is changed with it too.
  Status outcome = next_wanted ? switch_segment() : Status::ok();
  const Lsn synced_by_switch = next_wanted && outcome.is_ok() ? written_ : synced;
  const Place at = place();
  const bool tells_end = through >= current_.first_lsn;
  const EndRecord end = end_of_current(through, false);
  std::uint64_t chain = at.chain;
  {
    const MutexUnlock unlock(mutex_);
    if (outcome.is_ok() && writing.records != 0) {
      const auto written = write_group(writing, GroupType::kRecords, synced_by_switch, at);
      outcome = written ? Status::ok() : written.error();
      if (written) chain = *written;
    }
    if (outcome.is_ok() && must_sync) outcome = sync_group(*at.file);
    if (outcome.is_ok() && must_sync && tells_end) outcome = record_end(end);
    if (outcome.is_ok() && writing.records != 0 && committed_) committed_(through);
  }
  if (outcome.is_ok()) {
    chain_ = chain;
    if (writing.records != 0) {
      offset_ += group_bytes(writing.body_bytes);
      ends_in_mark_ = false;
    }
    written_ = std::max(written_, through);
    synced_ = std::max(synced_lsn(), must_sync ? through : synced_by_switch);
  } else {
    fail(outcome);
  }
  writing.records = 0;
  writing.body_bytes = 0;
  spare_ = std::move(writing);
  in_flight_bytes_ = 0;
  leading_ = false;
  changed_.notify_all();
}

Status Log::sync_group(File& file) {
  const auto started = std::chrono::steady_clock::now();
  VECSTORE_TRY(file.sync());
  sync_latencies_.record(std::chrono::steady_clock::now() - started);
  return Status::ok();
}

Log::Place Log::place() const { return {current_.file.get(), offset_, salt_, chain_}; }

// Returns the hash that the next group carries.
Result<std::uint64_t> Log::write_group(Batch& batch, GroupType type, Lsn synced, const Place& place) {
  const std::span<std::byte> whole = batch.bytes.span().first(group_bytes(batch.body_bytes));
  const std::span<std::byte> body = whole.subspan(kGroupHeaderBytes, batch.body_bytes);
  GroupHeader header;
  header.type = type;
  header.body_bytes = static_cast<std::uint32_t>(batch.body_bytes);
  header.records = batch.records;
  header.first_lsn = batch.first_lsn;
  header.salt = place.salt;
  header.chain = place.chain;
  header.synced_lsn = synced;
  header.body_hash = hash_of_body(body);
  const std::uint64_t chain = encode_group_header(header, whole);
  std::fill(whole.begin() + kGroupHeaderBytes + batch.body_bytes, whole.end(), std::byte{0});
  VECSTORE_TRY(place.file->write_at(whole, place.offset));
  return chain;
}

// Whoever waits is told kIo, whatever the disk's reason: kNoSpace promises that nothing was written.
void Log::fail(const Status& status) {
  if (!failure_.is_ok()) return;
  const bool is_full = status.code() == Code::kNoSpace;
  failure_ = Status(Code::kIo, is_full ? kFullMidway : kFailedMidway)
                 .about(status.subject())
                 .at(status.detail(), status.number())
                 .with_errno(status.error_number());
}

// Callers may be at work: what they have queued goes out, and what they bring from now on is refused.
Status Log::close() {
  MutexLock lock(mutex_);
  if (closed_) return failure_;
  closed_ = true;
  background_.request_stop();
  changed_.notify_all();
  while (failure_.is_ok() && (synced_lsn() < last_ || leading_)) {
    if (leading_) {
      changed_.wait(lock);
    } else {
      lead(true);
    }
  }
  while (leading_ || preparing_bytes_ != 0) changed_.wait(lock);
  if (background_.joinable()) {
    lock.unlock();
    background_.join();
    lock.lock();
  }
  if (!failure_.is_ok()) return failure_;
  if (current_.file == nullptr) return Status::ok();
  // A last group without records tells that all before it was acknowledged. There is room for it but rarely not; then
  // the record of the end tells, and the header of the next segment will.
  Batch& mark = spare_;  // nobody leads
  if (!ends_in_mark_ && offset_ + group_bytes(0) <= current_.bytes && reserve(mark, 0).is_ok()) {
    mark.first_lsn = {last_.value + 1};
    VECSTORE_ASSIGN(chain_, write_group(mark, GroupType::kSynced, synced_lsn(), place()));
    offset_ += group_bytes(0);
    VECSTORE_TRY(current_.file->sync());
  }
  return record_end(end_of_current(last_, true));
}

// Prepares segments ahead, and syncs by the interval. Every group wakes it, so it keeps the time itself.
void Log::run_background(const std::stop_token& stop) {
  const Clock& clock = file_system_.clock();
  const auto interval = std::chrono::milliseconds(options_.interval_ms);
  auto due = clock.now() + interval;
  MutexLock lock(mutex_);
  while (!stop.stop_requested() && failure_.is_ok()) {
    if (clock.now() >= due && !leading_) {
      if (options_.sync == SyncMode::kInterval && synced_lsn() < last_) lead(true);
      due = clock.now() + interval;
    }
    // A full disk or log is for enqueue() to report, when it has no room.
    const bool wanted = next_.file == nullptr && preparing_bytes_ == 0 && offset_ > current_.bytes / 2;
    if (wanted && !prepared_in_vain_ && next_bytes(bytes_) != 0) static_cast<void>(prepare_next(0));
    if (!stop.stop_requested()) changed_.wait_until(lock, std::max(due, clock.now() + std::chrono::milliseconds(1)));
  }
}

Lsn Log::last_lsn() const {
  const MutexLock lock(mutex_);
  return last_;
}
Status Log::failure() const {
  const MutexLock lock(mutex_);
  return failure_;
}

}  // namespace vecstore
