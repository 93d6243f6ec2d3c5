// SPDX-License-Identifier: Apache-2.0
//
// What the tests of row maps share: RowIds with gaps, and bytes of a file changed behind a checksum that holds.
#pragma once

#include <cstring>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "engine/generation/page_stream.h"
#include "pagestore/format.h"
#include "pagestore/page_header.h"
#include "tests/test_util.h"

namespace vecstore::test {

// `rows` of them, ascending from `first` on; between two at most `gap_max` are missing.
inline std::vector<std::uint64_t> gapped_row_ids(std::uint64_t rows, std::uint64_t first, std::uint64_t gap_max) {
  Random random(rows + first);
  std::vector<std::uint64_t> row_ids;
  for (std::uint64_t at = first; row_ids.size() < rows; at += 1 + random.below(gap_max + 1)) row_ids.push_back(at);
  return row_ids;
}

// Overwrites bytes of a page of 16 KiB, and seals it again.
inline void overwrite_sealed(const std::string& path, std::uint64_t page, std::size_t at,
                             std::span<const std::byte> bytes) {
  std::vector<char> file = read_file(path);
  const auto whole = std::as_writable_bytes(std::span(file)).subspan(page * kStreamPageBytes, kStreamPageBytes);
  const auto header = read_page_header(std::as_bytes(std::span(file)).first(kStreamPageBytes), path);
  REQUIRE_OK(header);
  BOOST_REQUIRE(at + bytes.size() <= whole.size());
  std::memcpy(whole.data() + at, bytes.data(), bytes.size());
  seal_page(header->identity, page, whole);
  write_file(path, file);
}

// Overwrites an attribute.
template <typename T>
void overwrite_attribute(const std::string& path, std::size_t offset, T value) {
  overwrite_sealed(path, 0, kPageHeaderBytes + offset, std::as_bytes(std::span(&value, 1)));
}

// Overwrites a number of the stream, which lies on one page.
template <typename T>
void overwrite_stream(const std::string& path, std::size_t offset, T value) {
  const std::size_t payload = page_payload_bytes(kStreamPageBytes);
  BOOST_REQUIRE(offset % payload + sizeof(T) <= payload);
  overwrite_sealed(path, 1 + offset / payload, kPageChecksumBytes + offset % payload,
                   std::as_bytes(std::span(&value, 1)));
}

}  // namespace vecstore::test
