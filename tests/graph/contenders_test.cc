// SPDX-License-Identifier: Apache-2.0
#include "graph/contenders.h"

#include <cmath>
#include <numeric>
#include <set>

#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using Interval = PreparedQuery::Interval;

Contenders made_contenders(MemoryBudget& budget) {
  auto created = Contenders::create(budget);
  REQUIRE_OK(created);
  return std::move(created).value();
}

std::vector<Interval> random_intervals(std::size_t count, double width, Random& random) {
  std::vector<Interval> all(count);
  for (Interval& interval : all) {
    // Some in common, so that there are ties.
    interval.nearest =
        static_cast<float>(random.below(4) == 0 ? 0.25 * static_cast<double>(random.below(4)) : random.unit());
    interval.farthest = interval.nearest + static_cast<float>(width * random.unit());
  }
  return all;
}

// The k-th least of the farther ends; infinite when there are fewer.
float kth_farthest(const std::vector<Interval>& all, std::size_t k) {
  std::vector<float> ends;
  for (const Interval& interval : all) ends.push_back(interval.farthest);
  if (ends.size() < k) return std::numeric_limits<float>::infinity();
  std::sort(ends.begin(), ends.end());
  return ends[k - 1];
}

std::vector<std::size_t> order_of(const std::vector<Interval>& all, int which, Random& random) {
  std::vector<std::size_t> order(all.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  const auto by = [&](const auto& less) {
    std::sort(order.begin(), order.end(),
              [&](std::size_t a, std::size_t b) { return less(a, b) || (!less(b, a) && a < b); });
  };
  if (which == 0) by([&](std::size_t a, std::size_t b) { return all[a].nearest < all[b].nearest; });
  if (which == 1) by([&](std::size_t a, std::size_t b) { return all[a].nearest > all[b].nearest; });
  if (which == 2) by([&](std::size_t a, std::size_t b) { return all[a].farthest > all[b].farthest; });
  if (which >= 3) {
    for (std::size_t i = order.size(); i > 1; --i) std::swap(order[i - 1], order[random.below(i)]);
  }
  return order;
}

BOOST_AUTO_TEST_SUITE(contenders)

BOOST_AUTO_TEST_CASE(in_any_order_those_stay_that_begin_within_the_kth_farthest_end) {
  MemoryBudget budget;
  Contenders chosen = made_contenders(budget);
  Random random(1);
  for (const std::size_t count : {0u, 1u, 9u, 10u, 11u, 200u, 1400u}) {
    for (const std::size_t k : {1u, 2u, 10u, 100u, 1000u}) {
      for (const double width : {0.0, 0.01, 0.3, 5.0}) {
        const std::vector<Interval> all = random_intervals(count, width, random);
        const float limit = kth_farthest(all, k);
        std::set<std::uint64_t> expected;
        for (std::size_t row = 0; row < count; ++row)
          if (all[row].nearest <= limit) expected.insert(row);
        for (int which = 0; which < 5; ++which) {
          chosen.begin(k);
          for (const std::size_t row : order_of(all, which, random)) chosen.offer(RowId{row}, row, all[row]);
          const auto sorted = chosen.sorted();
          std::set<std::uint64_t> found;
          for (const Contender& contender : sorted) found.insert(contender.row.value);
          BOOST_REQUIRE_EQUAL(found.size(), sorted.size());
          BOOST_REQUIRE((found == expected));
          BOOST_REQUIRE(std::is_sorted(sorted.begin(), sorted.end()));
          for (const Contender& contender : sorted)
            BOOST_REQUIRE(contender.nearest == all[contender.row.value].nearest &&
                          contender.key == contender.row.value);
          BOOST_REQUIRE_EQUAL(chosen.limit(), limit);
        }
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(what_does_not_count_takes_no_room) {
  MemoryBudget budget;
  Contenders chosen = made_contenders(budget);
  chosen.begin(10);
  // The farthest first: each is better than all before, and ten remain.
  for (std::uint64_t row = 0; row < 20000; ++row) {
    const auto distance = static_cast<float>(20000 - row);
    chosen.offer(RowId{row}, row, {distance - 0.25f, distance + 0.25f});
  }
  const auto sorted = chosen.sorted();
  BOOST_REQUIRE_EQUAL(sorted.size(), 10u);
  for (std::size_t i = 0; i < 10; ++i) BOOST_TEST(sorted[i].row.value == 19999 - i);
}

// More rows than there is room for lie within each other's rounding.
BOOST_AUTO_TEST_CASE(beyond_its_room_those_that_may_be_nearest_stay) {
  MemoryBudget budget;
  Contenders chosen = made_contenders(budget);
  Random random(3);
  for (const std::size_t k : {1u, 10u, 1000u}) {
    std::vector<Interval> all(6000);
    for (Interval& interval : all) {
      interval.nearest = static_cast<float>(random.unit());
      interval.farthest = 2.0f + static_cast<float>(random.unit());
    }
    std::vector<Contender> expected;
    for (std::size_t row = 0; row < all.size(); ++row) expected.push_back({all[row].nearest, RowId{row}});
    std::sort(expected.begin(), expected.end());
    for (int which = 0; which < 5; ++which) {
      chosen.begin(k);
      for (const std::size_t row : order_of(all, which, random)) chosen.offer(RowId{row}, row, all[row]);
      const auto sorted = chosen.sorted();
      BOOST_REQUIRE(sorted.size() >= kResultsMax);
      for (std::size_t i = 0; i < kResultsMax; ++i) BOOST_REQUIRE_EQUAL(sorted[i].row.value, expected[i].row.value);
    }
  }
}

BOOST_AUTO_TEST_CASE(each_query_begins_anew) {
  MemoryBudget budget;
  Contenders chosen = made_contenders(budget);
  chosen.begin(1);
  chosen.offer(RowId{7}, 7, {0.0f, 0.0f});
  BOOST_TEST(chosen.limit() == 0.0f);
  chosen.begin(2);
  BOOST_TEST(std::isinf(chosen.limit()));
  BOOST_TEST(chosen.sorted().empty());
  chosen.offer(RowId{3}, 3, {-5.0f, -4.0f});  // products may be negative
  chosen.offer(RowId{4}, 4, {-3.0f, -2.0f});
  chosen.offer(RowId{5}, 5, {-1.0f, 0.0f});
  const auto sorted = chosen.sorted();
  BOOST_REQUIRE_EQUAL(sorted.size(), 2u);
  BOOST_TEST(sorted[0].row.value == 3u);
  BOOST_TEST(chosen.limit() == -2.0f);
}

BOOST_AUTO_TEST_CASE(what_is_predicted_is_what_is_charged) {
  MemoryBudget budget;
  const Contenders chosen = made_contenders(budget);
  BOOST_TEST(budget.used_bytes() == Contenders::predict_bytes());
  MemoryBudget small(Contenders::predict_bytes() - 1);
  BOOST_TEST((test::code_of(Contenders::create(small)) == Code::kMemoryBudget));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
