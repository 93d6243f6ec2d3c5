// SPDX-License-Identifier: Apache-2.0
//
// Never an older and never a poorer state in silence: whichever file of a store is deleted, wiped or has a bit flipped,
// the newest content that was committed answers, or an error does. Nobody removes what he cannot account for.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "engine/store/impl.h"
#include "tests/engine/specimen.h"
#include "tests/engine/stores.h"

namespace vecstore {
namespace {

using test::code_of;
using test::copy_store;
using test::message_of;

constexpr std::uint64_t kRows = 300;
constexpr std::uint64_t kPut = 60;

OpenOptions opening(Access access) {
  OpenOptions options;
  options.access = access;
  return options;
}

// A store that was built, written to, built over, and written to in two sessions.
struct Rebuilt {
  Rebuilt() : base(test::csift(kRows + kPut)) {
    BuildOptions options = test::build_options(Metric::kCosine);
    REQUIRE_OK(Store::build(path, *view_source(rows(100)), options));
    put(0, 3);
    options.metric = Metric::kL2;
    options.overwrite = true;
    REQUIRE_OK(Store::build(path, *view_source(rows(kRows)), options));
    put(0, kPut / 2);
    put(kPut / 2, kPut / 2);
    BOOST_REQUIRE(is_newest(path, Access::kRead).empty());
    BOOST_REQUIRE(std::filesystem::exists(path + "/wal/log-2"));
  }
  VectorView rows(std::uint64_t count) const {
    VectorView view = base.view();
    view.rows = count;
    return view;
  }
  VectorView row(std::uint64_t i) const {
    const VectorView view = base.view();
    return {view.row(i), view.dtype, 1, view.dim, 0};
  }
  void put(std::uint64_t first, std::uint64_t count) const {
    auto store = Store::open(path, opening(Access::kReadWrite));
    REQUIRE_OK(store);
    for (std::uint64_t i = first; i < first + count; ++i) REQUIRE_OK(store->put(5000 + i, row(kRows + i)));
    REQUIRE_OK(store->close());
  }
  // "" when it is the newest content, what an error says behind "error: ", else what is wrong.
  std::string is_newest(const std::string& at, Access access) const {
    const auto store = Store::open(at, opening(access));
    if (!store) {
      const Code code = code_of(store);
      return (code == Code::kCorrupt || code == Code::kInvalidInput ? "error: " : "wrong error: ") + message_of(store);
    }
    if (store->size() != kRows + kPut) return "the store has " + std::to_string(store->size()) + " rows";
    for (const std::uint64_t i : {kPut / 2 - 1, kPut - 1}) {
      const auto found = store->search(row(kRows + i), {.k = 1});
      if (!found) return code_of(found) == Code::kCorrupt ? "error: " + message_of(found) : message_of(found);
      if ((*found)[0][0].key != 5000 + i && (*found)[0][0].distance != 0.0f) return "a row is not found";
    }
    return "";
  }
  // The copy is damaged: for a reader, a writer and a builder.
  void expect_no_less(const std::string& what) const {
    const auto before = test::files_of(copy);
    for (const Access access : {Access::kRead, Access::kReadWrite}) {
      const std::string said = is_newest(copy, access);
      BOOST_TEST((said.empty() || said.starts_with("error: ")), what << ": " << said);
      if (said.empty()) return;  // and a writer may go on
      BOOST_TEST(test::files_of(copy) == before, what << ": a file is gone");
    }
    BuildOptions options = test::build_options(Metric::kL2);
    options.overwrite = true;
    const Status built = Store::build(copy, *view_source(rows(100)), options);
    if (built.is_ok()) return;  // nothing but the log was damaged, and that goes
    BOOST_TEST((built.code() == Code::kCorrupt), what << ": " << built.message());
    BOOST_TEST(test::files_of(copy) == before, what << ": a file is gone");
  }

  test::FastDirectory directory;
  std::string path = directory.path("store");
  std::string copy = directory.path("copy");
  test::Matrix base;
};

void wipe(const std::string& path) {
  test::write_file(path, std::vector<char>(std::filesystem::file_size(path), '\0'));
}

BOOST_AUTO_TEST_SUITE(newest)

BOOST_FIXTURE_TEST_CASE(a_file_that_is_gone_or_wiped_never_brings_back_an_older_state, Rebuilt) {
  const auto files = test::files_of(path);
  BOOST_TEST(std::ranges::count(files, "wal/end") == 1);
  for (const std::string& file : files)
    for (const bool gone : {true, false}) {
      copy_store(path, copy);
      if (gone) {
        std::filesystem::remove(copy + "/" + file);
      } else {
        wipe(copy + "/" + file);
      }
      expect_no_less(file + (gone ? " is gone" : " is wiped"));
    }
}

BOOST_FIXTURE_TEST_CASE(each_of_these_is_named, Rebuilt) {
  std::string manifest;
  for (const std::string& file : test::files_of(path))
    if (file.starts_with("manifest-")) manifest = std::max(manifest, file);
  for (const std::string& file : {manifest, std::string("wal/log-1"), std::string("wal/log-2"), std::string("wal/end")})
    for (const Access access : {Access::kRead, Access::kReadWrite}) {
      copy_store(path, copy);
      std::filesystem::remove(copy + "/" + file);
      const auto store = Store::open(copy, opening(access));
      BOOST_REQUIRE_MESSAGE(code_of(store) == Code::kCorrupt, file << ": " << message_of(store));
      // Where a segment in the midst is gone, its neighbour is named, which does not follow any more.
      if (file != "wal/log-1") BOOST_TEST(store.error().subject() == copy + "/" + file);
    }
}

BOOST_FIXTURE_TEST_CASE(a_bit_of_either_slot_is_reported_without_depth_and_a_writer_renews_it, Rebuilt) {
  const auto whole = test::read_file(path + "/superblock");
  for (std::size_t at = 5; at < whole.size(); at += 4096 / 8) {
    copy_store(path, copy);
    auto bytes = whole;
    bytes[at] = static_cast<char>(bytes[at] ^ 4);
    test::write_file(copy + "/superblock", bytes);
    BOOST_TEST(is_newest(copy, Access::kRead) == "");
    const auto report = Store::open(copy)->verify();
    REQUIRE_OK(report);
    BOOST_TEST(report->damage_total == 1u);
    BOOST_TEST(is_newest(copy, Access::kReadWrite) == "");
    BOOST_CHECK(test::read_file(copy + "/superblock") == whole);
    BOOST_TEST(Store::open(copy)->verify({.deep = true})->damage_total == 0u);
  }
}

BOOST_FIXTURE_TEST_CASE(what_is_left_is_salvaged_and_said_to_be_perhaps_older, Rebuilt) {
  std::string manifest;
  for (const std::string& file : test::files_of(path))
    if (file.starts_with("manifest-")) manifest = std::max(manifest, file);
  int made = 0;
  const auto salvage = [&](bool is_older, std::uint64_t rows) {
    const std::string to = directory.path("salvaged-" + std::to_string(made++));
    const auto report = Store::salvage(copy, to);
    REQUIRE_OK(report);
    BOOST_TEST(report->content.is_ok() != is_older);
    BOOST_TEST(report->rows == rows);
    const auto store = Store::open(to);
    REQUIRE_OK(store);
    BOOST_TEST(store->size() == rows);
  };
  copy_store(path, copy);
  salvage(false, kRows + kPut);
  std::filesystem::remove(copy + "/superblock");
  salvage(true, kRows + kPut);
  copy_store(path, copy);
  wipe(copy + "/superblock");
  salvage(true, kRows + kPut);
  copy_store(path, copy);
  std::filesystem::remove(copy + "/wal/log-2");
  salvage(false, kRows + kPut / 2);
  copy_store(path, copy);
  std::filesystem::remove(copy + "/wal/end");
  salvage(false, kRows + kPut);
}

// A reader said, once in thousands of times, that the header of a segment was damaged, which its writer was about to
// write. VECSTORE_REFRESH_SECONDS=<n> looks for such for longer.
BOOST_AUTO_TEST_CASE(readers_that_follow_a_writer_find_no_damage) {
  using Clock = std::chrono::steady_clock;
  const char* seconds = std::getenv("VECSTORE_REFRESH_SECONDS");
  const auto end = Clock::now() + std::chrono::seconds(seconds == nullptr ? 3 : std::atoi(seconds));
  const test::Matrix base = test::csift(50);
  const VectorView view = base.view();
  std::atomic<std::uint64_t> refreshes{0};
  std::uint64_t written = 0;
  for (int round = 0; Clock::now() < end; ++round) {
    const test::FastDirectory directory;
    const std::string path = directory.path("s");
    REQUIRE_OK(Store::create(path, {view.dim, view.dtype, Metric::kL2, KeyKind::kNumber}));
    StoreEnvironment environment;
    environment.segment_bytes_first = 16u << 10;  // so that they come and go
    environment.segment_bytes_max = 16u << 10;
    environment.log_background = round % 2 != 0;
    if (environment.log_background) environment.segment_bytes_first = environment.segment_bytes_max = kSegmentBytesMin;
    OpenOptions options = opening(Access::kReadWrite);
    options.sync = round % 3 == 0 ? SyncMode::kAlways : SyncMode::kNone;
    auto writer = StoreFactory::open(path, options, environment);
    REQUIRE_OK(writer);
    std::atomic<bool> stop{false};
    std::array<Status, 2> said;
    {
      std::vector<std::jthread> readers;
      for (Status& mine : said)
        readers.emplace_back([&] {
          auto reader = Store::open(path);
          if (!reader) mine = reader.error();
          for (std::uint64_t seen = 0; reader && mine.is_ok() && !stop; ++refreshes) {
            mine = reader->refresh();
            if (reader->size() < seen) mine = Status(Code::kCorrupt, "rows are gone");
            seen = reader->size();
          }
        });
      const auto until = std::min(end, Clock::now() + std::chrono::milliseconds(400));
      for (std::uint64_t i = 0; Clock::now() < until; ++i, ++written)
        REQUIRE_OK(writer->put(i, {view.row(i % view.rows), view.dtype, 1, view.dim, 0}));
      stop = true;
    }
    for (const Status& mine : said) BOOST_REQUIRE_MESSAGE(mine.is_ok(), mine.message());
    REQUIRE_OK(writer->close());
  }
  BOOST_TEST_MESSAGE(refreshes << " refreshes beside " << written << " writes");
  BOOST_TEST(refreshes > 100u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
