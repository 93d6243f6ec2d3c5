// SPDX-License-Identifier: Apache-2.0
//
// How long things took, counted by powers of two of a microsecond. A plain value, installed with vecstore.hpp; whoever
// counts from several threads does so in a LatencyRecorder (base/latency_recorder.h).
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

namespace vecstore {

struct LatencyHistogram {
  static constexpr std::size_t kBounds = 27;  // 1 µs, 2 µs, … 2^26 µs, which is 67 s
  static constexpr std::size_t kBuckets = kBounds + 1;

  // counts[i]: latencies of at most the i-th bound, and more than the one before; the last: more than every bound.
  std::array<std::uint64_t, kBuckets> counts{};
  std::uint64_t sum_ns = 0;

  // bound < kBounds
  static constexpr double bound_seconds(std::size_t bound) {
    return static_cast<double>(std::uint64_t{1} << bound) / 1e6;
  }
  static std::size_t bucket_of(std::chrono::nanoseconds latency);
  // What sum_ns grows by: nothing where a clock went back.
  static constexpr std::uint64_t nanoseconds_of(std::chrono::nanoseconds latency) {
    return latency.count() < 0 ? 0 : static_cast<std::uint64_t>(latency.count());
  }

  void add(std::chrono::nanoseconds latency);
  std::uint64_t count() const;
  double sum_seconds() const { return static_cast<double>(sum_ns) / 1e9; }
  // An upper bound of the latency that a share `q` of all does not exceed, in seconds: the bound of its bucket, so at
  // most twice that latency where it is 1 µs or more. Infinity where it is beyond 67 s; 0 where nothing was counted. A
  // share outside 0 … 1 is taken as the nearer of them.
  double quantile(double q) const;
};

}  // namespace vecstore
