// SPDX-License-Identifier: Apache-2.0
#include "engine/live/tombstones.h"

#include <atomic>
#include <thread>
#include <vector>

#include "tests/test_util.h"

namespace vecstore {
namespace {

BOOST_AUTO_TEST_SUITE(tombstones)

BOOST_AUTO_TEST_CASE(a_row_is_gone_from_its_record_on) {
  MemoryBudget budget;
  Tombstones gone;
  BOOST_TEST(!gone.gone({7}, {~std::uint64_t{0}}));
  REQUIRE_OK(gone.reserve(2, budget));
  gone.add({7}, {10});
  gone.add({0}, {12});
  BOOST_TEST(gone.size() == 2u);
  BOOST_TEST(!gone.gone({7}, {9}));
  BOOST_TEST(gone.gone({7}, {10}));
  BOOST_TEST(!gone.gone({0}, {11}));
  BOOST_TEST(gone.gone({0}, {12}));
  BOOST_TEST(!gone.gone({8}, {~std::uint64_t{0}}));
}

BOOST_AUTO_TEST_CASE(none_is_lost_as_they_become_many) {
  // All rows, and some whose hashes collide.
  for (const std::uint64_t step : {1u, 1048576u}) {
    MemoryBudget budget;
    Tombstones gone;
    const auto row = [step](std::uint64_t i) { return RowId{i * step + (step == 1 ? 0 : i % 3)}; };
    for (std::uint64_t i = 0; i < 5000; ++i) {
      REQUIRE_OK(gone.reserve(1, budget));
      gone.add(row(i), {i + 1});
    }
    BOOST_TEST(gone.size() == 5000u);
    for (std::uint64_t i = 0; i < 5000; ++i) {
      BOOST_REQUIRE(gone.gone(row(i), {i + 1}));
      BOOST_REQUIRE(!gone.gone(row(i), {i}));
    }
  }
}

BOOST_AUTO_TEST_CASE(without_memory_nothing_changes) {
  MemoryBudget budget(4096);  // 256 slots of 16 bytes
  MemoryBudget other;
  Tombstones gone;
  REQUIRE_OK(gone.reserve(128, budget));
  for (std::uint64_t i = 0; i < 128; ++i) gone.add({i}, {1});
  BOOST_CHECK(gone.reserve(1, budget).code() == Code::kMemoryBudget);
  BOOST_TEST(gone.size() == 128u);
  for (std::uint64_t i = 0; i < 128; ++i) BOOST_REQUIRE(gone.gone({i}, {1}));
  REQUIRE_OK(gone.reserve(1, other));
  gone.add({128}, {2});
  BOOST_TEST(gone.gone({128}, {2}));
}

BOOST_AUTO_TEST_CASE(readers_see_each_row_go_and_stay_gone) {
  MemoryBudget budget;
  Tombstones gone;
  constexpr std::uint64_t kRows = 10000;
  std::atomic<std::uint64_t> applied = 0;
  std::atomic<int> wrong = 0;
  {
    std::vector<std::jthread> readers;
    for (std::uint64_t reader = 0; reader < 3; ++reader)
      readers.emplace_back([&, reader] {
        for (std::uint64_t row = reader;; row = (row + 7) % kRows) {
          const std::uint64_t moment = applied.load(std::memory_order_acquire);
          // Row i goes with record i + 1.
          if (gone.gone({row}, {moment}) != (row + 1 <= moment)) ++wrong;
          if (moment == kRows) return;
        }
      });
    for (std::uint64_t row = 0; row < kRows; ++row) {
      REQUIRE_OK(gone.reserve(1, budget));
      gone.add({row}, {row + 1});
      applied.store(row + 1, std::memory_order_release);
    }
  }
  BOOST_TEST(wrong == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
