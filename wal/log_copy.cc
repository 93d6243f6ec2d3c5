// SPDX-License-Identifier: Apache-2.0
#include "wal/log_copy.h"

#include <algorithm>
#include <vector>

#include "wal/end_file.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kBlocksAtOnce = 64;
constexpr const char* kPreparingName = "end.new";

// Without the blocks at the end that hold nothing.
std::size_t without_zeros(std::span<const std::byte> bytes) {
  const auto last = std::ranges::find_if(bytes.rbegin(), bytes.rend(), [](std::byte b) { return b != std::byte{0}; });
  const auto used = static_cast<std::size_t>(bytes.rend() - last);
  return std::min(bytes.size(), (used + kLogBlockBytes - 1) / kLogBlockBytes * kLogBlockBytes);
}

// Up to `used`; the rest is zero, as what a segment has left is, and so is what was zero before. It takes no room.
Status copy_segment(FileSystem& file_system, const std::string& from, const std::string& to, std::uint64_t used,
                    std::uint64_t bytes, std::span<std::byte> window, const CancelToken* cancel,
                    std::uint64_t& written) {
  VECSTORE_ASSIGN(const auto source, file_system.open(from, {OpenMode::kRead, false}));
  VECSTORE_ASSIGN(const auto copy, file_system.open(to, {OpenMode::kCreateNew, false}));
  for (std::uint64_t at = 0; at < used; at += window.size()) {
    VECSTORE_TRY(check_cancelled(cancel));
    const auto part = window.first(std::min<std::uint64_t>(window.size(), used - at));
    VECSTORE_ASSIGN(const std::size_t got, source->read_at(part, at));
    if (got < part.size())
      return Status(Code::kCorrupt, "a log segment has become shorter; restore it, or salvage what is left")
          .about(from)
          .at(Detail::kOffset, at + got);
    const std::size_t whole = without_zeros(part);
    if (whole == 0) continue;
    VECSTORE_TRY(copy->write_at(part.first(whole), at));
    written += whole;
  }
  VECSTORE_TRY(copy->truncate(bytes));
  return copy->sync();
}

}  // namespace

Result<CopiedLog> copy_log(FileSystem& file_system, const std::string& from, const std::string& to,
                           const ReplayOptions& options, SealedSegments sealed, MemoryBudget& budget,
                           const CancelToken* cancel, const TakeRecord& take) {
  const auto take_all = [&](Lsn lsn, const LogRecord& record) -> Status {
    VECSTORE_TRY(check_cancelled(cancel));
    return take(lsn, record);
  };
  VECSTORE_ASSIGN(const LogTail tail, replay_log(file_system, from, options, budget, take_all));
  CopiedLog copied{std::max(tail.last_lsn, options.after)};
  if (!tail.newest) return copied;
  // The newest may hold no record yet. It tells all the same where the log goes on.
  std::vector<SegmentInfo> segments = tail.segments;
  if (segments.empty() || segments.back().number != tail.newest->number)
    segments.push_back({tail.newest->number, tail.newest->bytes, tail.newest->first_lsn});
  VECSTORE_ASSIGN(auto window, Buffer<std::byte>::allocate(budget, kBlocksAtOnce * kLogBlockBytes));
  for (std::size_t i = 0; i < segments.size(); ++i) {
    const SegmentInfo& segment = segments[i];
    const bool is_newest = i + 1 == segments.size();
    if (!is_newest && segments[i + 1].first_lsn.value <= options.after.value + 1) continue;  // nobody wants it
    const std::string name = "/" + segment_name(segment.number);
    if (!is_newest && sealed == SealedSegments::kLink) {
      VECSTORE_TRY(check_cancelled(cancel));
      VECSTORE_TRY(file_system.link(from + name, to + name));
      copied.bytes_linked += segment.bytes;
      continue;
    }
    const std::uint64_t used = is_newest ? tail.place.offset : segment.bytes;
    VECSTORE_TRY(
        copy_segment(file_system, from + name, to + name, used, segment.bytes, window.span(), cancel, copied.bytes));
  }
  EndRecord end;
  end.segment = tail.place.segment;
  end.header_hash = tail.newest_hash;
  end.durable_lsn = tail.place.last_lsn;
  end.closed = true;
  end.chain = tail.place.chain;
  EndFile file;
  VECSTORE_TRY(file.open(file_system, to, to + "/" + kPreparingName, std::nullopt, options.store, budget));
  VECSTORE_TRY(file.write(end));
  copied.bytes += kEndSlots * kLogBlockBytes;
  VECSTORE_TRY(file_system.sync_directory(to));
  return copied;
}

}  // namespace vecstore
