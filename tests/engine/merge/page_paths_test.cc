// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/page_paths.h"

#include <algorithm>
#include <vector>

#include "base/limits.h"
#include "base/random.h"
#include "tests/test_util.h"

namespace vecstore {
namespace {

using Lists = std::vector<std::vector<Pos>>;

GraphLayout layout_of(std::uint64_t rows, std::uint32_t rows_per_page) {
  GraphLayout layout;
  layout.rows = rows;
  layout.rows_per_page = rows_per_page;
  return layout;
}

// `most` neighbours of each row within `reach` of it, fewer where chance has it; a row in `hermits` has none, and is
// nobody's.
Lists random_lists(std::uint64_t rows, std::uint32_t most, std::uint32_t reach, std::uint32_t hermits, Random& random) {
  Lists lists(rows);
  for (Pos row = 0; row < rows; ++row) {
    if (hermits != 0 && row % hermits == 0) continue;
    for (std::uint64_t i = random.below(most + 1); i > 0; --i) {
      const Pos low = row < reach ? 0 : row - reach;
      const Pos high = static_cast<Pos>(std::min<std::uint64_t>(rows, std::uint64_t{row} + reach + 1));
      const auto other = static_cast<Pos>(low + random.below(high - low));
      if (other != row && (hermits == 0 || other % hermits != 0)) lists[row].push_back(other);
    }
    std::ranges::sort(lists[row]);
    lists[row].erase(std::unique(lists[row].begin(), lists[row].end()), lists[row].end());
  }
  return lists;
}

// What is written when every edge goes that may.
Lists only_what_must_stay(const GraphLayout& layout, Pos entry, const Lists& lists) {
  Lists kept(layout.rows);
  PagePaths paths(layout, entry);
  for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
    BOOST_REQUIRE_EQUAL(paths.lists().size(), layout.rows_on(page));
    const Pos first = layout.first_on(page);
    for (std::uint32_t slot = 0; slot < layout.rows_on(page); ++slot)
      for (const Pos target : lists[first + slot]) paths.lists()[slot].push_back({target, false});
    BOOST_REQUIRE(paths.keep_paths());
    for (std::uint32_t slot = 0; slot < layout.rows_on(page); ++slot) {
      PagePaths::List& list = paths.lists()[slot];
      std::erase_if(list, [](const PagePaths::Edge& edge) { return !edge.must_stay; });
      for (const PagePaths::Edge& edge : list) kept[first + slot].push_back(edge.target);
      BOOST_REQUIRE(std::ranges::is_sorted(kept[first + slot], std::ranges::less_equal{}) || list.size() < 2);
      BOOST_REQUIRE(std::ranges::find(kept[first + slot], first + slot) == kept[first + slot].end());
    }
    paths.next_page();
  }
  return kept;
}

std::uint64_t reachable(const Lists& lists, Pos entry) {
  std::vector<bool> reached(lists.size());
  std::vector<Pos> waiting{entry};
  reached[entry] = true;
  std::uint64_t count = 0;
  while (!waiting.empty()) {
    const Pos row = waiting.back();
    waiting.pop_back();
    ++count;
    for (const Pos other : lists[row]) {
      if (reached[other]) continue;
      reached[other] = true;
      waiting.push_back(other);
    }
  }
  return count;
}

BOOST_AUTO_TEST_SUITE(page_paths)

BOOST_AUTO_TEST_CASE(every_row_is_reached_by_the_edges_that_must_stay) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    Random random(seed);
    const std::uint64_t rows = 1 + random.below(200);
    const auto rows_per_page = static_cast<std::uint32_t>(1 + random.below(12));
    const auto entry = static_cast<Pos>(random.below(rows));
    const auto reach = static_cast<std::uint32_t>(1 + random.below(40));
    const auto hermits = static_cast<std::uint32_t>(random.below(2) * (2 + random.below(9)));
    const Lists lists = random_lists(rows, static_cast<std::uint32_t>(random.below(9)), reach, hermits, random);
    const Lists kept = only_what_must_stay(layout_of(rows, rows_per_page), entry, lists);
    BOOST_TEST_CONTEXT("seed " << seed << ", " << rows << " rows, " << rows_per_page << " a page, entry " << entry)
    BOOST_TEST(reachable(kept, entry) == rows);
  }
}

BOOST_AUTO_TEST_CASE(rows_without_any_edge_are_reached_and_lists_stay_short) {
  for (const Pos entry : {0u, 1u, 57u, 99u}) {
    const Lists kept = only_what_must_stay(layout_of(100, 7), entry, Lists(100));
    BOOST_TEST(reachable(kept, entry) == 100u);
    for (const auto& list : kept) BOOST_TEST(list.size() <= 4u);
  }
}

// The entry alone on the last page would have to lead to every row of the page before.
BOOST_AUTO_TEST_CASE(a_row_that_would_lead_to_too_many_is_told) {
  for (const std::uint32_t rows_per_page : {255u, 256u}) {
    PagePaths paths(layout_of(rows_per_page + 1, rows_per_page), rows_per_page);
    BOOST_TEST(paths.keep_paths());
    paths.next_page();
    BOOST_TEST(paths.keep_paths() == (rows_per_page <= kDegreeMax));
    BOOST_TEST(paths.lists()[0].size() == kDegreeMax);
  }
}

// Rows in a good order lead to their neighbours: then nothing is added, and little has to stay.
BOOST_AUTO_TEST_CASE(where_rows_lead_to_those_beside_them_no_edge_is_added) {
  Random random(5);
  const Lists lists = random_lists(500, 60, 15, 0, random);
  Lists dense = lists;
  for (Pos row = 0; row < dense.size(); ++row)
    for (Pos other = row < 12 ? 0 : row - 12; other < std::min<Pos>(500, row + 13); ++other)
      if (other != row && std::ranges::find(dense[row], other) == dense[row].end()) dense[row].push_back(other);
  for (auto& list : dense) std::ranges::sort(list);
  const Lists kept = only_what_must_stay(layout_of(500, 10), 250, dense);
  std::uint64_t edges = 0;
  for (Pos row = 0; row < kept.size(); ++row) {
    edges += kept[row].size();
    for (const Pos target : kept[row]) BOOST_TEST((std::ranges::find(dense[row], target) != dense[row].end()));
  }
  BOOST_TEST(reachable(kept, 250) == 500u);
  BOOST_TEST(edges <= 3 * 500u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
