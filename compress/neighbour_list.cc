// SPDX-License-Identifier: Apache-2.0
#include "compress/neighbour_list.h"

#include "base/check.h"

namespace vecstore {
namespace {

constexpr unsigned kGroupBits = 7;
constexpr std::uint8_t kMore = 0x80;
constexpr unsigned kGroupsMax = 5;  // a zigzag difference of two 32-bit positions has 33 bits

std::size_t varint_bytes(std::uint64_t value) {
  std::size_t bytes = 1;
  while (value >= kMore) {
    value >>= kGroupBits;
    ++bytes;
  }
  return bytes;
}

std::byte* write_varint(std::uint64_t value, std::byte* out) {
  while (value >= kMore) {
    *out++ = static_cast<std::byte>(static_cast<std::uint8_t>(value) | kMore);
    value >>= kGroupBits;
  }
  *out++ = static_cast<std::byte>(value);
  return out;
}

// Reads one varint at `at`, which it advances; false when it is cut off, too long or not the shortest form.
bool read_varint(std::span<const std::byte> bytes, std::size_t& at, std::uint64_t& value) {
  if (at >= bytes.size()) return false;
  auto group = static_cast<std::uint8_t>(bytes[at++]);
  value = group & (kMore - 1u);
  for (unsigned groups = 1; (group & kMore) != 0; ++groups) {
    if (groups == kGroupsMax || at >= bytes.size()) return false;
    group = static_cast<std::uint8_t>(bytes[at++]);
    if (group == 0) return false;  // one list has one form
    value |= static_cast<std::uint64_t>(group & (kMore - 1u)) << (groups * kGroupBits);
  }
  return true;
}

std::uint64_t zigzag(Pos self, Pos first) {
  const auto difference = static_cast<std::int64_t>(first) - static_cast<std::int64_t>(self);
  return (static_cast<std::uint64_t>(difference) << 1) ^ static_cast<std::uint64_t>(difference >> 63);
}

std::int64_t unzigzag(std::uint64_t value) {
  return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1u);
}

// The number that stands for sorted[i].
std::uint64_t symbol(Pos self, std::span<const Pos> sorted, std::size_t i) {
  if (i == 0) return zigzag(self, sorted[0]);
  VECSTORE_CHECK(sorted[i] > sorted[i - 1]);
  return sorted[i] - sorted[i - 1] - 1u;
}

}  // namespace

std::size_t neighbour_list_bytes(Pos self, std::span<const Pos> sorted) {
  std::size_t bytes = 0;
  for (std::size_t i = 0; i < sorted.size(); ++i) bytes += varint_bytes(symbol(self, sorted, i));
  return bytes;
}

std::size_t encode_neighbours(Pos self, std::span<const Pos> sorted, std::byte* out) {
  std::byte* end = out;
  for (std::size_t i = 0; i < sorted.size(); ++i) end = write_varint(symbol(self, sorted, i), end);
  return static_cast<std::size_t>(end - out);
}

std::size_t decode_neighbours(Pos self, std::span<const std::byte> bytes, Pos rows_total, Pos* out,
                              std::size_t capacity) {
  if (bytes.empty()) return 0;
  std::size_t at = 0;
  std::uint64_t value = 0;
  if (!read_varint(bytes, at, value)) return kDamagedList;
  // Both terms are below 2^35: the sum cannot overflow, and a negative one is caught as a huge unsigned number.
  auto position = static_cast<std::uint64_t>(static_cast<std::int64_t>(self) + unzigzag(value));
  std::size_t degree = 0;
  while (true) {
    if (position >= rows_total || position == self || degree == capacity) return kDamagedList;
    out[degree++] = static_cast<Pos>(position);
    if (at == bytes.size()) return degree;
    if (!read_varint(bytes, at, value)) return kDamagedList;
    position += value + 1;
  }
}

}  // namespace vecstore
