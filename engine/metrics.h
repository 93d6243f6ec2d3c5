// SPDX-License-Identifier: Apache-2.0
//
// What a store has done since it was opened, and how it stands: counts, latencies and sizes for monitoring. Plain
// values, installed with vecstore.hpp.
#pragma once

#include <cstdint>
#include <string>

#include "base/latency_histogram.h"
#include "graph/query_stats.h"

namespace vecstore {

// Each number is read on its own: a snapshot beside calls that are under way need not be of one moment.
struct Metrics {
  // Calls of one kind, single rows included: put() is a batch of one.
  struct Writes {
    std::uint64_t batches = 0;  // acknowledged
    std::uint64_t rows = 0;     // that these put, or erased
    std::uint64_t refused = 0;  // calls that returned an error
  };

  // Calls of search(): answered, and those that returned an error.
  std::uint64_t search_batches = 0;
  std::uint64_t search_batches_failed = 0;
  // What follows is of the queries of batches that were answered.
  std::uint64_t queries = 0;
  LatencyHistogram query_latency;  // as QueryStats::latency_us; its count is `queries`
  std::uint64_t read_requests = 0;
  std::uint64_t read_pages = 0;
  std::uint64_t read_bytes = 0;
  std::uint64_t pages_from_cache = 0;
  double reads_of_4k() const {  // as QueryStats counts them
    return vecstore::reads_of_4k(static_cast<double>(read_requests), static_cast<double>(read_bytes));
  }
  std::uint64_t pages_cached = 0;
  std::uint64_t pages_replaced = 0;  // in the cache

  Writes puts, erasures;
  LatencyHistogram write_latency;  // of their batches, from call to return

  // Syncs of the log for writes, flush() and close(), or by the interval. None where the store was opened for reading.
  std::uint64_t log_syncs = 0;
  LatencyHistogram log_sync_latency;  // its count is `log_syncs`
  std::uint64_t log_bytes = 0;        // size of its files; of a reader: when it last looked
  std::uint64_t last_lsn = 0;
  std::uint64_t durable_lsn = 0;  // as StoreStats::durable_lsn

  std::uint64_t rows = 0;        // live
  std::uint64_t delta_rows = 0;  // live, of these: put since the graph was built
  std::uint64_t delta_bytes = 0;
  std::uint64_t merges = 0, merges_failed = 0;         // that were completed; that were put off, cancelled or failed
  std::uint64_t merging = 0;                           // 1: one is under way
  std::uint64_t old_generations = 0, old_readers = 0;  // as StoreStats has them
  std::uint64_t old_memory_bytes = 0, old_disk_bytes = 0;
  std::uint64_t memory_used_bytes = 0, memory_peak_bytes = 0;  // of the budget
  std::uint64_t memory_limit_bytes = 0;                        // 0: none was given
};

// The text format that Prometheus reads, version 0.0.4. Names begin with vecstore_, times are in seconds and sizes in
// bytes. Ends with a newline.
std::string to_prometheus(const Metrics& metrics);

}  // namespace vecstore
