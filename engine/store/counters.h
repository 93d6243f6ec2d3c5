// SPDX-License-Identifier: Apache-2.0
//
// What the calls of an open store count, for Store::metrics(). Counting waits for nobody and allocates nothing.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/latency_recorder.h"
#include "engine/metrics.h"
#include "graph/query_stats.h"

namespace vecstore {

using Count = std::atomic<std::uint64_t>;
inline void add_to(Count& count, std::uint64_t more) {
  if (more != 0) count.fetch_add(more, std::memory_order_relaxed);
}

// What queries took that one thread answers. It counts only once their batch is answered as a whole.
struct SearchTally {
  LatencyHistogram latency;
  std::uint64_t requests = 0;
  std::uint64_t pages = 0;
  std::uint64_t bytes = 0;
  std::uint64_t pages_from_cache = 0;

  void add(const QueryStats& stats, std::uint64_t pages_read, std::chrono::nanoseconds taken) {
    latency.add(taken);
    requests += stats.requests;
    pages += pages_read;
    bytes += stats.bytes;
    pages_from_cache += stats.pages_from_cache;
  }
};

// Thread-safe.
struct SearchCounters {
  Count batches{0}, failed{0};
  Count requests{0}, pages{0}, bytes{0}, pages_from_cache{0};
  LatencyRecorder latency;

  void add(const SearchTally& tally);
};

// Thread-safe.
struct WriteCounters {
  Count batches{0}, rows{0}, refused{0};

  Metrics::Writes snapshot() const;
};

// Thread-safe.
struct StoreCounters {
  SearchCounters searches;
  WriteCounters puts, erasures;
  LatencyRecorder write_latency;

  void snapshot(Metrics& metrics) const;  // sets what it counts
};
static_assert(sizeof(StoreCounters) <= 4096, "more would have to be charged to the budget");

}  // namespace vecstore
