// SPDX-License-Identifier: Apache-2.0
//
// The catalog's file from outside: LMDB reads what we write, and nothing that befalls the file while it is open or
// being written ends the process.
#include <lmdb.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <thread>

#include "base/limits.h"
#include "base/random.h"
#include "engine/rows/catalog.h"
#include "engine/rows/catalog_format.h"
#include "tests/engine/specimen.h"

namespace vecstore {
namespace {

using namespace test;

constexpr Uuid kStore{1, 2, 3};

Catalog::Feed feed_of(const std::vector<std::string>& keys) {
  auto at = std::make_shared<std::uint64_t>(0);
  return [&keys, at](std::string& key, RowId& row) -> Result<bool> {
    if (*at == keys.size()) return false;
    key = keys[*at];
    row = RowId{(*at)++};
    return true;
  };
}

// Keys of `least` … `most` bytes, in no order.
std::vector<std::string> random_keys(std::uint64_t count, std::size_t least, std::size_t most) {
  std::set<std::string> keys;
  Random random(count * 1000 + most);
  while (keys.size() < count) {
    std::string key(least + random.below(most - least + 1), '\0');
    for (char& byte : key) byte = static_cast<char>(random.next());
    keys.insert(key);
  }
  std::vector<std::string> mixed(keys.begin(), keys.end());
  for (std::size_t i = mixed.size(); i > 1; --i) std::swap(mixed[i - 1], mixed[random.below(i)]);
  return mixed;
}

// What LMDB itself finds in a file.
class Lmdb {
 public:
  explicit Lmdb(const std::string& path) {
    check(::mdb_env_create(&environment_));
    check(::mdb_env_set_maxdbs(environment_, 2));
    check(::mdb_env_open(environment_, path.c_str(), MDB_RDONLY | MDB_NOSUBDIR | MDB_NOLOCK, 0));
    check(::mdb_txn_begin(environment_, nullptr, MDB_RDONLY, &transaction_));
    check(::mdb_dbi_open(transaction_, catalog::kKeysTable, 0, &keys_));
    check(::mdb_dbi_open(transaction_, catalog::kMetaTable, 0, &meta_));
  }
  ~Lmdb() {
    ::mdb_txn_abort(transaction_);
    ::mdb_env_close(environment_);
  }
  Lmdb(const Lmdb&) = delete;
  Lmdb& operator=(const Lmdb&) = delete;

  MDB_stat about_keys() const {
    MDB_stat about{};
    check(::mdb_stat(transaction_, keys_, &about));
    return about;
  }
  // In the order of a cursor.
  std::vector<std::pair<std::string, std::uint64_t>> dump() const {
    std::vector<std::pair<std::string, std::uint64_t>> all;
    MDB_cursor* cursor = nullptr;
    check(::mdb_cursor_open(transaction_, keys_, &cursor));
    MDB_val key, value;
    while (::mdb_cursor_get(cursor, &key, &value, MDB_NEXT) == 0)
      all.emplace_back(std::string(static_cast<const char*>(key.mv_data), key.mv_size), row_of(value));
    ::mdb_cursor_close(cursor);
    return all;
  }
  std::optional<std::uint64_t> find(std::string key) const {
    MDB_val name{key.size(), key.data()};
    MDB_val value;
    const int code = ::mdb_get(transaction_, keys_, &name, &value);
    if (code == MDB_NOTFOUND) return std::nullopt;
    check(code);
    return row_of(value);
  }
  catalog::Meta meta() const {
    std::string name(catalog::kMetaKey);
    MDB_val key{name.size(), name.data()};
    MDB_val value;
    check(::mdb_get(transaction_, meta_, &key, &value));
    BOOST_REQUIRE(value.mv_size == sizeof(catalog::Meta));
    catalog::Meta meta;
    std::memcpy(&meta, value.mv_data, sizeof(meta));
    return meta;
  }

 private:
  static void check(int code) { BOOST_REQUIRE_MESSAGE(code == 0, ::mdb_strerror(code)); }
  static std::uint64_t row_of(const MDB_val& value) {
    BOOST_REQUIRE(value.mv_size == sizeof(catalog::Entry));
    catalog::Entry entry;
    std::memcpy(&entry, value.mv_data, sizeof(entry));
    return entry.row;
  }

  MDB_env* environment_ = nullptr;
  MDB_txn* transaction_ = nullptr;
  MDB_dbi keys_ = 0, meta_ = 0;
};

// What may befall a file that somebody has open.
const std::vector<std::pair<std::string, std::function<void(const std::string&)>>>& damages() {
  static const auto overwrite = [](const std::string& path, std::uint64_t bytes, std::uint64_t seed) {
    Random random(seed);
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    for (std::uint64_t i = 0; i < bytes; ++i) file.put(static_cast<char>(random.next()));
  };
  static const auto cut = [](const std::string& path, std::uint64_t parts) {
    std::error_code ignored;
    const std::uint64_t bytes = std::filesystem::file_size(path, ignored);
    if (!ignored) std::filesystem::resize_file(path, parts == 0 ? 0 : bytes / parts, ignored);
  };
  static const std::vector<std::pair<std::string, std::function<void(const std::string&)>>> all{
      {"cut to nothing", [](const std::string& path) { cut(path, 0); }},
      {"cut to half", [](const std::string& path) { cut(path, 2); }},
      {"overwritten with noise", [](const std::string& path) {
         std::error_code ignored;
         const std::uint64_t bytes = std::filesystem::file_size(path, ignored);
         if (!ignored) overwrite(path, bytes, 7);
       }}};
  return all;
}

BOOST_AUTO_TEST_SUITE(catalog_file)

BOOST_AUTO_TEST_CASE(lmdb_reads_what_we_write) {
  struct Case {
    std::uint64_t count;
    std::size_t least, most;
    unsigned depth;
  };
  // The longest keys make the deepest trees: eight in a leaf, nine leaves below a branch.
  const FastDirectory directory;
  for (const Case& one : {Case{0, 1, 1, 0}, Case{1, 480, 480, 1}, Case{8, 480, 480, 1}, Case{9, 480, 480, 2},
                          Case{72, 480, 480, 2}, Case{73, 480, 480, 3}, Case{5000, 480, 480, 5}, Case{200, 1, 2, 2},
                          Case{20000, 1, 480, 4}, Case{20000, 12, 12, 3}}) {
    const auto keys = random_keys(one.count, one.least, one.most);
    MemoryBudget budget;
    REQUIRE_OK(Catalog::build(FileSystem::posix(), directory.path("catalog"), kStore, 17, feed_of(keys), budget));
    std::map<std::string, std::uint64_t> expected;
    for (std::uint64_t row = 0; row < keys.size(); ++row) expected[keys[row]] = row;
    const Lmdb lmdb(directory.path("catalog/data.mdb"));
    const auto dump = lmdb.dump();
    BOOST_TEST_CONTEXT(one.count << " keys of " << one.least << " to " << one.most) {
      BOOST_TEST(lmdb.about_keys().ms_entries == one.count);
      BOOST_TEST(lmdb.about_keys().ms_depth == one.depth);
      BOOST_TEST(std::equal(dump.begin(), dump.end(), expected.begin(), expected.end(),
                            [](const auto& a, const auto& b) { return a.first == b.first && a.second == b.second; }));
      BOOST_TEST(lmdb.meta().keys == one.count);
      const auto catalog = Catalog::open(FileSystem::posix(), directory.path("catalog"), kStore, budget);
      REQUIRE_OK(catalog);
      REQUIRE_OK(catalog->verify());
      for (std::uint64_t row = 0; row < keys.size(); row += 1 + keys.size() / 500) {
        BOOST_REQUIRE((lmdb.find(keys[row]) == row));
        BOOST_REQUIRE((catalog->find(keys[row]).value() == RowId{row}));
        BOOST_REQUIRE((!lmdb.find(keys[row] + "x") && !catalog->find(keys[row] + "x").value()) ||
                      expected.contains(keys[row] + "x"));
      }
    }
  }
}

// Whoever maps such a file is ended by SIGBUS, in the middle of somebody else's program.
BOOST_AUTO_TEST_CASE(a_catalog_that_is_damaged_while_a_store_is_open_changes_no_answer) {
  constexpr std::uint64_t kRows = 600;
  const FastDirectory directory;
  const Sample sample(directory, "csift55k.base.u8bin", "csift55k.query.u8bin", Metric::kL2, kRows);
  BuildOptions options = sample.options();
  options.calibrate = false;
  sample.build(directory.path("built"), options);
  const auto all_found = [&](const Store& store, std::uint64_t first) {
    for (std::uint64_t row = first; row < kRows; row += 7) {
      const auto found = store.find(Sample::key_of(row));
      BOOST_REQUIRE_MESSAGE(found && found->value == row, "row " << row << ": " << message_of(found));
    }
    BOOST_REQUIRE((code_of(store.find("nobody's key")) == Code::kNotFound));
  };
  const std::string path = directory.path("store");
  for (const auto& [what, damage] : damages())
    for (const char* name : {"/catalog/data.mdb", "/catalog/data.sums"})
      for (const Access access : {Access::kRead, Access::kReadWrite})
        for (const bool has_looked : {true, false})
          BOOST_TEST_CONTEXT(name << " " << what << (access == Access::kReadWrite ? ", writer" : ", reader")
                                  << (has_looked ? " that has looked keys up" : "")) {
            copy_store(directory.path("built"), path);
            auto store = Store::open(path, {.access = access, .backend = Backend::kPread});
            REQUIRE_OK(store);
            if (has_looked) all_found(*store, 0);
            damage(path + name);
            const auto report = store->verify({.deep = true});
            REQUIRE_OK(report);
            BOOST_REQUIRE(report->damage_total != 0u);
            BOOST_TEST((report->damage.front().subject().find("/catalog") != std::string_view::npos));
            all_found(*store, 0);
            std::uint64_t first = 0;
            if (access == Access::kReadWrite) {
              VectorView one = sample.vectors();
              one.rows = 1;
              REQUIRE_OK(store->put(Key("a new key"), one));
              REQUIRE_OK(store->erase(Key(Sample::key_of(0))));
              BOOST_TEST((code_of(store->find(Sample::key_of(0))) == Code::kNotFound));
              REQUIRE_OK(store->find("a new key"));
              first = 7;
            }
            REQUIRE_OK(store->close());
            const auto again = Store::open(path, {.backend = Backend::kPread});
            REQUIRE_OK(again);
            all_found(*again, first);
          }
}

// Somebody goes on damaging what is being written. A build fails or makes a catalog that is right or found out.
BOOST_AUTO_TEST_CASE(a_catalog_that_is_damaged_while_it_is_written_is_right_or_reported) {
  const FastDirectory directory;
  const std::string path = directory.path("catalog");
  const auto keys = random_keys(20000, 20, 60);
  std::atomic<bool> done = false;
  std::atomic<std::uint64_t> damaged = 0;
  std::thread vandal([&] {
    for (std::uint64_t i = 0; !done; ++i) {
      for (const char* name : {"/data.mdb.new", "/data.sums.new"}) {
        if (!std::filesystem::exists(path + name)) continue;
        damages()[i % damages().size()].second(path + name);
        ++damaged;
      }
      std::this_thread::yield();
    }
  });
  std::uint64_t reported = 0;
  for (int round = 0; round < 20; ++round) {
    MemoryBudget budget;
    const Status built = Catalog::build(FileSystem::posix(), path, kStore, 17, feed_of(keys), budget);
    if (!built.is_ok()) {
      BOOST_TEST((built.subject().find(path) != std::string_view::npos), built.message());
      continue;
    }
    const auto catalog = Catalog::open(FileSystem::posix(), path, kStore, budget);
    const Status outcome = catalog ? catalog->verify() : catalog.error();
    if (!outcome.is_ok()) {
      ++reported;
      BOOST_TEST((outcome.code() == Code::kCorrupt), outcome.message());
      BOOST_TEST((outcome.subject().find(path) != std::string_view::npos), outcome.message());
      continue;
    }
    for (std::uint64_t row = 0; row < keys.size(); row += 997) {
      const auto found = catalog->find(keys[row]);
      if (!found) {  // who had it open damaged it once it was in its place
        ++reported;
        BOOST_TEST((found.error().code() == Code::kCorrupt), found.error().message());
        break;
      }
      BOOST_TEST((*found == RowId{row}));
    }
  }
  done = true;
  vandal.join();
  BOOST_TEST_MESSAGE(damaged << " damages, " << reported << " builds found out");
  BOOST_TEST(damaged != 0u);
  BOOST_TEST(reported != 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
