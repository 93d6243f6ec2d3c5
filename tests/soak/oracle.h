// SPDX-License-Identifier: Apache-2.0
//
// What a store under soak may hold. It lies in memory that the processes share and outlives them: the writer notes
// every batch before it begins and once it is acknowledged, and whoever reads asks whether an answer was true at some
// moment of its call. Batches are numbered from 1. One process writes at a time.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/vector_view.h"

namespace vecstore::soak {

inline constexpr std::uint64_t kKeys = 30'000;
inline constexpr std::size_t kBatchMost = 50;

// What a key held last, newest last: the number of the batch, and whether that erased it.
struct KeyHistory {
  static constexpr std::size_t kKept = 16;
  std::atomic<std::uint64_t> count{0};
  std::array<std::atomic<std::uint64_t>, kKept> versions{};
};

// Nothing here has a pointer, so that it may be shared.
struct Oracle {
  std::array<KeyHistory, kKeys> keys;
  std::atomic<std::uint64_t> begun{0};         // the last batch that was begun
  std::atomic<std::uint64_t> acknowledged{0};  // all up to it were
  std::array<std::uint64_t, kBatchMost> pending_keys{};
  std::atomic<std::uint64_t> pending{0};  // how many of them belong to a batch whose outcome is open

  // The writer's.
  std::uint64_t begin(std::span<const std::uint64_t> changed, bool erases);
  void acknowledge();
  void withdraw();  // it was refused, or the crash came before it
  bool is_pending() const { return pending.load() != 0; }

  // A moment before a call, and one behind it.
  std::uint64_t before() const { return acknowledged.load(std::memory_order_acquire); }
  std::uint64_t after() const { return begun.load(std::memory_order_acquire); }
  // Batches whose row the key may have held between the two, 0 for none; empty: it changed too often to know.
  struct Possible {
    std::array<std::uint64_t, KeyHistory::kKept + 1> versions{};
    std::size_t count = 0;
  };
  std::uint64_t live() const;  // keys, where no batch is pending
  Possible possible(std::uint64_t key, std::uint64_t before, std::uint64_t after) const;
};

// The row that a batch puts under a key, and the document beside it.
std::uint64_t row_of(std::uint64_t key, std::uint64_t version, std::uint64_t rows);
std::string document_of(std::uint64_t key, std::uint64_t version);

float squared_distance(const VectorView& base, std::uint64_t row, const std::byte* query);

}  // namespace vecstore::soak
