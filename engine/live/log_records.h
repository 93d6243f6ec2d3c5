// SPDX-License-Identifier: Apache-2.0
//
// What a store's records in the log say. They carry resolved rows and whole values, so that applying one needs nothing
// but what was applied before. Byte-exact description: engine/live/README.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/ids.h"
#include "base/status.h"
#include "engine/key.h"
#include "wal/format.h"

namespace vecstore {

enum class RecordType : std::uint16_t {
  kPut = 1,
  kErase = 2,
  kDictionary = 3,  // dictionary of the frames that follow; the same one may come again
  kPutPacked = 4,   // a put whose document is a zstd frame
};

inline constexpr RowId kNoRow{~std::uint64_t{0}};

// Borrowed. A row comes to be; the one that had its key before is gone.
struct PutRecord {
  RowId row;
  RowId replaced = kNoRow;
  Key key{0};
  std::span<const std::byte> vector;  // vector as it was put
  std::string_view document;          // document as it is kept
  std::uint32_t document_bytes = 0;   // bytes as it was put: where fewer are kept, they are a frame
  bool is_packed() const { return document.size() != document_bytes; }
};

struct EraseRecord {
  RowId row;
};

RecordType type_of(const PutRecord& record);
std::size_t encoded_bytes(const PutRecord& record);
inline constexpr std::size_t kEraseRecordBytes = sizeof(std::uint64_t);
// Each writes exactly that many bytes.
void encode(const PutRecord& record, std::byte* out);
void encode(const EraseRecord& record, std::byte* out);

// nullopt: it is another record, or makes no sense. Each borrows from the payload.
std::optional<PutRecord> decode_put(const LogRecord& record);
std::optional<EraseRecord> decode_erase(const LogRecord& record);

}  // namespace vecstore
