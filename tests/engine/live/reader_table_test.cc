// SPDX-License-Identifier: Apache-2.0
#include "engine/live/reader_table.h"

#include <atomic>
#include <thread>
#include <vector>

#include "tests/test_util.h"

namespace vecstore {
namespace {

using Table = ReaderTable<std::atomic<std::uint32_t>>;

// Every number hashes to itself, so that neighbours collide once the table is small.
void put(Table::Slots& slots, std::uint32_t number) {
  std::size_t slot = slots.first(number);
  while (slots[slot].load(std::memory_order_relaxed) != 0) slot = slots.next(slot);
  slots[slot].store(number, std::memory_order_release);
}

bool holds(const Table& table, std::uint32_t number) {
  const Table::Slots* slots = table.newest();
  if (slots == nullptr) return false;
  for (std::size_t slot = slots->first(number);; slot = slots->next(slot)) {
    const std::uint32_t there = (*slots)[slot].load(std::memory_order_acquire);
    if (there == number) return true;
    if (there == 0) return false;
  }
}

Status reserve(Table& table, std::uint64_t used, MemoryBudget& budget) {
  return table.reserve(used, budget, [](const std::atomic<std::uint32_t>& old, Table::Slots& larger) {
    const std::uint32_t number = old.load(std::memory_order_relaxed);
    if (number != 0) put(larger, number);
  });
}

BOOST_AUTO_TEST_SUITE(reader_table)

BOOST_AUTO_TEST_CASE(what_it_held_is_found_in_every_larger_table) {
  MemoryBudget budget;
  Table table;
  BOOST_TEST(!holds(table, 1));
  BOOST_TEST(!table.has_room(1));
  for (std::uint32_t number = 1; number <= 3000; ++number) {
    REQUIRE_OK(reserve(table, number, budget));
    BOOST_REQUIRE(table.has_room(number));
    put(table.filling(), number);
  }
  for (std::uint32_t number = 1; number <= 3000; ++number) BOOST_REQUIRE(holds(table, number));
  BOOST_TEST(!holds(table, 3001));
  // Half full at the most, and with all those before no more than twice the last one.
  BOOST_TEST(table.newest()->size() == 8192u);
  BOOST_TEST(budget.used_bytes() == (8192u + 4096 + 2048 + 1024 + 512 + 256) * sizeof(std::uint32_t));
}

BOOST_AUTO_TEST_CASE(one_that_finds_no_room_stays_as_it_was) {
  MemoryBudget budget(Table::kSlotsMin * sizeof(std::uint32_t));
  Table table;
  REQUIRE_OK(reserve(table, Table::kSlotsMin / 2, budget));
  for (std::uint32_t number = 1; number <= Table::kSlotsMin / 2; ++number) put(table.filling(), number);
  BOOST_CHECK(reserve(table, Table::kSlotsMin / 2 + 1, budget).code() == Code::kMemoryBudget);
  BOOST_TEST(!table.has_room(Table::kSlotsMin / 2 + 1));
  for (std::uint32_t number = 1; number <= Table::kSlotsMin / 2; ++number) BOOST_REQUIRE(holds(table, number));
}

BOOST_AUTO_TEST_CASE(readers_find_what_was_there_while_it_grows) {
  MemoryBudget budget;
  Table table;
  std::atomic<std::uint32_t> filled = 0;
  std::atomic<int> missed = 0;
  constexpr std::uint32_t kNumbers = 20000;
  {
    std::vector<std::jthread> readers;
    for (std::uint32_t reader = 0; reader < 3; ++reader)
      readers.emplace_back([&, reader] {
        for (std::uint32_t step = reader;; step += 7) {
          const std::uint32_t there = filled.load(std::memory_order_acquire);
          if (there != 0 && !holds(table, 1 + step % there)) ++missed;
          if (there == kNumbers) return;
        }
      });
    for (std::uint32_t number = 1; number <= kNumbers; ++number) {
      REQUIRE_OK(reserve(table, number, budget));
      put(table.filling(), number);
      filled.store(number, std::memory_order_release);
    }
  }
  BOOST_TEST(missed == 0);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
