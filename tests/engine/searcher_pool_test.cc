// SPDX-License-Identifier: Apache-2.0
#include "engine/searcher_pool.h"

#include <atomic>
#include <set>
#include <thread>

#include "engine/generation.h"
#include "tests/engine/stores.h"

using namespace vecstore;

namespace {

// A generation to make searchers of, taken from a store on disk.
struct Index {
  test::TemporaryDirectory directory;
  MemoryBudget budget;
  std::unique_ptr<Generation> generation;

  Index() {
    const std::string path = directory.path("idx");
    const test::Matrix base = test::csift(300);
    REQUIRE_OK(Store::build(path, *view_source(base.view()), test::build_options(Metric::kL2)));
    auto store = StoreDirectory::open(path, LockMode::kShared);
    REQUIRE_OK(store);
    auto opened = Generation::open({path + "/graph-1", path + "/codes-1", path + "/rowmap-1"}, store->manifest()->store,
                                   1, budget);
    REQUIRE_OK(opened);
    generation = std::move(*opened);
  }
};

}  // namespace

BOOST_AUTO_TEST_SUITE(searcher_pool)

BOOST_AUTO_TEST_CASE(a_searcher_is_lent_to_one_at_a_time) {
  Index index;
  SearcherPool pool;
  for (int i = 0; i < 3; ++i) {
    auto searcher = GraphSearcher::create(index.generation->search_index(), IoBackend::kPread, 1, index.budget);
    REQUIRE_OK(searcher);
    pool.add(std::move(*searcher));
  }
  BOOST_TEST(pool.size() == 3u);
  std::mutex lock;  // guards lent
  std::set<const GraphSearcher*> lent;
  std::atomic<int> twice{0};
  std::atomic<std::size_t> most{0};
  {
    std::vector<std::jthread> borrowers;
    for (int i = 0; i < 8; ++i)
      borrowers.emplace_back([&] {
        for (int round = 0; round < 200; ++round) {
          const SearcherPool::Loan loan = pool.borrow();
          {
            const std::scoped_lock guard(lock);
            if (!lent.insert(&*loan).second) ++twice;
            most = std::max(most.load(), lent.size());
          }
          std::this_thread::yield();
          const std::scoped_lock guard(lock);
          lent.erase(&*loan);
        }
      });
  }
  BOOST_TEST(twice == 0);
  BOOST_TEST(most <= 3u);
}

BOOST_AUTO_TEST_CASE(who_finds_none_free_waits_for_one) {
  Index index;
  SearcherPool pool;
  auto searcher = GraphSearcher::create(index.generation->search_index(), IoBackend::kPread, 1, index.budget);
  REQUIRE_OK(searcher);
  pool.add(std::move(*searcher));
  std::atomic<bool> served{false};
  std::jthread waiting;
  {
    const SearcherPool::Loan loan = pool.borrow();
    waiting = std::jthread([&] {
      const SearcherPool::Loan second = pool.borrow();
      served = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    BOOST_TEST(!served);
  }
  waiting.join();
  BOOST_TEST(served);
}

BOOST_AUTO_TEST_SUITE_END()
