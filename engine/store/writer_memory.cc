// SPDX-License-Identifier: Apache-2.0
#include "engine/store/writer_memory.h"

#include <algorithm>
#include <utility>

namespace vecstore {
namespace {

constexpr std::uint64_t kErasingShare = 8;  // one part in so many of the delta's memory

}  // namespace

WriterMemory::WriterMemory(MemoryBudget& budget, std::uint64_t replayed_bytes, const Shares& delta,
                           std::uint64_t buffer_bytes)
    : budget_(budget),
      replayed_bytes_(replayed_bytes),
      rows_(delta.rows, Inheritance::kNone),
      erasing_(delta.erasing, Inheritance::kNone),
      buffers_(buffer_bytes != 0 ? buffer_bytes : MemoryBudget::kUnlimited, Inheritance::kNone) {}

// An eighth is kept for erasing, which goes on when nothing more can be put. What was replayed is charged already.
WriterMemory::Shares WriterMemory::divide(std::uint64_t delta_bytes, std::uint64_t replayed_bytes) {
  const std::uint64_t erasing = delta_bytes / kErasingShare;
  return {delta_bytes - std::min(delta_bytes, replayed_bytes + erasing), erasing};
}

Result<std::unique_ptr<WriterMemory>> WriterMemory::take(MemoryBudget& budget, std::uint64_t delta_bytes,
                                                         std::uint64_t replayed_bytes, std::uint64_t buffer_bytes) {
  const Shares delta = divide(delta_bytes, replayed_bytes);
  VECSTORE_ASSIGN(Charge charge, Charge::take(budget, delta.rows + delta.erasing + buffer_bytes));
  std::unique_ptr<WriterMemory> memory(new WriterMemory(budget, replayed_bytes, delta, buffer_bytes));
  memory->charges_.push_back(std::move(charge));
  return memory;
}

Status WriterMemory::raise(std::uint64_t delta_bytes) {
  const Shares delta = divide(delta_bytes, replayed_bytes_);
  const std::uint64_t more_rows = delta.rows - rows_.limit_bytes();
  const std::uint64_t more_erasing = delta.erasing - erasing_.limit_bytes();
  charges_.reserve(charges_.size() + 1);
  VECSTORE_ASSIGN(Charge charge, Charge::take(budget_, more_rows + more_erasing));
  charges_.push_back(std::move(charge));
  rows_.raise(more_rows);
  erasing_.raise(more_erasing);
  return Status::ok();
}

}  // namespace vecstore
