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
  const std::uint64_t more = rows_bytes - replayed + delta.erasing + buffer_bytes;
  VECSTORE_TRY(budget.charge(more));
  memory->set_aside_ = more + replayed;
  memory->allowed_ = delta;
  rows.separate(rows_bytes);
  return memory;
}

Status WriterMemory::raise_buffers(std::uint64_t buffer_bytes) {
  if (buffer_bytes <= buffers_.limit_bytes()) return Status::ok();
  const std::uint64_t more = buffer_bytes - buffers_.limit_bytes();
  VECSTORE_TRY(budget_.charge(more));
  set_aside_ += more;
  buffers_.raise(more);
  return Status::ok();
}

Status WriterMemory::allow(std::uint64_t delta_bytes) {
  const Shares delta = divide(delta_bytes);
  const std::uint64_t more_rows = delta.rows - std::min(delta.rows, rows_.limit_bytes());
  const std::uint64_t more_erasing = delta.erasing - std::min(delta.erasing, erasing_.limit_bytes());
  VECSTORE_TRY(budget_.charge(more_rows + more_erasing));
  set_aside_ += more_rows + more_erasing;
  rows_.raise(more_rows);
  erasing_.raise(more_erasing);
  allowed_ = delta;
  settle();
  return Status::ok();
}

void WriterMemory::settle() {
  const std::uint64_t before = delta_bytes_max();
  if (before == allowed_.rows + allowed_.erasing) return;
  const std::uint64_t less = before - rows_.lower(allowed_.rows) - erasing_.lower(allowed_.erasing);
  set_aside_ -= less;
  budget_.release(less);
}

}  // namespace vecstore
