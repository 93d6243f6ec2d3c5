// SPDX-License-Identifier: Apache-2.0
#include "engine/thread_pool.h"

#include <atomic>
#include <mutex>
#include <set>
#include <thread>

#include "tests/test_util.h"

using namespace vecstore;

BOOST_AUTO_TEST_SUITE(thread_pool)

BOOST_AUTO_TEST_CASE(ranges_are_the_same_for_any_thread_count) {
  std::set<std::pair<std::size_t, std::size_t>> first;
  for (const unsigned threads : {1u, 2u, 3u, 8u}) {
    const auto executor = make_executor(threads);
    std::mutex mutex;
    std::set<std::pair<std::size_t, std::size_t>> ranges;
    executor->parallel_for(1003, 10, [&](std::size_t begin, std::size_t end, unsigned) {
      const std::scoped_lock lock(mutex);
      BOOST_TEST(ranges.emplace(begin, end).second);
    });
    BOOST_TEST(ranges.size() == 101u);
    if (threads == 1) first = ranges;
    BOOST_TEST((ranges == first));
  }
}

BOOST_AUTO_TEST_CASE(no_two_bodies_share_a_worker_at_once) {
  constexpr unsigned kThreads = 6;
  const auto executor = make_executor(kThreads);
  BOOST_TEST(executor->thread_count() == kThreads);
  std::array<std::atomic<int>, kThreads> inside{};
  std::atomic<int> collisions{0}, out_of_range{0};
  // Two outside threads at once: their calls must not give one worker to two bodies either.
  const auto call = [&] {
    for (int round = 0; round < 20; ++round)
      executor->parallel_for(64, 1, [&](std::size_t, std::size_t, unsigned worker) {
        if (worker >= kThreads) {
          ++out_of_range;
          return;
        }
        if (inside[worker].fetch_add(1) != 0) ++collisions;
        std::this_thread::sleep_for(std::chrono::microseconds(20));
        inside[worker].fetch_sub(1);
      });
  };
  {
    const std::jthread other(call);
    call();
  }
  BOOST_TEST(collisions == 0);
  BOOST_TEST(out_of_range == 0);
}

BOOST_AUTO_TEST_CASE(what_bodies_write_is_seen_afterwards) {
  const auto executor = make_executor(4);
  std::vector<std::size_t> squares(10000);
  for (int round = 0; round < 10; ++round) {
    executor->parallel_for(squares.size(), 7, [&](std::size_t begin, std::size_t end, unsigned) {
      for (std::size_t i = begin; i < end; ++i) squares[i] += i * i;
    });
  }
  for (std::size_t i = 0; i < squares.size(); ++i) BOOST_REQUIRE_EQUAL(squares[i], 10 * i * i);
}

BOOST_AUTO_TEST_CASE(nothing_to_do_calls_nothing) {
  const auto executor = make_executor(3);
  executor->parallel_for(0, 16, [](std::size_t, std::size_t, unsigned) { BOOST_ERROR("called"); });
  BOOST_TEST(make_executor(0)->thread_count() >= 1u);
  BOOST_TEST(make_executor(1)->thread_count() == 1u);
}

BOOST_AUTO_TEST_SUITE_END()
