// SPDX-License-Identifier: Apache-2.0
//
// Page files with known content, for the tests of this folder.
#pragma once

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "base/random.h"
#include "pagestore/page_file.h"
#include "tests/test_util.h"

namespace vecstore::test {

inline FileIdentity identity_of(std::uint32_t generation, FileKind kind = FileKind::kGraph) {
  FileIdentity identity;
  for (std::size_t i = 0; i < identity.store.size(); ++i) identity.store[i] = static_cast<std::uint8_t>(i * 7 + 1);
  identity.kind = kind;
  identity.generation = generation;
  return identity;
}

// The payload of a page: a function of file and page alone.
inline std::vector<std::byte> payload_of(const FileIdentity& identity, std::uint64_t page, std::uint32_t page_bytes) {
  std::vector<std::byte> payload(page_payload_bytes(page_bytes));
  Random random(identity.generation, page);
  for (std::size_t i = 0; i + 8 <= payload.size(); i += 8) {
    const std::uint64_t word = random.next();
    std::memcpy(payload.data() + i, &word, 8);
  }
  return payload;
}

inline std::vector<std::byte> attributes_of(std::size_t size) {
  std::vector<std::byte> attributes(size);
  for (std::size_t i = 0; i < size; ++i) attributes[i] = static_cast<std::byte>(i * 31);
  return attributes;
}

inline Result<PageFileWriter::Finished> write_pages(const std::string& path, const FileIdentity& identity,
                                                    std::uint64_t pages, std::uint32_t page_bytes = 4096,
                                                    FileSystem& file_system = FileSystem::posix()) {
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto writer, PageFileWriter::create(file_system, path, {identity, page_bytes}, budget));
  for (std::uint64_t page = 1; page <= pages; ++page) {
    const auto payload = payload_of(identity, page, page_bytes);
    std::ranges::copy(payload, writer.page().begin() + kPageChecksumBytes);
    VECSTORE_TRY(writer.append());
  }
  return writer.finish(attributes_of(100));
}

inline bool holds(const FileIdentity& identity, std::uint64_t page, std::span<const std::byte> whole_page) {
  const auto payload = payload_of(identity, page, static_cast<std::uint32_t>(whole_page.size()));
  return std::ranges::equal(payload, whole_page.subspan(kPageChecksumBytes));
}

}  // namespace vecstore::test
