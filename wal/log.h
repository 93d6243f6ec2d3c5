// SPDX-License-Identifier: Apache-2.0
//
// The write-ahead log of one writer: batches of records go in, and are on the disk in the order of their numbers.
//
// Callers that commit at the same time share a group, one write and one sync: the first to come leads, the others wait
// for it. Segments are filled with zeros and made durable before the first record goes into them, because writing into
// blocks that a file system has yet to allocate makes a sync some thirty times as slow.
//
// After a write or a sync that failed nothing is accepted any more, and nothing is tried again: what the disk holds is
// known only to the next open. Thread safety: all from any thread.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/io.h"
#include "base/latency_recorder.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "base/random.h"
#include "base/status.h"
#include "base/sync_mode.h"
#include "wal/end_file.h"
#include "wal/format.h"
#include "wal/log_reader.h"

namespace vecstore {

struct LogOptions {
  Uuid store{};
  SyncMode sync = SyncMode::kAlways;
  std::uint32_t interval_ms = 100;
  std::uint64_t bytes_max = 256ull << 20;                // of all segment files
  std::uint64_t segment_bytes_first = kSegmentBytesMin;  // each is twice the one before, up to …
  std::uint64_t segment_bytes_max = kSegmentBytesMax;
  std::uint64_t spare_bytes = 0;                            // left free for batches that are kUrgent
  std::uint64_t group_body_bytes_max = kGroupBodyBytesMax;  // the log takes three times as much memory, and 1 MiB
  std::uint64_t salt_seed = 0;                              // 0: drawn from the operating system
  bool background = true;  // a thread prepares segments and syncs by the interval; without, the callers do
};

enum class Urgency : std::uint8_t {
  kNormal,
  kUrgent,  // may have the space that is kept free
};

class Log {
 public:
  // Called by the thread that led a group, in the order of the groups, before any commit() of its records returns.
  using Committed = std::function<void(Lsn through)>;

  // Begins a new segment behind `tail`, as replay_log() returned it; a torn tail is copied aside first, as
  // "torn-<segment>" in the place of such a copy before it, and segments without records are removed. Where disk
  // or log are full it goes on in the newest segment. directory: exists. Errors: kIo, kPermission, kMemoryBudget,
  // kNoSpace (there is no log yet, and no room for the least segment).
  static Result<std::unique_ptr<Log>> open(FileSystem& file_system, const std::string& directory, const LogTail& tail,
                                           const LogOptions& options, MemoryBudget& budget, Committed committed = {});
  ~Log();  // as close(), but nobody learns of an error
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;

  // Numbers the records and queues them, all of them into the same group. Returns the number of the last. Errors:
  // kNoSpace (the disk or bytes_max is full, but for spare_bytes; nothing was queued, the log goes on),
  // kInvalidArgument (a record or the batch is too large, or empty), kMemoryBudget, and the failure that ended the log.
  Result<Lsn> enqueue(std::span<const LogRecord> batch, Urgency urgency = Urgency::kNormal);
  // Waits until the records up to `through` are as safe as the sync mode says. Errors: the failure that ended the log.
  Status commit(Lsn through);
  // Everything that was enqueued before is on the disk afterwards.
  Status sync();
  // Takes no more, syncs what was enqueued, and says so in the log. Errors: the failure that ended the log.
  Status close();

  // Goes on in a segment of the least size, so that release() can remove all that are there: large ones grow out of a
  // long log, and a short one does without. Where room is scarce, or the one in use is no larger, nothing changes: on a
  // disk that gets full a large segment keeps more for what is urgent. Errors: the failure that ended the log.
  Status begin_small_segment();
  // Removes the segments that hold no record after `through`; never the one in use. Errors: kIo.
  Status release(Lsn through);

  Lsn last_lsn() const;    // enqueued
  Status failure() const;  // that ended the log; ok while it goes on
  // These wait for nobody.
  Lsn synced_lsn() const { return synced_.load(std::memory_order_relaxed); }      // on the disk
  std::uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }  // of all segment files
  std::uint64_t syncs() const { return sync_latencies_.count(); }                 // of groups, so far
  LatencyHistogram sync_latencies() const { return sync_latencies_.snapshot(); }  // of these

 private:
  struct Segment {
    std::uint64_t number = 0;
    std::uint64_t bytes = 0;
    Lsn first_lsn;
    std::unique_ptr<File> file;  // of the current and the prepared one
    Buffer<std::byte> header;    // of the prepared one: a block for it
  };
  // A group being filled.
  struct Batch {
    Buffer<std::byte> bytes;  // header, body, padding
    std::uint64_t body_bytes = 0;
    std::uint32_t records = 0;
    Lsn first_lsn;
  };
  // Where the next group goes, and what it carries.
  struct Place {
    File* file = nullptr;
    std::uint64_t offset = 0;
    std::uint64_t salt = 0;
    std::uint64_t chain = 0;
  };

  Log(FileSystem& file_system, std::string directory, const LogOptions& options, MemoryBudget& budget,
      Committed committed);
  Status begin(const LogTail& tail);
  Result<Segment> make_first_segment(const LogTail& tail) VECSTORE_REQUIRES(mutex_);
  Status begin_segment(Segment segment, const LogTail& tail) VECSTORE_REQUIRES(mutex_);
  Status go_on_in_newest(const LogTail& tail) VECSTORE_REQUIRES(mutex_);
  Status keep_torn_tail(const LogTail& tail);
  Status copy_torn_tail(const LogTail& tail, const std::string& copy_path);
  Status remove_leftovers(const LogTail& tail);
  Result<Segment> make_segment(const std::string& path, std::uint64_t number, std::uint64_t bytes);
  Result<Segment> make_segment_unlocked(std::uint64_t number, std::uint64_t bytes) VECSTORE_REQUIRES(mutex_);
  Status drop_next() VECSTORE_REQUIRES(mutex_);
  // These and make_segment_unlocked() give up the mutex for a time.
  Status prepare_next(std::uint64_t bytes_least) VECSTORE_REQUIRES(mutex_);
  Status replace_next(std::uint64_t bytes) VECSTORE_REQUIRES(mutex_);
  void lead(bool must_sync) VECSTORE_REQUIRES(mutex_);
  Status make_room(std::uint64_t body_bytes, Urgency urgency, MutexLock& lock) VECSTORE_REQUIRES(mutex_);

  Status reserve(Batch& batch, std::uint64_t body_bytes);
  bool fits(std::uint64_t body_bytes) const VECSTORE_REQUIRES(mutex_);
  std::uint64_t room_behind(std::uint64_t group, std::uint64_t ahead) const VECSTORE_REQUIRES(mutex_);
  std::uint64_t room_ahead() const VECSTORE_REQUIRES(mutex_);
  std::uint64_t kept_for_urgent() const VECSTORE_REQUIRES(mutex_);
  std::uint64_t next_bytes(std::uint64_t others) const VECSTORE_REQUIRES(mutex_);
  Place place() const VECSTORE_REQUIRES(mutex_);
  static Result<std::uint64_t> write_group(Batch& batch, GroupType type, Lsn synced, const Place& place);
  Status switch_segment() VECSTORE_REQUIRES(mutex_);
  EndRecord end_of_current(Lsn durable, bool closed) const VECSTORE_REQUIRES(mutex_);
  Status record_end(const EndRecord& record);
  std::string path_of(std::uint64_t number) const { return directory_ + "/" + segment_name(number); }
  void run_background(const std::stop_token& stop);
  void fail(const Status& status) VECSTORE_REQUIRES(mutex_);
  Status sync_group(File& file);

  FileSystem& file_system_;
  const std::string directory_;
  const LogOptions options_;
  MemoryBudget& budget_;
  const Committed committed_;

  mutable Mutex mutex_;
  CondVar changed_;
  Status failure_ VECSTORE_GUARDED_BY(mutex_);
  bool closed_ VECSTORE_GUARDED_BY(mutex_) = false;
  bool leading_ VECSTORE_GUARDED_BY(mutex_) = false;               // somebody writes a group
  std::uint64_t in_flight_bytes_ VECSTORE_GUARDED_BY(mutex_) = 0;  // of that group; 0: nobody leads
  std::uint64_t preparing_bytes_ VECSTORE_GUARDED_BY(mutex_) = 0;  // of the next segment, while somebody makes it
  // The last attempt at it found no room; only a batch that needs it tries again.
  bool prepared_in_vain_ VECSTORE_GUARDED_BY(mutex_) = false;
  Batch pending_ VECSTORE_GUARDED_BY(mutex_);
  Batch spare_ VECSTORE_GUARDED_BY(mutex_);  // without records; the leader has it while it writes
  Lsn last_ VECSTORE_GUARDED_BY(mutex_);
  Lsn written_ VECSTORE_GUARDED_BY(mutex_);
  std::vector<SegmentInfo> old_ VECSTORE_GUARDED_BY(mutex_);  // oldest first
  Segment next_ VECSTORE_GUARDED_BY(mutex_);                  // prepared; without a file: none
  std::uint64_t numbers_ VECSTORE_GUARDED_BY(mutex_) = 0;     // given out
  Random salts_ VECSTORE_GUARDED_BY(mutex_);

  // Changed with the mutex, and read without.
  std::atomic<Lsn> synced_;
  std::atomic<std::uint64_t> bytes_{0};  // of all segment files
  LatencyRecorder sync_latencies_;

  // Only a leader changes these, or close() when nobody leads; others look at them even while somebody leads.
  Segment current_ VECSTORE_GUARDED_BY(mutex_);
  std::uint64_t offset_ VECSTORE_GUARDED_BY(mutex_) = 0;  // behind the last group
  std::uint64_t salt_ VECSTORE_GUARDED_BY(mutex_) = 0;
  std::uint64_t chain_ VECSTORE_GUARDED_BY(mutex_) = 0;
  std::uint64_t header_hash_ VECSTORE_GUARDED_BY(mutex_) = 0;  // of the current segment
  // Behind a clean close nothing was written: another one needs no mark, which on a full disk would use up what is
  // kept.
  bool ends_in_mark_ VECSTORE_GUARDED_BY(mutex_) = false;

  EndFile end_;              // the leader's; or, with the mutex, anybody's while nobody leads
  std::jthread background_;  // started by open(), joined by the first close()
};

}  // namespace vecstore
