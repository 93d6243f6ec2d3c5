// SPDX-License-Identifier: Apache-2.0
//
// One batch of queries over a view of a store: the delta is scanned for several at a time, the graph is searched for
// each, and the live rows of both are put in order.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "base/ids.h"
#include "base/limits.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "engine/content/view.h"
#include "engine/options.h"
#include "engine/reports.h"
#include "engine/store/counters.h"
#include "engine/store/searchers.h"

namespace vecstore {

// Where the answers of a batch go.
struct Answers {
  std::span<Hit> hits;               // [queries × k], the first counts[query] of each query are set
  std::span<std::uint32_t> counts;   // [queries]
  std::span<QueryStats> stats;       // [queries]
  std::span<std::string> keys;       // [queries × k], or none where nobody asked for them
  std::span<std::string> documents;  // [queries × k], or none
};

// Rows of the view that an answer leaves out.
struct LeftOut {
  std::span<const RowId> rows;  // of every query; ascending
  std::span<const RowId> own;   // [queries] of each its own, or none
};
constexpr std::uint32_t kBesideOwnMax = kResultsMax - 1;  // k, where queries leave out a row of their own

// Errors: as of Store::search().
Status check_queries(const View& view, const VectorView& queries, const SearchOptions& options);

// options: resolved, and checked with the queries; of its keys to exclude left_out has the rows. Runs on the calling
// thread, or divides the batch among `threads` of the searchers' executor. Where the delta came only now, what scanning
// it takes is charged to `budget`. `counters` get the queries once all are answered. Errors: kIo, kCorrupt naming the
// page, kMemoryBudget.
Status search_view(const View& view, Searchers& searchers, const VectorView& queries, const SearchOptions& options,
                   const LeftOut& left_out, std::uint32_t threads, MemoryBudget& budget, SearchCounters& counters,
                   const Answers& answers);

}  // namespace vecstore
