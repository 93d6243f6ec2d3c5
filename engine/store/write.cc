// SPDX-License-Identifier: Apache-2.0
//
// The way of a write: everything is checked, then it is numbered and queued in the log, applied, and acknowledged when
// it is as safe as the sync mode says. Replay goes through the same apply().
#include <algorithm>
#include <chrono>
#include <unordered_map>
#include <utility>

#include "base/check.h"
#include "base/thrown.h"
#include "engine/files/validate.h"
#include "engine/live/log_records.h"
#include "engine/store/impl.h"
#include "pagestore/store_files.h"
#include "wal/log_reader.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kRoomCheckBytes = 1u << 20;  // logged between two looks at the disk
constexpr std::uint32_t kGraphsOwed = 2;             // times the delta that merging it may take on disk
constexpr std::uint64_t kSpareShare = 16;            // of the log, kept for erasing
constexpr std::uint64_t kErasingShare = 8;           // of the delta
// A writer's memory is that of so many of the largest batches: one of ours, three of the log's, two for zeros and rows.
constexpr std::uint64_t kBuffersOfWriter = 6;

Uuid new_uuid(std::uint64_t seed) {
  Random random = seed != 0 ? Random(seed) : Random::of_system();
  Uuid uuid;
  for (std::uint8_t& byte : uuid) byte = static_cast<std::uint8_t>(random.next());
  return uuid;
}

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

Status too_many_rows() {
  return Status(Code::kMemoryBudget, "the batch has too many rows for the memory that a writer sets aside; divide it");
}

}  // namespace

// -------------------------------------------------------------------------------------------------------- making, log

Status Store::create(const std::string& path, const CreateOptions& options) {
  return StoreFactory::create(path, options, {});
}

Status StoreFactory::create(const std::string& path, const CreateOptions& options,
                            const StoreEnvironment& environment) try {
  if (options.dim > kDimMax) return Status(Code::kInvalidArgument, "the dimension is too large; the most is 4096");
  VECSTORE_ASSIGN(StoreDirectory directory, StoreDirectory::create(*environment.file_system, path));
  if (directory.manifest()) return Status(Code::kExists, "a store is there already; choose another path").about(path);
  StoreProperties properties;
  properties.dim = options.dim;
  properties.dtype = options.dtype;
  properties.metric = options.metric;
  properties.keys = options.keys;
  Manifest manifest;
  manifest.store = new_uuid(environment.seed);
  manifest.properties = encode_properties(properties);
  return directory.publish(std::move(manifest));
} catch (...) {
  return status_of_exception();
}

Result<LogTail> Store::Impl::replay(Lsn after) {
  LogTail tail;
  tail.last_lsn = after;
  if (!properties.has_log) return tail;
  const std::uint64_t used_before = budget.used_bytes();
  const std::string path = directory->file_path(kLogName);
  auto replayed = replay_log(*environment.file_system, path, {manifest().store, after, replayed_to}, budget,
                             [this](Lsn lsn, const LogRecord& record) -> Status {
                               VECSTORE_TRY(live->apply(lsn, record));
                               replayed_through = lsn;  // where to go on, should the next one find no room
                               return {};
                             });
  const bool missing = replayed ? replayed->number_max == 0 : replayed.error().code() == Code::kNotFound;
  if (missing) return Status(Code::kCorrupt, "the log is missing; restore it").about(path);
  if (!replayed) return replayed.error();
  replayed_bytes += budget.used_bytes() - std::min(budget.used_bytes(), used_before);
  live->applied(replayed->last_lsn);
  live->safe(replayed->last_lsn);
  replayed_log_bytes = replayed->bytes;
  replayed_to = replayed->place;
  return replayed;
}

Status Store::Impl::open_log() {
  const bool writes = opened.access == Access::kReadWrite;
  log.reset();
  live.reset();
  packer.reset();
  writer.reset();
  replayed_bytes = 0;
  replayed_through = {manifest().applied_lsn};
  replayed_to = {};
  const DeltaShape shape{properties.dim, properties.dtype, properties.metric, properties.keys,
                         generation ? generation->centre() : Centre{}};
  live = std::make_unique<LiveState>(shape, properties.rows, replayed_through, budget);
  VECSTORE_ASSIGN(const LogTail tail, replay(replayed_through));
  if (!writes) return Status::ok();
  VECSTORE_TRY(set_writer_memory_aside());
  return begin_log(tail);
}

std::uint64_t Store::Impl::writer_bytes() const {
  const bool has_catalog = properties.keys == KeyKind::kBytes && properties.rows != 0;
  return kWriterBytes + kWriterDocumentsBytes + (has_catalog ? kWriterCatalogBytes : 0);
}

// Of so much memory for the delta: an eighth is kept for erasing, which goes on when nothing more can be put. What was
// replayed is charged already.
Store::Impl::DeltaMemory Store::Impl::divide_delta(std::uint64_t bytes) const {
  const std::uint64_t erasing = bytes / kErasingShare;
  return {bytes - std::min(bytes, replayed_bytes + erasing), erasing};
}

Status Store::Impl::set_writer_memory_aside() {
  const DeltaMemory delta = divide_delta(opened.delta_bytes);
  const std::uint64_t buffers = opened.ram_bytes != 0 ? writer_bytes() : 0;
  VECSTORE_ASSIGN(Charge charge, Charge::take(budget, delta.rows + delta.erasing + buffers));
  writer = std::make_unique<WriterMemory>(delta.rows, delta.erasing, buffers != 0 ? buffers : MemoryBudget::kUnlimited,
                                          std::move(charge));
  delta_bytes_max = opened.delta_bytes;
  live->charge_to(writer->rows, writer->erasing);
  packer = std::make_unique<DocumentPacker>(environment.training, writer->buffers);
  return Status::ok();
}

Status Store::Impl::raise_delta_bytes(std::uint64_t bytes) {
  VECSTORE_TRY(check_writable());
  const std::lock_guard guard(write_lock);
  if (bytes < delta_bytes_max)
    return Status(Code::kInvalidArgument, "the delta may only be given more memory while the store is open")
        .about(directory->path())
        .at(Detail::kBytes, delta_bytes_max);
  const DeltaMemory delta = divide_delta(bytes);
  const std::uint64_t more_rows = delta.rows - writer->rows.limit_bytes();
  const std::uint64_t more_erasing = delta.erasing - writer->erasing.limit_bytes();
  writer->charges.reserve(writer->charges.size() + 1);
  auto charge = Charge::take(budget, more_rows + more_erasing);
  if (!charge)
    return Status(Code::kMemoryBudget, "the memory budget has no room for it; open the store with more")
        .about(directory->path());
  writer->charges.push_back(std::move(*charge));
  writer->rows.raise(more_rows);
  writer->erasing.raise(more_erasing);
  delta_bytes_max = bytes;
  delta_grew.notify_all();
  return Status::ok();
}

Status Store::raise_delta_bytes(std::uint64_t bytes) try { return impl_->raise_delta_bytes(bytes); } catch (...) {
  return status_of_exception();
}

Status Store::Impl::begin_log(const LogTail& tail) {
  FileSystem& files = *environment.file_system;
  const std::string path = directory->file_path(kLogName);
  if (!properties.has_log) {
    // Nobody wrote to this store yet; what is there was another's, which this one replaced.
    if (const Status made = files.make_directory(path); !made.is_ok() && made.code() != Code::kExists) return made;
    VECSTORE_ASSIGN(const auto entries, files.list(path));
    for (const DirectoryEntry& entry : entries) VECSTORE_TRY(files.unlink(path + "/" + entry.name));
  }
  LogOptions options;
  options.store = manifest().store;
  options.sync = opened.sync;
  options.interval_ms = opened.interval_ms;
  options.bytes_max = opened.log_bytes;
  options.spare_bytes = opened.log_bytes / kSpareShare;
  if (opened.ram_bytes != 0) options.group_body_bytes_max = kWriterBytes / kBuffersOfWriter;
  options.segment_bytes_first = environment.segment_bytes_first;
  options.segment_bytes_max = std::min(environment.segment_bytes_max, opened.log_bytes / 4);
  options.salt_seed = environment.seed;
  options.background = environment.log_background;
  VECSTORE_ASSIGN(log,
                  Log::open(files, path, tail, options, writer->buffers, [this](Lsn through) { live->safe(through); }));
  return publish_log();
}

// That there is a log is said before anything is taken; after a publish both slots of the superblock say so.
Status Store::Impl::publish_log() {
  if (properties.has_log) return Status::ok();
  properties.has_log = true;
  Manifest content = manifest();
  content.properties = encode_properties(properties);
  return directory->publish(std::move(content));
}

// ------------------------------------------------------------------------------------------------------------- writing

Status Store::Impl::check_writable() const {
  VECSTORE_TRY(check_process());
  if (!log)
    return Status(Code::kPermission, "the store was opened for reading; open it with Access::kReadWrite")
        .about(directory->path());
  const Status failure = log->failure();
  if (!failure.is_ok())
    return Status(Code::kIo,
                  "an earlier write failed, so that nothing more is taken; close the store and open it again")
        .about(failure.subject())
        .with_errno(failure.error_number());
  return Status::ok();
}

Status Store::Impl::check_key(const Key& key) const {
  if (key.kind() != properties.keys)
    return Status(Code::kInvalidArgument, properties.keys == KeyKind::kNumber
                                              ? "the keys of this store are numbers, not byte strings"
                                              : "the keys of this store are byte strings, not numbers");
  if (key.kind() == KeyKind::kBytes && (key.bytes().empty() || key.bytes().size() > kKeyBytesMax))
    return Status(Code::kInvalidArgument, "a key must have between 1 and 480 bytes");
  return Status::ok();
}

Status Store::Impl::check_batch(std::span<const Key> keys, const VectorView& vectors,
                                std::span<const std::string_view> documents) const {
  if (keys.empty() || keys.size() != vectors.rows || (!documents.empty() && documents.size() != keys.size()))
    return Status(Code::kInvalidArgument, "a batch needs as many keys as vectors, at least one, and documents for all");
  if (vectors.dtype != properties.dtype)
    return Status(Code::kInvalidArgument, "the vectors have another element type than the store; convert them first");
  if (vectors.dim == 0 || vectors.dim > kDimMax || (dim() != 0 && vectors.dim != dim()))
    return Status(Code::kInvalidInput, "the vectors have another dimension than the store");
  for (const Key& key : keys) VECSTORE_TRY(check_key(key));
  for (const std::string_view document : documents)
    if (document.size() > kDocumentBytesMax)
      return Status(Code::kInvalidArgument, "a document is too large; the most is 65536 bytes");
  return check_vectors(vectors, properties.metric, "vectors", 0);
}

std::uint64_t Store::Impl::delta_bytes() const {
  return replayed_bytes + (writer ? writer->rows.used_bytes() + writer->erasing.used_bytes() : 0);
}

// Merging must have room when its time comes: refused now, nothing is lost then.
Status Store::Impl::check_room(std::uint64_t bytes) {
  bytes_since_check = bytes_since_check > kRoomCheckBytes ? bytes_since_check : bytes_since_check + bytes;
  if (bytes_since_check <= kRoomCheckBytes) return Status::ok();
  std::uint64_t needed = kGraphsOwed * delta_bytes();
  for (const ManifestFile& file : manifest().files) needed += file.bytes;
  VECSTORE_ASSIGN(const std::uint64_t free, directory->free_bytes());
  if (free < needed + bytes)
    return Status(Code::kNoSpace, "the disk has too little room to merge what would be put; free some, at least")
        .about(directory->path())
        .at(Detail::kBytes, needed + bytes - free);
  bytes_since_check = bytes;
  return Status::ok();
}

Status Store::Impl::delta_is_full() const {
  return Status(Code::kMemoryBudget,
                "the memory of what waits to be merged is used up; open the store with more of it, delta_bytes")
      .about(directory->path())
      .at(Detail::kBytes, delta_bytes_max);
}

// With write_lock.
Result<Lsn> Store::Impl::log_and_apply(std::span<const LogRecord> records, const LiveState::Needs& needs,
                                       Urgency urgency) {
  const Status reserved = live->reserve(needs);
  if (reserved.code() == Code::kMemoryBudget) return delta_is_full();
  VECSTORE_TRY(reserved);
  VECSTORE_ASSIGN(const Lsn last, log->enqueue(records, urgency));
  Lsn lsn{last.value - records.size()};
  for (const LogRecord& record : records) {
    ++lsn.value;
    VECSTORE_CHECK(live->apply(lsn, record).is_ok());  // what is in the log must be here, and room was reserved for it
  }
  live->applied(last);
  return last;
}

Result<WriteReceipt> Store::Impl::acknowledge(Lsn lsn, std::uint64_t changed) {
  VECSTORE_TRY(log->commit(lsn));
  return WriteReceipt{lsn.value, log->synced_lsn().value, changed};
}

// One that cannot be logged is missed by nobody: documents are packed without.
void Store::Impl::log_dictionary(std::span<const std::byte> dictionary) {
  if (dictionary.empty()) return;
  LiveState::Needs needs;
  needs.dictionary = dictionary;
  const LogRecord record{static_cast<std::uint16_t>(RecordType::kDictionary), 0, dictionary};
  static_cast<void>(log_and_apply({&record, 1}, needs, Urgency::kNormal));
}

Result<std::optional<Lsn>> Store::Impl::put_now(std::span<const Key> keys, const VectorView& vectors,
                                                std::span<const std::string_view> documents) {
  if (dim() != 0 && vectors.dim != dim())  // another's first row may have told meanwhile
    return Status(Code::kInvalidInput, "the vectors have another dimension than the store");
  const auto rows_charge = Charge::take(writer->buffers, keys.size() * kBatchRowBytes);
  if (!rows_charge) return too_many_rows();
  const std::size_t vector_bytes = vectors.dim * element_bytes(vectors.dtype);
  LiveState::Needs needs{vectors.dim, keys.size()};
  std::vector<PutRecord> puts(keys.size());
  std::size_t bytes_max = 0;
  BatchKeys own(keys.size() > 1);
  for (std::size_t i = 0; i < keys.size(); ++i) {
    PutRecord& record = puts[i];
    record.row = {live->next_row().value + i};
    record.key = keys[i];
    record.vector = {vectors.row(i), vector_bytes};
    if (!documents.empty()) record.document = documents[i];
    record.document_bytes = static_cast<std::uint32_t>(record.document.size());
    auto replaced = own.find(keys[i]);
    if (!replaced) {
      VECSTORE_ASSIGN(replaced, row_of(keys[i], live->newest()));
      if (replaced && replaced->value < live->base_rows()) ++needs.base_rows_ended;
    }
    record.replaced = replaced.value_or(kNoRow);
    own.set(keys[i], record.row);
    bytes_max += encoded_bytes(record);
  }
  VECSTORE_TRY(check_room(bytes_max));
  if (encoded.size() < bytes_max) {
    encoded.reset();
    VECSTORE_ASSIGN(encoded, Buffer<std::byte>::allocate(writer->buffers, bytes_max));
  }
  // Without a budget the delta's own bound is no reason to go without a dictionary.
  log_dictionary(packer->train(*live, opened.ram_bytes == 0 ? writer->buffers : writer->rows));
  std::vector<LogRecord> records(puts.size());
  std::byte* at = encoded.data();
  for (std::size_t i = 0; i < puts.size(); ++i) {
    puts[i].document = packer->pack(puts[i].document, live->dictionary());
    const std::size_t size = encoded_bytes(puts[i]);
    VECSTORE_CHECK(size <= static_cast<std::size_t>(encoded.end() - at));
    encode(puts[i], at);
    records[i] = {static_cast<std::uint16_t>(type_of(puts[i])), 0, {at, size}};
    needs.text_bytes += puts[i].key.bytes().size() + puts[i].document.size();
    at += size;
  }
  if (live->reserve(needs).code() == Code::kMemoryBudget) return std::optional<Lsn>();
  if (DocumentPacker::is_due_again(*live)) log_dictionary(live->dictionary()->bytes());
  VECSTORE_ASSIGN(const Lsn lsn, log_and_apply(records, needs, Urgency::kNormal));
  return std::optional(lsn);
}

Result<WriteReceipt> Store::Impl::put(std::span<const Key> keys, const VectorView& vectors,
                                      std::span<const std::string_view> documents) try {
  VECSTORE_TRY(check_writable());
  VECSTORE_TRY(check_batch(keys, vectors, documents));
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(opened.full_wait_ms);
  std::unique_lock guard(write_lock);
  std::optional<Lsn> lsn;
  while (!lsn) {
    // Others may have written while this one waited, so that every attempt begins from the front.
    VECSTORE_TRY(check_writable());
    const std::uint64_t had = delta_bytes_max;
    VECSTORE_ASSIGN(lsn, put_now(keys, vectors, documents));
    if (!lsn && !delta_grew.wait_until(guard, until, [&] { return closing || delta_bytes_max > had; }))
      return delta_is_full();
    if (!lsn && closing) return Status(Code::kInvalidArgument, "the store was closed").about(directory->path());
  }
  guard.unlock();
  return acknowledge(*lsn, keys.size());
} catch (...) {
  return status_of_exception();
}

Result<WriteReceipt> Store::Impl::erase(std::span<const Key> keys) try {
  VECSTORE_TRY(check_writable());
  for (const Key& key : keys) VECSTORE_TRY(check_key(key));
  const auto rows_charge = Charge::take(writer->buffers, keys.size() * kBatchRowBytes);
  if (!rows_charge) return too_many_rows();
  std::unique_lock guard(write_lock);
  LiveState::Needs needs;
  std::vector<std::array<std::byte, kEraseRecordBytes>> payloads;
  BatchKeys own(keys.size() > 1);
  payloads.reserve(keys.size());
  for (const Key& key : keys) {
    if (own.find(key)) continue;
    VECSTORE_ASSIGN(const auto row, row_of(key, live->newest()));
    if (!row) continue;
    own.set(key, *row);
    if (row->value < live->base_rows()) ++needs.base_rows_ended;
    encode(EraseRecord{*row}, payloads.emplace_back().data());
  }
  if (payloads.empty()) {
    // That a key is gone may be due to an erasure that is not safe yet.
    const Lsn newest = live->newest();
    guard.unlock();
    return acknowledge(newest, 0);
  }
  std::vector<LogRecord> records;
  records.reserve(payloads.size());
  for (const auto& payload : payloads) records.push_back({static_cast<std::uint16_t>(RecordType::kErase), 0, payload});
  VECSTORE_ASSIGN(const Lsn lsn, log_and_apply(records, needs, Urgency::kUrgent));
  guard.unlock();
  return acknowledge(lsn, records.size());
} catch (...) {
  return status_of_exception();
}

Result<WriteReceipt> Store::put(const Key& key, const VectorView& vector, std::string_view document) {
  return impl_->put({&key, 1}, vector, {&document, 1});
}
Result<WriteReceipt> Store::put_batch(std::span<const Key> keys, const VectorView& vectors,
                                      std::span<const std::string_view> documents) {
  return impl_->put(keys, vectors, documents);
}
Result<WriteReceipt> Store::erase(const Key& key) { return impl_->erase({&key, 1}); }
Result<WriteReceipt> Store::erase_batch(std::span<const Key> keys) { return impl_->erase(keys); }

Status Store::flush() try {
  VECSTORE_TRY(impl_->check_writable());
  return impl_->log->sync();
} catch (...) {
  return status_of_exception();
}

Status Store::close() try {
  VECSTORE_TRY(impl_->check_process());
  if (!impl_->log) return Status::ok();
  {
    const std::lock_guard guard(impl_->write_lock);
    impl_->closing = true;
    impl_->delta_grew.notify_all();
  }
  const Status closed = impl_->log->close();
  if (impl_->key_lookup) impl_->key_lookup->stop_writing();  // the catalog, which the next writer may build
  impl_->directory->unlock();
  return closed;
} catch (...) {
  return status_of_exception();
}

Status Store::refresh() try {
  Impl& s = *impl_;
  VECSTORE_TRY(s.check_process());
  if (s.log) return Status::ok();  // a writer is always up to date
  const std::lock_guard guard(s.write_lock);
  VECSTORE_ASSIGN(const StoreDirectory now,
                  StoreDirectory::open(*s.environment.file_system, s.directory->path(), LockMode::kShared));
  const Manifest& content = *now.manifest();
  if (content.store != s.manifest().store || content.generation != s.manifest().generation)
    return Status(Code::kUnsupported, "the store was built anew; open it again").about(s.directory->path());
  VECSTORE_ASSIGN(const StoreProperties stored, decode_properties(content.properties));
  s.properties.has_log = stored.has_log;
  const auto replayed = s.replay(s.replayed_through);
  return replayed ? Status::ok() : replayed.error();
} catch (...) {
  return status_of_exception();
}

StoreStats Store::stats() const {
  Impl& s = *impl_;
  StoreStats stats;
  if (!s.check_process().is_ok()) return stats;
  stats.rows = s.live->live_rows();
  stats.delta_rows = s.live->live_delta_rows();
  stats.deleted_rows = s.live->tombstones().size();
  stats.delta_bytes = s.delta_bytes();
  if (const Delta* delta = s.live->delta(); delta != nullptr) {
    stats.document_bytes = delta->document_bytes();
    stats.kept_document_bytes = delta->kept_document_bytes();
  }
  stats.has_dictionary = s.live->dictionary() != nullptr;
  stats.wal_bytes = s.log ? s.log->bytes() : s.replayed_log_bytes.load();
  stats.last_lsn = s.live->newest().value;
  stats.durable_lsn = s.log ? s.log->synced_lsn().value : s.live->newest().value;
  stats.syncs = s.log ? s.log->syncs() : 0;
  return stats;
}

}  // namespace vecstore
