// SPDX-License-Identifier: Apache-2.0
//
// What a log had acknowledged is found, or its loss is told: whichever file of it goes, is wiped or is cut back. And
// what looks like damage only because a writer is at work is not reported.
#include <atomic>
#include <functional>

#include "base/forwarding_files.h"
#include "tests/sim/sim_disk.h"
#include "tests/test_util.h"
#include "wal/end_file.h"
#include "wal/log.h"

namespace vecstore {
namespace {

using test::code_of;
using test::message_of;
using test::SimDisk;

constexpr Uuid kStore{7, 7, 7};
constexpr const char* kDirectory = "wal";

std::string text_of(std::uint64_t number) { return std::to_string(number) + std::string(3000, 'x'); }

struct Reading {
  Lsn after;
  LogPlace from;
  LogTail tail;
  MemoryBudget budget;

  Result<std::uint64_t> read(FileSystem& file_system) {  // records
    std::uint64_t records = 0;
    VECSTORE_ASSIGN(tail, replay_log(file_system, kDirectory, {kStore, after, from}, budget,
                                     [&](Lsn lsn, const LogRecord& record) -> Status {
                                       const std::string text(reinterpret_cast<const char*>(record.payload.data()),
                                                              record.payload.size());
                                       BOOST_REQUIRE(lsn.value == after.value + records + 1);
                                       BOOST_REQUIRE(text == text_of(lsn.value));
                                       ++records;
                                       return Status::ok();
                                     }));
    return records;
  }
  // From here on only what is new.
  void go_on() {
    after = tail.last_lsn;
    from = tail.place;
  }
};

Result<std::uint64_t> records_of(FileSystem& file_system) { return Reading().read(file_system); }

// A writer of records that tell their number.
class Writer {
 public:
  explicit Writer(FileSystem& file_system, SyncMode sync = SyncMode::kAlways) : file_system_(file_system) {
    options_.store = kStore;
    options_.sync = sync;
    options_.background = false;
    options_.segment_bytes_first = 32u << 10;
    options_.segment_bytes_max = 32u << 10;
    options_.salt_seed = 1;
  }
  Status open() {
    Reading reading;
    VECSTORE_TRY([&] {
      const auto found = reading.read(file_system_);
      return found ? Status::ok() : found.error();
    }());
    VECSTORE_ASSIGN(log_, Log::open(file_system_, kDirectory, reading.tail, options_, budget_));
    written_ = reading.tail.last_lsn.value;
    return Status::ok();
  }
  // Where the segment is full, the next one is prepared now, and begun by write().
  Status enqueue() {
    const std::string text = text_of(written_ + 1);
    const LogRecord record{1, 0, std::as_bytes(std::span(text))};
    VECSTORE_ASSIGN(queued_, log_->enqueue({&record, 1}));
    return Status::ok();
  }
  Status write() {
    if (queued_.value <= written_) VECSTORE_TRY(enqueue());
    VECSTORE_TRY(log_->commit(queued_));
    ++written_;
    return Status::ok();
  }
  Status close() { return log_->close(); }
  Log& log() { return *log_; }
  std::uint64_t written() const { return written_; }

 private:
  FileSystem& file_system_;
  LogOptions options_;
  MemoryBudget budget_;
  std::unique_ptr<Log> log_;
  std::uint64_t written_ = 0;
  Lsn queued_;
};

std::unique_ptr<SimDisk> disk_for_log() {
  auto disk = std::make_unique<SimDisk>();
  REQUIRE_OK(disk->make_directory(kDirectory));
  return disk;
}

constexpr std::uint64_t kWritten = 20;

// Two sessions of ten records, in some segments; the last one closed, or killed.
std::unique_ptr<SimDisk> disk_with_log(bool closed) {
  auto disk = disk_for_log();
  for (int session = 0; session < 2; ++session) {
    Writer writer(*disk);
    REQUIRE_OK(writer.open());
    for (std::uint64_t i = 0; i < kWritten / 2; ++i) REQUIRE_OK(writer.write());
    if (session == 1 && !closed) disk->cut_power();
  }
  disk->restart();
  return disk;
}

void wipe(SimDisk& disk, const std::string& path, std::uint64_t begin, std::uint64_t end) {
  const auto file = disk.open(path, {OpenMode::kReadWrite, false});
  REQUIRE_OK(file);
  const std::vector<std::byte> zeros(end - begin);
  REQUIRE_OK((*file)->write_at(zeros, begin));
}

void cut(SimDisk& disk, const std::string& path, std::uint64_t bytes) {
  const auto file = disk.open(path, {OpenMode::kReadWrite, false});
  REQUIRE_OK(file);
  REQUIRE_OK((*file)->truncate(bytes));
}

std::vector<std::string> segments_of(const SimDisk& disk) {
  std::vector<std::string> segments;
  for (const std::string& path : disk.files())
    if (path.starts_with("wal/log-")) segments.push_back(path);
  return segments;
}

// Every segment that holds a record is missed, by readers and by writers.
void expect_loss_is_told(SimDisk& damaged, const std::string& path, const std::string& what) {
  const auto records = records_of(damaged);
  if (records && *records == kWritten) return;
  BOOST_REQUIRE_MESSAGE(code_of(records) == Code::kCorrupt, path << " " << what << ": " << message_of(records));
  BOOST_CHECK(Writer(damaged).open().code() == Code::kCorrupt);
}

BOOST_AUTO_TEST_SUITE(log_end)

BOOST_AUTO_TEST_CASE(a_segment_that_is_gone_wiped_or_cut_is_never_an_older_log) {
  for (const bool closed : {false, true}) {
    const auto whole = disk_with_log(closed);
    BOOST_TEST(*records_of(*whole) == kWritten);
    const auto segments = segments_of(*whole);
    BOOST_TEST(segments.size() >= 4u);
    for (const std::string& path : segments) {
      const std::uint64_t bytes = whole->bytes_of(path);
      auto damaged = whole->clone();
      REQUIRE_OK(damaged->unlink(path));
      expect_loss_is_told(*damaged, path, "is gone");
      damaged = whole->clone();
      wipe(*damaged, path, 0, bytes);
      expect_loss_is_told(*damaged, path, "is wiped");
      for (std::uint64_t keep = 0; keep < bytes; keep += kLogBlockBytes) {
        damaged = whole->clone();
        cut(*damaged, path, keep);
        expect_loss_is_told(*damaged, path, "is cut");
        // In a log that nobody closed only the first group is sure to be missed.
        if (!closed && keep > kLogBlockBytes) continue;
        damaged = whole->clone();
        wipe(*damaged, path, keep, bytes);
        expect_loss_is_told(*damaged, path, "is wiped from " + std::to_string(keep));
      }
    }
    // The newest one is named.
    const auto damaged = whole->clone();
    std::uint64_t newest = 0;
    for (const std::string& path : segments) newest = std::max(newest, *segment_number(path.substr(4)));
    while (records_of(*damaged).has_value()) REQUIRE_OK(damaged->unlink("wal/" + segment_name(newest--)));
    const auto records = records_of(*damaged);
    BOOST_TEST(records.error().subject() == "wal/" + segment_name(newest + 1));
  }
}

BOOST_AUTO_TEST_CASE(the_record_itself_is_missed_when_it_is_gone_and_one_slot_is_enough) {
  const auto whole = disk_with_log(true);
  const std::string path = std::string("wal/") + kEndName;
  auto damaged = whole->clone();
  REQUIRE_OK(damaged->unlink(path));
  auto records = records_of(*damaged);
  BOOST_REQUIRE(code_of(records) == Code::kCorrupt);
  BOOST_TEST(records.error().subject() == path);
  BOOST_CHECK(Writer(*damaged).open().code() == Code::kCorrupt);
  for (std::uint64_t bit = 0; bit < kEndSlots * kLogBlockBytes * 8; bit += bit % (kLogBlockBytes * 8) < 704 ? 1 : 97) {
    damaged = whole->clone();
    BOOST_REQUIRE(damaged->flip_bit(path, bit / 8, bit % 8));
    records = records_of(*damaged);
    BOOST_REQUIRE_MESSAGE(records && *records == kWritten, "bit " << bit << ": " << message_of(records));
  }
  wipe(*damaged, path, 0, kEndSlots * kLogBlockBytes);
  BOOST_CHECK(code_of(records_of(*damaged)) == Code::kCorrupt);
}

// A log of the version before: no record, and headers that do not speak of one.
BOOST_AUTO_TEST_CASE(an_older_log_is_read_and_its_next_writer_records_its_end) {
  const auto disk = disk_with_log(true);
  REQUIRE_OK(disk->unlink(std::string("wal/") + kEndName));
  // Newly made, in one segment, since the hash of a header is in what follows it.
  const auto old = disk_for_log();
  {
    Writer writer(*old);
    REQUIRE_OK(writer.open());
    REQUIRE_OK(writer.close());
  }
  const auto file = old->open("wal/log-1", {OpenMode::kReadWrite, false});
  std::vector<std::byte> block(kLogBlockBytes);
  REQUIRE_OK((*file)->read_at(block, 0));
  auto header = decode_segment_header(block);
  BOOST_REQUIRE(header.has_value());
  BOOST_TEST(header->header.recorded);
  header->header.recorded = false;
  encode_segment_header(header->header, block);
  REQUIRE_OK((*file)->write_at(block, 0));
  wipe(*old, "wal/log-1", kLogBlockBytes, 2 * kLogBlockBytes);  // the mark of the close
  REQUIRE_OK(old->unlink(std::string("wal/") + kEndName));
  BOOST_TEST(*records_of(*old) == 0u);
  {
    Writer writer(*old);
    REQUIRE_OK(writer.open());
    REQUIRE_OK(writer.write());
  }
  BOOST_TEST(*records_of(*old) == 1u);
  REQUIRE_OK(old->unlink(std::string("wal/") + kEndName));
  BOOST_CHECK(code_of(records_of(*old)) == Code::kCorrupt);
}

BOOST_AUTO_TEST_CASE(one_small_sync_more_a_segment_and_one_a_close) {
  const auto disk = disk_for_log();
  Writer writer(*disk);
  REQUIRE_OK(writer.open());
  const auto count = [&] {
    const auto end = read_end(*disk, kDirectory, kStore);
    REQUIRE_OK(end);
    return (*end)->count;
  };
  const std::uint64_t before = count();
  for (int i = 0; i < 200; ++i) REQUIRE_OK(writer.write());
  const std::size_t segments = segments_of(*disk).size();
  BOOST_TEST(segments > 20u);
  BOOST_TEST(count() - before <= segments);
  const std::uint64_t written = count();
  REQUIRE_OK(writer.close());
  BOOST_TEST(count() == written + 1);
}

// A writer is killed at any call, the next one loses power at any: a slot that was never synced, and one that is torn.
BOOST_AUTO_TEST_CASE(the_record_survives_a_killed_writer_and_then_a_power_cut) {
  const auto whole = disk_with_log(true);
  const auto work = [](SimDisk& disk) {
    Writer writer(disk);
    if (writer.open().is_ok() && writer.write().is_ok()) static_cast<void>(writer.close());
    disk.cut_power();
  };
  for (std::uint64_t killed_at = 20; killed_at < 70; ++killed_at)
    for (std::uint64_t cut = 20; cut < 70; ++cut)
      for (std::uint64_t seed = 0; seed < 12; ++seed) {
        const auto disk = whole->clone();
        disk->set_fault(test::Fault::kPowerCut, killed_at);
        work(*disk);
        disk->restart();
        disk->set_fault(test::Fault::kPowerCut, cut);
        work(*disk);
        Random random((seed * 100 + killed_at) * 100 + cut);
        disk->reboot(random);
        const auto records = records_of(*disk);
        BOOST_REQUIRE_MESSAGE(records && *records >= kWritten, "killed at " << killed_at << " cut " << cut << " seed "
                                                                            << seed << ": " << message_of(records));
      }
}

BOOST_AUTO_TEST_CASE(releasing_segments_leaves_one_that_the_record_leads_to) {
  for (const SyncMode sync : {SyncMode::kAlways, SyncMode::kNone})
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
      const auto disk = disk_for_log();
      Writer writer(*disk, sync);
      REQUIRE_OK(writer.open());
      for (int i = 0; i < 17; ++i) REQUIRE_OK(writer.write());
      const Lsn released = writer.log().synced_lsn();
      REQUIRE_OK(writer.log().release(released));
      disk->cut_power();
      Random random(seed);
      disk->reboot(random);
      Reading reading;
      reading.after = released;
      const auto records = reading.read(*disk);
      BOOST_REQUIRE_MESSAGE(records.has_value(), "seed " << seed << ": " << message_of(records));
    }
}

BOOST_AUTO_TEST_SUITE_END()

// Between any two calls of a reader others may be at work.
class InterruptedFile final : public File {
 public:
  InterruptedFile(std::unique_ptr<File> file, const std::function<void()>& before)
      : file_(std::move(file)), before_(before) {}
  Result<std::size_t> read_at(std::span<std::byte> into, std::uint64_t offset) const override {
    before_();
    auto got = file_->read_at(into, offset);
    if (got) bytes_read += *got;
    return got;
  }
  Status write_at(std::span<const std::byte> bytes, std::uint64_t offset) override {
    return file_->write_at(bytes, offset);
  }
  Status truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
  Status sync() override { return file_->sync(); }
  Result<std::uint64_t> size() const override { return file_->size(); }
  Result<bool> try_lock() override { return file_->try_lock(); }
  int descriptor() const override { return -1; }
  bool direct() const override { return file_->direct(); }

  static inline std::uint64_t bytes_read = 0;

 private:
  std::unique_ptr<File> file_;
  const std::function<void()>& before_;
};

class InterruptedFileSystem final : public ForwardingFiles {
 public:
  InterruptedFileSystem(FileSystem& inner, std::function<void()> before)
      : ForwardingFiles(inner), before_(std::move(before)) {}
  Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) override {
    before_();
    VECSTORE_ASSIGN(auto file, ForwardingFiles::open(path, options));
    return std::unique_ptr<File>(std::make_unique<InterruptedFile>(std::move(file), before_));
  }
  Result<std::vector<DirectoryEntry>> list(const std::string& path) override {
    before_();
    return ForwardingFiles::list(path);
  }

 private:
  std::function<void()> before_;
};

BOOST_AUTO_TEST_SUITE(log_following)

// A reader once said that the header of a segment was damaged: it had read it as zeros, the writer then began the
// segment, and what the reader read next was judged by the zeros. Here the writer works at every call of the reader.
BOOST_AUTO_TEST_CASE(a_writer_between_any_two_calls_of_a_reader_is_no_damage) {
  std::uint64_t interrupted = 0;
  for (std::uint64_t written = 0; written < 12; ++written)
    for (const std::uint64_t burst : {1u, 2u, 8u, 20u})
      for (const bool follows : {false, true}) {
        bool is_over = false;
        for (std::uint64_t at = 0; !is_over; ++at) {
          const auto disk = disk_for_log();
          Writer writer(*disk);
          REQUIRE_OK(writer.open());
          for (std::uint64_t i = 0; i < written; ++i) REQUIRE_OK(writer.write());
          REQUIRE_OK(writer.enqueue());
          std::uint64_t calls = 0;
          InterruptedFileSystem seen(*disk, [&] {
            if (calls++ != at) return;
            for (std::uint64_t i = 0; i < burst; ++i) REQUIRE_OK(writer.write());
          });
          Reading reader;
          if (follows) {
            REQUIRE_OK(reader.read(*disk));
            reader.go_on();
          }
          const auto records = reader.read(seen);
          BOOST_REQUIRE_MESSAGE(records.has_value(), written << " written, " << burst << " more at call " << at << ": "
                                                             << message_of(records));
          BOOST_TEST(reader.tail.last_lsn.value >= written);
          is_over = calls <= at;
          interrupted += is_over ? 0 : 1;
        }
      }
  BOOST_TEST(interrupted > 500u);
}

// Intact headers of groups whose bodies are not: each claims 32 MiB, and once had each of them read.
BOOST_AUTO_TEST_CASE(hostile_headers_cost_no_more_than_their_bytes) {
  constexpr std::uint64_t kHeaders = 850;
  const auto disk = disk_for_log();
  {
    Writer writer(*disk);
    REQUIRE_OK(writer.open());
    REQUIRE_OK(writer.write());
    disk->cut_power();
  }
  disk->restart();
  const auto file = disk->open("wal/log-1", {OpenMode::kReadWrite, false});
  std::vector<std::byte> block(kLogBlockBytes);
  REQUIRE_OK((*file)->read_at(block, 0));
  auto segment = decode_segment_header(block)->header;
  GroupHeader header;
  header.body_bytes = kGroupBodyBytesMax;
  header.records = 1;
  header.first_lsn = {2};
  header.salt = segment.salt;
  encode_group_header(header, block);
  const std::uint64_t first = segment.bytes;
  const std::uint64_t bytes = kSegmentBytesMax;
  for (std::uint64_t i = 0; i < kHeaders; ++i) REQUIRE_OK((*file)->write_at(block, first + i * kLogBlockBytes));
  REQUIRE_OK((*file)->truncate(bytes));
  InterruptedFileSystem counting(*disk, [] {});
  InterruptedFile::bytes_read = 0;
  BOOST_TEST(*records_of(counting) == 1u);
  BOOST_TEST(InterruptedFile::bytes_read < 2 * bytes);
  InterruptedFile::bytes_read = 0;
  MemoryBudget budget;
  const auto salvaged =
      salvage_log(counting, kDirectory, {kStore, {}, {}}, budget, [](Lsn, const LogRecord&) { return Status::ok(); });
  REQUIRE_OK(salvaged);
  BOOST_TEST(salvaged->records == 1u);
  BOOST_TEST(InterruptedFile::bytes_read < 5 * bytes);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
