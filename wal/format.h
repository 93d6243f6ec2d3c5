// SPDX-License-Identifier: Apache-2.0
//
// The bytes of the write-ahead log. Byte-exact description: wal/README.md.
//
// The log is a chain of segment files. A segment is a header block and then commit groups, each of whole blocks of 4
// KiB. So a block that was acknowledged is never written again. A group holds records; it counts wholly or not at all.
// Every group carries the hash of the one before it and how far the log had been synced when it was written.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/status.h"

namespace vecstore {

inline constexpr std::size_t kLogBlockBytes = 4096;
inline constexpr std::size_t kGroupHeaderBytes = 64;
inline constexpr std::size_t kRecordHeaderBytes = 12;
inline constexpr std::uint16_t kLogVersion = 1;
// Minor version of a segment whose log keeps a record of its end: one of before is read, and needs none.
inline constexpr std::uint16_t kLogMinorRecorded = 1;
inline constexpr std::uint64_t kGroupBodyBytesMax = 32ull << 20;
inline constexpr std::uint32_t kRecordBytesMax = 1u << 20;
inline constexpr std::uint64_t kSegmentBytesMin = 1ull << 20;
inline constexpr std::uint64_t kSegmentBytesMax = 64ull << 20;

static_assert(kGroupBodyBytesMax + kGroupHeaderBytes + 2 * kLogBlockBytes <= kSegmentBytesMax,
              "a segment takes its header and the largest group");

// Log sequence number: records are numbered from 1, without gaps.
struct Lsn {
  std::uint64_t value = 0;
  auto operator<=>(const Lsn&) const = default;
};

// What a record means is its writer's to know; the log keeps type and collection and does not look into the payload.
struct LogRecord {
  std::uint16_t type = 0;
  std::uint32_t collection = 0;
  std::span<const std::byte> payload;
};

struct SegmentHeader {
  Uuid store{};
  std::uint64_t number = 0;    // from 1, rising
  std::uint64_t salt = 0;      // in every group of the segment
  Lsn first_lsn;               // number of the first record that it will hold
  std::uint64_t previous = 0;  // number of the segment before, 0: none is needed
  std::uint64_t chain = 0;     // hash of the last group before, or of that segment's header
  std::uint64_t bytes = 0;     // size of the file
  bool recorded = true;        // the log keeps an EndRecord; without it, it is damaged
};

// What stands in a second place, "end", of the newest segment, so that it cannot go or shrink unnoticed.
struct EndRecord {
  Uuid store{};
  std::uint64_t count = 0;        // end records written so far: tells which of the two slots is the newer
  std::uint64_t segment = 0;      // the newest that holds something durable; 0: none yet
  std::uint64_t header_hash = 0;  // sum of that segment's header
  Lsn durable_lsn;                // records up to this one were on the disk when this was written
  bool closed = false;  // the log ended there, with the group of this hash, and nothing followed in the segment
  std::uint64_t chain = 0;
};
inline constexpr std::size_t kEndSlots = 2;
inline constexpr const char* kEndName = "end";

enum class GroupType : std::uint16_t {
  kRecords = 1,
  kSynced = 2,  // no records: written at a clean close, so that what came before is known to have been acknowledged
};

struct GroupHeader {
  GroupType type = GroupType::kRecords;
  std::uint32_t body_bytes = 0;
  std::uint32_t records = 0;
  Lsn first_lsn;
  std::uint64_t salt = 0;
  std::uint64_t chain = 0;  // hash of the group before it, or of the segment's header
  Lsn synced_lsn;           // records up to this one were on the disk before this group was written
  std::uint64_t body_hash = 0;
};

// Whole blocks that a group of so many bytes of body takes.
constexpr std::uint64_t group_bytes(std::uint64_t body_bytes) {
  return (kGroupHeaderBytes + body_bytes + kLogBlockBytes - 1) / kLogBlockBytes * kLogBlockBytes;
}
constexpr std::uint64_t record_bytes(std::uint64_t payload_bytes) { return kRecordHeaderBytes + payload_bytes; }

std::uint64_t hash_of_body(std::span<const std::byte> body);

// Each writes its block or header and returns its hash, which the next one carries as `chain`.
std::uint64_t encode_segment_header(const SegmentHeader& header, std::span<std::byte> block);
std::uint64_t encode_group_header(const GroupHeader& header, std::span<std::byte> into);
// A slot of the file "end", a block.
std::uint64_t encode_end_record(const EndRecord& record, std::span<std::byte> block);

template <typename Header>
struct Decoded {
  Header header;
  std::uint64_t hash = 0;
};
// nullopt: not such a header, or damaged. Nothing in it is believed before its hash is right. `newer` tells a header
// that is intact and of a version after ours.
std::optional<Decoded<SegmentHeader>> decode_segment_header(std::span<const std::byte> block, bool* newer = nullptr);
std::optional<Decoded<GroupHeader>> decode_group_header(std::span<const std::byte> bytes, bool* newer = nullptr);
std::optional<Decoded<EndRecord>> decode_end_record(std::span<const std::byte> block, bool* newer = nullptr);

void append_record(const LogRecord& record, std::byte*& at);
// Takes the next record off `body`; false when that is not one.
bool take_record(std::span<const std::byte>& body, LogRecord& record);

std::string segment_name(std::uint64_t number);                        // "log-17"
std::optional<std::uint64_t> segment_number(const std::string& name);  // number in a segment_name()

}  // namespace vecstore
