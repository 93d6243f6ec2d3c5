// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/key_lookup.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "base/random.h"
#include "engine/generation/file_names.h"
#include "pagestore/publish.h"
#include "tests/engine/child.h"
#include "tests/engine/specimen.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kRows = 1000;

struct Keyed {
  Keyed() : sample(directory, "csift55k.base.u8bin", "csift55k.query.u8bin", Metric::kL2, kRows) {
    BuildOptions options = sample.options();
    options.calibrate = false;
    sample.build(path, options);
  }
  std::string catalog(const std::string& name) const { return path + "/catalog/" + name; }
  void lose_catalog() const { std::filesystem::remove_all(path + "/catalog"); }
  void damage_catalog() const { write_file(catalog("data.mdb"), {'?'}); }

  FastDirectory directory;
  Sample sample;
  std::string path = directory.path("store");
};

// What a store's files are: name, inode, time.
std::map<std::string, std::pair<ino_t, std::int64_t>> stamps(const std::string& path) {
  std::map<std::string, std::pair<ino_t, std::int64_t>> all;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    struct stat about{};
    BOOST_REQUIRE(::stat(entry.path().c_str(), &about) == 0);
    all[entry.path().string()] = {about.st_ino,
                                  std::int64_t{about.st_mtim.tv_sec} * 1'000'000'000 + about.st_mtim.tv_nsec};
  }
  return all;
}

// How many of `count` look-ups fail or are wrong.
int wrong_lookups(const Store& store, std::uint64_t count, std::uint64_t step = 37) {
  int wrong = 0;
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t row = i * step % kRows;
    const auto found = store.find(Sample::key_of(row));
    if (!found || found->value != row) ++wrong;
    if (i % 16 == 0 && code_of(store.find("absent " + std::to_string(i))) != Code::kNotFound) ++wrong;
  }
  return wrong;
}

BOOST_AUTO_TEST_SUITE(key_lookup)

BOOST_FIXTURE_TEST_CASE(readers_without_a_catalog_find_every_key_and_write_nothing, Keyed) {
  for (const bool missing : {true, false}) {
    if (missing) {
      lose_catalog();
    } else {
      std::filesystem::create_directories(path + "/catalog");
      damage_catalog();
    }
    const auto before = stamps(path);
    for (const std::uint64_t ram : {std::uint64_t{0}, std::uint64_t{64} << 20}) {
      const auto store = Store::open(path, {.ram_bytes = ram});
      REQUIRE_OK(store);
      BOOST_TEST(wrong_lookups(*store, kRows) == 0);
      BOOST_TEST(store->contains("nobody").value() == false);
      const auto item = store->get(Sample::key_of(17));
      REQUIRE_OK(item);
      BOOST_TEST(item->document == store->document({17}).value());
    }
    BOOST_TEST((stamps(path) == before));
  }
}

// 16 bytes for each of the keys, or none of them.
BOOST_FIXTURE_TEST_CASE(a_budget_without_room_for_a_table_reads_the_keys_each_time, Keyed) {
  lose_catalog();
  MemoryBudget unlimited;
  const std::string rows_path = path + "/rows/1-0";
  const auto content = StoreDirectory::open(FileSystem::posix(), kStoreNames, path, LockMode::kShared);
  REQUIRE_OK(content);
  const Uuid uuid = content->manifest()->store;
  const StoredRows::File file{rows_path, {uuid, FileKind::kRows, 1}};
  const auto rows = StoredRows::open(FileSystem::posix(), {&file, 1}, nullptr, unlimited);
  REQUIRE_OK(rows);
  for (const std::uint64_t bytes : {std::uint64_t{0}, std::uint64_t{1000}, 8 * kRows, 11 * kRows}) {
    MemoryBudget budget(bytes);
    KeyLookup lookup(FileSystem::posix(), {path + "/catalog", uuid, 0, false}, *rows, budget);
    for (std::uint64_t row = 0; row < kRows; row += 7) {
      const auto found = lookup.find(Sample::key_of(row));
      REQUIRE_OK(found);
      BOOST_REQUIRE((*found == RowId{row}));
    }
    BOOST_TEST(!lookup.find("absent").value().has_value());
    BOOST_TEST((budget.used_bytes() != 0) == (bytes >= 11 * kRows));
  }
}

BOOST_FIXTURE_TEST_CASE(a_read_only_directory_serves_readers_without_rights, Keyed) {
  lose_catalog();
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    ::chmod(entry.path().c_str(), entry.is_directory() ? 0555 : 0444);
  ::chmod(path.c_str(), 0555);
  ::chmod(directory.path("").c_str(), 0755);
  const Said said = in_child([&]() -> Status {
    if (::geteuid() == 0 && (::setgid(65534) != 0 || ::setuid(65534) != 0)) return {Code::kPermission, "setuid"};
    VECSTORE_ASSIGN(const Store store, Store::open(path));
    return wrong_lookups(store, 200) == 0 ? Status::ok() : Status(Code::kCorrupt, "look-ups failed");
  });
  BOOST_TEST((said.code == Code::kOk), said.message);
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    if (entry.is_directory()) ::chmod(entry.path().c_str(), 0755);
  ::chmod(path.c_str(), 0755);
}

BOOST_FIXTURE_TEST_CASE(a_writer_makes_the_catalog_anew_once, Keyed) {
  const auto data = read_file(catalog("data.mdb"));
  lose_catalog();
  auto store = Store::open(path, {.access = Access::kReadWrite});
  REQUIRE_OK(store);
  BOOST_TEST(wrong_lookups(*store, 50) == 0);
  BOOST_TEST((read_file(catalog("data.mdb")) == data));
  // The one that is open stays as it is; a file in its place, whatever it holds, changes nothing.
  damage_catalog();
  std::filesystem::remove(catalog("data.mdb"));
  damage_catalog();
  BOOST_TEST(wrong_lookups(*store, 50) == 0);
  BOOST_TEST(read_file(catalog("data.mdb")).size() == 1u);
  REQUIRE_OK(store->close());
  // Closed, it is a reader.
  const auto before = stamps(path);
  BOOST_TEST(wrong_lookups(*store, 50) == 0);
  BOOST_TEST((stamps(path) == before));
}

// What a closed writer may not do, while the next one may.
BOOST_FIXTURE_TEST_CASE(a_writer_that_closed_before_it_looked_rebuilds_nothing, Keyed) {
  auto store = Store::open(path, {.access = Access::kReadWrite});
  REQUIRE_OK(store);
  REQUIRE_OK(store->close());
  damage_catalog();
  BOOST_TEST(wrong_lookups(*store, 50) == 0);
  BOOST_TEST(read_file(catalog("data.mdb")).size() == 1u);
}

// 418 of 28,800 look-ups failed here, and data.mdb was replaced 203 times in 5 s, when every reader rebuilt it.
BOOST_FIXTURE_TEST_CASE(readers_in_many_processes_never_fail_while_the_catalog_is_damaged_again_and_again, Keyed) {
  const auto data = read_file(catalog("data.mdb"));
  const auto sums = read_file(catalog("data.sums"));
  constexpr int kProcesses = 4;
  std::vector<pid_t> readers;
  for (int process = 0; process < kProcesses; ++process) {
    const pid_t reader = ::fork();
    BOOST_REQUIRE(reader >= 0);
    if (reader == 0) {
      std::atomic<int> wrong = 0;
      std::vector<std::jthread> threads;
      for (int thread = 0; thread < 2; ++thread)
        threads.emplace_back([&] {
          for (int round = 0; round < (kInstrumented ? 20 : 150); ++round) {
            const auto store = Store::open(path, {.backend = Backend::kPread});
            if (!store) {
              ++wrong;
              continue;
            }
            wrong += wrong_lookups(*store, 24, 37 + round);
          }
        });
      threads.clear();
      ::_exit(wrong == 0 ? 0 : 1);
    }
    readers.push_back(reader);
  }
  // Missing, damaged in place, replaced by parts, whole again; as fast as it goes.
  Random random(5);
  int states = 0;
  int replaced = 0;
  ino_t own = 0;
  const auto note_inode = [&] {
    struct stat about{};
    if (::stat(catalog("data.mdb").c_str(), &about) == 0 && about.st_ino != own) ++replaced;
  };
  const auto write_data = [&](const std::vector<char>& bytes) {
    write_file(catalog("data.mdb"), bytes);
    struct stat about{};
    BOOST_REQUIRE(::stat(catalog("data.mdb").c_str(), &about) == 0);
    own = about.st_ino;
  };
  std::size_t running = readers.size();
  bool all_right = true;
  while (running != 0) {
    std::filesystem::remove_all(path + "/catalog");
    std::filesystem::create_directories(path + "/catalog");
    auto changed = data;
    if (random.below(2) == 0) changed[random.below(changed.size())] ^= 1;
    write_data(changed);
    write_file(catalog("data.sums"), sums);
    ::usleep(static_cast<useconds_t>(random.below(3000)));
    note_inode();
    ++states;
    for (pid_t& reader : readers) {
      int status = 0;
      if (reader <= 0 || ::waitpid(reader, &status, WNOHANG) != reader) continue;
      all_right = all_right && WIFEXITED(status) && WEXITSTATUS(status) == 0;
      reader = 0;
      --running;
    }
  }
  BOOST_TEST(all_right);
  BOOST_TEST(replaced == 0);
  BOOST_TEST_MESSAGE(states << " states of the catalog");
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
