// SPDX-License-Identifier: Apache-2.0
//
// The way of a write: everything is checked, then it is numbered and queued in the log, applied, and acknowledged when
// it is as safe as the sync mode says. Replay goes through the same LiveState::apply().
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/cancel_token.h"
#include "base/mutex.h"
#include "base/status.h"
#include "engine/live/document_packer.h"
#include "engine/live/live_state.h"
#include "engine/rows/catalog.h"
#include "engine/store/environment.h"
#include "engine/store/epoch.h"
#include "engine/store/writer_memory.h"
#include "pagestore/publish.h"
#include "wal/log.h"
#include "wal/log_reader.h"

namespace vecstore {

// Thread-safe. Exists only in a store that was opened to be written to.
class Writer {
 public:
  // What it writes to; all of it outlives the writer.
  struct Parts {
    StoreDirectory& directory;  // with the lock of writers
    CurrentEpoch& current;
    WriterMemory& memory;
    const OpenOptions& options;
    const StoreEnvironment& environment;
    // Called where a write has no room: whether a merge is under way that may give some. With the lock of the writer.
    std::function<bool()> want_room;
    std::function<Status()> merge_failure;  // of the last merge in the background
    // What the delta may take, once the first row has told the dimension. With the lock of the writer.
    std::function<std::uint64_t(std::uint32_t dim)> delta_bytes_of;
  };

  // Goes on where the log ends. Says in the manifest that there is a log, where it does not say so yet. Errors: kIo,
  // kNoSpace, kPermission, kMemoryBudget.
  static Result<std::unique_ptr<Writer>> open(Parts parts, const LogTail& tail);
  ~Writer();  // as close(), but nobody learns of an error
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  // As Store::put_batch() and Store::erase_batch() say.
  Result<WriteReceipt> put(std::span<const Key> keys, const VectorView& given,
                           std::span<const std::string_view> documents, const PutOptions& options);
  Result<WriteReceipt> erase(std::span<const Key> keys);
  Status raise_delta_bytes(std::uint64_t bytes);
  std::uint64_t delta_bytes_asked() const { return delta_bytes_asked_; }
  void allow_delta_bytes(std::uint64_t bytes);  // as far as there is room, from now on
  Status flush();
  // As flush(); and where there is room, the log goes on behind it in a segment that holds little.
  Status seal_log();
  Status close();

  // What a merge is of: everything up to a moment, which is on the disk.
  struct MergeStart {
    std::shared_ptr<const Epoch> epoch;
    View view;
    RowId row_end;  // RowIds from it on are put later
  };
  // Errors: kIo.
  Result<MergeStart> begin_merge();
  // It came to nothing.
  void abandon_merge();
  // Publishes what the merge made, and goes on with it. `next` has its content and searchers. Errors: kMemoryBudget,
  // and those of StoreDirectory::publish(); then all is as it was, but for a commit that failed.
  Status finish_merge(const MergeStart& start, std::shared_ptr<Epoch> next, std::optional<NewCatalog>& catalog);
  // Afterwards the log may lack what the graph holds. Errors: kIo.
  Status release_log(const MergeStart& start);

  const Log& log() const { return *log_; }

 private:
  explicit Writer(Parts parts);
  Status begin_log(const LogTail& tail) VECSTORE_REQUIRES(lock_);
  Status publish_log() VECSTORE_REQUIRES(lock_);

  Status check_going_on() const;  // kIo where an earlier write failed
  Status check_batch(std::span<const Key> keys, const VectorView& vectors,
                     std::span<const std::string_view> documents) const;
  Status check_room(std::uint64_t bytes) VECSTORE_REQUIRES(lock_);
  Status delta_is_full() const VECSTORE_REQUIRES(lock_);
  // kMemoryBudget where so much would not even fit into an empty delta.
  Status check_fits_alone(const LiveState::Needs& needs) VECSTORE_REQUIRES(lock_);
  // Whether it is worth trying again: not where it has waited long enough, unless the store is being closed.
  bool wait_for_room(std::chrono::steady_clock::time_point since, MutexLock& guard) VECSTORE_REQUIRES(lock_);
  // Of a write that tries until there is room.
  struct Waiting {
    std::chrono::steady_clock::time_point since = std::chrono::steady_clock::now();
    bool was_last_try = false;
  };
  // `written`: an error, or nullopt where the delta is full. ok: after some waiting it is worth trying again.
  Status wait_or_refuse(const Result<std::optional<Lsn>>& written, Waiting& waiting, MutexLock& guard)
      VECSTORE_REQUIRES(lock_);
  // It is replaced with the lock alone, so that who holds that needs no copy.
  const Epoch& epoch() const VECSTORE_REQUIRES(lock_) { return *epoch_; }
  LiveState& live() const VECSTORE_REQUIRES(lock_) { return *epoch_->live; }
  View newest() const VECSTORE_REQUIRES(lock_) { return {epoch_->content, epoch_->live, live().pin_newest()}; }

  // What put() is given, in the element type of the store.
  struct Batch {
    std::span<const Key> keys;
    VectorView vectors;
    std::span<const std::string_view> documents;
    IfThere if_there;
  };
  // nullopt: the delta is full. receipt: its numbers of rows.
  Result<std::optional<Lsn>> put_now(const Batch& batch, WriteReceipt& receipt) VECSTORE_REQUIRES(lock_);
  // As put_now(); `erased`: the rows that it ended.
  Result<std::optional<Lsn>> erase_now(std::span<const Key> keys, std::uint64_t& erased) VECSTORE_REQUIRES(lock_);
  Status with_merge_failure(const Status& status) const;
  // Appends to `puts` the rows that are not skipped, and says what they need but for documents. Returns the bytes that
  // their records take at most. Errors: kExists, those of View::row_of().
  Result<std::size_t> number_rows(const Batch& batch, std::vector<PutRecord>& puts, LiveState::Needs& needs) const
      VECSTORE_REQUIRES(lock_);
  // Packs the documents and writes the records into encoded_; completes `needs`.
  std::vector<LogRecord> encode_rows(std::span<PutRecord> puts, LiveState::Needs& needs) VECSTORE_REQUIRES(lock_);
  Status log_dictionary(std::span<const std::byte> dictionary) VECSTORE_REQUIRES(lock_);
  // The one that documents are packed with now, or nullptr.
  const FrameDictionary* dictionary_to_pack_with() VECSTORE_REQUIRES(lock_);
  // What they need must have been reserved.
  Result<Lsn> log_and_apply(std::span<const LogRecord> records, Urgency urgency) VECSTORE_REQUIRES(lock_);
  // Others may write while it waits for the log.
  Result<WriteReceipt> acknowledge(Lsn lsn, const WriteReceipt& receipt) VECSTORE_EXCLUDES(lock_);

  const Parts parts_;
  std::unique_ptr<Log> log_;

  Mutex lock_;         // held over writing to the live state too; the log takes its own within
  CondVar room_came_;  // for what is put, or the store is being closed
  bool closing_ VECSTORE_GUARDED_BY(lock_) = false;
  bool is_log_full_ VECSTORE_GUARDED_BY(lock_) = false;  // for the last write that came as far as the log
  std::shared_ptr<const Epoch> epoch_ VECSTORE_GUARDED_BY(lock_);
  std::atomic<std::uint64_t> delta_bytes_asked_;
  DocumentPacker packer_ VECSTORE_GUARDED_BY(lock_);
  // What came before may leave the log: nothing is packed with the dictionary until it is logged again.
  bool must_log_dictionary_ VECSTORE_GUARDED_BY(lock_) = false;
  Buffer<std::byte> encoded_ VECSTORE_GUARDED_BY(lock_);  // payloads of the batch at hand
  // Logged since the room on the disk was looked at.
  std::uint64_t bytes_since_check_ VECSTORE_GUARDED_BY(lock_) = ~std::uint64_t{0};
};

}  // namespace vecstore
