// SPDX-License-Identifier: Apache-2.0
#include "pagestore/superblock.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "pagestore/format.h"

namespace vecstore {
namespace {

constexpr std::array<char, 8> kMagic = {'V', 'E', 'C', 'S', 'U', 'P', 'E', 'R'};
constexpr std::size_t kHashAt = kSlotBytes - 16;

}  // namespace

void encode_slot(const Slot& slot, std::uint32_t index, SlotBytes& into) {
  VECSTORE_CHECK(slot.manifest_name.size() <= kSlotNameBytesMax && index < kSlots);
  ByteWriter writer;
  writer.write(kMagic);
  writer.write(kFormatMajor);
  writer.write(slot.mirrored ? kSlotMinorMirrored : std::uint16_t{0});
  writer.write(index);
  writer.write(slot.sequence);
  writer.write(slot.store);
  writer.write(slot.applied_lsn);
  writer.write(slot.incompatible_features);
  writer.write(slot.compatible_features);
  writer.write(slot.manifest_bytes);
  writer.write(slot.manifest_hash.low);
  writer.write(slot.manifest_hash.high);
  writer.write_string(slot.manifest_name);
  into.bytes.fill(std::byte{0});
  std::ranges::copy(writer.bytes(), into.bytes.begin());
  const Hash128 hash = hash128(std::span(into.bytes).first(kHashAt));
  std::memcpy(into.bytes.data() + kHashAt, &hash.low, 8);
  std::memcpy(into.bytes.data() + kHashAt + 8, &hash.high, 8);
}

DecodedSlot decode_slot(std::span<const std::byte> bytes, std::uint32_t index) {
  DecodedSlot decoded;
  decoded.state = SlotState::kDamaged;
  if (bytes.size() != kSlotBytes) return decoded;
  if (std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; })) {
    decoded.state = SlotState::kEmpty;
    return decoded;
  }
  ByteReader trailer(bytes.subspan(kHashAt));
  const Hash128 stored{trailer.read<std::uint64_t>(), trailer.read<std::uint64_t>()};
  if (stored != hash128(bytes.first(kHashAt))) return decoded;
  ByteReader reader(bytes.first(kHashAt));
  if (reader.read<std::array<char, 8>>() != kMagic) return decoded;
  const auto major = reader.read<std::uint16_t>();
  const auto minor = reader.read<std::uint16_t>();
  if (reader.read<std::uint32_t>() != index) return decoded;  // the other slot's bytes, in the wrong place
  Slot& slot = decoded.slot;
  slot.mirrored = minor >= kSlotMinorMirrored;
  slot.sequence = reader.read<std::uint64_t>();
  slot.store = reader.read<Uuid>();
  slot.applied_lsn = reader.read<std::uint64_t>();
  slot.incompatible_features = reader.read<std::uint64_t>();
  slot.compatible_features = reader.read<std::uint64_t>();
  slot.manifest_bytes = reader.read<std::uint64_t>();
  slot.manifest_hash.low = reader.read<std::uint64_t>();
  slot.manifest_hash.high = reader.read<std::uint64_t>();
  slot.manifest_name = reader.read_string(kSlotNameBytesMax);
  if (major > kFormatMajor || (slot.incompatible_features & ~kKnownFeatures) != 0) {
    decoded.state = SlotState::kNewer;
  } else if (reader.ok() && is_file_name(slot.manifest_name) && slot.manifest_bytes <= kManifestBytesMax) {
    decoded.state = SlotState::kIntact;
  }
  return decoded;
}

}  // namespace vecstore
