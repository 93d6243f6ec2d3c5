// SPDX-License-Identifier: Apache-2.0
//
// The bytes of a page file. Byte-exact description: pagestore/README.md.
//
// A page file is a header page (page 0) and `page_count` data pages of `page_bytes` each. Every page begins with the
// XXH3-64 of the rest of it, seeded by (store uuid, file kind, generation, page number). So a page that is torn, lost,
// stale or in the wrong place does not pass for another.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/limits.h"

namespace vecstore {

enum class FileKind : std::uint16_t { kGraph = 1, kCodes = 2, kRowMap = 3, kRows = 4 };

struct FileIdentity {
  Uuid store{};
  FileKind kind = FileKind::kGraph;
  std::uint32_t generation = 0;
};

inline constexpr std::size_t kPageChecksumBytes = 8;
inline constexpr std::uint16_t kFormatMajor = 1;  // a reader refuses a greater one
inline constexpr std::uint16_t kFormatMinor = 0;  // a reader accepts any

// Bytes that a caller may fill: [kPageChecksumBytes, page_bytes).
constexpr std::size_t page_payload_bytes(std::size_t page_bytes) { return page_bytes - kPageChecksumBytes; }

std::uint64_t page_checksum(const FileIdentity& identity, std::uint64_t page, std::span<const std::byte> whole_page);
void seal_page(const FileIdentity& identity, std::uint64_t page, std::span<std::byte> whole_page);
bool page_is_intact(const FileIdentity& identity, std::uint64_t page, std::span<const std::byte> whole_page);

}  // namespace vecstore
