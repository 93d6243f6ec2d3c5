// SPDX-License-Identifier: Apache-2.0
#include "engine/store/counters.h"

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "tests/instrumented.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kThreads = 4;
constexpr std::uint64_t kEach = test::kInstrumented ? 20'000 : 2'000'000;

// All at the same time, each so often that they meet.
void by_all_threads(const std::function<void()>& call) {
  std::atomic<std::uint64_t> ready = 0;
  std::vector<std::jthread> threads;
  for (std::uint64_t thread = 0; thread < kThreads; ++thread)
    threads.emplace_back([&] {
      ++ready;
      while (ready != kThreads) std::this_thread::yield();
      for (std::uint64_t i = 0; i < kEach; ++i) call();
    });
}

BOOST_AUTO_TEST_SUITE(counters)

BOOST_AUTO_TEST_CASE(what_threads_add_at_the_same_time_is_all_there) {
  Count count{0};
  by_all_threads([&] { add_to(count, 3); });
  BOOST_TEST(count == 3 * kThreads * kEach);
}

BOOST_AUTO_TEST_CASE(a_tally_joins_the_counters_whole) {
  SearchTally tally;
  QueryStats stats;
  stats.requests = 5;
  stats.bytes = 40960;
  stats.pages_from_cache = 7;
  tally.add(stats, 10, std::chrono::microseconds(3));
  tally.add(stats, 11, std::chrono::microseconds(900));
  StoreCounters counters;
  by_all_threads([&] { counters.searches.add(tally); });
  Metrics metrics;
  counters.snapshot(metrics);
  constexpr std::uint64_t kTallies = kThreads * kEach;
  BOOST_TEST(metrics.queries == 2 * kTallies);
  BOOST_TEST(metrics.query_latency.counts[2] == kTallies);
  BOOST_TEST(metrics.query_latency.counts[10] == kTallies);
  BOOST_TEST(metrics.query_latency.sum_ns == 903'000 * kTallies);
  BOOST_TEST(metrics.read_requests == 10 * kTallies);
  BOOST_TEST(metrics.read_bytes == 81920 * kTallies);
  BOOST_TEST(metrics.read_pages == 21 * kTallies);
  BOOST_TEST(metrics.pages_from_cache == 14 * kTallies);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
