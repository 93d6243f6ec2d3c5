// SPDX-License-Identifier: Apache-2.0
//
// Records as a log would bring them, for tests of what they do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/live/log_records.h"

namespace vecstore::test {

// One record and the memory that it points into. The vector: `dim` times the byte `value`.
struct OwnedRecord {
  std::vector<std::byte> payload;
  LogRecord record() const { return {type, 0, payload}; }
  std::uint16_t type = 0;
};

inline OwnedRecord put_record(RowId row, const Key& key, std::uint8_t value, std::uint32_t dim, RowId replaced = kNoRow,
                              std::string_view document = {}) {
  const std::vector<std::byte> vector(dim, std::byte{value});
  PutRecord put;
  put.row = row;
  put.key = key;
  put.vector = vector;
  put.document = document;
  put.document_bytes = static_cast<std::uint32_t>(document.size());
  put.replaced = replaced;
  OwnedRecord owned;
  owned.payload.resize(encoded_bytes(put));
  encode(put, owned.payload.data());
  owned.type = static_cast<std::uint16_t>(type_of(put));
  return owned;
}

inline OwnedRecord erase_record(RowId row) {
  OwnedRecord owned;
  owned.payload.resize(kEraseRecordBytes);
  encode(EraseRecord{row}, owned.payload.data());
  owned.type = static_cast<std::uint16_t>(RecordType::kErase);
  return owned;
}

}  // namespace vecstore::test
