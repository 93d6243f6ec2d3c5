// SPDX-License-Identifier: Apache-2.0
//
// What an open store consists of. Members are declared so that whatever is charged to a budget goes before it.
#pragma once

#include <unistd.h>

#include <atomic>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/fork.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "engine/store/counters.h"
#include "engine/store/environment.h"
#include "engine/store/epoch.h"
#include "engine/store/follower.h"
#include "engine/store/merge_tally.h"
#include "engine/store/merger.h"
#include "engine/store/writer.h"
#include "engine/store/writer_memory.h"
#include "engine/vecstore.hpp"
#include "graph/search_types.h"
#include "pagestore/publish.h"

namespace vecstore {

// Where the memory of a writer has no room for a merge of so many rows, none is set aside.
inline constexpr std::uint64_t kMergedRowsLeast = 1000;
inline constexpr std::uint32_t kLanesBesideMerges = 4;  // of each searcher, as far as what is set aside goes

struct Store::Impl {
  Impl(const OpenOptions& options, const StoreEnvironment& with)
      : opened(options),
        environment(with),
        budget(options.ram_bytes != 0 ? options.ram_bytes : MemoryBudget::kUnlimited, Inheritance::kNone),
        delta_budget(std::in_place, budget, Inheritance::kNone) {}

  // kUnsupported in a child of fork(). Comes first in every call, before anything else of the store is looked at: other
  // threads may have been changing it when the child was made.
  Status check_process() const { return mark == process_mark() ? Status::ok() : of_another_process(); }
  Status of_another_process() const;
  // As check_process(), and kPermission where the store was opened for reading.
  Status check_writable() const;

  Status open(const std::string& path, Watch& watch);
  Status check_made_as(const CreateOptions& asked) const;
  // Another process has published something behind what was read.
  bool was_published_since(std::uint64_t sequence) const;
  void drop_content() VECSTORE_REQUIRES(refreshing);
  Status open_content(Watch& watch) VECSTORE_REQUIRES(refreshing);
  Status open_writer(const LogTail& tail);
  // A generation of the directory, with what the log holds beyond it.
  Status open_generation(const StoreDirectory& of, Epoch& epoch, std::unique_ptr<Follower>& its, LogTail& tail,
                         Watch* watch);
  // Fills the cache of the epoch's content, and makes its searchers. dim = 0: it is not known yet.
  // others: bytes of the budget that are neither the delta's nor the searchers'.
  std::uint64_t choose_delta_bytes(const Content& content, std::uint32_t dim, std::uint64_t others);
  std::uint64_t merge_bytes(const Content& content, std::uint32_t dim, std::uint64_t rows) const;
  // freed: bytes that will be, once nobody reads what it takes the place of.
  Status make_searchers(Epoch& epoch, std::uint32_t dim, std::uint64_t freed, const CancelToken* cancel);
  // Of a store that did not open: the error with the least that would do.
  Status name_least(const Status& refused, Watch& watch) VECSTORE_REQUIRES(refreshing);
  std::uint64_t least_of_writer(LeastFacts facts, const StoreProperties& properties, std::uint32_t dim,
                                const Status& refused) const;
  Status refresh();

  Status follow(const StoreDirectory& now) VECSTORE_REQUIRES(refreshing);
  // A reader's: another generation was published.
  Status follow_generation(const StoreDirectory& now) VECSTORE_REQUIRES(refreshing);
  enum class MergeManner : std::uint8_t { kAtOnce, kInBackground };
  Result<MergeReport> compact(const CompactOptions& options, MergeManner manner);
  Result<MergeReport> merge(const Writer::MergeStart& start, const CompactOptions& options, MergeManner manner)
      VECSTORE_REQUIRES(merging);
  Status remove_unfinished_snapshots() const;
  Result<SnapshotInfo> snapshot(const std::string& name, const SnapshotOptions& options);
  Status check_old_readers() const;  // kBusy: they keep as much as is allowed
  void begin_merging();              // in the background, where the options ask for it
  MergeLoad merge_load() const;

  Status search(const VectorView& queries, const SearchOptions& options, std::uint32_t threads, SearchResults& results);
  Status search_by_key(std::span<const Key> keys, const SearchOptions& options, std::uint32_t threads,
                       SearchResults& results);
  Status search(const Epoch& epoch, const View& now, const VectorView& queries, std::span<const RowId> own,
                const SearchOptions& options, std::uint32_t threads, SearchResults& results);
  // Does the search, and counts it as it ends.
  template <typename Search>
  Result<SearchResults> counted_search(const Search& search);
  // Does the write, and counts it as it ends.
  template <typename Write>
  Result<WriteReceipt> counted(WriteCounters& kind, const Write& write);

  std::shared_ptr<const Epoch> epoch() const { return current.get(); }
  View view() const { return current.pin().second; }
  std::uint64_t delta_bytes() const {
    return writer_memory ? writer_memory->delta_bytes() : delta_budget->used_bytes();
  }

  std::uint64_t limit_bytes() const {  // of the memory; 0: none
    return budget.limit_bytes() == MemoryBudget::kUnlimited ? 0 : budget.limit_bytes();
  }
  std::uint64_t log_bytes() const { return writer ? writer->log().bytes() : read_log_bytes.load(); }
  Lsn durable_lsn() const { return writer ? writer->log().synced_lsn() : epoch()->live->newest(); }

  const OpenOptions opened;
  const StoreEnvironment environment;
  mutable MemoryBudget budget;
  std::optional<MemoryBudget> delta_budget;     // of what is replayed or put
  std::unique_ptr<WriterMemory> writer_memory;  // of a writer
  // Of a writer whose memory is bounded: that its delta holds; 0: unknown.
  std::atomic<std::uint64_t> rows_merged_most{0};
  std::optional<StoreDirectory> directory;
  std::uint16_t format_minor = 0;  // of the directory when it was opened
  CurrentEpoch current;
  std::unique_ptr<Follower> follower VECSTORE_GUARDED_BY(refreshing);  // a reader's
  std::unique_ptr<Writer> writer;                                      // nullptr: the store was opened for reading

  Mutex refreshing;                              // held over follower->replay() too
  std::atomic<bool> has_log{false};              // of a reader: there is something to follow
  std::atomic<std::uint64_t> read_log_bytes{0};  // of a reader: what it last found of the log

  Mutex merging;  // held over a merge, and by whoever looks at the directory, which a merge publishes in
  MergeTally merges;
  CancelToken closing;  // merges end

  // Of the process that opened the store, and how it is named; never changed.
  const std::uint64_t mark = process_mark();
  const std::string opener = " (opened by process " + std::to_string(::getpid()) + ")";
  std::string opened_path;
  Impl* next_disowned = nullptr;  // in a child

  StoreCounters counters;  // what every call reads lies on other cache lines than what many threads change

  std::unique_ptr<Merger> merger;  // nullptr: nobody merges in the background; goes before all that it merges
};

// In a child nothing is destroyed: there are no threads to join. What the parent's were at work on, a table that grew
// or a lock that was held, is neither one thing nor the other. The large buffers did not come with the fork(). The rest
// is kept within reach, so that whoever looks for leaks finds none.
template <typename Impl>
void dispose_of(Impl* impl) {
  if (impl->mark == process_mark()) {
    delete impl;
    return;
  }
  static constinit std::atomic<Impl*> disowned = nullptr;
  impl->next_disowned = disowned.load(std::memory_order_relaxed);
  while (!disowned.compare_exchange_weak(impl->next_disowned, impl)) {
  }
}

}  // namespace vecstore
