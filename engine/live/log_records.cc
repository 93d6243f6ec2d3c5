// SPDX-License-Identifier: Apache-2.0
#include "engine/live/log_records.h"

#include <algorithm>
#include <cstring>

#include "base/bytes.h"
#include "base/limits.h"

namespace vecstore {
namespace {

constexpr std::size_t kPutFixedBytes = 28;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

template <typename T>
void put(std::byte*& at, const T& value) {
  std::memcpy(at, &value, sizeof(T));
  at += sizeof(T);
}

void put_bytes(std::byte*& at, std::span<const std::byte> bytes) { at = std::copy(bytes.begin(), bytes.end(), at); }

std::size_t key_bytes(const Key& key) {
  return key.kind() == KeyKind::kNumber ? sizeof(std::uint64_t) : key.bytes().size();
}

}  // namespace

RecordType type_of(const PutRecord& record) { return record.is_packed() ? RecordType::kPutPacked : RecordType::kPut; }

std::size_t encoded_bytes(const PutRecord& record) {
  const std::size_t packed = record.is_packed() ? sizeof(record.document_bytes) : 0;
  return kPutFixedBytes + packed + key_bytes(record.key) + record.vector.size() + record.document.size();
}

void encode(const PutRecord& record, std::byte* out) {
  put(out, record.row.value);
  put(out, record.replaced.value);
  put(out, static_cast<std::uint16_t>(record.key.kind()));
  put(out, static_cast<std::uint16_t>(key_bytes(record.key)));
  put(out, static_cast<std::uint32_t>(record.vector.size()));
  put(out, static_cast<std::uint32_t>(record.document.size()));
  if (record.is_packed()) put(out, record.document_bytes);
  if (record.key.kind() == KeyKind::kNumber) {
    put(out, record.key.number());
  } else {
    put_bytes(out, bytes_of(record.key.bytes()));
  }
  put_bytes(out, record.vector);
  put_bytes(out, bytes_of(record.document));
}

void encode(const EraseRecord& record, std::byte* out) { put(out, record.row.value); }

std::optional<PutRecord> decode_put(const LogRecord& from) {
  const auto type = static_cast<RecordType>(from.type);
  if (type != RecordType::kPut && type != RecordType::kPutPacked) return std::nullopt;
  ByteReader in(from.payload);
  PutRecord record;
  record.row = {in.read<std::uint64_t>()};
  record.replaced = {in.read<std::uint64_t>()};
  const auto kind = in.read<std::uint16_t>();
  const auto key_size = in.read<std::uint16_t>();
  const auto vector_size = in.read<std::uint32_t>();
  const auto document_size = in.read<std::uint32_t>();
  record.document_bytes = type == RecordType::kPutPacked ? in.read<std::uint32_t>() : document_size;
  const bool is_smaller = document_size < record.document_bytes;
  if (kind > static_cast<std::uint16_t>(KeyKind::kBytes) || record.document_bytes > kDocumentBytesMax ||
      is_smaller != (type == RecordType::kPutPacked))
    return std::nullopt;
  if (static_cast<KeyKind>(kind) == KeyKind::kNumber) {
    if (key_size != sizeof(std::uint64_t)) return std::nullopt;
    record.key = Key(in.read<std::uint64_t>());
  } else {
    if (key_size == 0 || key_size > kKeyBytesMax) return std::nullopt;
    const auto bytes = in.read_bytes(key_size);
    record.key = Key(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
  }
  record.vector = in.read_bytes(vector_size);
  const auto document = in.read_bytes(document_size);
  record.document = {reinterpret_cast<const char*>(document.data()), document.size()};
  return in.done() ? std::optional(record) : std::nullopt;
}

std::optional<EraseRecord> decode_erase(const LogRecord& from) {
  if (static_cast<RecordType>(from.type) != RecordType::kErase) return std::nullopt;
  ByteReader in(from.payload);
  const EraseRecord record{{in.read<std::uint64_t>()}};
  return in.done() ? std::optional(record) : std::nullopt;
}

}  // namespace vecstore
