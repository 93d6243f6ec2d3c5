// SPDX-License-Identifier: Apache-2.0
//
// Which rows of the graph on disk are gone, and since when. One thread adds, any number ask, without locks.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "wal/format.h"

namespace vecstore {

// A hash table that is replaced by a larger one when it is half full; those it replaced stay for readers that are still
// in them, which at most doubles the memory.
class Tombstones {
 public:
  // Afterwards `more` additions cannot fail; what that takes is charged to `budget`. Errors: kMemoryBudget.
  Status reserve(std::uint64_t more, MemoryBudget& budget);
  // Not of a row that is there already.
  void add(RowId row, Lsn died);

  // Whether the row was gone at `snapshot`.
  bool gone(RowId row, Lsn snapshot) const {
    const Table* table = current_.load(std::memory_order_acquire);
    if (table == nullptr) return false;
    for (std::size_t slot = table->first_slot(row);; slot = (slot + 1) & table->mask) {
      const std::uint64_t key = table->slots[slot].row.load(std::memory_order_acquire);
      if (key == 0) return false;
      if (key == row.value + 1) return table->slots[slot].died <= snapshot.value;
    }
  }
  std::uint64_t size() const { return size_.load(std::memory_order_relaxed); }

 private:
  struct Slot {
    std::atomic<std::uint64_t> row{0};  // + 1; 0: free
    std::uint64_t died = 0;             // written before `row`
  };
  struct Table {
    std::unique_ptr<Slot[]> slots;
    std::size_t mask = 0;
    Charge charge;
    std::size_t first_slot(RowId row) const {
      return static_cast<std::size_t>((row.value * 0x9E3779B97F4A7C15ull) >> 20) & mask;
    }
    void put(std::uint64_t row, std::uint64_t died);
  };

  std::vector<std::unique_ptr<Table>> tables_;  // the last is in use
  std::atomic<const Table*> current_{nullptr};
  std::atomic<std::uint64_t> size_{0};
};

}  // namespace vecstore
