// SPDX-License-Identifier: Apache-2.0
#include "base/latency_histogram.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <thread>
#include <vector>

#include "base/latency_recorder.h"
#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using std::chrono::nanoseconds;

// The first bound that is not less, tried one after the other.
std::size_t bucket_by_trial(nanoseconds latency) {
  std::size_t bucket = 0;
  for (nanoseconds bound(1000); bucket < LatencyHistogram::kBounds && latency > bound; bound *= 2) ++bucket;
  return bucket;
}

// Of any magnitude, from none to some hours.
nanoseconds any_latency(Random& random) { return nanoseconds(random.next() >> (20 + random.below(44))); }

BOOST_AUTO_TEST_SUITE(latency_histogram)

BOOST_AUTO_TEST_CASE(a_latency_is_counted_under_the_first_bound_that_it_does_not_exceed) {
  for (std::size_t bound = 0; bound < LatencyHistogram::kBounds; ++bound) {
    const nanoseconds exact(std::int64_t{1000} << bound);
    BOOST_TEST(LatencyHistogram::bucket_of(exact) == bound);
    BOOST_TEST(LatencyHistogram::bucket_of(exact + nanoseconds(1)) == bound + 1);
    BOOST_TEST(LatencyHistogram::bound_seconds(bound) == std::ldexp(1e-6, static_cast<int>(bound)));
  }
  BOOST_TEST(LatencyHistogram::bucket_of(nanoseconds::max() / 2) == LatencyHistogram::kBounds);
  BOOST_TEST(LatencyHistogram::bucket_of(nanoseconds(0)) == 0u);
  Random random(1);
  for (int i = 0; i < 10000; ++i) {
    const nanoseconds latency = any_latency(random);
    BOOST_REQUIRE(LatencyHistogram::bucket_of(latency) == bucket_by_trial(latency));
  }
}

BOOST_AUTO_TEST_CASE(a_clock_that_goes_back_adds_no_time) {
  LatencyHistogram histogram;
  histogram.add(nanoseconds(-5));
  BOOST_TEST(histogram.count() == 1u);
  BOOST_TEST(histogram.sum_ns == 0u);
}

BOOST_AUTO_TEST_CASE(a_quantile_is_the_bound_above_the_latency_of_that_rank) {
  Random random(2);
  for (std::size_t size = 1; size <= 60; ++size) {
    LatencyHistogram histogram;
    std::vector<nanoseconds> sorted;
    for (std::size_t i = 0; i < size; ++i) {
      sorted.push_back(nanoseconds(random.below(std::uint64_t{1} << (8 + random.below(28)))));  // below 67 s
      histogram.add(sorted.back());
    }
    std::ranges::sort(sorted);
    for (std::size_t rank = 1; rank <= size; ++rank) {
      const std::size_t bucket = bucket_by_trial(sorted[rank - 1]);
      // Half a rank less, which no rounding of the share turns into another.
      const double share = (static_cast<double>(rank) - .5) / static_cast<double>(size);
      BOOST_REQUIRE(histogram.quantile(share) == LatencyHistogram::bound_seconds(bucket));
    }
    BOOST_REQUIRE(histogram.quantile(-1) == LatencyHistogram::bound_seconds(bucket_by_trial(sorted.front())));
    BOOST_REQUIRE(histogram.quantile(2) == LatencyHistogram::bound_seconds(bucket_by_trial(sorted.back())));
  }
}

BOOST_AUTO_TEST_CASE(a_quantile_of_nothing_is_zero_and_beyond_the_bounds_infinite) {
  LatencyHistogram histogram;
  BOOST_TEST(histogram.quantile(.5) == 0);
  histogram.add(std::chrono::hours(1));
  BOOST_TEST(histogram.quantile(0) == std::numeric_limits<double>::infinity());
  BOOST_TEST(histogram.sum_seconds() == 3600);
}

BOOST_AUTO_TEST_CASE(what_several_threads_record_is_all_there) {
  constexpr std::uint64_t kThreads = 4;
  constexpr int kEach = 100000;
  LatencyRecorder recorder;
  std::vector<LatencyHistogram> expected(kThreads);
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t thread = 0; thread < kThreads; ++thread)
      threads.emplace_back([&, thread] {
        Random random(10 + thread);
        LatencyHistogram batch;
        for (int i = 0; i < kEach; ++i) {
          const nanoseconds latency(random.below(1u << 30));
          expected[thread].add(latency);
          if (i % 2 == 0) {
            recorder.record(latency);
          } else {
            batch.add(latency);
          }
        }
        recorder.add(batch);
      });
  }
  LatencyHistogram all;
  for (const LatencyHistogram& one : expected) {
    for (std::size_t i = 0; i < all.counts.size(); ++i) all.counts[i] += one.counts[i];
    all.sum_ns += one.sum_ns;
  }
  const LatencyHistogram seen = recorder.snapshot();
  BOOST_TEST(seen.counts == all.counts, boost::test_tools::per_element());
  BOOST_TEST(seen.sum_ns == all.sum_ns);
  BOOST_TEST(recorder.count() == kThreads * kEach);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
