// SPDX-License-Identifier: Apache-2.0
#include "engine/store/counters.h"

namespace vecstore {

void SearchCounters::add(const SearchTally& tally) {
  latency.add(tally.latency);
  add_to(requests, tally.requests);
  add_to(pages, tally.pages);
  add_to(bytes, tally.bytes);
  add_to(pages_from_cache, tally.pages_from_cache);
}

Metrics::Writes WriteCounters::snapshot() const {
  return {batches.load(std::memory_order_relaxed), rows.load(std::memory_order_relaxed),
          refused.load(std::memory_order_relaxed)};
}

void StoreCounters::snapshot(Metrics& metrics) const {
  metrics.search_batches = searches.batches.load(std::memory_order_relaxed);
  metrics.search_batches_failed = searches.failed.load(std::memory_order_relaxed);
  metrics.query_latency = searches.latency.snapshot();
  metrics.queries = metrics.query_latency.count();
  metrics.read_requests = searches.requests.load(std::memory_order_relaxed);
  metrics.read_pages = searches.pages.load(std::memory_order_relaxed);
  metrics.read_bytes = searches.bytes.load(std::memory_order_relaxed);
  metrics.pages_from_cache = searches.pages_from_cache.load(std::memory_order_relaxed);
  metrics.puts = puts.snapshot();
  metrics.erasures = erasures.snapshot();
  metrics.write_latency = write_latency.snapshot();
}

}  // namespace vecstore
