// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/key_sorter.h"

#include <xxhash.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/limits.h"

namespace vecstore {

namespace {

// A record, in the arena and in the spill file: u64 row, u16 key bytes, the key.
constexpr std::size_t kHeadBytes = 10;
constexpr std::size_t kRecordBytesMax = kHeadBytes + kKeyBytesMax;
constexpr std::size_t kOutputBytes = 65536;
constexpr std::size_t kWindowBytes = 8192;  // the least of a run that is merged
static_assert(kRecordBytesMax <= kWindowBytes);
static_assert(KeySorter::kBytesMin / kWindowBytes >= 2, "a merge takes at least two runs");

std::uint64_t digest_of(std::string_view key, std::uint64_t row) {
  return XXH3_64bits_withSeed(key.data(), key.size(), row);
}

std::size_t key_size_at(const std::byte* record) {
  std::uint16_t size = 0;
  std::memcpy(&size, record + 8, sizeof(size));
  return size;
}

}  // namespace

Result<KeySorter> KeySorter::create(FileSystem& file_system, const std::string& spill_path, std::size_t bytes,
                                    MemoryBudget& budget) {
  KeySorter sorter(file_system);
  sorter.spill_path_ = spill_path;
  // Offsets in the arena are u32.
  const std::size_t arena_bytes = std::clamp<std::size_t>(bytes, kBytesMin, std::size_t{1} << 31) / 4096 * 4096;
  VECSTORE_ASSIGN(sorter.arena_, Buffer<std::byte>::allocate(budget, arena_bytes));
  VECSTORE_ASSIGN(sorter.output_, Buffer<std::byte>::allocate(budget, kOutputBytes));
  return sorter;
}

KeySorter::Record KeySorter::record_at(std::size_t offset) const {
  Record record;
  std::memcpy(&record.row, arena_.data() + offset, sizeof(record.row));
  const std::byte* key = arena_.data() + offset + kHeadBytes;
  record.key = {reinterpret_cast<const char*>(key), key_size_at(arena_.data() + offset)};
  return record;
}

Status KeySorter::add(std::string_view key, RowId row) {
  VECSTORE_CHECK(key.size() <= kKeyBytesMax);
  const std::size_t size = kHeadBytes + key.size();
  if (arena_filled_ + size + (in_arena_ + 1) * sizeof(std::uint32_t) > arena_.size()) VECSTORE_TRY(spill_arena());
  const auto length = static_cast<std::uint16_t>(key.size());
  std::byte* record = arena_.data() + arena_filled_;
  std::memcpy(record, &row.value, sizeof(row.value));
  std::memcpy(record + sizeof(row.value), &length, sizeof(length));
  std::memcpy(record + kHeadBytes, key.data(), key.size());
  ++in_arena_;
  *(index_end() - in_arena_) = static_cast<std::uint32_t>(arena_filled_);
  arena_filled_ += size;
  ++count_;
  key_bytes_ += key.size();
  digest_in_ += digest_of(key, row.value);
  return Status::ok();
}

void KeySorter::sort_arena() {
  std::sort(index_end() - in_arena_, index_end(), [this](std::uint32_t a, std::uint32_t b) {
    const Record left = record_at(a);
    const Record right = record_at(b);
    const int order = left.key.compare(right.key);
    return order != 0 ? order < 0 : left.row < right.row;
  });
}

Status KeySorter::write(std::span<const std::byte> bytes) {
  if (output_filled_ + bytes.size() > output_.size()) VECSTORE_TRY(flush());
  std::memcpy(output_.data() + output_filled_, bytes.data(), bytes.size());
  output_filled_ += bytes.size();
  return Status::ok();
}

Status KeySorter::flush() {
  VECSTORE_TRY(spill_->write_at(output_.span().first(output_filled_), spill_bytes_));
  spill_bytes_ += output_filled_;
  output_filled_ = 0;
  return Status::ok();
}

Status KeySorter::spill_arena() {
  if (spill_ == nullptr) {
    VECSTORE_ASSIGN(spill_, open_unnamed(*file_system_, spill_path_));
  }
  sort_arena();
  Run run;
  run.at = spill_bytes_;
  for (const std::uint32_t* offset = index_end() - in_arena_; offset != index_end(); ++offset) {
    const std::byte* record = arena_.data() + *offset;
    VECSTORE_TRY(write({record, kHeadBytes + key_size_at(record)}));
  }
  VECSTORE_TRY(flush());
  run.end = spill_bytes_;
  runs_.push_back(run);
  arena_filled_ = 0;
  in_arena_ = 0;
  return Status::ok();
}

Status KeySorter::finish() {
  if (spill_ == nullptr) {
    sort_arena();
    return Status::ok();
  }
  if (in_arena_ != 0) VECSTORE_TRY(spill_arena());
  VECSTORE_TRY(reduce_runs());
  return merge_begin(runs_.size());
}

// Merges the oldest runs into one until the windows of all that are left fit into the arena.
Status KeySorter::reduce_runs() {
  const std::size_t fan_in = arena_.size() / kWindowBytes;
  while (runs_.size() > fan_in) {
    VECSTORE_TRY(merge_begin(fan_in));
    Run merged;
    merged.at = spill_bytes_;
    Record record;
    while (true) {
      VECSTORE_ASSIGN(const bool more, merge_next(record));
      if (!more) break;
      // The head lies before its key, in one piece.
      VECSTORE_TRY(
          write({reinterpret_cast<const std::byte*>(record.key.data()) - kHeadBytes, kHeadBytes + record.key.size()}));
    }
    VECSTORE_TRY(flush());
    merged.end = spill_bytes_;
    runs_.erase(runs_.begin(), runs_.begin() + static_cast<std::ptrdiff_t>(fan_in));
    runs_.push_back(merged);
  }
  return Status::ok();
}

namespace {
// For a heap whose front is the least.
struct LaterHead {
  template <typename Run>
  bool operator()(const Run* a, const Run* b) const {
    const int order = a->head->key.compare(b->head->key);
    return order != 0 ? order > 0 : a->head->row > b->head->row;
  }
};
}  // namespace

Status KeySorter::merge_begin(std::size_t runs) {
  const std::size_t window = arena_.size() / runs;
  heap_.clear();
  last_ = nullptr;
  for (std::size_t i = 0; i < runs; ++i) {
    runs_[i].window = arena_.span().subspan(i * window, window);
    VECSTORE_TRY(advance(runs_[i]));
    if (runs_[i].head) heap_.push_back(&runs_[i]);
  }
  std::make_heap(heap_.begin(), heap_.end(), LaterHead{});
  return Status::ok();
}

Status KeySorter::advance(Run& run) {
  run.begin += run.taken;
  run.taken = 0;
  run.head.reset();
  if (run.filled - run.begin < kRecordBytesMax && run.at < run.end) {
    std::memmove(run.window.data(), run.window.data() + run.begin, run.filled - run.begin);
    run.filled -= run.begin;
    run.begin = 0;
    const auto want =
        static_cast<std::size_t>(std::min<std::uint64_t>(run.window.size() - run.filled, run.end - run.at));
    VECSTORE_ASSIGN(const std::size_t got, spill_->read_at(run.window.subspan(run.filled, want), run.at));
    if (got != want) return Status(Code::kIo, "a temporary file came back short").about(spill_path_);
    run.filled += got;
    run.at += got;
  }
  const std::size_t left = run.filled - run.begin;
  if (left == 0) return Status::ok();
  const std::byte* record = run.window.data() + run.begin;
  if (left < kHeadBytes || key_size_at(record) > kKeyBytesMax || kHeadBytes + key_size_at(record) > left)
    return Status(Code::kIo, "a temporary file came back damaged; check the disk").about(spill_path_);
  run.taken = kHeadBytes + key_size_at(record);
  Record head;
  std::memcpy(&head.row, record, sizeof(head.row));
  head.key = {reinterpret_cast<const char*>(record) + kHeadBytes, key_size_at(record)};
  run.head = head;
  return Status::ok();
}

Result<bool> KeySorter::merge_next(Record& record) {
  if (last_ != nullptr) {
    VECSTORE_TRY(advance(*last_));
    if (last_->head) {
      heap_.push_back(last_);
      std::push_heap(heap_.begin(), heap_.end(), LaterHead{});
    }
    last_ = nullptr;
  }
  if (heap_.empty()) return false;
  std::pop_heap(heap_.begin(), heap_.end(), LaterHead{});
  last_ = heap_.back();
  heap_.pop_back();
  record = *last_->head;
  return true;
}

Result<bool> KeySorter::next(std::string_view& key, RowId& row) {
  Record record;
  bool more = false;
  if (spill_ != nullptr) {
    VECSTORE_ASSIGN(more, merge_next(record));
  } else if (given_ < in_arena_) {
    record = record_at(*(index_end() - in_arena_ + given_++));
    more = true;
  }
  if (!more) {
    if (digest_in_ != digest_out_)
      return Status(Code::kIo, "a temporary file came back damaged; check the disk").about(spill_path_);
    return false;
  }
  digest_out_ += digest_of(record.key, record.row);
  key = record.key;
  row = {record.row};
  return true;
}

}  // namespace vecstore
