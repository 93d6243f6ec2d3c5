// SPDX-License-Identifier: Apache-2.0
//
// What an open store consists of. Members are declared so that whatever is charged to a budget goes before it.
#pragma once

#include <unistd.h>

#include <memory>
#include <optional>
#include <string>

#include "base/fork.h"
#include "base/memory.h"
#include "base/mutex.h"
#include "engine/live/live_state.h"
#include "engine/store/content.h"
#include "engine/store/counters.h"
#include "engine/store/environment.h"
#include "engine/store/follower.h"
#include "engine/store/searchers.h"
#include "engine/store/view.h"
#include "engine/store/writer.h"
#include "engine/store/writer_memory.h"
#include "engine/vecstore.hpp"
#include "graph/search_types.h"
#include "pagestore/publish.h"

namespace vecstore {

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
  void drop_content();
  Status open_content(Watch& watch) VECSTORE_REQUIRES(refreshing);
  Status open_log(Watch& watch) VECSTORE_REQUIRES(refreshing);
  Status make_searchers(const CancelToken* cancel) VECSTORE_REQUIRES(refreshing);
  // Of a store that did not open: the error with the least that would do.
  Status name_least(const Status& refused, Watch& watch) VECSTORE_REQUIRES(refreshing);
  Status refresh();

  SearchOptions resolved(const SearchOptions& options) const {
    return resolve_options(content->properties(), options, content->in_memory());
  }
  Status search(const VectorView& queries, const SearchOptions& options, std::uint32_t threads, SearchResults& results);
  // Does the write, and counts it as it ends.
  template <typename Write>
  Result<WriteReceipt> counted(WriteCounters& kind, const Write& write);

  View view() const { return {content, live, live->pin()}; }
  std::uint64_t delta_bytes() const {
    return writer_memory ? writer_memory->delta_bytes() : delta_budget->used_bytes();
  }

  std::uint64_t limit_bytes() const {  // of the memory; 0: none
    return budget.limit_bytes() == MemoryBudget::kUnlimited ? 0 : budget.limit_bytes();
  }
  std::uint64_t log_bytes() const { return writer ? writer->log().bytes() : follower->log_bytes(); }
  Lsn durable_lsn() const { return writer ? writer->log().synced_lsn() : live->newest(); }

  const OpenOptions opened;
  const StoreEnvironment environment;
  mutable MemoryBudget budget;
  std::optional<MemoryBudget> delta_budget;     // of what is replayed or put
  std::unique_ptr<WriterMemory> writer_memory;  // of a writer
  std::optional<StoreDirectory> directory;
  std::shared_ptr<Content> content;
  std::shared_ptr<LiveState> live;
  std::unique_ptr<Searchers> searchers;
  std::unique_ptr<Follower> follower;
  std::unique_ptr<Writer> writer;  // nullptr: the store was opened for reading

  Mutex refreshing;                                      // held over follower->replay() too
  bool has_log VECSTORE_GUARDED_BY(refreshing) = false;  // of a reader: there is something to follow

  // Of the process that opened the store, and how it is named; never changed.
  const std::uint64_t mark = process_mark();
  const std::string opener = " (opened by process " + std::to_string(::getpid()) + ")";
  std::string opened_path;
  Impl* next_disowned = nullptr;  // in a child

  StoreCounters counters;  // last: what every call reads lies on other cache lines than what many threads change
};

}  // namespace vecstore
