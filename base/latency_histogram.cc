// SPDX-License-Identifier: Apache-2.0
#include "base/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numeric>

namespace vecstore {

std::size_t LatencyHistogram::bucket_of(std::chrono::nanoseconds latency) {
  if (latency <= std::chrono::microseconds(1)) return 0;
  const auto microseconds = static_cast<std::uint64_t>((latency.count() + 999) / 1000);  // a bound is in its own bucket
  return std::min<std::size_t>(std::bit_width(microseconds - 1), kBounds);
}

void LatencyHistogram::add(std::chrono::nanoseconds latency) {
  ++counts[bucket_of(latency)];
  sum_ns += nanoseconds_of(latency);
}

std::uint64_t LatencyHistogram::count() const {
  return std::accumulate(counts.begin(), counts.end(), std::uint64_t{0});
}

double LatencyHistogram::quantile(double q) const {
  const std::uint64_t all = count();
  if (all == 0) return 0;
  const double rank = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(all));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBounds; ++i) {
    seen += counts[i];
    if (seen != 0 && static_cast<double>(seen) >= rank) return bound_seconds(i);
  }
  return std::numeric_limits<double>::infinity();
}

}  // namespace vecstore
