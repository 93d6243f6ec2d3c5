// SPDX-License-Identifier: Apache-2.0
#include "wal/format.h"

#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kSegmentMagic = 0x53575356;  // "VSWS"
constexpr std::uint32_t kGroupMagic = 0x47575356;    // "VSWG"
constexpr std::uint32_t kEndMagic = 0x45575356;      // "VSWE"
constexpr std::size_t kSegmentHashAt = 80;
constexpr std::size_t kEndHashAt = 80;
constexpr std::size_t kGroupHashAt = kGroupHeaderBytes - sizeof(std::uint64_t);
constexpr const char* kSegmentPrefix = "log-";

// Adds the hash of what was written at the start of `into`, which is to be `hash_at` bytes.
std::uint64_t seal(SpanWriter& out, std::size_t hash_at, std::span<const std::byte> into) {
  VECSTORE_CHECK(out.size() == hash_at);
  const std::uint64_t hash = XXH3_64bits(into.data(), hash_at);
  out.write(hash);
  return hash;
}

// The hash, if magic and hash are right. The version is looked at by whoever knows the fields.
std::optional<std::uint64_t> intact(std::span<const std::byte> bytes, std::uint32_t magic, std::size_t hash_at) {
  if (bytes.size() < hash_at + sizeof(std::uint64_t)) return std::nullopt;
  ByteReader in(bytes);
  if (in.read<std::uint32_t>() != magic) return std::nullopt;
  std::uint64_t stored = 0;
  std::memcpy(&stored, bytes.data() + hash_at, sizeof(stored));
  const std::uint64_t hash = XXH3_64bits(bytes.data(), hash_at);
  return hash == stored ? std::optional(hash) : std::nullopt;
}

bool is_ours(std::uint16_t version, bool* newer) {
  if (version > kLogVersion && newer != nullptr) *newer = true;
  return version == kLogVersion;
}

}  // namespace

std::uint64_t hash_of_body(std::span<const std::byte> body) { return XXH3_64bits(body.data(), body.size()); }

std::uint64_t encode_segment_header(const SegmentHeader& header, std::span<std::byte> block) {
  VECSTORE_CHECK(block.size() == kLogBlockBytes);
  std::fill(block.begin(), block.end(), std::byte{0});
  SpanWriter out(block);
  out.write(kSegmentMagic);
  out.write(kLogVersion);
  out.write(header.recorded ? kLogMinorRecorded : std::uint16_t{0});
  out.write(header.store);
  out.write(header.number);
  out.write(header.salt);
  out.write(header.first_lsn.value);
  out.write(header.previous);
  out.write(header.chain);
  out.write(header.bytes);
  out.write(std::uint64_t{0});  // spare
  return seal(out, kSegmentHashAt, block);
}

std::optional<Decoded<SegmentHeader>> decode_segment_header(std::span<const std::byte> block, bool* newer) {
  const auto hash = intact(block, kSegmentMagic, kSegmentHashAt);
  if (!hash) return std::nullopt;
  ByteReader in(block);
  in.read<std::uint32_t>();
  if (!is_ours(in.read<std::uint16_t>(), newer)) return std::nullopt;
  SegmentHeader header;
  header.recorded = in.read<std::uint16_t>() >= kLogMinorRecorded;
  header.store = in.read<Uuid>();
  header.number = in.read<std::uint64_t>();
  header.salt = in.read<std::uint64_t>();
  header.first_lsn = {in.read<std::uint64_t>()};
  header.previous = in.read<std::uint64_t>();
  header.chain = in.read<std::uint64_t>();
  header.bytes = in.read<std::uint64_t>();
  const bool possible = header.number != 0 && header.first_lsn.value != 0 && header.previous < header.number &&
                        header.bytes <= kSegmentBytesMax;
  return possible ? std::optional(Decoded<SegmentHeader>{header, *hash}) : std::nullopt;
}

std::uint64_t encode_group_header(const GroupHeader& header, std::span<std::byte> into) {
  SpanWriter out(into);
  out.write(kGroupMagic);
  out.write(kLogVersion);
  out.write(header.type);
  out.write(header.body_bytes);
  out.write(header.records);
  out.write(header.first_lsn.value);
  out.write(header.salt);
  out.write(header.chain);
  out.write(header.synced_lsn.value);
  out.write(header.body_hash);
  return seal(out, kGroupHashAt, into);
}

std::optional<Decoded<GroupHeader>> decode_group_header(std::span<const std::byte> bytes, bool* newer) {
  const auto hash = intact(bytes, kGroupMagic, kGroupHashAt);
  if (!hash) return std::nullopt;
  ByteReader in(bytes);
  in.read<std::uint32_t>();
  if (!is_ours(in.read<std::uint16_t>(), newer)) return std::nullopt;
  GroupHeader header;
  header.type = in.read<GroupType>();
  header.body_bytes = in.read<std::uint32_t>();
  header.records = in.read<std::uint32_t>();
  header.first_lsn = {in.read<std::uint64_t>()};
  header.salt = in.read<std::uint64_t>();
  header.chain = in.read<std::uint64_t>();
  header.synced_lsn = {in.read<std::uint64_t>()};
  header.body_hash = in.read<std::uint64_t>();
  const bool of_records = header.type == GroupType::kRecords && header.records != 0;
  const bool empty = header.type == GroupType::kSynced && header.records == 0 && header.body_bytes == 0;
  const bool possible = (of_records || empty) && header.body_bytes <= kGroupBodyBytesMax &&
                        header.records <= header.body_bytes / kRecordHeaderBytes &&
                        header.synced_lsn < header.first_lsn;
  return possible ? std::optional(Decoded<GroupHeader>{header, *hash}) : std::nullopt;
}

std::uint64_t encode_end_record(const EndRecord& record, std::span<std::byte> block) {
  VECSTORE_CHECK(block.size() == kLogBlockBytes);
  std::fill(block.begin(), block.end(), std::byte{0});
  SpanWriter out(block);
  out.write(kEndMagic);
  out.write(kLogVersion);
  out.write(std::uint16_t{record.closed ? std::uint16_t{1} : std::uint16_t{0}});
  out.write(record.store);
  out.write(record.count);
  out.write(record.segment);
  out.write(record.header_hash);
  out.write(record.durable_lsn.value);
  out.write(record.chain);
  out.write(std::uint64_t{0});  // spare
  out.write(std::uint64_t{0});
  return seal(out, kEndHashAt, block);
}

std::optional<Decoded<EndRecord>> decode_end_record(std::span<const std::byte> block, bool* newer) {
  const auto hash = intact(block, kEndMagic, kEndHashAt);
  if (!hash) return std::nullopt;
  ByteReader in(block);
  in.read<std::uint32_t>();
  if (!is_ours(in.read<std::uint16_t>(), newer)) return std::nullopt;
  EndRecord record;
  record.closed = in.read<std::uint16_t>() != 0;
  record.store = in.read<Uuid>();
  record.count = in.read<std::uint64_t>();
  record.segment = in.read<std::uint64_t>();
  record.header_hash = in.read<std::uint64_t>();
  record.durable_lsn = {in.read<std::uint64_t>()};
  record.chain = in.read<std::uint64_t>();
  return Decoded<EndRecord>{record, *hash};
}

void append_record(const LogRecord& record, std::byte*& at) {
  const auto size = static_cast<std::uint32_t>(record.payload.size());
  const std::uint16_t zero = 0;
  std::memcpy(at, &size, 4);
  std::memcpy(at + 4, &record.type, 2);
  std::memcpy(at + 6, &zero, 2);
  std::memcpy(at + 8, &record.collection, 4);
  std::copy(record.payload.begin(), record.payload.end(), at + kRecordHeaderBytes);
  at += kRecordHeaderBytes + record.payload.size();
}

bool take_record(std::span<const std::byte>& body, LogRecord& record) {
  ByteReader in(body);
  const auto size = in.read<std::uint32_t>();
  record.type = in.read<std::uint16_t>();
  in.read<std::uint16_t>();
  record.collection = in.read<std::uint32_t>();
  if (size > kRecordBytesMax) return false;
  record.payload = in.read_bytes(size);
  if (!in.ok()) return false;
  body = body.subspan(kRecordHeaderBytes + size);
  return true;
}

std::string segment_name(std::uint64_t number) { return kSegmentPrefix + std::to_string(number); }

std::optional<std::uint64_t> segment_number(const std::string& name) {
  if (!name.starts_with(kSegmentPrefix)) return std::nullopt;
  const char* first = name.data() + std::strlen(kSegmentPrefix);
  const char* last = name.data() + name.size();
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(first, last, number);
  const bool whole = error == std::errc() && end == last && number != 0;
  return whole && segment_name(number) == name ? std::optional(number) : std::nullopt;
}

}  // namespace vecstore
