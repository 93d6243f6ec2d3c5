// SPDX-License-Identifier: Apache-2.0
//
// Snapshots inside a store, and copies of stores: what they hold stays, whatever becomes of the store, and the store is
// not harmed by them.
#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "tests/engine/written.h"

namespace vecstore {
namespace {

using namespace test;
namespace fs = std::filesystem;

Matrix pool_of(DType dtype) { return recut(dtype, 24, 900); }

// A store with a graph, rows behind it, and rows that are gone.
Written made_store(const TemporaryDirectory& directory, DType dtype, KeyKind keys, bool has_documents) {
  Written written(directory.path("store"), pool_of(dtype), keys, Metric::kL2, has_documents);
  written.build(300, directory.path());
  Store store = open_for_writing(written.path());
  Random random(1);
  written.write(store, random, 80, 400);
  REQUIRE_OK(store.close());
  return written;
}

void require_sound(const Store& store) {
  const auto verified = store.verify({.deep = true});
  REQUIRE_OK(verified);
  for (const Status& finding : verified->damage) BOOST_TEST_MESSAGE(finding.message());
  BOOST_REQUIRE(verified->damage_total == 0u);
}

void check_at(const std::string& path, const Written& written) {
  const auto store = Store::open(path);
  REQUIRE_OK(store);
  written.check(*store);
  require_sound(*store);
}

std::vector<SnapshotInfo> snapshots_of(const std::string& path) {
  auto found = Store::snapshots(path);
  REQUIRE_OK(found);
  return std::move(*found);
}

BOOST_AUTO_TEST_SUITE(snapshots)

BOOST_AUTO_TEST_CASE(a_snapshot_holds_what_the_store_held_whatever_comes) {
  for (const DType dtype : {DType::kU8, DType::kF32})
    for (const KeyKind keys : {KeyKind::kNumber, KeyKind::kBytes}) {
      const TemporaryDirectory directory;
      Written written = made_store(directory, dtype, keys, keys == KeyKind::kBytes);
      const Written before = written;
      Store store = open_for_writing(written.path());
      const auto made = store.snapshot("before");
      REQUIRE_OK(made);
      BOOST_TEST(made->rows == before.kept().size());
      BOOST_TEST(made->shared_bytes > 0u);
      Random random(2);
      for (int round = 0; round < 3; ++round) {
        written.write(store, random, 100, 400);
        REQUIRE_OK(store.compact());
        check_at(made->path, before);
      }
      written.check(store);
      const auto listed = snapshots_of(written.path());
      BOOST_REQUIRE(listed.size() == 1u);
      BOOST_TEST(listed[0].name == "before");
      BOOST_TEST(listed[0].lsn == made->lsn);
      BOOST_TEST(listed[0].made_at > 0);
      BOOST_TEST(listed[0].shared_bytes < made->shared_bytes);  // by now the store has other files
      const auto reader = Store::open(made->path);
      REQUIRE_OK(reader);
      REQUIRE_OK(Store::remove_snapshot(written.path(), "before"));
      before.check(*reader);  // it goes on
      BOOST_TEST(snapshots_of(written.path()).empty());
      BOOST_TEST((code_of(Store::open(made->path)) == Code::kNotFound));
      require_sound(store);
    }
}

BOOST_AUTO_TEST_CASE(a_copy_is_a_store_of_its_own) {
  const TemporaryDirectory directory;
  Written written = made_store(directory, DType::kU8, KeyKind::kBytes, true);
  REQUIRE_OK(open_for_writing(written.path()).snapshot("one"));
  const std::string copy = directory.path("copy"), second = directory.path("second");
  const auto copied = Store::copy(written.path() + "/snapshots/one", copy);
  REQUIRE_OK(copied);
  BOOST_TEST(copied->rows == written.kept().size());
  BOOST_TEST(copied->bytes_linked == 0u);
  BOOST_TEST(copied->pages_checked > 0u);
  check_at(copy, written);
  const auto linked = Store::copy(written.path(), second, {.since = copy});
  REQUIRE_OK(linked);
  BOOST_TEST(linked->bytes_linked > 0u);
  BOOST_TEST(linked->bytes_copied < copied->bytes_copied);
  {
    Written other = written;
    Store store = open_for_writing(copy);
    Random random(3);
    other.write(store, random, 60, 400);
    REQUIRE_OK(store.compact());
    other.check(store);
    require_sound(store);
  }
  check_at(second, written);
  check_at(written.path(), written);
}

// What is wrong with the store there; empty: nothing. Beside others it says so itself, which a test's own checks
// cannot.
std::string problem_of(const std::string& path) {
  const auto store = Store::open(path);
  if (!store) return store.error().message();
  const auto verified = store->verify({.deep = true});
  if (!verified) return verified.error().message();
  return verified->damage.empty() ? "" : verified->damage.front().message();
}

// Somebody puts and merges all the while; each copy is some moment of it.
BOOST_AUTO_TEST_CASE(copies_and_snapshots_are_made_beside_writes_and_merges) {
  constexpr int kRounds = kInstrumented ? 3 : 8;
  const TemporaryDirectory directory;
  Written written = made_store(directory, DType::kU8, KeyKind::kNumber, true);
  Store store = open_for_writing(written.path());
  std::vector<std::string> problems;
  std::atomic<bool> is_done{false};
  {
    const std::jthread copier([&] {
      for (int round = 0; round < kRounds; ++round) {
        const std::string copy = directory.path("copy-" + std::to_string(round));
        const auto copied = Store::copy(written.path(), copy);
        problems.push_back(copied ? problem_of(copy) : copied.error().message());
        const auto snapshot = store.snapshot("s" + std::to_string(round));
        problems.push_back(snapshot ? problem_of(snapshot->path) : snapshot.error().message());
      }
      is_done = true;
    });
    Random random(4);
    while (!is_done) {
      written.write(store, random, 20, 400);
      REQUIRE_OK(store.compact());
    }
  }
  BOOST_TEST(problems.size() == 2u * kRounds);
  for (const std::string& problem : problems) BOOST_TEST(problem.empty(), problem);
  written.check(store);
}

BOOST_AUTO_TEST_CASE(what_cannot_be_done_says_why_and_harms_nothing) {
  const TemporaryDirectory directory;
  const Written written = made_store(directory, DType::kU8, KeyKind::kNumber, false);
  {
    Store store = open_for_writing(written.path());
    for (const char* name : {"", ".", "..", ".hidden", "a/b", "/tmp/x", "a b", "ä"})
      BOOST_TEST((code_of(store.snapshot(name)) == Code::kInvalidArgument), name);
    BOOST_TEST((code_of(store.snapshot(std::string(101, 'n'))) == Code::kInvalidArgument));
    REQUIRE_OK(store.snapshot(std::string(100, 'n')));
    REQUIRE_OK(store.snapshot("one"));
    BOOST_TEST((code_of(store.snapshot("one")) == Code::kExists));
    CancelToken cancel;
    cancel.cancel();
    BOOST_TEST((code_of(store.snapshot("two", {.cancel = &cancel})) == Code::kCancelled));
    BOOST_TEST(!fs::exists(written.path() + "/snapshots/two"));
  }
  const auto reader = Store::open(written.path());
  REQUIRE_OK(reader);
  const std::string snapshot = written.path() + "/snapshots/one";
  BOOST_TEST((code_of(Store::open(snapshot, writing())) == Code::kPermission));
  BOOST_TEST((Store::remove_snapshot(written.path(), "none").code() == Code::kNotFound));
  BOOST_TEST((Store::remove_snapshot(written.path(), "../store").code() == Code::kInvalidArgument));
  BOOST_TEST((code_of(Store::snapshots(directory.path("nothing"))) == Code::kNotFound));
  BOOST_TEST((code_of(Store::copy(directory.path("nothing"), directory.path("to"))) == Code::kNotFound));
  BOOST_TEST((code_of(Store::copy(snapshot, written.path())) == Code::kExists));
  fs::create_directory(directory.path("empty"));
  BOOST_TEST((code_of(Store::copy(snapshot, directory.path("empty"))) == Code::kExists));
  const auto since = Store::copy(snapshot, directory.path("to"), {.since = directory.path("empty")});
  BOOST_TEST((code_of(since) == Code::kInvalidInput), message_of(since));
  CancelToken cancel;
  cancel.cancel();
  BOOST_TEST((code_of(Store::copy(snapshot, directory.path("to"), {.cancel = &cancel})) == Code::kCancelled));
  const auto throws = [](const Progress&) { throw std::runtime_error("enough"); };
  BOOST_CHECK_THROW(static_cast<void>(Store::copy(snapshot, directory.path("to"), {.progress = throws})),
                    std::runtime_error);
  BOOST_TEST(!fs::exists(directory.path("to")));
  check_at(written.path(), written);
  check_at(snapshot, written);
  // What a crash has left goes, and what is somebody's stays.
  const std::string all = written.path() + "/snapshots";
  fs::create_directories(all + "/half/wal");
  fs::create_directories(all + "/notes");
  std::ofstream(all + "/notes/of-mine") << "text";
  REQUIRE_OK(open_for_writing(written.path()).close());
  BOOST_TEST(!fs::exists(all + "/half"));
  BOOST_TEST(fs::exists(all + "/notes/of-mine"));
}

// Each file in turn has a wrong bit: a copy of it is refused, and says what it was made of.
BOOST_AUTO_TEST_CASE(a_snapshot_that_is_damaged_is_not_copied) {
  const TemporaryDirectory directory;
  const Written written = made_store(directory, DType::kU8, KeyKind::kBytes, true);
  REQUIRE_OK(open_for_writing(written.path()).snapshot("one", {.copy = true}));
  const std::string snapshot = written.path() + "/snapshots/one";
  int files = 0;
  for (const auto& entry : fs::recursive_directory_iterator(snapshot)) {
    const std::string name = entry.path().filename().string();
    // The last two are there twice, and what a catalog says is found without it.
    const bool is_needed = name != "LOCK" && name != "snapshot" && name != "superblock" && name != "end";
    if (!entry.is_regular_file() || !is_needed || entry.path().string().find("/catalog/") != std::string::npos)
      continue;
    std::vector<char> bytes = read_file(entry.path().string());
    const std::size_t at = bytes.size() > 4096 ? 4096 + 30 : bytes.size() / 2;
    if (name.starts_with("log-") && bytes[at] == 0) continue;  // it goes on in a segment without records
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write_file(entry.path().string(), bytes);
    const auto copied = Store::copy(snapshot, directory.path("to"));
    BOOST_TEST((code_of(copied) == Code::kCorrupt), entry.path() << ": " << message_of(copied));
    BOOST_TEST(message_of(copied).find(snapshot) != std::string::npos, message_of(copied));
    BOOST_TEST(!fs::exists(directory.path("to")));
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write_file(entry.path().string(), bytes);
    ++files;
  }
  BOOST_TEST(files >= 6);  // graph, codes, row map, rows, manifest, log
  check_at(snapshot, written);
  check_at(written.path(), written);
  std::ofstream(snapshot + "/snapshot") << "something else";
  const auto listed = snapshots_of(written.path());
  BOOST_REQUIRE(listed.size() == 1u);
  BOOST_TEST((listed[0].problem.code() == Code::kCorrupt));
  REQUIRE_OK(Store::copy(snapshot, directory.path("to")));
  check_at(directory.path("to"), written);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
