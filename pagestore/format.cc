// SPDX-License-Identifier: Apache-2.0
#include "pagestore/format.h"

#include <xxhash.h>

#include <array>
#include <cstring>

#include "base/check.h"

namespace vecstore {
namespace {

// Hashing the packed tuple, rather than mixing its parts by hand, keeps neighbouring pages and generations apart.
std::uint64_t page_seed(const FileIdentity& identity, std::uint64_t page) {
  std::array<std::byte, 30> packed;
  const auto kind = static_cast<std::uint16_t>(identity.kind);
  std::memcpy(packed.data(), identity.store.data(), 16);
  std::memcpy(packed.data() + 16, &kind, 2);
  std::memcpy(packed.data() + 18, &identity.generation, 4);
  std::memcpy(packed.data() + 22, &page, 8);
  return XXH3_64bits(packed.data(), packed.size());
}

}  // namespace

std::uint64_t page_checksum(const FileIdentity& identity, std::uint64_t page, std::span<const std::byte> whole_page) {
  VECSTORE_CHECK(whole_page.size() > kPageChecksumBytes);
  return XXH3_64bits_withSeed(whole_page.data() + kPageChecksumBytes, whole_page.size() - kPageChecksumBytes,
                              page_seed(identity, page));
}

void seal_page(const FileIdentity& identity, std::uint64_t page, std::span<std::byte> whole_page) {
  const std::uint64_t checksum = page_checksum(identity, page, whole_page);
  std::memcpy(whole_page.data(), &checksum, sizeof(checksum));
}

bool page_is_intact(const FileIdentity& identity, std::uint64_t page, std::span<const std::byte> whole_page) {
  std::uint64_t stored = 0;
  std::memcpy(&stored, whole_page.data(), sizeof(stored));
  return stored == page_checksum(identity, page, whole_page);
}

}  // namespace vecstore
