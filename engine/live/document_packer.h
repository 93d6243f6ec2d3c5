// SPDX-License-Identifier: Apache-2.0
//
// Documents on their way into log and delta: each is a zstd frame of its own, with a dictionary as soon as there are
// enough to train one. For the writer whose turn it is.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "compress/frames.h"
#include "engine/live/live_state.h"

namespace vecstore {

// When there are enough, and what makes a dictionary of them; a test brings its own.
struct DictionaryTraining {
  using Train = std::vector<std::byte> (*)(std::span<const std::byte> samples, std::span<const std::size_t> sizes);
  std::uint64_t sample_bytes = 256u << 10;
  Train train = train_dictionary;
};

class DocumentPacker {
 public:
  // What it takes of `budget` at the most; without it documents stay as they are.
  static constexpr std::uint64_t kMemoryBytes = FramePacker::kMemoryBytes + FramePacker::kBytesMax;

  DocumentPacker(const DictionaryTraining& training, MemoryBudget& budget)
      : training_(training), budget_(&budget), train_at_(training.sample_bytes) {}

  // The document as it is to be kept, until the next call: a frame, or the document itself where a record with the
  // frame would be no smaller.
  std::string_view pack(std::string_view document, const FrameDictionary* dictionary);

  // A dictionary to be logged before the next documents; empty: there is one, there are too few documents for one, they
  // have nothing in common, or there is no memory for it. Tried again with later documents when there are twice as
  // many.
  std::span<const std::byte> train(const LiveState& live, MemoryBudget& budget);
  // Whether it should be logged again, so that no damage in one place costs all documents.
  static bool is_due_again(const LiveState& live);

 private:
  std::vector<std::byte> train_on(const LiveState& live, MemoryBudget& budget);

  const DictionaryTraining& training_;
  MemoryBudget* budget_;
  std::uint64_t train_at_;
  std::uint64_t sampled_ = 0;              // RowIds below it were looked at, by attempts in vain
  std::vector<std::byte> trained_;         // not logged yet
  const FrameDictionary* used_ = nullptr;  // by packer_
  std::unique_ptr<FramePacker> packer_;
  Buffer<std::byte> frame_;
};

}  // namespace vecstore
