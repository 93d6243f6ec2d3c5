// SPDX-License-Identifier: Apache-2.0
#include "graph/page_set.h"

#include <set>

#include "engine/base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

PageSet make_set(std::uint64_t pages_max, MemoryBudget& budget) {
  auto set = PageSet::create(pages_max, budget);
  REQUIRE_OK(set);
  return std::move(set).value();
}

BOOST_AUTO_TEST_SUITE(page_set)

BOOST_AUTO_TEST_CASE(answers_as_a_set_does_through_many_fillings) {
  for (const std::uint64_t pages_max : {1u, 2u, 100u, 1000u}) {
    MemoryBudget budget;
    PageSet pages = make_set(pages_max, budget);
    Random random(pages_max);
    for (int filling = 0; filling < 20; ++filling) {
      std::set<std::uint64_t> oracle;
      // Neighbouring numbers and numbers at the end of the range, where hashes may collide.
      const std::uint64_t first = filling % 2 == 0 ? 1 : 0xFFFFFFFFull - 3 * pages_max;
      for (std::uint64_t step = 0; step < 4 * pages_max; ++step) {
        const std::uint64_t page = first + random.below(3 * pages_max);
        BOOST_REQUIRE(pages.contains(page) == oracle.contains(page));
        const bool expected = oracle.size() < pages_max && oracle.insert(page).second;
        BOOST_REQUIRE(pages.insert(page) == expected);
        BOOST_REQUIRE(pages.size() == oracle.size());
        BOOST_REQUIRE(pages.full() == (oracle.size() == pages_max));
      }
      for (std::uint64_t page = first; page < first + 3 * pages_max; ++page)
        BOOST_REQUIRE(pages.contains(page) == oracle.contains(page));
      pages.clear();
      BOOST_TEST(pages.size() == 0u);
      for (const std::uint64_t page : oracle) BOOST_REQUIRE(!pages.contains(page));
    }
  }
}

BOOST_AUTO_TEST_CASE(never_grows_beyond_the_limit_of_a_query_and_is_charged_for_what_it_holds) {
  for (const std::uint64_t pages_max : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{1} << 31}) {
    MemoryBudget budget;
    PageSet pages = make_set(pages_max, budget);
    BOOST_TEST(budget.used_bytes() == PageSet::predict_bytes(pages_max));
    std::uint64_t entered = 0;
    for (std::uint64_t page = 1; page <= 2 * kPagesPerQueryMax; ++page) entered += pages.insert(page) ? 1 : 0;
    BOOST_TEST(entered == std::min<std::uint64_t>(pages_max, kPagesPerQueryMax));
    BOOST_TEST(pages.full());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
