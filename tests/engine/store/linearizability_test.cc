// SPDX-License-Identifier: Apache-2.0
//
// The search for an order, beside one that tries every permutation.
#include "tests/engine/store/linearizability.h"

#include <numeric>

#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore::test {
namespace {

using enum Operation::Kind;

bool has_order(const std::vector<Operation>& history) { return !OrderSearch(history).run().has_value(); }

// Whether the operations may come in this order: none after one that was called once it was answered.
bool is_in_time(const std::vector<Operation>& order) {
  for (std::size_t i = 0; i < order.size(); ++i)
    for (std::size_t later = i + 1; later < order.size(); ++later)
      if (order[later].answered < order[i].called) return false;
  return true;
}

bool explains(const std::vector<Operation>& order) {
  std::uint64_t now = 0;
  for (const Operation& operation : order) {
    if (!operation.is_right(now)) return false;
    now = operation.value_after(now);
  }
  return true;
}

bool has_permutation(const std::vector<Operation>& history) {
  std::vector<std::size_t> places(history.size());
  std::iota(places.begin(), places.end(), std::size_t{0});
  do {
    std::vector<Operation> order;
    for (const std::size_t place : places) order.push_back(history[place]);
    if (is_in_time(order) && explains(order)) return true;
  } while (std::ranges::next_permutation(places).found);
  return false;
}

// Intervals that overlap at random; reads are answered at random.
std::vector<Operation> random_history(Random& random, std::size_t operations) {
  std::vector<std::uint64_t> stamps(2 * operations);
  std::iota(stamps.begin(), stamps.end(), std::uint64_t{1});
  for (std::size_t i = stamps.size(); i > 1; --i) std::swap(stamps[i - 1], stamps[random.below(i)]);
  std::vector<Operation> history(operations);
  for (std::size_t i = 0; i < operations; ++i) {
    history[i].kind = static_cast<Operation::Kind>(random.below(4));
    history[i].value = history[i].kind == kPut ? i + 1 : random.below(operations + 1);
    history[i].called = std::min(stamps[2 * i], stamps[2 * i + 1]);
    history[i].answered = std::max(stamps[2 * i], stamps[2 * i + 1]);
  }
  return history;
}

BOOST_AUTO_TEST_SUITE(linearizability)

BOOST_AUTO_TEST_CASE(what_one_thread_did_has_one_order) {
  BOOST_TEST(has_order({}));
  BOOST_TEST(has_order({{kRead, 0, 1, 2}, {kPut, 5, 3, 4}, {kRead, 5, 5, 6}, {kContains, 1, 7, 8}}));
  BOOST_TEST(has_order({{kErase, 0, 1, 2}, {kPut, 5, 3, 4}, {kErase, 1, 5, 6}, {kContains, 0, 7, 8}}));
  BOOST_TEST(!has_order({{kPut, 5, 1, 2}, {kErase, 0, 3, 4}}));
  BOOST_TEST(!has_order({{kPut, 5, 1, 2}, {kContains, 0, 3, 4}}));
  BOOST_TEST(!has_order({{kRead, 5, 1, 2}}));
}

BOOST_AUTO_TEST_CASE(a_value_that_was_replaced_is_not_read_again) {
  const auto read_after = [](std::uint64_t value) {
    return std::vector<Operation>{{kPut, 1, 1, 2}, {kPut, 2, 3, 6}, {kRead, 2, 4, 5}, {kRead, value, 7, 8}};
  };
  BOOST_TEST(has_order(read_after(2)));
  const auto unexplained = OrderSearch(read_after(1)).run();
  BOOST_REQUIRE(unexplained.has_value());
  BOOST_TEST(unexplained->called == 7u);
}

// Both readers looked while the put was under way, one after the other.
BOOST_AUTO_TEST_CASE(readers_agree_on_when_a_put_took_effect) {
  const auto two_readers = [](std::uint64_t first, std::uint64_t second) {
    return std::vector<Operation>{{kPut, 1, 1, 6}, {kRead, first, 2, 3}, {kRead, second, 4, 5}};
  };
  BOOST_TEST(has_order(two_readers(0, 0)));
  BOOST_TEST(has_order(two_readers(0, 1)));
  BOOST_TEST(has_order(two_readers(1, 1)));
  BOOST_TEST(!has_order(two_readers(1, 0)));
}

BOOST_AUTO_TEST_CASE(a_row_is_erased_once) {
  BOOST_TEST(has_order({{kPut, 1, 1, 2}, {kErase, 1, 3, 6}, {kErase, 0, 4, 5}}));
  BOOST_TEST(!has_order({{kPut, 1, 1, 2}, {kErase, 1, 3, 6}, {kErase, 1, 4, 5}}));
}

BOOST_AUTO_TEST_CASE(it_finds_an_order_where_a_permutation_is_one_and_nowhere_else) {
  Random random(7);
  int with_order = 0;
  constexpr int kHistories = 3000;
  for (int i = 0; i < kHistories; ++i) {
    const std::vector<Operation> history = random_history(random, 1 + random.below(6));
    const bool expected = has_permutation(history);
    BOOST_REQUIRE(has_order(history) == expected);
    with_order += expected ? 1 : 0;
  }
  BOOST_TEST(with_order > kHistories / 10);
  BOOST_TEST(with_order < kHistories * 9 / 10);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore::test
