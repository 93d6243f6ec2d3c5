// SPDX-License-Identifier: Apache-2.0
#include "engine/store/writer.h"

#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/thrown.h"
#include "engine/files/float_rows.h"
#include "engine/files/validate.h"
#include "engine/generation/file_names.h"
#include "engine/live/log_records.h"
#include "engine/watch.h"
#include "wal/log_reader.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kRoomCheckBytes = 1u << 20;         // logged between two looks at the disk
constexpr std::uint32_t kGraphsOwed = 2;                    // times the delta that merging it may take on disk
constexpr std::uint64_t kSpareShare = 16;                   // of the log, kept for erasing
constexpr auto kRoomPause = std::chrono::milliseconds(50);  // until a put that waits looks whether readers have left
// A writer's memory is that of so many of the largest batches: one of ours, three of the log's, two for zeros and rows.
constexpr std::uint64_t kBuffersOfWriter = 6;

// Of the rows that a batch itself puts, the last for each key; only a batch of several needs to know.
class BatchKeys {
 public:
  explicit BatchKeys(bool needed) : needed_(needed) {}
  std::optional<RowId> find(const Key& key) const {
    if (!needed_) return std::nullopt;
    const auto found = rows_.find(key);
    return found == rows_.end() ? std::nullopt : std::optional(found->second);
  }
  void set(const Key& key, RowId row) {
    if (needed_) rows_.insert_or_assign(key, row);
  }

 private:
  bool needed_;
  std::unordered_map<Key, RowId, KeyHash> rows_;  // of the caller's keys
};

// Of memory that a batch takes for each of its rows while it is written, beside their bytes.
constexpr std::uint64_t kBatchRowBytes = sizeof(PutRecord) + sizeof(LogRecord) + sizeof(std::pair<Key, RowId>) + 24;

// f16 and f32 mix; integers are kept exactly, as what they are.
bool is_convertible(DType from, DType to) { return from == to || (!is_integer(from) && !is_integer(to)); }

Status other_dimension(const VectorView& vectors, std::uint32_t dim) {
  if (dim == 0)
    return Status(Code::kInvalidInput, "the dimension must be from 1 to 4096").about(std::to_string(vectors.dim));
  return Status(Code::kInvalidInput, "the vectors have another dimension than the store")
      .about(std::to_string(vectors.dim) + ", store " + std::to_string(dim));
}

Status is_there(const Key& key, std::size_t place) {
  return Status(Code::kExists,
                "the key is there already, or came before in the batch; replace it, skip it or choose another")
      .about("key " + key.to_string())
      .at(Detail::kRow, place);
}

Status too_many_rows() {
  return Status(Code::kMemoryBudget, "the batch has too many rows for the memory that a writer sets aside; divide it");
}

}  // namespace

Writer::Writer(Parts parts)
    : parts_(std::move(parts)),
      epoch_(parts_.current.get()),
      delta_bytes_asked_(parts_.options.delta_bytes),
      packer_(parts_.environment.training, parts_.memory.buffers()) {}

Writer::~Writer() {
  if (log_) static_cast<void>(log_->close());
}

Result<std::unique_ptr<Writer>> Writer::open(Parts parts, const LogTail& tail) {
  std::unique_ptr<Writer> writer(new Writer(std::move(parts)));
  const MutexLock guard(writer->lock_);
  writer->live().charge_to(writer->parts_.memory.rows(), writer->parts_.memory.erasing(),
                           writer->parts_.memory.whole());
  VECSTORE_TRY(writer->begin_log(tail));
  return writer;
}

Status Writer::begin_log(const LogTail& tail) {
  const StoreEnvironment& environment = parts_.environment;
  const OpenOptions& opened = parts_.options;
  FileSystem& files = *environment.file_system;
  const std::string path = parts_.directory.file_path(kLogName);
  if (!epoch().content->properties().has_log) {
    // Nobody wrote to this store yet; what is there was another's, which this one replaced.
    if (const Status made = files.make_directory(path); !made.is_ok() && made.code() != Code::kExists) return made;
    VECSTORE_ASSIGN(const auto entries, files.list(path));
    for (const DirectoryEntry& entry : entries) VECSTORE_TRY(files.unlink(path + "/" + entry.name));
  }
  LogOptions options;
  options.store = epoch().content->manifest().store;
  options.sync = opened.sync;
  options.interval_ms = opened.interval_ms;
  options.bytes_max = opened.log_bytes;
  options.spare_bytes = opened.log_bytes / kSpareShare;
  if (opened.ram_bytes != 0) options.group_body_bytes_max = kWriterBytes / kBuffersOfWriter;
  options.segment_bytes_first = environment.segment_bytes_first;
  options.segment_bytes_max = std::min(environment.segment_bytes_max, opened.log_bytes / 4);
  options.salt_seed = environment.seed;
  options.background = environment.log_background;
  VECSTORE_ASSIGN(log_, Log::open(files, path, tail, options, parts_.memory.buffers(),
                                  [moments = live().moments()](Lsn through) { moments->safe(through); }));
  return publish_log();
}

// That there is a log is said before anything is taken; after a publish both slots of the superblock say so.
Status Writer::publish_log() {
  if (epoch().content->properties().has_log) return Status::ok();
  StoreProperties properties = epoch().content->properties();
  properties.has_log = true;
  Manifest manifest = *parts_.directory.manifest();
  manifest.properties = encode_properties(properties);
  return parts_.directory.publish(std::move(manifest));
}

Status Writer::raise_delta_bytes(std::uint64_t bytes) {
  VECSTORE_TRY(check_going_on());
  const MutexLock guard(lock_);
  if (bytes < delta_bytes_asked_.load())
    return Status(Code::kInvalidArgument, "the delta may only be given more memory while the store is open")
        .about(parts_.directory.path())
        .at(Detail::kBytes, delta_bytes_asked_.load());
  if (!parts_.memory.allow(bytes).is_ok())
    return Status(Code::kMemoryBudget, "the memory budget has no room for it; open the store with more")
        .about(parts_.directory.path());
  delta_bytes_asked_ = bytes;
  room_came_.notify_all();
  return Status::ok();
}

void Writer::allow_delta_bytes(std::uint64_t bytes) {
  const MutexLock guard(lock_);
  // Without room for more it goes on with what it has.
  static_cast<void>(parts_.memory.allow(bytes));
  room_came_.notify_all();
}

Status Writer::check_going_on() const {
  const Status failure = log_->failure();
  if (failure.is_ok()) return failure;
  return Status(Code::kIo, "an earlier write failed, so that nothing more is taken; close the store and open it again")
      .about(failure.subject())
      .with_errno(failure.error_number());
}

Status Writer::check_batch(std::span<const Key> keys, const VectorView& vectors,
                           std::span<const std::string_view> documents) const {
  const auto epoch = parts_.current.get();
  const StoreProperties& properties = epoch->content->properties();
  const std::uint32_t dim = View(epoch->content, epoch->live, epoch->live->pin_newest()).dim();
  if (keys.size() != vectors.rows || (!documents.empty() && documents.size() != keys.size()))
    return Status(Code::kInvalidArgument,
                  "a batch needs as many keys as vectors, and documents for all of them or none")
        .about(std::to_string(keys.size()) + " keys, " + std::to_string(vectors.rows) + " vectors, " +
               std::to_string(documents.size()) + " documents");
  if (!is_convertible(vectors.dtype, properties.dtype))
    return Status(Code::kInvalidArgument, "the vectors have another element type than the store; convert them first")
        .about(std::string(name_of(vectors.dtype)) + ", store " + std::string(name_of(properties.dtype)));
  if (vectors.dim == 0 || vectors.dim > kDimMax || (dim != 0 && vectors.dim != dim))
    return other_dimension(vectors, dim);
  for (const Key& key : keys) VECSTORE_TRY(epoch->content->check_key(key));
  for (const std::string_view document : documents)
    if (document.size() > kDocumentBytesMax)
      return Status(Code::kInvalidArgument, "a document is too large; the most is 65536 bytes");
  return check_vectors(vectors, properties.metric, "vectors", 0);
}

// Merging must have room when its time comes: refused now, nothing is lost then.
Status Writer::check_room(std::uint64_t bytes) {
  bytes_since_check_ = bytes_since_check_ > kRoomCheckBytes ? bytes_since_check_ : bytes_since_check_ + bytes;
  if (bytes_since_check_ <= kRoomCheckBytes) return Status::ok();
  std::uint64_t needed = kGraphsOwed * parts_.memory.delta_bytes();
  for (const ManifestFile& file : epoch().content->manifest().files) needed += file.bytes;
  VECSTORE_ASSIGN(const std::uint64_t free, parts_.directory.free_bytes());
  if (free < needed + bytes)
    return Status(Code::kNoSpace, "the disk has too little room to merge what would be put; free some, at least")
        .about(parts_.directory.path())
        .at(Detail::kBytes, needed + bytes - free);
  bytes_since_check_ = bytes;
  return Status::ok();
}

Status Writer::delta_is_full() const {
  return Status(Code::kMemoryBudget,
                "the memory of what waits to be merged is used up; open the store with a larger delta_bytes than")
      .about(parts_.directory.path())
      .at(Detail::kBytes, parts_.memory.delta_bytes_max());
}

// Nothing that goes makes room for more than the delta holds when it is empty, so that nobody waits for it.
Status Writer::check_fits_alone(const LiveState::Needs& needs) {
  const std::uint64_t limit = parts_.memory.rows().limit_bytes();
  const LiveState& live = this->live();
  if (live.bytes_alone(needs) <= limit) return Status::ok();
  std::uint64_t fit = 0;
  for (std::uint64_t too_many = needs.rows; too_many - fit > 1;) {
    LiveState::Needs fewer = needs;
    fewer.rows = fit + (too_many - fit) / 2;
    fewer.text_bytes = needs.text_bytes / needs.rows * fewer.rows;
    (live.bytes_alone(fewer) <= limit ? fit : too_many) = fewer.rows;
  }
  return Status(Code::kMemoryBudget,
                "the batch is larger than the memory of what waits to be merged; divide it, or open the store with a "
                "delta_bytes of at least")
      .about(parts_.directory.path() + " (" + std::to_string(needs.rows) + " rows, of which " + std::to_string(fit) +
             " fit at the most)")
      .at(Detail::kBytes, WriterMemory::delta_bytes_for(parts_.memory.rows().used_bytes() + live.bytes_for(needs)));
}

bool Writer::wait_for_room(std::chrono::steady_clock::time_point since, MutexLock& guard) {
  const std::uint32_t wait_ms = parts_.want_room() ? std::max(parts_.options.merge_wait_ms, parts_.options.full_wait_ms)
                                                   : parts_.options.full_wait_ms;
  const auto until = since + std::chrono::milliseconds(wait_ms);
  const auto now = std::chrono::steady_clock::now();
  if (!closing_ && now < until) room_came_.wait_until(guard, std::min(until, now + kRoomPause));
  return closing_ || now < until;
}

Result<Lsn> Writer::log_and_apply(std::span<const LogRecord> records, Urgency urgency) {
  const auto queued = log_->enqueue(records, urgency);
  is_log_full_ = !queued && queued.error().code() == Code::kNoSpace;
  if (!queued) return queued.error();
  const Lsn last = *queued;
  Lsn lsn{last.value - records.size()};
  for (const LogRecord& record : records) {
    ++lsn.value;
    // What is in the log must be here. apply() asks for room again, as replay needs it to, and finds what was reserved.
    VECSTORE_CHECK(live().apply(lsn, record).is_ok());
  }
  live().applied(last);
  return last;
}

Result<WriteReceipt> Writer::acknowledge(Lsn lsn, const WriteReceipt& receipt) {
  VECSTORE_TRY(log_->commit(lsn));
  return WriteReceipt{lsn.value, log_->synced_lsn().value, receipt.rows, receipt.replaced};
}

// One that cannot be logged is missed by nobody: documents are packed without.
Status Writer::log_dictionary(std::span<const std::byte> dictionary) {
  if (dictionary.empty()) return Status::ok();
  LiveState::Needs needs;
  needs.dictionary = dictionary;
  VECSTORE_TRY(live().reserve(needs));
  const LogRecord record{static_cast<std::uint16_t>(RecordType::kDictionary), 0, dictionary};
  const auto logged = log_and_apply({&record, 1}, Urgency::kNormal);
  return logged ? Status::ok() : logged.error();
}

// Where the log has no room for it, documents are packed without.
const FrameDictionary* Writer::dictionary_to_pack_with() {
  const FrameDictionary* dictionary = live().dictionary();
  if (dictionary != nullptr && must_log_dictionary_)
    must_log_dictionary_ = !log_dictionary(dictionary->bytes()).is_ok();
  return must_log_dictionary_ ? nullptr : dictionary;
}

Result<std::size_t> Writer::number_rows(const Batch& batch, std::vector<PutRecord>& puts,
                                        LiveState::Needs& needs) const {
  const View view = newest();
  const std::size_t vector_bytes = batch.vectors.dim * element_bytes(batch.vectors.dtype);
  std::size_t bytes_max = 0;
  BatchKeys own(batch.keys.size() > 1);
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    const Key& key = batch.keys[i];
    auto replaced = own.find(key);
    if (!replaced) {
      VECSTORE_ASSIGN(replaced, view.row_of(key));
      const bool is_of_graph = replaced && replaced->value < live().row_end();
      if (is_of_graph && batch.if_there == IfThere::kReplace) ++needs.graph_rows_ended;
    }
    if (replaced && batch.if_there == IfThere::kFail) return is_there(key, i);
    if (replaced && batch.if_there == IfThere::kSkip) continue;
    PutRecord record;
    record.row = {live().next_row().value + puts.size()};
    record.key = key;
    record.vector = {batch.vectors.row(i), vector_bytes};
    if (!batch.documents.empty()) record.document = batch.documents[i];
    record.document_bytes = static_cast<std::uint32_t>(record.document.size());
    record.replaced = replaced.value_or(kNoRow);
    own.set(key, record.row);
    bytes_max += encoded_bytes(record);
    puts.push_back(record);
  }
  needs.rows = puts.size();
  return bytes_max;
}

std::vector<LogRecord> Writer::encode_rows(std::span<PutRecord> puts, LiveState::Needs& needs) {
  std::vector<LogRecord> records(puts.size());
  const bool has_documents = std::ranges::any_of(puts, [](const PutRecord& put) { return !put.document.empty(); });
  const FrameDictionary* dictionary = has_documents ? dictionary_to_pack_with() : nullptr;
  std::byte* at = encoded_.data();
  for (std::size_t i = 0; i < puts.size(); ++i) {
    puts[i].document = packer_.pack(puts[i].document, dictionary);
    const std::size_t size = encoded_bytes(puts[i]);
    VECSTORE_CHECK(size <= static_cast<std::size_t>(encoded_.end() - at));
    encode(puts[i], at);
    records[i] = {static_cast<std::uint16_t>(type_of(puts[i])), 0, {at, size}};
    needs.text_bytes += puts[i].key.bytes().size() + puts[i].document.size();
    at += size;
  }
  return records;
}

Result<std::optional<Lsn>> Writer::put_now(const Batch& batch, WriteReceipt& receipt) {
  const std::uint32_t dim = newest().dim();
  const std::uint32_t its_dim = batch.vectors.dim;
  if (dim != 0 && its_dim != dim) return other_dimension(batch.vectors, dim);  // another's first row may have told it
  if (dim == 0) static_cast<void>(parts_.memory.allow(parts_.delta_bytes_of(its_dim)));
  parts_.memory.settle();
  MemoryBudget& buffers = parts_.memory.buffers();
  const auto rows_charge = Charge::take(buffers, batch.keys.size() * kBatchRowBytes);
  if (!rows_charge) return too_many_rows();
  LiveState::Needs needs{its_dim, 0};
  std::vector<PutRecord> puts;
  puts.reserve(batch.keys.size());
  VECSTORE_ASSIGN(const std::size_t bytes_max, number_rows(batch, puts, needs));
  receipt.rows = puts.size();
  receipt.replaced = puts.size() - std::ranges::count(puts, kNoRow, &PutRecord::replaced);
  is_log_full_ = false;
  if (puts.empty()) return std::optional(newest().moment());  // that a key is there may be due to one not safe yet
  VECSTORE_TRY(check_room(bytes_max));
  if (encoded_.size() < bytes_max) {
    encoded_.reset();
    VECSTORE_ASSIGN(encoded_, Buffer<std::byte>::allocate(buffers, bytes_max));
  }
  // Without a budget the delta's own bound is no reason to go without a dictionary.
  static_cast<void>(
      log_dictionary(packer_.train(live(), parts_.options.ram_bytes == 0 ? buffers : parts_.memory.rows())));
  const std::vector<LogRecord> records = encode_rows(puts, needs);
  const Status reserved = live().reserve(needs);
  if (is_refused_by_system(reserved)) return reserved;  // what waits to be merged is not the reason
  if (reserved.code() == Code::kMemoryBudget) VECSTORE_TRY(check_fits_alone(needs));
  if (reserved.code() == Code::kMemoryBudget) return std::optional<Lsn>();
  VECSTORE_TRY(reserved);
  if (DocumentPacker::is_due_again(live())) static_cast<void>(log_dictionary(live().dictionary()->bytes()));
  VECSTORE_ASSIGN(const Lsn lsn, log_and_apply(records, Urgency::kNormal));
  return std::optional(lsn);
}

// A merge makes room in the delta, and in the log.
Status Writer::wait_or_refuse(const Result<std::optional<Lsn>>& written, Waiting& waiting, MutexLock& guard) {
  // On a full disk it may be the merge that has no room; then nobody waits for it.
  const bool is_log_full = !written && written.error().code() == Code::kNoSpace && is_log_full_;
  if (!written && !is_log_full) return written.error();
  if ((!is_log_full || parts_.want_room()) && wait_for_room(waiting.since, guard)) {
    waiting.was_last_try = false;
  } else if (waiting.was_last_try) {
    return with_merge_failure(is_log_full ? written.error() : delta_is_full());
  } else {
    waiting.was_last_try = true;  // a merge that has just ended may have made room
  }
  if (closing_) return Status(Code::kInvalidArgument, "the store was closed").about(parts_.directory.path());
  return Status::ok();
}

// Of a write that has no room: why nothing makes any.
Status Writer::with_merge_failure(const Status& status) const {
  const bool lacks_room = status.code() == Code::kNoSpace || status.code() == Code::kMemoryBudget;
  const Status failure = lacks_room ? parts_.merge_failure() : Status::ok();
  if (failure.is_ok() || is_refused_by_system(status)) return status;
  return Status(status).about(std::string(status.subject()) + " (a merge would make room, but: " + failure.message() +
                              ")");
}

Result<WriteReceipt> Writer::put(std::span<const Key> keys, const VectorView& given,
                                 std::span<const std::string_view> documents, const PutOptions& options) {
  VECSTORE_TRY(check_going_on());
  if (keys.empty() && given.rows == 0 && documents.empty())
    return WriteReceipt{parts_.current.get()->live->newest().value, log_->synced_lsn().value, 0};
  VECSTORE_TRY(check_batch(keys, given, documents));
  VectorView vectors = given;
  Buffer<std::byte> converted;
  // Who waits for room must hold no epoch, whose rows take it.
  const auto [dtype, metric] = [this] {
    const auto epoch = parts_.current.get();
    return std::pair(epoch->content->properties().dtype, epoch->content->properties().metric);
  }();
  if (given.dtype != dtype) {
    VECSTORE_ASSIGN(converted, convert_floats(given, dtype, "vectors", parts_.memory.buffers()));
    vectors = {converted.data(), dtype, given.rows, given.dim, 0};
    VECSTORE_TRY(check_vectors(vectors, metric, "vectors", 0));  // small values may have become zeros
  }
  Watch watch(options.progress, options.cancel, parts_.environment.file_system->clock());
  MutexLock guard(lock_);
  Waiting waiting;
  while (true) {
    // Others may have written while this one waited, so that every attempt begins from the front.
    VECSTORE_TRY(watch.step({Phase::kPut, 0, keys.size()}));
    VECSTORE_TRY(check_going_on());
    WriteReceipt receipt;
    const Result<std::optional<Lsn>> put = put_now({keys, vectors, documents, options.if_there}, receipt);
    if (put && *put) {
      guard.unlock();
      return acknowledge(**put, receipt);
    }
    VECSTORE_TRY(wait_or_refuse(put, waiting, guard));
  }
}

Result<WriteReceipt> Writer::erase(std::span<const Key> keys) {
  VECSTORE_TRY(check_going_on());
  {
    const auto epoch = parts_.current.get();
    for (const Key& key : keys) VECSTORE_TRY(epoch->content->check_key(key));
  }
  const auto rows_charge = Charge::take(parts_.memory.buffers(), keys.size() * kBatchRowBytes);
  if (!rows_charge) return too_many_rows();
  MutexLock guard(lock_);
  Waiting waiting;
  while (true) {
    WriteReceipt receipt;
    const Result<std::optional<Lsn>> done = erase_now(keys, receipt.rows);
    if (done && *done) {
      guard.unlock();
      return acknowledge(**done, receipt);
    }
    VECSTORE_TRY(wait_or_refuse(done, waiting, guard));
  }
}

Result<std::optional<Lsn>> Writer::erase_now(std::span<const Key> keys, std::uint64_t& erased) {
  VECSTORE_TRY(check_going_on());
  const View view = newest();
  LiveState::Needs needs;
  std::vector<std::array<std::byte, kEraseRecordBytes>> payloads;
  BatchKeys own(keys.size() > 1);
  payloads.reserve(keys.size());
  for (const Key& key : keys) {
    if (own.find(key)) continue;
    VECSTORE_ASSIGN(const auto row, view.row_of(key));
    if (!row) continue;
    own.set(key, *row);
    if (row->value < live().row_end()) ++needs.graph_rows_ended;
    encode(EraseRecord{*row}, payloads.emplace_back().data());
  }
  erased = payloads.size();
  if (payloads.empty()) return std::optional(view.moment());  // that a key is gone may be due to one not safe yet
  std::vector<LogRecord> records;
  records.reserve(payloads.size());
  for (const auto& payload : payloads) records.push_back({static_cast<std::uint16_t>(RecordType::kErase), 0, payload});
  live().forget();
  const Status reserved = live().reserve(needs);
  if (is_refused_by_system(reserved)) return reserved;
  if (reserved.code() == Code::kMemoryBudget) return std::optional<Lsn>();
  VECSTORE_TRY(reserved);
  VECSTORE_ASSIGN(const Lsn lsn, log_and_apply(records, Urgency::kUrgent));
  room_came_.notify_all();
  return std::optional(lsn);
}

// ------------------------------------------------------------------------------------------------------------- merging

// What is merged is on the disk, so that no log ever ends before the graph.
Result<Writer::MergeStart> Writer::begin_merge() {
  VECSTORE_TRY(check_going_on());
  VECSTORE_TRY(log_->begin_small_segment());  // all before it goes behind the merge
  const MutexLock guard(lock_);
  if (closing_) return Status(Code::kInvalidArgument, "the store was closed").about(parts_.directory.path());
  VECSTORE_TRY(log_->sync());
  MergeStart start{epoch_, {epoch_->content, epoch_->live, live().pin()}, live().next_row()};
  VECSTORE_CHECK(start.view.moment() == live().newest());
  must_log_dictionary_ = true;
  live().cut();
  return start;
}

void Writer::abandon_merge() {
  const MutexLock guard(lock_);
  live().mend();
  live().forget();
  room_came_.notify_all();
}

Status Writer::finish_merge(const MergeStart& start, std::shared_ptr<Epoch> next, std::optional<NewCatalog>& catalog) {
  VECSTORE_TRY(check_going_on());
  const MutexLock guard(lock_);
  if (closing_) return Status(Code::kInvalidArgument, "the store was closed").about(parts_.directory.path());
  VECSTORE_ASSIGN(LiveState::Successor successor, live().prepare_successor(next->content->live_base()));
  parts_.current.prepare_set();
  VECSTORE_TRY(parts_.directory.publish(next->content->manifest()));
  next->live = live().succeed(std::move(successor));
  // Nobody looks up keys of the new rows yet. Without room for its catalog the first who does makes another.
  start.epoch->content->stop_writing_catalog();
  if (catalog) static_cast<void>(without_throwing([&] { return catalog->swap_in(); }));
  epoch_ = next;
  parts_.current.set(std::move(next));
  bytes_since_check_ = ~std::uint64_t{0};
  room_came_.notify_all();
  return Status::ok();
}

Status Writer::release_log(const MergeStart& start) {
  const Status released = log_->release(start.view.moment());
  const MutexLock guard(lock_);
  room_came_.notify_all();
  return released;
}

Status Writer::flush() {
  VECSTORE_TRY(check_going_on());
  return log_->sync();
}

Status Writer::seal_log() {
  VECSTORE_TRY(flush());
  return log_->begin_small_segment();
}

Status Writer::close() {
  {
    const MutexLock guard(lock_);
    closing_ = true;
    room_came_.notify_all();
  }
  const Status closed = log_->close();
  parts_.current.get()->content->stop_writing_catalog();  // which the next writer may build
  parts_.directory.unlock();
  return closed;
}

}  // namespace vecstore
