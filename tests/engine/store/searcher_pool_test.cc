// SPDX-License-Identifier: Apache-2.0
#include "engine/store/searcher_pool.h"

#include <atomic>
#include <set>
#include <thread>

#include "tests/test_util.h"

using namespace vecstore;

BOOST_AUTO_TEST_SUITE(searcher_pool)

BOOST_AUTO_TEST_CASE(a_searcher_is_lent_to_one_at_a_time) {
  SearcherPool pool;
  for (int i = 0; i < 3; ++i) pool.add(std::make_unique<StoreSearcher>());
  BOOST_TEST(pool.size() == 3u);
  std::mutex lock;  // guards lent
  std::set<const StoreSearcher*> lent;
  std::atomic<int> twice{0};
  std::atomic<std::size_t> most{0};
  {
    std::vector<std::jthread> borrowers;
    for (int i = 0; i < 8; ++i)
      borrowers.emplace_back([&] {
        for (int round = 0; round < 200; ++round) {
          const SearcherPool::Loan loan = std::move(pool.borrow(nullptr)).value();
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
  SearcherPool pool;
  pool.add(std::make_unique<StoreSearcher>());
  std::atomic<bool> served{false};
  std::jthread waiting;
  {
    const SearcherPool::Loan loan = std::move(pool.borrow(nullptr)).value();
    waiting = std::jthread([&] {
      const SearcherPool::Loan second = std::move(pool.borrow(nullptr)).value();
      served = true;
    });
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    BOOST_TEST(!served);
  }
  waiting.join();
  BOOST_TEST(served);
}

BOOST_AUTO_TEST_CASE(who_waits_can_be_cancelled) {
  SearcherPool pool;
  pool.add(std::make_unique<StoreSearcher>());
  const SearcherPool::Loan only = std::move(pool.borrow(nullptr)).value();
  CancelToken token;
  const std::jthread other([&token] {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    token.cancel();
  });
  BOOST_TEST((test::code_of(pool.borrow(&token)) == Code::kCancelled));
}

BOOST_AUTO_TEST_SUITE_END()
