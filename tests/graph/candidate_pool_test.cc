// SPDX-License-Identifier: Apache-2.0
#include "graph/candidate_pool.h"

#include <iterator>
#include <set>
#include <tuple>

#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using Key = std::tuple<float, Pos>;

CandidatePool make_pool(std::size_t capacity_max, MemoryBudget& budget) {
  auto pool = CandidatePool::create(capacity_max, budget);
  REQUIRE_OK(pool);
  return std::move(pool).value();
}

// A position always comes with the same distance, as an estimate does; many distances are equal.
float distance_of(Pos position) { return static_cast<float>(position * 7919u % 53u); }

void require_equal(const CandidatePool& pool, const std::set<Key>& oracle) {
  pool.check_invariants();
  BOOST_REQUIRE(pool.size() == oracle.size());
  std::size_t i = 0;
  for (const auto& [distance, position] : oracle) {
    BOOST_REQUIRE(pool[i].distance == distance);
    BOOST_REQUIRE(pool[i].position == position);
    ++i;
  }
}

BOOST_AUTO_TEST_SUITE(candidate_pool)

BOOST_AUTO_TEST_CASE(holds_the_best_as_a_set_would) {
  MemoryBudget budget;
  CandidatePool pool = make_pool(40, budget);
  Random random(1);
  for (const std::size_t capacity : {1u, 2u, 17u, 40u}) {
    pool.clear(capacity);
    BOOST_TEST(pool.capacity() == capacity);
    std::set<Key> oracle;
    for (int step = 0; step < 2000; ++step) {
      const auto position = static_cast<Pos>(random.below(300));
      const PoolEntry entry{distance_of(position), position, CandidateState::kEstimated};
      const bool enters = !oracle.contains({entry.distance, position}) &&
                          (oracle.size() < capacity || Key{entry.distance, position} < *oracle.rbegin());
      if (enters) {
        if (oracle.size() == capacity) oracle.erase(std::prev(oracle.end()));
        oracle.insert({entry.distance, position});
      }
      const std::size_t place = pool.insert(entry);
      BOOST_REQUIRE((place < pool.capacity()) == enters);
      if (enters) BOOST_REQUIRE(pool[place].position == position);
      require_equal(pool, oracle);
      const float worst =
          oracle.size() < capacity ? std::numeric_limits<float>::infinity() : std::get<0>(*oracle.rbegin());
      BOOST_REQUIRE(pool.worst() == worst);
      if (step % 97 == 0) {
        const auto goes = [](Pos p) { return p % 3 == 0; };
        pool.remove_if([&](const PoolEntry& e) { return goes(e.position); });
        std::erase_if(oracle, [&](const Key& key) { return goes(std::get<1>(key)); });
        require_equal(pool, oracle);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(states_move_with_their_entries) {
  MemoryBudget budget;
  CandidatePool pool = make_pool(8, budget);
  pool.clear(8);
  pool.insert({2.0f, 20, CandidateState::kExact});
  pool.set_state(0, CandidateState::kExpanded);
  pool.insert({1.0f, 10, CandidateState::kEstimated});
  BOOST_TEST((pool[0].state == CandidateState::kEstimated));
  BOOST_TEST((pool[1].state == CandidateState::kExpanded));
  // The same candidate again changes nothing, its state included.
  BOOST_TEST(pool.insert({2.0f, 20, CandidateState::kEstimated}) == pool.capacity());
  BOOST_TEST((pool[1].state == CandidateState::kExpanded));
}

BOOST_AUTO_TEST_CASE(a_capacity_beyond_what_was_allocated_is_cut) {
  MemoryBudget budget;
  CandidatePool pool = make_pool(4, budget);
  pool.clear(100);
  BOOST_TEST(pool.capacity() == 4u);
  for (Pos position = 0; position < 50; ++position) pool.insert({1.0f, 49 - position, CandidateState::kEstimated});
  pool.check_invariants();
  BOOST_TEST(pool.size() == 4u);
  BOOST_TEST(pool[3].position == 3u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
