// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/rows_header.h"

#include "base/bytes.h"
#include "compress/frames.h"

namespace vecstore::rows {

namespace {

bool flags_hold(const Attributes& attributes) {
  std::uint32_t known = kHasKeys | kHasDocuments;
  if (attributes.version == kVersionWithGaps) known |= kHasNumberKeys;
  if ((attributes.flags & ~known) != 0) return false;
  return (attributes.flags & kHasNumberKeys) == 0 || (attributes.flags & kHasKeys) != 0;
}

bool attributes_hold(const Attributes& attributes, std::uint64_t pages) {
  if (!flags_hold(attributes)) return false;
  if (attributes.vector_bytes > kVectorBytesMax) return false;
  if (attributes.group_rows == 0 || attributes.group_rows > kGroupRowsMax) return false;
  // With the next two every later sum stays below 2^60.
  if (attributes.rows > pages * kStreamPageBytes * kGroupRowsMax) return false;
  if (attributes.stream_bytes > pages * kStreamPageBytes) return false;
  return attributes.first + attributes.rows >= attributes.first;
}

bool dictionary_holds(const Header& header) {
  const std::uint32_t bytes = header.dictionary.bytes;
  if (bytes != 0 && !header.layout().documents) return false;
  if (header.attributes.version == kVersionWithDictionary && bytes == 0) return false;
  return bytes <= FrameDictionary::kBytesMax;
}

bool gaps_hold(const Header& header) {
  const std::uint64_t rows = header.attributes.rows;
  if (header.gaps.end < header.attributes.first + rows) return false;
  if (rows == 0 && header.gaps.end != header.attributes.first) return false;
  return header.gaps.groups <= rows && rows <= header.gaps.groups * header.attributes.group_rows;
}

GapAttributes without_gaps(const Attributes& attributes) {
  return {attributes.first + attributes.rows, divided_up(attributes.rows, attributes.group_rows)};
}

}  // namespace

RowsLayout Header::layout() const {
  return {.keys = (attributes.flags & kHasKeys) != 0,
          .documents = (attributes.flags & kHasDocuments) != 0,
          .vector_bytes = attributes.vector_bytes,
          .number_keys = (attributes.flags & kHasNumberKeys) != 0};
}

std::uint64_t Header::directory_pages() const {
  return divided_up(gaps.groups, has_gaps() ? kEntriesPerPage : kOffsetsPerPage);
}

std::uint64_t Header::index_pages() const {
  return has_gaps() ? divided_up(directory_pages(), kIndexEntriesPerPage) : 0;
}

std::uint64_t Header::dictionary_at(std::uint64_t copy) const {
  return index_at() + (index_pages() + copy * pages_of(dictionary.bytes)) * kStreamPageBytes;
}

Result<Header> read_header(const PageFile& file) {
  ByteReader reader(file.attributes());
  Header header;
  header.attributes = reader.read<Attributes>();
  const std::uint32_t version = header.attributes.version;
  if (reader.ok() && version > kVersion)
    return Status(Code::kNewerFormat, "the rows were written by a newer version; upgrade VecStore").about(file.path());
  if (version >= kVersionWithDictionary) header.dictionary = reader.read<DictionaryAttributes>();
  if (version >= kVersionWithGaps) header.gaps = reader.read<GapAttributes>();
  bool holds = reader.done() && version != 0 && file.page_bytes() == kPageBytes &&
               attributes_hold(header.attributes, file.page_count());
  if (holds && !header.has_gaps()) header.gaps = without_gaps(header.attributes);
  holds = holds && gaps_hold(header) && dictionary_holds(header) &&
          header.dictionary_at(kDictionaryCopies) == file.page_count() * kStreamPageBytes;
  return holds ? Result<Header>(header) : damaged_header(file);
}

Status damaged_header(const PageFile& file) {
  return Status(Code::kCorrupt, "the header of the rows does not hold together; restore the store from a backup")
      .about(file.path())
      .at(Detail::kPage, 0);
}

}  // namespace vecstore::rows
