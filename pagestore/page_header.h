// SPDX-License-Identifier: Apache-2.0
//
// Page 0 of a page file, as bytes. Internal to pagestore; the layout is in pagestore/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/status.h"
#include "pagestore/format.h"

namespace vecstore {

inline constexpr std::size_t kAttributesBytesMax = 3500;
inline constexpr std::size_t kPageHeaderBytes = 60;  // what precedes the attributes
static_assert(kPageHeaderBytes + kAttributesBytesMax <= kPageBytesMin);

struct PageHeader {
  FileIdentity identity;
  std::uint32_t page_bytes = 0;
  std::uint64_t page_count = 0;
  std::vector<std::byte> attributes;
};

// Fills and seals `page` (zeroed, header.page_bytes long).
void write_page_header(const PageHeader& header, std::span<std::byte> page);

// The length of page 0, from its first kPageBytesMin bytes; nothing else of it is believed yet. Errors: kCorrupt.
Result<std::uint32_t> header_page_bytes(std::span<const std::byte> start, const std::string& path);

// Verifies all of page 0. Errors: kCorrupt, kNewerFormat.
Result<PageHeader> read_page_header(std::span<const std::byte> page, const std::string& path);

constexpr bool is_page_size(std::uint64_t bytes) {
  return bytes >= kPageBytesMin && bytes <= kPageBytesMax && bytes % kPageBytesMin == 0;
}

}  // namespace vecstore
