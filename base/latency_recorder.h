// SPDX-License-Identifier: Apache-2.0
//
// A LatencyHistogram that several threads count in. Nothing here waits, and nothing allocates: a latency costs two
// additions without order.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "base/latency_histogram.h"

namespace vecstore {

// Thread-safe.
class LatencyRecorder {
 public:
  void record(std::chrono::nanoseconds latency) {
    counts_[LatencyHistogram::bucket_of(latency)].fetch_add(1, std::memory_order_relaxed);
    sum_ns_.fetch_add(LatencyHistogram::nanoseconds_of(latency), std::memory_order_relaxed);
  }
  // Those that one thread counted.
  void add(const LatencyHistogram& counted) {
    for (std::size_t i = 0; i < counts_.size(); ++i)
      if (counted.counts[i] != 0) counts_[i].fetch_add(counted.counts[i], std::memory_order_relaxed);
    sum_ns_.fetch_add(counted.sum_ns, std::memory_order_relaxed);
  }

  // What others record meanwhile may be in its counts and not yet in its sum.
  LatencyHistogram snapshot() const {
    LatencyHistogram histogram;
    for (std::size_t i = 0; i < counts_.size(); ++i) histogram.counts[i] = counts_[i].load(std::memory_order_relaxed);
    histogram.sum_ns = sum_ns_.load(std::memory_order_relaxed);
    return histogram;
  }
  std::uint64_t count() const { return snapshot().count(); }

 private:
  std::array<std::atomic<std::uint64_t>, LatencyHistogram::kBuckets> counts_{};
  std::atomic<std::uint64_t> sum_ns_{0};
};

}  // namespace vecstore
