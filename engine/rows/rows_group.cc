// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/rows_group.h"

#include <algorithm>
#include <cstddef>
#include <span>

#include "base/bytes.h"
#include "base/limits.h"

namespace vecstore::rows {

namespace {

// False when the RowIds do not ascend, or not all lie where the directory has them.
bool parse_ids(ByteReader& reader, bool has_gaps, const GroupPlace& place, Group& group) {
  for (std::uint32_t i = 0; i < group.rows; ++i) {
    const std::uint64_t more = has_gaps ? reader.read<std::uint32_t>() : i;
    if (i == 0 ? more != 0 : more <= group.ids[i - 1] - place.first) return false;
    if (more >= place.end - place.first) return false;
    group.ids[i] = place.first + more;
  }
  return true;
}

bool parse_keys(ByteReader& reader, const RowsLayout& layout, Group& group, std::uint64_t& sum) {
  for (std::uint32_t i = 0; layout.keys && i < group.rows; ++i) {
    group.key_bytes[i] = reader.read<std::uint16_t>();
    if (group.key_bytes[i] > kKeyBytesMax) return false;
    if (layout.number_keys && group.key_bytes[i] != kNumberKeyBytes) return false;
    sum += group.key_bytes[i];
  }
  return true;
}

// The bytes of the documents and of the frames that cover them.
bool parse_documents(ByteReader& reader, const RowsLayout& layout, Group& group, std::uint64_t& sum) {
  for (std::uint32_t i = 0; layout.documents && i < group.rows; ++i) {
    group.document_bytes[i] = reader.read<std::uint32_t>();
    if (group.document_bytes[i] > kDocumentBytesMax) return false;
  }
  std::uint32_t row = 0;
  for (std::uint32_t f = 0; f < group.frames; ++f) {
    group.frame_bytes[f] = reader.read<std::uint32_t>();
    group.frame_rows[f] = reader.read<std::uint16_t>();
    if (group.frame_rows[f] == 0 || group.frame_rows[f] > group.rows - row) return false;
    std::uint64_t raw = 0;
    for (const std::uint32_t end = row + group.frame_rows[f]; row < end; ++row) raw += group.document_bytes[row];
    if (raw > kFrameRawBytesMax && group.frame_rows[f] != 1) return false;
    if (group.frame_bytes[f] > raw || (raw != 0 && group.frame_bytes[f] == 0)) return false;
    sum += group.frame_bytes[f];
  }
  return row == (layout.documents ? group.rows : 0);
}

// Fills the tables of `group` (rows and frames are set); false when they contradict each other or a limit.
bool parse_tables(std::span<const std::byte> tables, const Header& header, const GroupPlace& place, Group& group) {
  const RowsLayout layout = header.layout();
  ByteReader reader(tables);
  std::uint64_t key_bytes = 0;
  std::uint64_t frame_bytes = 0;
  if (!parse_ids(reader, header.has_gaps(), place, group)) return false;
  if (!parse_keys(reader, layout, group, key_bytes)) return false;
  if (!parse_documents(reader, layout, group, frame_bytes) || !reader.done()) return false;
  group.keys_at = group.offset + sizeof(GroupHeader) + tables.size();
  group.frames_at = group.keys_at + key_bytes;
  group.vectors_at = group.frames_at + frame_bytes;
  return group.vectors_at + std::uint64_t{group.rows} * layout.vector_bytes == group.offset + group.bytes;
}

bool header_holds(const GroupHeader& stored, const Header& header, const GroupPlace& place) {
  const std::uint64_t rows = std::min<std::uint64_t>(header.attributes.group_rows, place.end - place.first);
  const bool rows_hold = header.has_gaps() ? stored.rows >= 1 && stored.rows <= rows : stored.rows == rows;
  return rows_hold && stored.group_bytes <= header.attributes.stream_bytes - place.offset &&
         stored.first == place.first && stored.frames <= stored.rows &&
         (stored.frames != 0) == header.layout().documents;
}

}  // namespace

std::uint32_t Group::slot_from(RowId row) const {
  const auto* found = std::lower_bound(ids.data(), ids.data() + rows, row.value);
  return static_cast<std::uint32_t>(found - ids.data());
}

Status read_group(Stream& stream, const Header& header, const GroupPlace& place, Group& group) {
  GroupHeader stored;
  if (header.attributes.stream_bytes - place.offset < sizeof(stored)) return stream.damaged(place.offset);
  VECSTORE_TRY(stream.read_into(place.offset, stored));
  if (!header_holds(stored, header, place)) return stream.damaged(place.offset);
  group.offset = place.offset;
  group.bytes = stored.group_bytes;
  group.rows = stored.rows;
  group.frames = stored.frames;
  const RowsLayout layout = header.layout();
  const std::size_t row_bytes = (header.has_gaps() ? 4u : 0u) + (layout.keys ? 2u : 0u) + (layout.documents ? 4u : 0u);
  const std::size_t table_bytes = group.rows * row_bytes + group.frames * kFrameEntryBytes;
  std::array<std::byte, kTablesBytesMax> tables;
  const auto used = std::span(tables).first(table_bytes);
  if (sizeof(stored) + table_bytes > group.bytes) return stream.damaged(place.offset);
  VECSTORE_TRY(stream.read(place.offset + sizeof(stored), used));
  return parse_tables(used, header, place, group) ? Status::ok() : stream.damaged(place.offset);
}

}  // namespace vecstore::rows
