// SPDX-License-Identifier: Apache-2.0
#include "graph/page_set.h"

#include <set>

#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kHashed = PageSet::kBitsMax + 1;  // pages, from which on there is no bit for each

PageSet make_set(std::uint64_t pages, MemoryBudget& budget) {
  auto set = PageSet::create(pages, budget);
  REQUIRE_OK(set);
  return std::move(set).value();
}

BOOST_AUTO_TEST_SUITE(page_set)

BOOST_AUTO_TEST_CASE(answers_as_a_set_does_through_many_fillings) {
  for (const std::uint64_t count : {std::uint64_t{1}, std::uint64_t{2}, std::uint64_t{100}, std::uint64_t{1000},
                                    PageSet::kBitsMax, kHashed, std::uint64_t{0xFFFFFFFF}}) {
    MemoryBudget budget;
    PageSet pages = make_set(count, budget);
    Random random(count);
    for (int filling = 0; filling < 20; ++filling) {
      std::set<std::uint64_t> oracle;
      // Neighbouring numbers, at the start or at the end of the range, where hashes may collide.
      const std::uint64_t range = std::min<std::uint64_t>(count, 3000);
      const std::uint64_t first = filling % 2 == 0 ? 1 : count - range + 1;
      for (std::uint64_t step = 0; step < range; ++step) {
        const std::uint64_t page = first + random.below(range);
        BOOST_REQUIRE(pages.contains(page) == oracle.contains(page));
        BOOST_REQUIRE(pages.insert(page) == oracle.insert(page).second);
        BOOST_REQUIRE(pages.size() == oracle.size());
        BOOST_REQUIRE(pages.full() == (oracle.size() == count));
      }
      for (std::uint64_t page = first; page < first + range; ++page)
        BOOST_REQUIRE(pages.contains(page) == oracle.contains(page));
      pages.clear();
      BOOST_TEST(pages.size() == 0u);
      for (const std::uint64_t page : oracle) BOOST_REQUIRE(!pages.contains(page));
    }
  }
}

BOOST_AUTO_TEST_CASE(never_grows_beyond_the_limit_of_a_query_and_is_charged_for_what_it_holds) {
  for (const std::uint64_t count : {std::uint64_t{0}, std::uint64_t{7}, std::uint64_t{100'000}, kHashed}) {
    MemoryBudget budget;
    PageSet pages = make_set(count, budget);
    BOOST_TEST(budget.used_bytes() == PageSet::predict_bytes(count));
    BOOST_TEST(budget.used_bytes() <= 4u * (65536 + kPagesPerQueryMax));
    std::uint64_t entered = 0;
    for (std::uint64_t page = 1; page <= std::min<std::uint64_t>(count, 2 * kPagesPerQueryMax); ++page)
      entered += pages.insert(page) ? 1 : 0;
    BOOST_TEST(entered == std::min<std::uint64_t>(count, kPagesPerQueryMax));
    BOOST_TEST(pages.full());
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
