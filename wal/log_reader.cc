// SPDX-License-Identifier: Apache-2.0
#include "wal/log_reader.h"

#include <algorithm>
#include <vector>

#include "wal/end_file.h"

namespace vecstore {
namespace {

constexpr int kLooksMax = 8;

constexpr std::size_t kWindowBytes = 1u << 20;
constexpr const char* kNewerLog = "the log was written by a newer VecStore; upgrade to read it";
constexpr const char* kHeaderDamaged = "the header of a log segment is damaged; restore it, or salvage what is left";

bool is_zero(std::span<const std::byte> bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

Status corrupt(const char* text, const std::string& path, std::uint64_t offset) {
  return Status(Code::kCorrupt, text).about(path).at(Detail::kOffset, offset);
}

// A segment file, and groups read from it one after the other.
class SegmentReader {
 public:
  static Result<SegmentReader> open(FileSystem& file_system, const std::string& directory, std::uint64_t number,
                                    Buffer<std::byte>& window, MemoryBudget& budget) {
    SegmentReader reader(directory + "/" + segment_name(number), window, budget);
    VECSTORE_ASSIGN(reader.file_, file_system.open(reader.path_, {OpenMode::kRead, false}));
    VECSTORE_ASSIGN(reader.bytes_, reader.file_->size());
    VECSTORE_ASSIGN(const auto block, reader.read(0, kLogBlockBytes));
    bool newer = false;
    const auto header = decode_segment_header(block, &newer);
    if (newer) return Status(Code::kNewerFormat, kNewerLog).about(reader.path_);
    reader.never_begun_ = is_zero(block);
    if (header) {
      reader.header_ = header->header;
      reader.has_header_ = header->header.number == number;
      reader.header_hash_ = header->hash;
    }
    return reader;
  }

  const std::string& path() const { return path_; }
  std::uint64_t bytes() const { return bytes_; }
  bool never_begun() const { return never_begun_; }  // prepared ahead: all zero
  bool has_header() const { return has_header_; }
  const SegmentHeader& header() const { return header_; }
  std::uint64_t header_hash() const { return header_hash_; }

  struct Group {
    GroupHeader header;
    std::uint64_t hash = 0;
    std::span<const std::byte> body;  // in the window, until the next read
  };
  // The group at `offset`, if there is a whole one. `claim`: what its header says that it takes, whole or not.
  Result<std::optional<Group>> group_at(std::uint64_t offset, std::uint64_t* claim = nullptr) {
    if (offset + kGroupHeaderBytes > bytes_) return std::optional<Group>();
    VECSTORE_ASSIGN(auto bytes, read(offset, kLogBlockBytes));
    bool newer = false;
    const auto header = decode_group_header(bytes, &newer);
    if (newer) return Status(Code::kNewerFormat, kNewerLog).about(path_);
    if (!header) return std::optional<Group>();
    if (claim != nullptr) *claim = group_bytes(header->header.body_bytes);
    const std::uint64_t whole = kGroupHeaderBytes + header->header.body_bytes;
    if (whole > bytes_ - offset) return std::optional<Group>();
    if (whole > bytes.size()) {
      VECSTORE_ASSIGN(bytes, read(offset, whole));
      if (bytes.size() < whole) return std::optional<Group>();
    }
    const auto body = bytes.subspan(kGroupHeaderBytes, header->header.body_bytes);
    if (hash_of_body(body) != header->header.body_hash) return std::optional<Group>();
    return std::optional(Group{header->header, header->hash, body});
  }

  // Whether the block there holds nothing.
  Result<bool> is_empty_at(std::uint64_t offset) {
    VECSTORE_ASSIGN(const auto bytes, read(offset, kLogBlockBytes));
    return is_zero(bytes);
  }

  // Whether a group in the `look_at` bytes from `offset` on tells that the log had been synced up to `lsn` when it was
  // written. `torn_end`: behind the last block of these that is not zero. The header of a group has a sum of its own
  // and was true when it was written, so bodies are not read: each byte is, once.
  Result<bool> was_synced(std::uint64_t offset, std::uint64_t look_at, Lsn lsn, std::uint64_t& torn_end) {
    torn_end = offset;
    bool synced = false;
    const std::uint64_t end = offset + std::min(look_at, bytes_ - std::min(bytes_, offset));
    for (std::uint64_t window = offset; window < end; window += kWindowBytes) {
      VECSTORE_ASSIGN(const auto bytes, read(window, std::min<std::uint64_t>(kWindowBytes, end - window)));
      if (is_zero(bytes)) continue;
      for (std::uint64_t at = 0; at < bytes.size(); at += kLogBlockBytes) {
        const auto block = bytes.subspan(at, std::min<std::uint64_t>(kLogBlockBytes, bytes.size() - at));
        if (is_zero(block)) continue;
        torn_end = window + at + block.size();
        const auto group = synced ? std::nullopt : decode_group_header(block);
        if (!group || (has_header_ && group->header.salt != header_.salt)) continue;
        synced = group->header.synced_lsn >= lsn;
      }
    }
    return synced;
  }

 private:
  SegmentReader(std::string path, Buffer<std::byte>& window, MemoryBudget& budget)
      : path_(std::move(path)), window_(&window), budget_(&budget) {}

  Result<std::span<const std::byte>> read(std::uint64_t offset, std::uint64_t size) {
    if (window_->size() < size) {
      window_->reset();
      const std::uint64_t rounded = (size + kWindowBytes - 1) / kWindowBytes * kWindowBytes;
      VECSTORE_ASSIGN(*window_, Buffer<std::byte>::allocate(*budget_, rounded));
    }
    const auto into = window_->span().first(static_cast<std::size_t>(size));
    VECSTORE_ASSIGN(const std::size_t got, file_->read_at(into, offset));
    return std::span<const std::byte>(into.first(got));
  }

  std::string path_;
  std::unique_ptr<File> file_;
  std::uint64_t bytes_ = 0;
  SegmentHeader header_;
  std::uint64_t header_hash_ = 0;
  bool has_header_ = false;
  bool never_begun_ = false;
  Buffer<std::byte>* window_;
  MemoryBudget* budget_;
};

// Numbers of the segment files in a directory, rising.
Result<std::vector<std::uint64_t>> numbers_of_segments(FileSystem& file_system, const std::string& directory) {
  VECSTORE_ASSIGN(const auto entries, file_system.list(directory));
  std::vector<std::uint64_t> numbers;
  for (const DirectoryEntry& entry : entries)
    if (const auto number = segment_number(entry.name); number && !entry.is_directory) numbers.push_back(*number);
  std::ranges::sort(numbers);
  return numbers;
}

class Replay {
 public:
  Replay(FileSystem& file_system, const std::string& directory, const ReplayOptions& options, MemoryBudget& budget,
         const TakeRecord& take, Lsn& taken)
      : file_system_(file_system),
        directory_(directory),
        options_(options),
        budget_(budget),
        take_(take),
        taken_(taken) {}

  Result<LogTail> run() {
    tail_.last_lsn = options_.after;
    // Before the segments: what it tells of is there by then.
    VECSTORE_ASSIGN(tail_.end, read_end(file_system_, directory_, options_.store));
    VECSTORE_TRY(find_segments());
    VECSTORE_TRY(check_newest());
    for (std::size_t i = 0; i < segments_.size(); ++i) {
      const bool last = i + 1 == segments_.size();
      VECSTORE_TRY(replay_segment(segments_[i], last ? nullptr : &segments_[i + 1]));
    }
    VECSTORE_TRY(check_unbegun());
    VECSTORE_TRY(check_end());
    if (!segments_.empty()) tail_.newest = segments_.back();
    tail_.newest_hash = newest_hash_;
    return tail_;
  }
  // An error that came from whoever takes the records: looking again would give him one twice.
  bool was_refused() const { return refused_; }

 private:
  // The segments that were begun, by number. One whose header is no header may only be the last.
  Status find_segments() {
    VECSTORE_ASSIGN(const auto numbers, numbers_of_segments(file_system_, directory_));
    for (const std::uint64_t number : numbers) {
      tail_.number_max = number;
      auto opened = open(number);
      // A writer that begins removes segments without records; one with records would be missed further on.
      if (!opened && opened.error().code() == Code::kNotFound) continue;
      if (!opened) return opened.error();
      SegmentReader& reader = *opened;
      tail_.bytes += reader.bytes();
      // A segment had its size before it had its name.
      if (reader.bytes() < (reader.has_header() ? reader.header().bytes : kLogBlockBytes))
        return corrupt("a log segment is shorter than it was made; restore it, or salvage what is left", reader.path(),
                       reader.bytes());
      if (!reader.has_header()) {
        tail_.unbegun.push_back(number);
        if (!reader.never_begun()) torn_header_ = number;
        continue;
      }
      if (reader.header().store != options_.store)
        return corrupt("a segment of the log belongs to another store; restore it", reader.path(), 0);
      if (reader.header().number > options_.from.segment && reader.header().first_lsn <= options_.from.last_lsn)
        return Status(Code::kUnsupported, "the log ends before what was read of it; open the store again")
            .about(reader.path());
      // Unless the next one continues an earlier: then nothing was ever kept in it.
      if (reader.header().previous >= torn_header_ && torn_header_ != 0)
        return corrupt(kHeaderDamaged, path_of(torn_header_), 0);
      torn_header_ = 0;
      segments_.push_back(reader.header());
      newest_hash_ = reader.header_hash();
    }
    if (!segments_.empty() && segments_.front().first_lsn.value > options_.after.value + 1)
      return corrupt("the log does not begin where the files of the store end; restore the missing segments",
                     path_of(segments_.front().number), 0);
    return Status::ok();
  }

  // Against the second place: the newest segment is there, or one that came after it.
  Status check_newest() const {
    const bool recorded = std::ranges::any_of(segments_, [](const SegmentHeader& one) { return one.recorded; });
    if (recorded && !tail_.end)
      return Status(Code::kCorrupt, "the record of the log's end is missing; restore it, or salvage what is left")
          .about(directory_ + "/" + kEndName);
    if (!tail_.end || tail_.end->segment == 0) return Status::ok();
    const std::uint64_t newest = segments_.empty() ? 0 : segments_.back().number;
    if (newest < tail_.end->segment || (newest == tail_.end->segment && newest_hash_ != tail_.end->header_hash))
      return corrupt("the newest segment of the log is missing, or its header is; restore it, or salvage what is left",
                     path_of(tail_.end->segment), 0);
    return Status::ok();
  }

  // … and reaches as far as it did, or exactly so far where the log was closed.
  Status check_end() const {
    if (!tail_.end || tail_.end->segment == 0) return Status::ok();
    const EndRecord& end = *tail_.end;
    const LogPlace& place = tail_.place;
    const bool is_other =
        end.closed && place.segment == end.segment && (place.last_lsn != end.durable_lsn || place.chain != end.chain);
    if (tail_.last_lsn >= end.durable_lsn && !is_other) return Status::ok();
    return corrupt("the log ends before it did when that was recorded; restore it, or salvage what is left",
                   path_of(end.segment), place.segment == end.segment ? place.offset : 0);
  }

  // next: the segment after it, which tells where this one ends; nullptr: it is the last.
  Status replay_segment(const SegmentHeader& header, const SegmentHeader* next) {
    // Begun and left without a record, so that the next one continues the one before.
    const bool replaced = next != nullptr && next->first_lsn == header.first_lsn && next->chain == header.chain;
    if (!started_) tail_.chain = header.chain;
    if (started_ && (header.first_lsn.value != end_.value + 1 || header.chain != tail_.chain))
      return corrupt("a segment of the log does not follow the one before it; restore them", path_of(header.number), 0);
    if (replaced) {
      tail_.abandoned.push_back(header.number);
      return Status::ok();
    }
    // What ends before the records that are wanted need not be read.
    if (next != nullptr && next->first_lsn.value <= options_.after.value + 1) {
      keep(header, {next->first_lsn.value - 1}, next->chain);
      return Status::ok();
    }
    VECSTORE_ASSIGN(SegmentReader reader, reopen(header.number));
    if (!reader.has_header()) return corrupt("a log segment changed while it was read", reader.path(), 0);
    const bool goes_on = options_.from.segment == header.number;
    std::uint64_t offset = goes_on ? options_.from.offset : kLogBlockBytes;
    Lsn last = goes_on ? options_.from.last_lsn : Lsn{header.first_lsn.value - 1};
    std::uint64_t chain = goes_on ? options_.from.chain : reader.header_hash();
    for (;;) {
      VECSTORE_TRY(take_groups(reader, next, offset, last, chain));
      if (next != nullptr) break;
      VECSTORE_ASSIGN(const bool synced, was_synced_behind(reader, offset, last));
      if (!synced) break;
      // Unless a writer that is at work has just completed it.
      VECSTORE_ASSIGN(const auto group, reader.group_at(offset));
      if (!group || !follows(*group, header, chain, last))
        return corrupt("an acknowledged record of the log is damaged; restore it, or salvage what is left",
                       reader.path(), offset);
    }
    if (next != nullptr && (last.value + 1 != next->first_lsn.value || chain != next->chain))
      return corrupt("acknowledged records of the log are damaged; restore it, or salvage what is left", reader.path(),
                     offset);
    if (next == nullptr) tail_.place = {header.number, offset, last, chain};
    if (next == nullptr && last.value + 1 == header.first_lsn.value) {
      tail_.abandoned.push_back(header.number);
    } else {
      keep(header, last, chain);
    }
    return Status::ok();
  }

  // The groups from `offset` on that follow one another, as far as the next segment says or, in the last, as far as
  // they go.
  Status take_groups(SegmentReader& reader, const SegmentHeader* next, std::uint64_t& offset, Lsn& last,
                     std::uint64_t& chain) {
    while (next == nullptr || last.value + 1 < next->first_lsn.value || chain != next->chain) {
      VECSTORE_ASSIGN(const auto group, reader.group_at(offset));
      if (!group || !follows(*group, reader.header(), chain, last)) break;
      VECSTORE_TRY(take_group(*group, reader.path(), offset));
      last.value += group->header.records;
      chain = group->hash;
      offset += group_bytes(group->header.body_bytes);
    }
    return Status::ok();
  }

  // How many bytes behind the last whole group are looked at.
  std::uint64_t look_at() const { return options_.from.segment != 0 ? kFollowBytes : ~std::uint64_t{0}; }

  static bool follows(const SegmentReader::Group& group, const SegmentHeader& segment, std::uint64_t chain, Lsn last) {
    return group.header.salt == segment.salt && group.header.chain == chain &&
           group.header.first_lsn.value == last.value + 1;
  }

  // Whether what lies behind the last whole group tells that more than `last` had been synced.
  Result<bool> was_synced_behind(SegmentReader& reader, std::uint64_t offset, Lsn last) {
    std::uint64_t torn_end = 0;
    VECSTORE_ASSIGN(const bool synced, reader.was_synced(offset, look_at(), {last.value + 1}, torn_end));
    if (torn_end > offset) {
      tail_.torn_segment = reader.header().number;
      tail_.torn_at = offset;
      tail_.torn_bytes = torn_end - offset;
    }
    return synced;
  }

  // A segment without a header was never begun, or its first block was torn. Unless what it holds tells otherwise.
  Status check_unbegun() {
    for (const std::uint64_t number : tail_.unbegun) {
      VECSTORE_ASSIGN(SegmentReader reader, reopen(number));
      std::uint64_t torn_end = 0;
      VECSTORE_ASSIGN(const bool begun,
                      reader.was_synced(kLogBlockBytes, look_at(), {tail_.last_lsn.value + 1}, torn_end));
      if (begun && !reader.has_header()) return corrupt(kHeaderDamaged, reader.path(), 0);
    }
    return Status::ok();
  }

  Status take_group(const SegmentReader::Group& group, const std::string& path, std::uint64_t offset) {
    std::span<const std::byte> body = group.body;
    for (std::uint32_t i = 0; i < group.header.records; ++i) {
      LogRecord record;
      if (!take_record(body, record)) return corrupt("a record of the log makes no sense", path, offset);
      const Lsn lsn{group.header.first_lsn.value + i};
      if (lsn <= options_.after || lsn <= taken_) continue;
      refused_ = true;
      VECSTORE_TRY(take_(lsn, record));
      refused_ = false;
      taken_ = lsn;
    }
    if (!body.empty()) return corrupt("a group of the log has bytes that are no record", path, offset);
    if (group.header.records != 0 && options_.group_ended) options_.group_ended(taken_);
    return Status::ok();
  }

  void keep(const SegmentHeader& header, Lsn last, std::uint64_t chain) {
    tail_.segments.push_back({header.number, header.bytes, header.first_lsn});
    tail_.last_lsn = std::max(tail_.last_lsn, last);
    tail_.chain = chain;
    end_ = last;
    started_ = true;
  }

  std::string path_of(std::uint64_t number) const { return directory_ + "/" + segment_name(number); }
  Result<SegmentReader> open(std::uint64_t number) {
    return SegmentReader::open(file_system_, directory_, number, window_, budget_);
  }
  // One that was there a moment ago.
  Result<SegmentReader> reopen(std::uint64_t number) {
    auto reader = open(number);
    if (!reader && reader.error().code() == Code::kNotFound)
      return Status(Code::kBusy, "a writer is just beginning; try again").about(path_of(number));
    return reader;
  }

  FileSystem& file_system_;
  const std::string& directory_;
  ReplayOptions options_;
  MemoryBudget& budget_;
  const TakeRecord& take_;
  Lsn& taken_;  // through, by this look and those before it
  bool refused_ = false;
  std::vector<SegmentHeader> segments_;
  std::uint64_t newest_hash_ = 0;  // sum of the last one's header
  std::uint64_t torn_header_ = 0;  // a segment whose header is neither whole nor zero
  Buffer<std::byte> window_;
  LogTail tail_;
  Lsn end_;               // last record of the last segment with records
  bool started_ = false;  // a segment with records has been seen, so the next must follow it
};

// Hostile bytes may be full of headers that each claim a large body that is not whole: such bodies are read as long as
// they do not make up more than the segment, and then passed over. Those of a log that was written never do.
Status salvage_segment(SegmentReader& reader, Lsn& after, const TakeRecord& take, SalvagedLog& salvaged) {
  std::uint64_t offset = kLogBlockBytes;
  std::uint64_t claimed = 0;
  while (offset < reader.bytes()) {
    std::uint64_t claim = 0;
    VECSTORE_ASSIGN(const auto group, reader.group_at(offset, &claim));
    if (!group) {
      VECSTORE_ASSIGN(const bool empty, reader.is_empty_at(offset));
      claimed += claim;
      const std::uint64_t passed =
          claimed > reader.bytes() ? std::max<std::uint64_t>(claim, kLogBlockBytes) : std::uint64_t{kLogBlockBytes};
      if (!empty) salvaged.lost_bytes += passed;
      offset += passed;
      continue;
    }
    std::span<const std::byte> body = group->body;
    Lsn lsn = group->header.first_lsn;
    LogRecord record;
    for (std::uint32_t i = 0; i < group->header.records && take_record(body, record); ++i, ++lsn.value) {
      if (lsn <= after) continue;
      VECSTORE_TRY(take(lsn, record));
      after = lsn;
      ++salvaged.records;
    }
    offset += group_bytes(group->header.body_bytes);
  }
  return Status::ok();
}

}  // namespace

// A writer at work may begin a segment between two reads, and what was read of it before then contradicts what is read
// later. The second look begins behind all that spoke against the first one, so damage is what both of them find.
Result<LogTail> replay_log(FileSystem& file_system, const std::string& directory, const ReplayOptions& options,
                           MemoryBudget& budget, const TakeRecord& take) {
  Lsn taken;
  std::string found;
  for (int look = 1;; ++look) {
    Replay replay(file_system, directory, options, budget, take, taken);
    auto tail = replay.run();
    if (tail || tail.error().code() != Code::kCorrupt || replay.was_refused() || look == kLooksMax) return tail;
    std::string message = tail.error().message();
    if (message == found) return tail;
    found = std::move(message);
  }
}

Result<SalvagedLog> salvage_log(FileSystem& file_system, const std::string& directory, const ReplayOptions& options,
                                MemoryBudget& budget, const TakeRecord& take) {
  SalvagedLog salvaged;
  Buffer<std::byte> window;
  Lsn after = options.after;
  VECSTORE_ASSIGN(const auto numbers, numbers_of_segments(file_system, directory));
  for (const std::uint64_t number : numbers) {
    VECSTORE_ASSIGN(SegmentReader reader, SegmentReader::open(file_system, directory, number, window, budget));
    if (reader.has_header() && reader.header().store != options.store) continue;
    VECSTORE_TRY(salvage_segment(reader, after, take, salvaged));
  }
  return salvaged;
}

}  // namespace vecstore
