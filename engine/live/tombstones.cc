// SPDX-License-Identifier: Apache-2.0
#include "engine/live/tombstones.h"

#include "base/check.h"

namespace vecstore {

void Tombstones::put(Table::Slots& table, std::uint64_t row, std::uint64_t died) {
  std::size_t slot = table.first(hash_of({row - 1}));
  while (table[slot].row.load(std::memory_order_relaxed) != 0) slot = table.next(slot);
  table[slot].died = died;
  table[slot].row.store(row, std::memory_order_release);
}

Status Tombstones::reserve(std::uint64_t more, MemoryBudget& budget) {
  return table_.reserve(size() + more, budget, [](const Slot& old, Table::Slots& larger) {
    const std::uint64_t row = old.row.load(std::memory_order_relaxed);
    if (row != 0) put(larger, row, old.died);
  });
}

void Tombstones::add(RowId row, Lsn died) {
  VECSTORE_CHECK(table_.has_room(size() + 1));
  put(table_.filling(), row.value + 1, died.value);
  size_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace vecstore
