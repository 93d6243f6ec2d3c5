// SPDX-License-Identifier: Apache-2.0
#include "engine/store/writer_memory.h"

#include <algorithm>
#include <utility>

namespace vecstore {
namespace {

constexpr std::uint64_t kErasingShare = 8;  // one part in so many of the delta's memory

}  // namespace

WriterMemory::WriterMemory(MemoryBudget& budget, MemoryBudget& rows, std::uint64_t erasing_bytes,
                           std::uint64_t buffer_bytes)
    : budget_(budget),
      rows_(rows),
      erasing_(erasing_bytes, Inheritance::kNone),
      buffers_(buffer_bytes != 0 ? buffer_bytes : MemoryBudget::kUnlimited, Inheritance::kNone) {}

// An eighth is kept for erasing, which goes on when nothing more can be put.
WriterMemory::Shares WriterMemory::divide(std::uint64_t delta_bytes) {
  const std::uint64_t erasing = delta_bytes / kErasingShare;
  return {delta_bytes - erasing, erasing};
}

std::uint64_t WriterMemory::predict_bytes(std::uint64_t replayed, std::uint64_t delta_bytes,
                                          std::uint64_t buffer_bytes) {
  const Shares delta = divide(delta_bytes);
  return std::max(delta.rows, replayed) + delta.erasing + buffer_bytes;
}

std::uint64_t WriterMemory::delta_bytes_for(std::uint64_t rows_bytes) {
  return rows_bytes + (rows_bytes + kErasingShare - 2) / (kErasingShare - 1);
}

Result<std::unique_ptr<WriterMemory>> WriterMemory::take(MemoryBudget& budget, MemoryBudget& rows,
                                                         std::uint64_t delta_bytes, std::uint64_t buffer_bytes) {
  const Shares delta = divide(delta_bytes);
  const std::uint64_t replayed = rows.used_bytes();
  const std::uint64_t rows_bytes = std::max(delta.rows, replayed);
  std::unique_ptr<WriterMemory> memory(new WriterMemory(budget, rows, delta.erasing, buffer_bytes));
  memory->charges_.reserve(2);
  VECSTORE_ASSIGN(Charge charge, Charge::take(budget, rows_bytes - replayed + delta.erasing + buffer_bytes));
  memory->charges_.push_back(std::move(charge));
  rows.separate(rows_bytes);
  memory->charges_.push_back(Charge::adopt(budget, replayed));
  return memory;
}

Status WriterMemory::raise_buffers(std::uint64_t buffer_bytes) {
  if (buffer_bytes <= buffers_.limit_bytes()) return Status::ok();
  const std::uint64_t more = buffer_bytes - buffers_.limit_bytes();
  charges_.reserve(charges_.size() + 1);
  VECSTORE_ASSIGN(Charge charge, Charge::take(budget_, more));
  charges_.push_back(std::move(charge));
  buffers_.raise(more);
  return Status::ok();
}

Status WriterMemory::raise(std::uint64_t delta_bytes) {
  const Shares delta = divide(delta_bytes);
  const std::uint64_t more_rows = delta.rows - std::min(delta.rows, rows_.limit_bytes());
  const std::uint64_t more_erasing = delta.erasing - erasing_.limit_bytes();
  charges_.reserve(charges_.size() + 1);
  VECSTORE_ASSIGN(Charge charge, Charge::take(budget_, more_rows + more_erasing));
  charges_.push_back(std::move(charge));
  rows_.raise(more_rows);
  erasing_.raise(more_erasing);
  return Status::ok();
}

}  // namespace vecstore
