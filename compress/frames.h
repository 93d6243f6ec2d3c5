// SPDX-License-Identifier: Apache-2.0
//
// zstd frames of documents. Never on the path of a search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "base/memory.h"
#include "base/status.h"

struct ZSTD_CCtx_s;
struct ZSTD_CDict_s;
struct ZSTD_DDict_s;

namespace vecstore {

// What texts have in common, for frames too small to learn it by themselves. Immutable, thread-safe.
class FrameDictionary {
 public:
  static constexpr std::size_t kBytesMax = 64u << 10;

  // Errors: kCorrupt (not a zstd dictionary, or too large), kMemoryBudget.
  static Result<std::unique_ptr<FrameDictionary>> open(std::span<const std::byte> bytes, MemoryBudget& budget);
  FrameDictionary(const FrameDictionary&) = delete;
  FrameDictionary& operator=(const FrameDictionary&) = delete;
  ~FrameDictionary();

  std::span<const std::byte> bytes() const { return bytes_.span(); }
  std::uint64_t memory_bytes() const { return memory_bytes_for(bytes_.size()); }
  static constexpr std::uint64_t memory_bytes_for(std::size_t bytes) { return 2 * bytes + kDigestBytes; }

 private:
  // What zstd takes for a digested dictionary, beside a copy of it (1.5.4: 27 KiB).
  static constexpr std::uint64_t kDigestBytes = 32u << 10;

  friend Status decompress_frame(std::span<const std::byte>, std::span<std::byte>, const FrameDictionary*);
  FrameDictionary() = default;
  Buffer<std::byte> bytes_;
  Charge charge_;
  ZSTD_DDict_s* digested_ = nullptr;
};

// What training takes of memory beside the samples (11.8 MB were seen), of nobody's budget: the caller charges it.
inline constexpr std::uint64_t kTrainingBytes = 12u << 20;
inline constexpr std::size_t kTrainedBytesMax = 16u << 10;
// A dictionary of `samples`, which lie end to end: of 256 KiB of them in 50 ms. Empty: they are too few, or have
// nothing in common.
std::vector<std::byte> train_dictionary(std::span<const std::byte> samples, std::span<const std::size_t> sizes);

// Makes one small frame after the other. For one thread at a time.
class FramePacker {
 public:
  static constexpr std::size_t kBytesMax = 64u << 10;         // bytes of one content
  static constexpr std::uint64_t kMemoryBytes = 1280u << 10;  // what it takes

  // `dictionary` may be null, else it is digested here and not needed any more. Errors: kMemoryBudget.
  static Result<std::unique_ptr<FramePacker>> create(const FrameDictionary* dictionary, MemoryBudget& budget);
  FramePacker(const FramePacker&) = delete;
  FramePacker& operator=(const FramePacker&) = delete;
  ~FramePacker();

  // The frame of `bytes` (at most kBytesMax), which begins `into`; empty where it would not fit there.
  // Errors: kMemoryBudget.
  Result<std::span<const std::byte>> pack(std::span<const std::byte> bytes, std::span<std::byte> into);

 private:
  FramePacker() = default;
  Charge charge_;
  ZSTD_CCtx_s* context_ = nullptr;
  ZSTD_CDict_s* digested_ = nullptr;
};

// Decodes one frame whose content must be exactly into.size() bytes. One that was made without a dictionary can be
// decoded with one. Errors: kCorrupt, kMemoryBudget.
Status decompress_frame(std::span<const std::byte> frame, std::span<std::byte> into,
                        const FrameDictionary* dictionary = nullptr);

}  // namespace vecstore
