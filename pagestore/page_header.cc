// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_header.h"

#include <array>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"

namespace vecstore {
namespace {

constexpr std::array<char, 8> kMagic = {'V', 'E', 'C', 'P', 'A', 'G', 'E', '\0'};

Status damaged(const char* text, const std::string& path) {
  return Status(Code::kCorrupt, text).about(path).at(Detail::kPage, 0);
}

}  // namespace

void write_page_header(const PageHeader& header, std::span<std::byte> page) {
  VECSTORE_CHECK(page.size() == header.page_bytes && header.attributes.size() <= kAttributesBytesMax);
  ByteWriter writer;
  writer.write(std::uint64_t{0});  // the checksum, which seal_page() fills in
  writer.write(kMagic);
  writer.write(kFormatMajor);
  writer.write(kFormatMinor);
  writer.write(static_cast<std::uint16_t>(header.identity.kind));
  writer.write(std::uint16_t{0});
  writer.write(header.page_bytes);
  writer.write(header.identity.generation);
  writer.write(header.identity.store);
  writer.write(header.page_count);
  writer.write(static_cast<std::uint32_t>(header.attributes.size()));
  VECSTORE_CHECK(writer.size() == kPageHeaderBytes);
  writer.write_bytes(header.attributes);
  std::memcpy(page.data(), writer.bytes().data(), writer.size());
  seal_page(header.identity, 0, page);
}

Result<std::uint32_t> header_page_bytes(std::span<const std::byte> start, const std::string& path) {
  ByteReader reader(start);
  reader.read<std::uint64_t>();
  if (reader.read<std::array<char, 8>>() != kMagic)
    return damaged("this is not a VecStore page file, or its header is damaged; restore or rebuild the index", path);
  reader.read<std::uint64_t>();  // versions and kind: not believed before the checksum
  const auto page_bytes = reader.read<std::uint32_t>();
  if (!reader.ok() || !is_page_size(page_bytes))
    return damaged("the header names an impossible page size; restore or rebuild the index", path);
  return page_bytes;
}

Result<PageHeader> read_page_header(std::span<const std::byte> page, const std::string& path) {
  PageHeader header;
  ByteReader reader(page);
  reader.read<std::uint64_t>();
  reader.read<std::array<char, 8>>();
  const auto major = reader.read<std::uint16_t>();
  reader.read<std::uint16_t>();  // a minor version adds nothing that a reader must know
  header.identity.kind = static_cast<FileKind>(reader.read<std::uint16_t>());
  reader.read<std::uint16_t>();
  header.page_bytes = reader.read<std::uint32_t>();
  header.identity.generation = reader.read<std::uint32_t>();
  header.identity.store = reader.read<Uuid>();
  header.page_count = reader.read<std::uint64_t>();
  const auto attributes_bytes = reader.read<std::uint32_t>();
  if (!reader.ok() || header.page_bytes != page.size() || !page_is_intact(header.identity, 0, page))
    return damaged("the header's checksum does not hold; restore or rebuild the index", path);
  // The checksum of page 0 is the same in every major version, so from here on the version is what was written.
  if (major > kFormatMajor)
    return Status(Code::kNewerFormat, "the file was written by a newer VecStore; upgrade to read it").about(path);
  const auto attributes = reader.read_bytes(attributes_bytes);
  if (!reader.ok() || attributes_bytes > kAttributesBytesMax || major == 0)
    return damaged("the header is sealed but makes no sense; restore or rebuild the index", path);
  header.attributes.assign(attributes.begin(), attributes.end());
  return header;
}

}  // namespace vecstore
