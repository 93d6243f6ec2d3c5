// SPDX-License-Identifier: Apache-2.0
//
// Which rows of the graph on disk are gone, and since when. One thread adds, any number ask, without locks.
#pragma once

#include <atomic>
#include <cstdint>

#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/live/reader_table.h"
#include "wal/format.h"

namespace vecstore {

class Tombstones {
 public:
  // Afterwards `more` additions cannot fail; what that takes is charged to `budget`. Errors: kMemoryBudget.
  Status reserve(std::uint64_t more, MemoryBudget& budget);
  // What that takes at the most, beside what is there.
  std::uint64_t bytes_for(std::uint64_t more) const {
    return more == 0 || table_.has_room(size() + more) ? 0 : Table::slots_for(size() + more) * sizeof(Slot);
  }
  // Not of a row that is there already.
  void add(RowId row, Lsn died);

  // Whether the row was gone at `snapshot`.
  bool gone(RowId row, Lsn snapshot) const {
    const Table::Slots* table = table_.newest();
    if (table == nullptr) return false;
    for (std::size_t slot = table->first(hash_of(row));; slot = table->next(slot)) {
      const std::uint64_t key = (*table)[slot].row.load(std::memory_order_acquire);
      if (key == 0) return false;
      if (key == row.value + 1) return (*table)[slot].died <= snapshot.value;
    }
  }
  // The thread that adds: visit(RowId, Lsn died) for all of them.
  template <typename Visit>
  void for_each(const Visit& visit) const {
    const Table::Slots* table = table_.newest();
    for (std::size_t slot = 0; table != nullptr && slot < table->size(); ++slot)
      if (const std::uint64_t row = (*table)[slot].row.load(std::memory_order_relaxed); row != 0)
        visit(RowId{row - 1}, Lsn{(*table)[slot].died});
  }
  std::uint64_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::atomic<std::uint64_t> row{0};  // + 1; 0: free
    std::uint64_t died = 0;             // written before `row`
  };
  using Table = ReaderTable<Slot>;
  static std::size_t hash_of(RowId row) { return static_cast<std::size_t>((row.value * 0x9E3779B97F4A7C15ull) >> 20); }
  static void put(Table::Slots& table, std::uint64_t row, std::uint64_t died);

  Table table_;
  std::atomic<std::uint64_t> size_{0};
};

}  // namespace vecstore
