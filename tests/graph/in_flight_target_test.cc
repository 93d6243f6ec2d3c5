// SPDX-License-Identifier: Apache-2.0
#include "graph/in_flight_target.h"

#include <functional>

#include "tests/test_util.h"

namespace vecstore {
namespace {

using std::chrono::microseconds;
using std::chrono::nanoseconds;

// How long a round takes while so many queries are under way.
using Device = std::function<nanoseconds(std::size_t queries)>;

struct Searchers {
  std::size_t at_work = 1;
  std::size_t lanes = 32;  // lanes of each searcher
  std::size_t under_way(const InFlightTarget& target) const {
    return at_work * std::min((target.queries() + at_work - 1) / at_work, lanes);
  }
};

// Searches for that many rounds; the mean number of queries under way.
double search(InFlightTarget& target, const Device& device, int rounds, const Searchers& searchers = {}) {
  constexpr int kTold = 16;
  double sum = 0;
  for (int i = 0; i < rounds; i += kTold) {
    const std::size_t under_way = searchers.under_way(target);
    sum += static_cast<double>(under_way) * kTold;
    target.add_rounds(kTold, kTold * device(under_way), under_way);
  }
  return sum / rounds;
}

nanoseconds fast(std::size_t queries) { return microseconds(50) * queries; }
nanoseconds slow(std::size_t queries) { return microseconds(3000) * queries; }         // one at a time
nanoseconds far(std::size_t) { return microseconds(10'000); }                          // any number of queries
nanoseconds shared(std::size_t queries) { return microseconds(80) * (queries + 50); }  // others have 50 under way
// Takes up to so many at a time, then queues them.
Device at_once(std::size_t most) {
  return [most](std::size_t queries) { return microseconds(600) * std::max(queries, most); };
}

BOOST_AUTO_TEST_SUITE(in_flight_target)

BOOST_AUTO_TEST_CASE(a_fast_device_gets_all) {
  InFlightTarget target;
  BOOST_TEST(search(target, fast, 10'000) == double{InFlightTarget::kMost});
}

BOOST_AUTO_TEST_CASE(a_slow_device_gets_the_fewest) {
  InFlightTarget target;
  search(target, slow, 10'000);
  BOOST_TEST(search(target, slow, 50'000) <= 1.05 * InFlightTarget::kLeast);
}

BOOST_AUTO_TEST_CASE(queues_are_cut_down_to_what_the_device_works_on) {
  InFlightTarget target;
  search(target, at_once(10), 10'000);
  const double queries = search(target, at_once(10), 50'000);
  BOOST_TEST(queries >= 9.9);
  BOOST_TEST(queries <= 15.0);
}

BOOST_AUTO_TEST_CASE(where_fewer_queries_mean_fewer_answers_they_are_seldom_tried) {
  for (const Device& device : {Device(far), Device(shared), at_once(24)}) {
    InFlightTarget target;
    search(target, device, 20'000);
    BOOST_TEST(search(target, device, 100'000) >= 23.5);
  }
}

BOOST_AUTO_TEST_CASE(a_target_that_is_too_low_rises_again) {
  for (const Device& device : {Device(fast), Device(far), Device(shared)}) {
    InFlightTarget target;
    search(target, slow, 20'000);
    BOOST_TEST(target.queries() <= 6u);
    search(target, device, 20'000);
    BOOST_TEST(search(target, device, 100'000) >= 0.95 * InFlightTarget::kMost);
    search(target, slow, 20'000);
    BOOST_TEST(target.queries() <= 6u);
  }
}

// Few lanes may keep fewer under way than are wanted, and many searchers more.
BOOST_AUTO_TEST_CASE(what_is_under_way_counts_not_what_is_wanted) {
  for (const Searchers& searchers : {Searchers{1, 16}, Searchers{2, 8}, Searchers{2, 4}, Searchers{2, 16}}) {
    InFlightTarget target;
    search(target, slow, 10'000, searchers);
    BOOST_TEST(search(target, slow, 50'000, searchers) <= 4.2);
  }
  for (const std::size_t at_work : {3u, 12u, 16u, 32u}) {
    InFlightTarget target;
    search(target, at_once(24), 10'000, {at_work, 16});
    BOOST_TEST(search(target, at_once(24), 50'000, {at_work, 16}) >= 23.5);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
