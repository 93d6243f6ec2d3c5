// SPDX-License-Identifier: Apache-2.0
#include "pagestore/superblock.h"

#include <cstring>

#include "tests/test_util.h"

namespace vecstore {
namespace {

constexpr std::size_t kHashAt = kSlotBytes - 16;
constexpr std::size_t kNameAt = 92;

Slot example() {
  Slot slot;
  slot.sequence = 0x1122334455667788;
  for (std::size_t i = 0; i < slot.store.size(); ++i) slot.store[i] = static_cast<std::uint8_t>(i + 1);
  slot.applied_lsn = 0x99AABBCCDDEEFF00;
  slot.manifest_name = "manifest-9";
  slot.manifest_bytes = 1234;
  slot.manifest_hash = {77, 88};
  return slot;
}

SlotBytes bytes_of(const Slot& slot, std::uint32_t index) {
  SlotBytes bytes;
  encode_slot(slot, index, bytes);
  return bytes;
}

// With a checksum that holds, as somebody writes it who means harm.
template <typename Number>
SlotBytes with(SlotBytes slot, std::size_t at, Number number) {
  std::memcpy(slot.bytes.data() + at, &number, sizeof(number));
  const Hash128 hash = hash128(std::span(slot.bytes).first(kHashAt));
  std::memcpy(slot.bytes.data() + kHashAt, &hash.low, 8);
  std::memcpy(slot.bytes.data() + kHashAt + 8, &hash.high, 8);
  return slot;
}

template <typename Number>
Number number_at(const SlotBytes& slot, std::size_t at) {
  Number number{};
  std::memcpy(&number, slot.bytes.data() + at, sizeof(number));
  return number;
}

SlotState state_of(const SlotBytes& slot, std::uint32_t index = 0) { return decode_slot(slot.bytes, index).state; }

BOOST_AUTO_TEST_SUITE(superblock)

BOOST_AUTO_TEST_CASE(what_is_written_is_read) {
  Slot slot = example();
  slot.compatible_features = 0xF0;
  slot.manifest_name = std::string(kSlotNameBytesMax, 'm');
  slot.manifest_bytes = kManifestBytesMax;
  for (const bool mirrored : {true, false})
    for (const std::uint32_t index : {0u, 1u}) {
      slot.mirrored = mirrored;
      const DecodedSlot read = decode_slot(bytes_of(slot, index).bytes, index);
      BOOST_TEST((read.state == SlotState::kIntact));
      BOOST_TEST((read.slot == slot));
    }
}

// The layout of pagestore/README.md.
BOOST_AUTO_TEST_CASE(bytes_lie_where_the_format_says) {
  const Slot slot = example();
  const SlotBytes bytes = bytes_of(slot, 1);
  BOOST_TEST(std::memcmp(bytes.bytes.data(), "VECSUPER", 8) == 0);
  BOOST_TEST(number_at<std::uint16_t>(bytes, 8) == 1u);
  BOOST_TEST(number_at<std::uint16_t>(bytes, 10) == 1u);
  BOOST_TEST(number_at<std::uint32_t>(bytes, 12) == 1u);
  BOOST_TEST(number_at<std::uint64_t>(bytes, 16) == slot.sequence);
  BOOST_TEST(std::memcmp(bytes.bytes.data() + 24, slot.store.data(), 16) == 0);
  BOOST_TEST(number_at<std::uint64_t>(bytes, 40) == slot.applied_lsn);
  BOOST_TEST(number_at<std::uint64_t>(bytes, 48) == 0u);
  BOOST_TEST(number_at<std::uint64_t>(bytes, 56) == 0u);
  BOOST_TEST(number_at<std::uint64_t>(bytes, 64) == 1234u);
  BOOST_TEST(number_at<std::uint64_t>(bytes, 72) == 77u);
  BOOST_TEST(number_at<std::uint64_t>(bytes, 80) == 88u);
  BOOST_TEST(number_at<std::uint32_t>(bytes, 88) == 10u);
  BOOST_TEST(std::memcmp(bytes.bytes.data() + kNameAt, "manifest-9", 10) == 0);
  for (std::size_t at = kNameAt + 10; at < kHashAt; ++at) BOOST_REQUIRE(bytes.bytes[at] == std::byte{0});
  BOOST_TEST((with(bytes, 0, 'V').bytes == bytes.bytes));
}

BOOST_AUTO_TEST_CASE(a_slot_never_written_is_empty_and_no_damage) { BOOST_TEST((state_of({}) == SlotState::kEmpty)); }

// A torn write, a flipped bit, or the other slot's bytes.
BOOST_AUTO_TEST_CASE(what_was_not_written_there_is_damage) {
  const SlotBytes whole = bytes_of(example(), 0);
  for (std::size_t bit = 0; bit < kSlotBytes * 8; ++bit) {
    SlotBytes damaged = whole;
    damaged.bytes[bit / 8] ^= static_cast<std::byte>(1u << bit % 8);
    BOOST_REQUIRE(state_of(damaged) == SlotState::kDamaged);
  }
  Slot next = example();
  ++next.sequence;
  const SlotBytes newer = bytes_of(next, 0);
  for (std::size_t sector = 512; sector < kSlotBytes; sector += 512) {
    SlotBytes torn = whole;
    std::copy_n(newer.bytes.begin(), sector, torn.bytes.begin());
    BOOST_TEST((state_of(torn) == SlotState::kDamaged), sector);
  }
  BOOST_TEST((state_of(whole, 1) == SlotState::kDamaged));
  BOOST_TEST((decode_slot(std::span(whole.bytes).first(kSlotBytes - 1), 0).state == SlotState::kDamaged));
  BOOST_TEST((decode_slot({}, 0).state == SlotState::kDamaged));
}

BOOST_AUTO_TEST_CASE(what_a_newer_version_wrote_is_told_from_damage) {
  const SlotBytes slot = bytes_of(example(), 0);
  BOOST_TEST((state_of(with(slot, 8, std::uint16_t{2})) == SlotState::kNewer));
  BOOST_TEST((state_of(with(slot, 10, std::uint16_t{9})) == SlotState::kIntact));
  BOOST_TEST((state_of(with(slot, 48, std::uint64_t{1})) == SlotState::kNewer));
  BOOST_TEST((state_of(with(slot, 56, ~std::uint64_t{0})) == SlotState::kIntact));
}

// Although the checksum holds.
BOOST_AUTO_TEST_CASE(what_no_version_writes_is_damage) {
  const SlotBytes slot = bytes_of(example(), 0);
  BOOST_TEST((state_of(with(slot, 0, 'v')) == SlotState::kDamaged));
  BOOST_TEST((state_of(with(slot, 64, kManifestBytesMax + 1)) == SlotState::kDamaged));
  for (const std::uint32_t size : {0u, 11u, 65u, 0xFFFFFFFFu})
    BOOST_TEST((state_of(with(slot, 88, size)) == SlotState::kDamaged), size);
  for (const char c : {'/', '\0', ' '}) BOOST_TEST((state_of(with(slot, kNameAt, c)) == SlotState::kDamaged));
  BOOST_TEST((state_of(with(with(slot, 88, 2u), kNameAt, std::array{'.', '.'})) == SlotState::kDamaged));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
