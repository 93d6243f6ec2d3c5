// SPDX-License-Identifier: Apache-2.0
#include "engine/live/tombstones.h"

#include <bit>

#include "base/check.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kSlotsMin = 256;

}  // namespace

void Tombstones::Table::put(std::uint64_t row, std::uint64_t died) {
  std::size_t slot = first_slot({row - 1});
  while (slots[slot].row.load(std::memory_order_relaxed) != 0) slot = (slot + 1) & mask;
  slots[slot].died = died;
  slots[slot].row.store(row, std::memory_order_release);
}

Status Tombstones::reserve(std::uint64_t more, MemoryBudget& budget) {
  const std::uint64_t wanted = std::bit_ceil(std::max(kSlotsMin, 2 * (size() + more)));
  if (!tables_.empty() && tables_.back()->mask + 1 >= wanted) return Status::ok();
  auto table = std::make_unique<Table>();
  VECSTORE_ASSIGN(table->charge, Charge::take(budget, wanted * sizeof(Slot)));
  table->slots = std::make_unique<Slot[]>(wanted);
  table->mask = wanted - 1;
  if (!tables_.empty()) {
    const Table& old = *tables_.back();
    for (std::size_t slot = 0; slot <= old.mask; ++slot) {
      const std::uint64_t row = old.slots[slot].row.load(std::memory_order_relaxed);
      if (row != 0) table->put(row, old.slots[slot].died);
    }
  }
  tables_.push_back(std::move(table));
  current_.store(tables_.back().get(), std::memory_order_release);
  return Status::ok();
}

void Tombstones::add(RowId row, Lsn died) {
  VECSTORE_CHECK(!tables_.empty() && 2 * (size() + 1) <= tables_.back()->mask + 1);
  tables_.back()->put(row.value + 1, died.value);
  size_.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace vecstore
