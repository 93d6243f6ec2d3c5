// SPDX-License-Identifier: Apache-2.0
//
// The memory of a writer: set aside beyond what replay took when the store is opened, so that the cache cannot take it,
// and when the delta is given more.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>

#include "base/memory.h"
#include "base/status.h"
#include "engine/live/document_packer.h"

namespace vecstore {

// Under a budget: buffers of the log and of a batch; what packs documents; what keys are looked up in, and built from,
// where they are bytes.
inline constexpr std::uint64_t kWriterBytes = 12u << 20;
inline constexpr std::uint64_t kWriterDocumentsBytes = 2u << 20;
static_assert(DocumentPacker::kMemoryBytes <= kWriterDocumentsBytes);
inline constexpr std::uint64_t kWriterCatalogBytes = 4u << 20;

// What a writer sets aside beside its delta, under a budget. keeps_keys: of the graph, in rows/.
inline std::uint64_t writer_buffer_bytes(bool keeps_keys) {
  return kWriterBytes + kWriterDocumentsBytes + (keeps_keys ? kWriterCatalogBytes : 0);
}

// Budgets are thread-safe; what changes those of the delta is for one thread at a time.
class WriterMemory {
 public:
  // Sets aside in `budget` what the delta and the buffers may take. `rows`: a part of `budget` that holds what was
  // replayed; it gets the limit of the delta's rows, or what it uses where that is more. Both outlive it. buffer_bytes
  // = 0: the buffers have no bound. Errors: kMemoryBudget.
  static Result<std::unique_ptr<WriterMemory>> take(MemoryBudget& budget, MemoryBudget& rows, std::uint64_t delta_bytes,
                                                    std::uint64_t buffer_bytes);
  ~WriterMemory() { budget_.release(set_aside_); }
  WriterMemory(const WriterMemory&) = delete;
  WriterMemory& operator=(const WriterMemory&) = delete;

  // The delta may take `delta_bytes` from now on. Errors: kMemoryBudget, where that is more than before.
  Status allow(std::uint64_t delta_bytes);
  // Gives back what the delta has used beyond what it may. Before every write, which nobody else does meanwhile.
  void settle();
  // The buffers may take so much from now on, where that is more than before and they have a bound. Errors:
  // kMemoryBudget.
  Status raise_buffers(std::uint64_t buffer_bytes);

  // What take() sets aside in all, what was replayed included.
  static std::uint64_t predict_bytes(std::uint64_t replayed, std::uint64_t delta_bytes, std::uint64_t buffer_bytes);
  // The least delta_bytes of which so much is for rows.
  static std::uint64_t delta_bytes_for(std::uint64_t rows_bytes);

  MemoryBudget& rows() { return rows_; }        // memory of the delta's rows
  MemoryBudget& erasing() { return erasing_; }  // memory of the delta when that of its rows is used up
  MemoryBudget& whole() { return budget_; }     // that all of it was set aside in
  MemoryBudget& buffers() { return buffers_; }  // memory of the log, the batch at hand and the catalog
  std::uint64_t delta_bytes() const { return rows_.used_bytes() + erasing_.used_bytes(); }
  std::uint64_t delta_bytes_max() const { return rows_.limit_bytes() + erasing_.limit_bytes(); }

 private:
  struct Shares {
    std::uint64_t rows = 0;     // that may be put
    std::uint64_t erasing = 0;  // beyond them
  };
  WriterMemory(MemoryBudget& budget, MemoryBudget& rows, std::uint64_t erasing_bytes, std::uint64_t buffer_bytes);
  static Shares divide(std::uint64_t delta_bytes);

  MemoryBudget& budget_;
  std::atomic<std::uint64_t> set_aside_{0};
  Shares allowed_;
  MemoryBudget& rows_;
  MemoryBudget erasing_;
  MemoryBudget buffers_;
};

}  // namespace vecstore
