// SPDX-License-Identifier: Apache-2.0
//
// Searches one generation: several queries in progress (graph/query_run.h) share one reader. So the device has reads to
// do while a thread computes. The thread has queries to go on with while the device reads. Where every page is cached
// when the searcher is made, there is nothing to read and one query follows the other (graph/memory_search.h).
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/cancel_token.h"
#include "base/memory.h"
#include "base/status.h"
#include "graph/in_flight_target.h"
#include "graph/memory_search.h"
#include "graph/query_run.h"
#include "graph/search_types.h"
#include "pagestore/page_reader.h"

namespace vecstore {

// Hands out the numbers below `count`, each once, to any number of threads.
class QueryQueue {
 public:
  // cancel: names no more queries once it was cancelled; nullptr: nobody does.
  explicit QueryQueue(std::uint64_t count, const CancelToken* cancel = nullptr) : count_(count), cancel_(cancel) {}
  std::optional<std::uint64_t> take() {
    if (cancel_ != nullptr && cancel_->is_cancelled()) stop();
    if (is_stopped()) return std::nullopt;
    const std::uint64_t query = next_.fetch_add(1, std::memory_order_relaxed);
    return query < count_ ? std::optional(query) : std::nullopt;
  }
  // Names no more.
  void stop() { stopped_.store(true, std::memory_order_relaxed); }
  bool is_stopped() const { return stopped_.load(std::memory_order_relaxed); }

 private:
  std::uint64_t count_;
  const CancelToken* cancel_;
  std::atomic<std::uint64_t> next_{0};
  std::atomic<bool> stopped_{false};
};

// For one thread at a time; make one per thread.
class GraphSearcher {
 public:
  // `lanes`: queries in progress at once, 1 … kLanesMax; of no use when every page is cached. Allocates everything that
  // searches need. Errors: kMemoryBudget, kUnsupported (backend).
  static Result<std::unique_ptr<GraphSearcher>> create(const SearchIndex& index, Backend backend, std::uint32_t lanes,
                                                       MemoryBudget& budget);
  // Bytes that create() will charge, or a little more; lanes = 0: when every page is cached.
  static std::uint64_t predict_bytes(const GraphLayout& layout, const CodeForm& form, std::uint32_t lanes);

  // query: one row of the input's dtype (f16 and f32 are interchangeable), finite, under cosine not zero. The answer is
  // sorted and valid until the next search; fewer than k when there are fewer rows. Errors: kIo, kCorrupt naming the
  // page.
  Result<std::span<const FoundRow>> search(const VectorView& queries, std::uint64_t query, const SearchParams& params,
                                           QueryStats& stats);

  struct Answer {
    std::uint64_t query = 0;
    std::span<const FoundRow> found;        // sorted, valid during the call
    std::span<const Contender> contenders;  // likewise, where they are asked for
    double constant = 0;                    // that the distances lack (graph/prepared_query.h)
    QueryStats stats;
    std::chrono::nanoseconds latency{};  // from the start of this query
  };
  using NextQuery = std::function<std::optional<std::uint64_t>()>;
  using TakeAnswer = std::function<Status(const Answer&)>;

  // Searches for every row of `queries` that `next` names, until it names none. Answers come in the order they get
  // ready, and are the same as search() gives. Ends at the first error, of a search or of `take`.
  Status search_all(const VectorView& queries, const SearchParams& params, const NextQuery& next,
                    const TakeAnswer& take);

  // From the next search on this searcher has its share, as one of `at_work`, of the queries that `target` wants under
  // way. The share is rounded up, and no more than its lanes. It tells `target` how its rounds go. Where it follows
  // none every lane has a query. Of no meaning when every page is cached.
  void follow(InFlightTarget& target, std::size_t at_work) {
    target_ = &target;
    at_work_ = at_work;
  }

  const PageReader& reader() const { return *reader_; }

 private:
  struct Lane {
    explicit Lane(QueryRun with) : run(std::move(with)) {}
    QueryRun run;
    bool busy = false;
    std::uint64_t query = 0;
    std::size_t asked = 0;    // pages of the round that were asked for
    std::size_t missing = 0;  // requests for them that are still to come
    std::chrono::steady_clock::time_point started;
    std::chrono::steady_clock::time_point asked_at;  // the last of these requests
    std::vector<ArrivedPage> arrived;
  };

  GraphSearcher() = default;
  Status make_lanes(const SearchIndex& index, std::uint32_t lanes, MemoryBudget& budget);
  Status search_in_memory(const VectorView& queries, const SearchParams& params, const NextQuery& next,
                          const TakeAnswer& take);
  Status fill_lanes(const VectorView& queries, const SearchParams& params, const NextQuery& next,
                    const TakeAnswer& take);
  Status submit(Lane& lane);
  Status submit_or_finish(Lane& lane, const TakeAnswer& take);
  std::size_t lanes_wanted() const;
  Status collect();
  void count_round(std::chrono::nanoseconds took);
  Status take_round(Lane& lane);
  void abandon();

  std::unique_ptr<PageReader> reader_;
  std::optional<MemorySearch> memory_;   // where every page is in memory
  std::optional<QueryScratch> scratch_;  // elsewhere, beside the lanes
  std::vector<Lane> lanes_;
  InFlightTarget* target_ = nullptr;
  std::size_t at_work_ = 1;
  std::size_t rounds_ = 0;                  // not told to the target yet
  std::chrono::nanoseconds rounds_time_{};  // time of these
  std::vector<PresentPage> round_;          // the pages of a round in the order they were wanted
  bool more_ = false;                       // `next` may name another query
};

}  // namespace vecstore
