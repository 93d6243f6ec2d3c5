// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_cache.h"

#include "tests/pagestore/page_files.h"

namespace vecstore {
namespace {

using test::code_of;
using test::identity_of;
using test::TemporaryDirectory;

constexpr std::uint32_t kPages = 300;

struct Fixture {
  Fixture() {
    REQUIRE_OK(test::write_pages(directory.path("f"), identity_of(1), kPages));
    auto opened = PageFile::open(directory.path("f"), identity_of(1));
    REQUIRE_OK(opened);
    file = std::make_unique<PageFile>(std::move(*opened));
    for (std::uint32_t i = 0; i < kPages; ++i) ranking.push_back(1 + i * 7 % kPages);  // 7 and 300 are coprime
  }
  TemporaryDirectory directory;
  std::unique_ptr<PageFile> file;
  std::vector<std::uint32_t> ranking;
};

BOOST_FIXTURE_TEST_CASE(cache_holds_the_first_of_the_ranking_and_no_others, Fixture) {
  for (const std::uint64_t pages : {0u, 1u, 30u, 299u, 300u, 999u}) {
    MemoryBudget budget;
    const auto cache = PageCache::fill(*file, ranking, pages, budget);
    REQUIRE_OK(cache);
    const std::uint64_t held = std::min<std::uint64_t>(pages, kPages);
    BOOST_TEST(cache->pages() == held);
    BOOST_TEST(cache->bytes() == PageCache::bytes_for(*file, held));
    BOOST_TEST(budget.used_bytes() == cache->bytes());
    for (std::uint32_t i = 0; i < kPages; ++i) {
      const std::byte* page = cache->find(ranking[i]);
      BOOST_REQUIRE((page != nullptr) == (i < held));
      if (page != nullptr) BOOST_REQUIRE(test::holds(identity_of(1), ranking[i], {page, 4096}));
    }
    BOOST_TEST(cache->find(0) == nullptr);
    BOOST_TEST(cache->find(~std::uint64_t{0}) == nullptr);
  }
}

// A budget that the cache fills to the last byte leaves no room for a reader: it is then filled page by page.
BOOST_FIXTURE_TEST_CASE(budget_is_never_exceeded_even_without_room_for_a_reader, Fixture) {
  for (const std::uint64_t spare : {0u, 8192u, 100000u}) {
    const std::uint64_t bytes = 100 * 1024;
    const std::uint64_t pages = PageCache::pages_within(*file, bytes);
    BOOST_TEST(PageCache::bytes_for(*file, pages) <= bytes);
    BOOST_TEST(PageCache::bytes_for(*file, pages + 1) > bytes);
    MemoryBudget budget(bytes + spare);
    const auto cache = PageCache::fill(*file, ranking, pages, budget);
    REQUIRE_OK(cache);
    BOOST_TEST(cache->pages() == pages);
    BOOST_TEST(budget.peak_bytes() <= budget.limit_bytes());
  }
  BOOST_TEST(PageCache::pages_within(*file, 100) == 0u);
  BOOST_TEST(PageCache::pages_within(*file, ~std::uint64_t{0}) == kPages);
  MemoryBudget small(5000);
  BOOST_TEST((code_of(PageCache::fill(*file, ranking, 2, small)) == Code::kMemoryBudget));
}

BOOST_FIXTURE_TEST_CASE(damaged_page_and_impossible_ranking_are_corrupt, Fixture) {
  MemoryBudget budget;
  const std::vector<std::uint32_t> beyond{kPages + 1};
  BOOST_TEST((code_of(PageCache::fill(*file, beyond, 1, budget)) == Code::kCorrupt));
  const std::vector<std::uint32_t> repeated{5, 5, 6};
  BOOST_TEST(PageCache::fill(*file, repeated, 3, budget)->pages() == 2u);
  std::fstream(directory.path("f"), std::ios::in | std::ios::out | std::ios::binary).seekp(9 * 4096 + 77).put(1);
  const auto cache = PageCache::fill(*file, ranking, kPages, budget);
  BOOST_TEST((code_of(cache) == Code::kCorrupt));
  BOOST_TEST(cache.error().number() == 9u);
}

}  // namespace
}  // namespace vecstore
