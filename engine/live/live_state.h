// SPDX-License-Identifier: Apache-2.0
//
// What was written since the graph on disk: the rows of the delta, and which rows of the graph are gone. apply() is how
// a record of the log takes effect, when it is written and when it is replayed.
//
// What a record does can be seen once it is applied and safe as the sync mode says: publish() moves the moment that
// readers see, and both sides call it. Writers take turns (the caller's lock). A reader pins a moment, which takes a
// lock for as long as that takes, and reads without one; what it may look at stays.
#pragma once

#include <atomic>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/memory.h"
#include "base/mutex.h"
#include "base/status.h"
#include "compress/frames.h"
#include "engine/live/delta.h"
#include "engine/live/log_records.h"
#include "engine/live/tombstones.h"
#include "wal/format.h"

namespace vecstore {

class LiveState;

// How far writes have come, of all that goes on one behind the other on the same log. Any thread.
class LiveMoments {
 public:
  explicit LiveMoments(Lsn applied) : applied_(applied.value), safe_(applied.value), published_(applied.value) {}
  void applied(Lsn through) {
    applied_.store(through.value);
    publish();
  }
  // The records up to this one are as safe as they have to be.
  void safe(Lsn through) {
    safe_.store(through.value);
    publish();
  }
  Lsn newest() const { return {applied_.load(std::memory_order_relaxed)}; }
  Lsn snapshot() const { return {published_.load(std::memory_order_acquire)}; }

 private:
  void publish();

  std::atomic<std::uint64_t> applied_;
  std::atomic<std::uint64_t> safe_;
  std::atomic<std::uint64_t> published_;
};

// A moment that somebody looks at, with the rows of the delta as they were then. Given up when it goes; must not
// outlive its LiveState. Any thread.
class LivePin {
 public:
  LivePin(const LivePin&) = delete;
  LivePin& operator=(const LivePin&) = delete;
  ~LivePin();

  Lsn moment() const { return moment_; }
  const DeltaRows* delta() const { return delta_.get(); }  // nullptr: no row was put yet

 private:
  friend class LiveState;
  LivePin(std::shared_ptr<const DeltaRows> delta, Lsn moment) : delta_(std::move(delta)), moment_(moment) {}

  const LiveState* pinned_ = nullptr;  // nullptr: the writer's own, which nothing can change meanwhile
  std::shared_ptr<const DeltaRows> delta_;
  Lsn moment_;
};

class LiveState {
 public:
  // What the log is applied to.
  struct Base {
    DeltaShape shape;           // dim may be 0: then the first row tells
    std::uint64_t row_end = 0;  // RowIds below it are the graph's
    std::uint64_t rows = 0;     // of the graph
    Lsn applied;                // what the graph holds of the log
  };
  // `budget`: of what is replayed.
  LiveState(const Base& base, MemoryBudget& budget)
      : LiveState(base, std::make_shared<LiveMoments>(base.applied), budget) {}

  // What is put from now on is charged to `budget`; to `for_erasing`, what erasing takes beyond it; to
  // `for_succeeding`, what a successor takes beyond both, while what it takes the place of is there too.
  void charge_to(MemoryBudget& budget, MemoryBudget& for_erasing, MemoryBudget& for_succeeding);

  // Room for what a batch brings, so that applying it cannot fail; rows that nobody needs any more give theirs back.
  // Errors: kMemoryBudget.
  struct Needs {
    std::uint32_t dim = 0;
    std::uint64_t rows = 0;
    std::uint64_t text_bytes = 0;  // bytes of keys and documents
    std::uint64_t graph_rows_ended = 0;
    std::span<const std::byte> dictionary{};  // none: empty
  };
  Status reserve(const Needs& needs);
  // What that takes at the most beside what is there; and the least that its rows take where they are the only ones.
  std::uint64_t bytes_for(const Needs& needs) const;
  std::uint64_t bytes_alone(const Needs& needs) const;
  // Rows that ended before every moment that is looked at give their memory back, where that is worth the copying.
  void forget();

  // Records come in the order of their numbers. Errors: kCorrupt (it contradicts what was applied before),
  // kMemoryBudget.
  Status apply(Lsn lsn, const LogRecord& record);
  // After the last record of a batch.
  void applied(Lsn through) { moments_->applied(through); }
  // Any thread: the records up to this one are as safe as they have to be.
  void safe(Lsn through) { moments_->safe(through); }
  const std::shared_ptr<LiveMoments>& moments() const { return moments_; }  // shared with who goes on behind this

  Lsn snapshot() const { return moments_->snapshot(); }
  Lsn newest() const { return moments_->newest(); }  // for writers

  // For a merge of what is here into the graph. Rows that are put from now on lie apart, so that the others can go.
  // What ended before the moment that is pinned meanwhile is all that is forgotten.
  void cut();
  void mend();  // it came to nothing
  // What goes on behind a merge into `base`, whose graph holds the rows that were here at the cut, as of base.applied.
  struct Successor {
    std::shared_ptr<LiveState> live;
    Delta::Rest rest;
  };
  // All that may fail. Errors: kMemoryBudget.
  Result<Successor> prepare_successor(const Base& base) const;
  // Nothing was written in between. Rows put since the cut move there, with what ended since. Views of this find what
  // they found before. No writer may call this again.
  std::shared_ptr<LiveState> succeed(Successor successor);

  // The moment that readers see now, and the writer's own. Errors: kMemoryBudget.
  std::shared_ptr<const LivePin> pin() const;
  std::shared_ptr<const LivePin> pin_newest() const;
  // The newest rows of the delta; nullptr: no row was put yet.
  std::shared_ptr<const DeltaRows> delta() const;
  // The row of the delta that had the key at a moment that is pinned, or the writer's own; nullopt: none.
  std::optional<RowId> find(const Key& key, Lsn moment) const;
  const FrameDictionary* dictionary() const { return dictionary_.load(std::memory_order_acquire); }  // or nullptr
  // Of records that were applied since one brought the dictionary, in bytes; for writers.
  std::uint64_t bytes_since_dictionary() const { return bytes_since_dictionary_; }
  // Of a row that `delta` has. Errors: kCorrupt, kMemoryBudget.
  Result<std::string> document(const DeltaRows& delta, RowId row) const;
  const Tombstones& tombstones() const { return tombstones_; }
  std::uint64_t row_end() const { return row_end_; }  // RowIds below it are the graph's
  // For writers: the next row that is put, and the bytes of all documents that were.
  RowId next_row() const { return owned_delta_ == nullptr ? RowId{row_end_} : owned_delta_->next(); }
  std::uint64_t document_bytes_put() const { return owned_delta_ == nullptr ? 0 : owned_delta_->document_bytes_put(); }
  std::uint64_t live_rows() const { return rows_.load(std::memory_order_relaxed); }
  std::uint64_t live_delta_rows() const { return delta_rows_.load(std::memory_order_relaxed); }

  // Of one that another took the place of: memory of rows that it alone has, and how many look at it, now and later.
  std::uint64_t bytes_left() const;
  std::shared_ptr<const std::atomic<std::uint64_t>> pins() const { return pins_; }

 private:
  friend class LivePin;
  bool has_rows_from(std::uint64_t row) const { return has_delta_ && next_row().value > row; }
  // A moment that is looked at, and by how many.
  struct Watched {
    Lsn moment;
    std::uint64_t pins = 0;
  };

  LiveState(const Base& base, std::shared_ptr<LiveMoments> moments, MemoryBudget& budget)
      : shape_(base.shape),
        row_end_(base.row_end),
        budget_(&budget),
        erasing_budget_(&budget),
        succeeding_budget_(&budget),
        moments_(std::move(moments)),
        rows_(base.rows) {}
  void unpin(Lsn moment) const;
  Lsn floor() const;  // nobody looks at a moment before it, nor will
  void show_delta();  // its newest rows, to readers
  Status inherit_tombstones(const LiveState& before, Lsn since);
  Status make_delta(std::uint32_t dim);
  Status prepare_dictionary(std::span<const std::byte> bytes);
  Status take_dictionary(Lsn lsn, std::span<const std::byte> bytes);
  Status end_row(RowId row, Lsn lsn);  // counts nothing
  Status erase_row(RowId row, Lsn lsn);

  DeltaShape shape_;
  const std::uint64_t row_end_;
  MemoryBudget* budget_;
  MemoryBudget* erasing_budget_;
  MemoryBudget* succeeding_budget_;
  Tombstones tombstones_;
  std::unique_ptr<Delta> owned_delta_;
  bool has_delta_ = false;  // rows were put
  mutable Mutex pinning_;
  mutable std::deque<Watched> watched_ VECSTORE_GUARDED_BY(pinning_);  // by moment
  std::shared_ptr<const DeltaRows> shown_ VECSTORE_GUARDED_BY(pinning_);
  const std::shared_ptr<std::atomic<std::uint64_t>> pins_ = std::make_shared<std::atomic<std::uint64_t>>(0);
  std::optional<std::uint64_t> bytes_left_;  // once another goes on with the rows behind the cut
  std::shared_ptr<FrameDictionary> owned_dictionary_;
  std::atomic<const FrameDictionary*> dictionary_{nullptr};
  std::uint64_t bytes_since_dictionary_ = 0;
  std::shared_ptr<LiveMoments> moments_;
  std::atomic<std::uint64_t> rows_;  // live, of graph and delta, as of the last applied record
  std::atomic<std::uint64_t> delta_rows_{0};
};

}  // namespace vecstore
