// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_cache.h"

#include <array>
#include <atomic>
#include <fstream>
#include <thread>

#include "base/random.h"
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
    auto opened = PageFile::open(FileSystem::posix(), directory.path("f"), identity_of(1));
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
    const auto cache = PageCache::fill(*file, ranking, pages, CachePolicy::kFixed, budget);
    REQUIRE_OK(cache);
    const std::uint64_t held = std::min<std::uint64_t>(pages, kPages);
    BOOST_TEST(cache->pages() == held);
    BOOST_TEST(cache->bytes() <= PageCache::bytes_for(file->shape(), held));
    BOOST_TEST(budget.used_bytes() == cache->bytes());
    for (std::uint32_t i = 0; i < kPages; ++i) {
      const std::byte* page = cache->pin(ranking[i]);
      BOOST_REQUIRE((page != nullptr) == (i < held));
      if (page != nullptr) BOOST_REQUIRE(test::holds(identity_of(1), ranking[i], {page, 4096}));
    }
    BOOST_TEST(cache->pin(0) == nullptr);
    BOOST_TEST(cache->pin(~std::uint64_t{0}) == nullptr);
  }
}

// A budget that the cache fills to the last byte leaves no room for a reader: it is then filled page by page.
BOOST_FIXTURE_TEST_CASE(budget_is_never_exceeded_even_without_room_for_a_reader, Fixture) {
  const std::uint64_t bytes = 100 * 1024;
  const std::uint64_t pages = PageCache::pages_within(file->shape(), bytes);
  BOOST_TEST(PageCache::bytes_for(file->shape(), pages) <= bytes);
  BOOST_TEST(PageCache::bytes_for(file->shape(), pages + 1) > bytes);
  // In steps smaller than what adapting takes, up to room for the deepest reader and more.
  for (std::uint64_t spare = 0; spare < 300'000; spare += 1024)
    for (const CachePolicy policy : {CachePolicy::kFixed, CachePolicy::kAdaptive}) {
      MemoryBudget budget(bytes + spare);
      const auto cache = PageCache::fill(*file, ranking, pages, policy, budget);
      REQUIRE_OK(cache);
      BOOST_REQUIRE(cache->pages() == pages);
      BOOST_REQUIRE(budget.peak_bytes() <= budget.limit_bytes());
    }
  BOOST_TEST(PageCache::pages_within(file->shape(), 100) == 0u);
  BOOST_TEST(PageCache::pages_within(file->shape(), ~std::uint64_t{0}) == kPages);
  MemoryBudget small(5000);
  BOOST_TEST((code_of(PageCache::fill(*file, ranking, 2, CachePolicy::kFixed, small)) == Code::kMemoryBudget));
}

BOOST_FIXTURE_TEST_CASE(damaged_page_and_impossible_ranking_are_corrupt, Fixture) {
  MemoryBudget budget;
  const std::vector<std::uint32_t> beyond{kPages + 1};
  BOOST_TEST((code_of(PageCache::fill(*file, beyond, 1, CachePolicy::kFixed, budget)) == Code::kCorrupt));
  const std::vector<std::uint32_t> repeated{5, 5, 6};
  BOOST_TEST(PageCache::fill(*file, repeated, 3, CachePolicy::kFixed, budget)->pages() == 2u);
  std::fstream(directory.path("f"), std::ios::in | std::ios::out | std::ios::binary).seekp(9 * 4096 + 77).put(1);
  const auto cache = PageCache::fill(*file, ranking, kPages, CachePolicy::kFixed, budget);
  BOOST_TEST((code_of(cache) == Code::kCorrupt));
  BOOST_TEST(cache.error().number() == 9u);
}

// Asks for pages as searches do: from the cache, or else from the disk, offering what was read.
bool ask_for(const PageCache& cache, const PageFile& file, std::uint64_t page) {
  if (const std::byte* bytes = cache.pin(page)) {
    BOOST_REQUIRE(test::holds(identity_of(1), page, {bytes, 4096}));
    cache.unpin(bytes);
    return true;
  }
  alignas(4096) std::array<std::byte, 4096> read;
  REQUIRE_OK(file.read_page(page, read));
  cache.offer(page, read.data());
  return false;
}

BOOST_FIXTURE_TEST_CASE(adaptive_cache_follows_a_load_that_shifts_and_a_fixed_one_does_not, Fixture) {
  for (const CachePolicy policy : {CachePolicy::kFixed, CachePolicy::kAdaptive}) {
    MemoryBudget budget(PageCache::bytes_for(file->shape(), 30) + 300000);
    const auto cache = PageCache::fill(*file, ranking, 30, policy, budget);
    REQUIRE_OK(cache);
    BOOST_TEST(cache->bytes() <= PageCache::bytes_for(file->shape(), 30));
    BOOST_TEST(budget.used_bytes() == cache->bytes());
    Random random(7);
    // Twenty pages get nine of ten requests, first one twenty, then another.
    for (const std::uint64_t favourites : {100u, 250u}) {
      std::size_t hits = 0;
      for (int i = 0; i < 6000; ++i) {
        const bool favourite = random.below(10) != 0;
        const std::uint64_t page = favourite ? favourites + random.below(20) : 1 + random.below(kPages);
        if (ask_for(*cache, *file, page) && i >= 3000) ++hits;
      }
      if (policy == CachePolicy::kAdaptive) {
        BOOST_TEST(hits > 2650u);  // 3000 requests were counted, 2700 of them for the favourites
      } else {
        BOOST_TEST(hits < 1000u);
      }
    }
    BOOST_TEST((cache->replaced() != 0) == (policy == CachePolicy::kAdaptive));
    BOOST_TEST(cache->pages() == 30u);
  }
}

BOOST_FIXTURE_TEST_CASE(what_is_pinned_stays_while_other_threads_replace, Fixture) {
  MemoryBudget budget;
  const auto cache = PageCache::fill(*file, ranking, 10, CachePolicy::kAdaptive, budget);
  REQUIRE_OK(cache);
  std::atomic<bool> sound{true};
  const auto search = [&](std::uint64_t seed) {
    Random random(seed);
    alignas(4096) std::array<std::byte, 4096> read;
    for (int i = 0; i < 20000; ++i) {
      const std::uint64_t page = 1 + random.below(20) + 15 * (i / 2000);
      if (const std::byte* bytes = cache->pin(page)) {
        if (!test::holds(identity_of(1), page, {bytes, 4096})) sound = false;
        cache->unpin(bytes);
      } else if (file->read_page(page, read).is_ok()) {
        cache->offer(page, read.data());
      }
    }
  };
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t seed = 1; seed <= 4; ++seed) threads.emplace_back(search, seed);
  }
  BOOST_TEST(sound.load());
  BOOST_TEST(cache->replaced() > 10u);
}

BOOST_FIXTURE_TEST_CASE(cache_of_all_pages_has_nothing_to_replace, Fixture) {
  MemoryBudget budget;
  const auto cache = PageCache::fill(*file, ranking, kPages, CachePolicy::kAdaptive, budget);
  REQUIRE_OK(cache);
  BOOST_REQUIRE(cache->all_pages() != nullptr);
  BOOST_TEST(ask_for(*cache, *file, 17));
  BOOST_TEST(cache->replaced() == 0u);
}

}  // namespace
}  // namespace vecstore
