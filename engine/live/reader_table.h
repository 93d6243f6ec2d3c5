// SPDX-License-Identifier: Apache-2.0
//
// A hash table that one thread fills while any number of threads read it without locks: open addressing, replaced by a
// larger one before it is more than half full. Those it replaced stay for readers that are still in them, which at most
// doubles the memory.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "base/memory.h"
#include "base/status.h"

namespace vecstore {

// Slot: default-constructed it is free; its atomics say when it is not. What a slot means, how it is found and how it
// is published to readers is the owner's: probing begins at `hash & mask` and goes on with next() to the first free
// slot.
template <typename Slot>
class ReaderTable {
 public:
  static constexpr std::uint64_t kSlotsMin = 256;

  struct Slots {
    std::unique_ptr<Slot[]> slots;
    std::size_t mask = 0;
    Charge charge;

    std::size_t first(std::size_t hash) const { return hash & mask; }
    std::size_t next(std::size_t slot) const { return (slot + 1) & mask; }
    std::size_t size() const { return mask + 1; }
    Slot& operator[](std::size_t slot) { return slots[slot]; }
    const Slot& operator[](std::size_t slot) const { return slots[slot]; }
  };

  static std::uint64_t slots_for(std::uint64_t used) { return std::bit_ceil(std::max(kSlotsMin, 2 * used)); }

  // A table of which so many slots may be used. Errors: kMemoryBudget.
  static Result<std::unique_ptr<Slots>> make(std::uint64_t used, MemoryBudget& budget) {
    const std::uint64_t wanted = slots_for(used);
    auto table = std::make_unique<Slots>();
    VECSTORE_ASSIGN(table->charge, Charge::take(budget, wanted * sizeof(Slot)));
    table->slots = std::make_unique<Slot[]>(wanted);
    table->mask = wanted - 1;
    return table;
  }

  // Afterwards so many slots in all may be used. `copy(from, to)` puts what one slot of the old table holds into the
  // larger one, if it holds anything. What the larger one takes is charged to `budget`. Errors: kMemoryBudget.
  template <typename Copy>
  Status reserve(std::uint64_t used, MemoryBudget& budget, const Copy& copy) {
    if (has_room(used)) return Status::ok();
    VECSTORE_ASSIGN(auto larger, make(used, budget));
    if (!tables_.empty())
      for (std::size_t slot = 0; slot < tables_.back()->size(); ++slot) copy((*tables_.back())[slot], *larger);
    tables_.push_back(std::move(larger));
    newest_.store(tables_.back().get(), std::memory_order_release);
    return Status::ok();
  }
  bool has_room(std::uint64_t used) const { return !tables_.empty() && 2 * used <= tables_.back()->size(); }

  const Slots* newest() const { return newest_.load(std::memory_order_acquire); }  // nullptr: nothing was reserved yet
  Slots& filling() { return *tables_.back(); }                                     // table of the thread that fills it

 private:
  std::vector<std::unique_ptr<Slots>> tables_;  // the last is in use
  std::atomic<const Slots*> newest_{nullptr};
};

}  // namespace vecstore
