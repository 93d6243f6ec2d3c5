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

// Searches for that many rounds; the mean number of queries under way.
double search(InFlightTarget& target, const Device& device, int rounds) {
  constexpr int kTold = 16;
  double sum = 0;
  for (int i = 0; i < rounds; i += kTold) {
    sum += static_cast<double>(target.queries()) * kTold;
    target.add_rounds(kTold, kTold * device(target.queries()));
  }
  return sum / rounds;
}

nanoseconds fast(std::size_t queries) { return microseconds(50) * queries; }
nanoseconds slow(std::size_t queries) { return microseconds(3000) * queries; }         // one at a time
nanoseconds far(std::size_t) { return microseconds(10'000); }                          // as many as one likes
nanoseconds shared(std::size_t queries) { return microseconds(80) * (queries + 50); }  // others have 50 under way
// Takes up to ten at a time, then queues them.
nanoseconds ten_at_once(std::size_t queries) { return microseconds(600) * std::max<std::size_t>(queries, 10); }

BOOST_AUTO_TEST_SUITE(in_flight_target)

BOOST_AUTO_TEST_CASE(a_fast_device_gets_all) {
  InFlightTarget target;
  BOOST_TEST(search(target, fast, 10'000) == double{InFlightTarget::kMost});
}

BOOST_AUTO_TEST_CASE(a_slow_device_gets_the_fewest) {
  InFlightTarget target;
  search(target, slow, 3'000);
  BOOST_TEST(search(target, slow, 10'000) == double{InFlightTarget::kLeast});
}

BOOST_AUTO_TEST_CASE(queues_are_cut_down_to_what_the_device_works_on) {
  InFlightTarget target;
  search(target, ten_at_once, 5'000);
  const double queries = search(target, ten_at_once, 20'000);
  BOOST_TEST(queries >= 9.0);
  BOOST_TEST(queries <= 14.0);
}

BOOST_AUTO_TEST_CASE(where_fewer_queries_mean_fewer_answers_they_are_seldom_tried) {
  for (const Device& device : {Device(far), Device(shared)}) {
    InFlightTarget target;
    search(target, device, 10'000);
    BOOST_TEST(search(target, device, 100'000) >= 0.98 * InFlightTarget::kMost);
  }
}

BOOST_AUTO_TEST_CASE(a_device_that_recovers_gets_all_again) {
  InFlightTarget target;
  search(target, slow, 10'000);
  BOOST_TEST(target.queries() == InFlightTarget::kLeast);
  search(target, fast, 5'000);
  BOOST_TEST(target.queries() == InFlightTarget::kMost);
  search(target, slow, 10'000);
  BOOST_TEST(target.queries() == InFlightTarget::kLeast);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
