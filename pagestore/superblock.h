// SPDX-License-Identifier: Apache-2.0
//
// The two slots of the superblock as bytes. Internal to pagestore; the layout is in pagestore/README.md.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "base/ids.h"
#include "base/status.h"
#include "pagestore/manifest_format.h"

namespace vecstore {

inline constexpr std::size_t kSlotBytes = 4096;
inline constexpr std::size_t kSlots = 2;
inline constexpr std::size_t kSuperblockBytes = kSlots * kSlotBytes;
inline constexpr std::size_t kSlotNameBytesMax = 64;

// Features that a reader must know to read the store at all; a set bit outside of these is kNewerFormat. None yet.
inline constexpr std::uint64_t kKnownFeatures = 0;

// Minor version of a slot whose publish writes both slots: a store whose newest slot is older than that keeps the
// content before the last publish in the other one.
inline constexpr std::uint16_t kSlotMinorMirrored = 1;

struct Slot {
  std::uint64_t sequence = 0;
  Uuid store{};
  std::uint64_t applied_lsn = 0;
  std::uint64_t incompatible_features = 0;  // refused when unknown
  std::uint64_t compatible_features = 0;    // ignored when unknown
  std::string manifest_name;
  std::uint64_t manifest_bytes = 0;
  Hash128 manifest_hash;
  bool mirrored = true;  // the other slot is to say the same

  bool operator==(const Slot&) const = default;
};

// A slot as it is written: aligned for O_DIRECT.
struct alignas(kSlotBytes) SlotBytes {
  std::array<std::byte, kSlotBytes> bytes{};
};

void encode_slot(const Slot& slot, std::uint32_t index, SlotBytes& into);

enum class SlotState : std::uint8_t {
  kEmpty,    // all zero: never written
  kIntact,   // `slot` is what was written
  kDamaged,  // torn, or rotten
  kNewer,    // intact, but by a newer VecStore
};
struct DecodedSlot {
  SlotState state = SlotState::kEmpty;
  Slot slot;
};
DecodedSlot decode_slot(std::span<const std::byte> bytes, std::uint32_t index);

}  // namespace vecstore
