// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/catalog.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>

#include "base/limits.h"
#include "base/random.h"
#include "engine/rows/key_sorter.h"
#include "engine/rows/stored_rows.h"
#include "tests/test_util.h"

using namespace vecstore;

namespace {

constexpr Uuid kStore{9, 8, 7};

std::string key_of(std::uint64_t i) {
  return "doc/" + std::to_string(i * 2654435761u % 1000003) + "-" + std::to_string(i);
}

Catalog::Feed feed_of(const std::vector<std::string>& keys) {
  auto at = std::make_shared<std::uint64_t>(0);
  return [&keys, at](std::string& key, RowId& row) -> Result<bool> {
    if (*at == keys.size()) return false;
    key = keys[*at];
    row = RowId{(*at)++};
    return true;
  };
}

std::vector<std::string> keys_up_to(std::uint64_t count) {
  std::vector<std::string> keys;
  for (std::uint64_t i = 0; i < count; ++i) keys.push_back(key_of(i));
  return keys;
}

Status build(const std::string& path, const std::vector<std::string>& keys) {
  MemoryBudget budget;
  return Catalog::build(FileSystem::posix(), path, kStore, 17, feed_of(keys), budget);
}

// The only two outcomes that a damaged catalog may have.
bool right_or_corrupt(const std::string& path, const std::vector<std::string>& keys, Random& random, bool& reported) {
  MemoryBudget budget;
  const auto catalog = Catalog::open(FileSystem::posix(), path, kStore, budget);
  reported = !catalog;
  if (!catalog) return catalog.error().code() == Code::kCorrupt || catalog.error().code() == Code::kNewerFormat;
  for (int i = 0; i < 3; ++i) {
    const std::uint64_t row = random.below(keys.size());
    const auto found = catalog->find(keys[row]);
    reported = reported || !found;
    if (found ? *found != RowId{row} : found.error().code() != Code::kCorrupt) return false;
  }
  return true;
}

}  // namespace

BOOST_AUTO_TEST_CASE(every_key_is_found_and_no_other) {
  const test::TemporaryDirectory directory;
  for (const std::uint64_t count : {0u, 1u, 2u, 1000u}) {
    auto keys = keys_up_to(count);
    if (count == 1000) {
      keys[1] = std::string(kKeyBytesMax, 'm');
      keys[2] = std::string("\0", 1);
      keys[3] = std::string("\0\xff", 2);
    }
    REQUIRE_OK(build(directory.path("catalog"), keys));
    MemoryBudget budget;
    const auto catalog = Catalog::open(FileSystem::posix(), directory.path("catalog"), kStore, budget);
    REQUIRE_OK(catalog);
    BOOST_TEST(catalog->size() == count);
    BOOST_TEST(catalog->applied_lsn() == 17u);
    REQUIRE_OK(catalog->verify());
    for (std::uint64_t row = 0; row < count; ++row) {
      const auto found = catalog->find(keys[row]);
      REQUIRE_OK(found);
      BOOST_REQUIRE((*found == RowId{row}));
    }
    for (const std::string& absent : {std::string(), std::string("nothing"), std::string(kKeyBytesMax + 40, 'x')}) {
      const auto found = catalog->find(absent);
      REQUIRE_OK(found);
      BOOST_TEST(!found->has_value());
    }
  }
  // Nothing temporary stays.
  const auto entries = std::distance(std::filesystem::directory_iterator(directory.path("catalog")), {});
  BOOST_TEST(entries == 2);
}

BOOST_AUTO_TEST_CASE(a_key_given_twice_is_refused_by_its_second_row_and_leaves_the_old_catalog) {
  const test::TemporaryDirectory directory;
  const auto old = keys_up_to(50);
  REQUIRE_OK(build(directory.path("catalog"), old));
  auto keys = keys_up_to(1000);
  keys[700] = keys[300];
  const Status refused = build(directory.path("catalog"), keys);
  BOOST_TEST((refused.code() == Code::kExists));
  BOOST_TEST((refused.detail() == Detail::kRow));
  BOOST_TEST(refused.number() == 700u);
  for (const std::string& unfit : {std::string(), std::string(kKeyBytesMax + 1, 'k')}) {
    keys = keys_up_to(10);
    keys[4] = unfit;
    const Status outcome = build(directory.path("catalog"), keys);
    BOOST_TEST((outcome.code() == Code::kInvalidInput));
    BOOST_TEST(outcome.number() == 4u);
  }
  MemoryBudget budget;
  const auto catalog = Catalog::open(FileSystem::posix(), directory.path("catalog"), kStore, budget);
  REQUIRE_OK(catalog);
  BOOST_TEST(catalog->size() == 50u);
  BOOST_TEST((catalog->find(old[49]).value() == RowId{49}));
}

BOOST_AUTO_TEST_CASE(the_catalog_of_another_store_is_refused_and_a_missing_one_told) {
  const test::TemporaryDirectory directory;
  REQUIRE_OK(build(directory.path("catalog"), keys_up_to(10)));
  MemoryBudget budget;
  BOOST_TEST((test::code_of(Catalog::open(FileSystem::posix(), directory.path("catalog"), Uuid{1}, budget)) ==
              Code::kCorrupt));
  BOOST_TEST(
      (test::code_of(Catalog::open(FileSystem::posix(), directory.path("none"), kStore, budget)) == Code::kNotFound));
  std::filesystem::remove(directory.path("catalog") + "/data.mdb");
  BOOST_TEST((test::code_of(Catalog::open(FileSystem::posix(), directory.path("catalog"), kStore, budget)) ==
              Code::kNotFound));
}

BOOST_AUTO_TEST_CASE(a_data_file_of_another_catalog_is_reported) {
  const test::TemporaryDirectory directory;
  REQUIRE_OK(build(directory.path("a"), keys_up_to(500)));
  auto keys = keys_up_to(500);
  std::reverse(keys.begin(), keys.end());
  REQUIRE_OK(build(directory.path("b"), keys));
  std::filesystem::copy_file(directory.path("b") + "/data.mdb", directory.path("a") + "/data.mdb",
                             std::filesystem::copy_options::overwrite_existing);
  MemoryBudget budget;
  const auto catalog = Catalog::open(FileSystem::posix(), directory.path("a"), kStore, budget);
  REQUIRE_OK(catalog);
  BOOST_TEST((test::code_of(catalog->find(keys[3])) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(a_catalog_built_in_the_place_of_an_open_one_does_not_reach_it) {
  const test::TemporaryDirectory directory;
  const auto keys = keys_up_to(500);
  REQUIRE_OK(build(directory.path("catalog"), keys));
  MemoryBudget budget;
  const auto before = Catalog::open(FileSystem::posix(), directory.path("catalog"), kStore, budget);
  REQUIRE_OK(before);
  REQUIRE_OK(before->find(keys[0]));
  auto reversed = keys;
  std::reverse(reversed.begin(), reversed.end());
  REQUIRE_OK(build(directory.path("catalog"), reversed));
  const auto after = Catalog::open(FileSystem::posix(), directory.path("catalog"), kStore, budget);
  REQUIRE_OK(after);
  for (std::uint64_t row = 0; row < keys.size(); ++row) {
    BOOST_REQUIRE((before->find(keys[row]).value() == RowId{row}));
    BOOST_REQUIRE((after->find(reversed[row]).value() == RowId{row}));
  }
  REQUIRE_OK(before->verify());
}

// The disk gave other bytes back than it took, after all of them had been checked.
BOOST_AUTO_TEST_CASE(a_page_that_changes_under_an_open_catalog_is_reported) {
  const test::TemporaryDirectory directory;
  const auto keys = keys_up_to(3000);
  REQUIRE_OK(build(directory.path("catalog"), keys));
  MemoryBudget budget;
  const auto catalog = Catalog::open(FileSystem::posix(), directory.path("catalog"), kStore, budget);
  REQUIRE_OK(catalog);
  REQUIRE_OK(catalog->find(keys[0]));
  const std::string path = directory.path("catalog") + "/data.mdb";
  const auto bytes = test::read_file(path);
  std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
  file.write(std::vector<char>(bytes.size(), 'z').data(), static_cast<std::streamsize>(bytes.size()));
  file.close();
  for (std::uint64_t row = 0; row < 100; ++row)
    BOOST_REQUIRE((test::code_of(catalog->find(keys[row])) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(any_flipped_bit_of_either_file_is_reported_and_never_a_wrong_answer) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("catalog");
  const auto keys = keys_up_to(3000);
  REQUIRE_OK(build(path, keys));
  Random random(23);
  bool reported = false;
  for (const char* name : {"/data.mdb", "/data.sums"}) {
    const auto good = test::read_file(path + name);
    const std::size_t flips = 3000;
    for (std::size_t flip = 0; flip < flips; ++flip) {
      // One in every byte range, then somewhere inside it.
      const std::size_t at = flip * good.size() / flips + random.below(std::max<std::size_t>(good.size() / flips, 1));
      std::fstream file(path + name, std::ios::binary | std::ios::in | std::ios::out);
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(good[at] ^ (1 << random.below(8))));
      file.close();
      BOOST_REQUIRE_MESSAGE(right_or_corrupt(path, keys, random, reported), name << " byte " << at);
      BOOST_REQUIRE_MESSAGE(reported, name << " byte " << at << " was not noticed");
      file.open(path + name, std::ios::binary | std::ios::in | std::ios::out);
      file.seekp(static_cast<std::streamoff>(at));
      file.put(good[at]);
    }
  }
  BOOST_REQUIRE(right_or_corrupt(path, keys, random, reported));
  BOOST_TEST(!reported);
}

BOOST_AUTO_TEST_CASE(truncation_at_each_512_bytes_is_reported) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("catalog");
  const auto keys = keys_up_to(2000);
  REQUIRE_OK(build(path, keys));
  Random random(29);
  bool reported = false;
  for (const char* name : {"/data.mdb", "/data.sums"}) {
    const auto good = test::read_file(path + name);
    for (std::size_t size = 0; size < good.size(); size += 512) {
      test::write_file(path + name, {good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
      BOOST_REQUIRE_MESSAGE(right_or_corrupt(path, keys, random, reported) && reported, name << " at " << size);
    }
    test::write_file(path + name, good);
  }
}

BOOST_AUTO_TEST_CASE(a_damaged_catalog_is_rebuilt_from_rows) {
  const test::TemporaryDirectory directory;
  const auto keys = keys_up_to(777);
  const FileIdentity identity{kStore, FileKind::kRows, 0};
  MemoryBudget budget;
  std::vector<RowsExtent> extents;
  for (const std::uint64_t first : {0u, 500u}) {
    const std::string path = directory.path("rows-" + std::to_string(first));
    auto writer =
        RowsWriter::create(FileSystem::posix(), path, identity, RowId{first}, {true, true, 0}, nullptr, budget);
    REQUIRE_OK(writer);
    for (std::uint64_t row = first; row < (first == 0 ? 500u : 777u); ++row)
      REQUIRE_OK(writer->append({keys[row], "text", {}}));
    REQUIRE_OK(writer->finish());
    auto extent = RowsExtent::open(FileSystem::posix(), path, identity, budget);
    REQUIRE_OK(extent);
    extents.push_back(std::move(*extent));
  }
  const std::string path = directory.path("catalog");
  REQUIRE_OK(build(path, keys_up_to(10)));
  test::write_file(path + "/data.sums", {'?'});
  BOOST_TEST((test::code_of(Catalog::open(FileSystem::posix(), path, kStore, budget)) == Code::kCorrupt));
  const auto rows = StoredRows::of(std::move(extents), nullptr);
  REQUIRE_OK(rows);
  REQUIRE_OK(Catalog::build(FileSystem::posix(), path, kStore, 3, keys_of(*rows, budget), budget));
  const auto catalog = Catalog::open(FileSystem::posix(), path, kStore, budget);
  REQUIRE_OK(catalog);
  BOOST_TEST(catalog->size() == 777u);
  for (std::uint64_t row = 0; row < 777; ++row) BOOST_REQUIRE((catalog->find(keys[row]).value() == RowId{row}));
}

BOOST_AUTO_TEST_CASE(two_hundred_thousand_keys_are_built_within_one_mebibyte) {
  const test::TemporaryDirectory directory;
  const auto keys = keys_up_to(200000);
  MemoryBudget budget(std::uint64_t{1} << 20);
  REQUIRE_OK(Catalog::build(FileSystem::posix(), directory.path("catalog"), kStore, 1, feed_of(keys), budget));
  BOOST_TEST(budget.peak_bytes() <= budget.limit_bytes());
  BOOST_TEST(budget.used_bytes() == 0u);
  MemoryBudget to_read(std::uint64_t{2} << 20);
  const auto catalog = Catalog::open(FileSystem::posix(), directory.path("catalog"), kStore, to_read);
  REQUIRE_OK(catalog);
  for (std::uint64_t row = 0; row < keys.size(); row += 97)
    BOOST_REQUIRE((catalog->find(keys[row]).value() == RowId{row}));
  const auto bytes = std::filesystem::file_size(directory.path("catalog") + "/data.mdb");
  BOOST_TEST_MESSAGE(bytes / keys.size() << " bytes a key of " << keys[7].size());
  MemoryBudget small(std::uint64_t{256} << 10);
  BOOST_TEST((Catalog::build(FileSystem::posix(), directory.path("other"), kStore, 1, feed_of(keys), small).code() ==
              Code::kMemoryBudget));
}

BOOST_AUTO_TEST_CASE(spilled_runs_merge_in_several_passes_to_the_order_of_a_map) {
  const test::TemporaryDirectory directory;
  MemoryBudget budget;
  auto sorter = KeySorter::create(FileSystem::posix(), directory.path("spill"), KeySorter::kBytesMin, budget);
  REQUIRE_OK(sorter);
  Random random(31);
  std::multimap<std::pair<std::string, std::uint64_t>, int> oracle;
  // 20,000 keys of 240 bytes on average: about 40 runs, of which 16 merge at once.
  for (std::uint64_t row = 0; row < 20000; ++row) {
    std::string key(1 + random.below(kKeyBytesMax), static_cast<char>('a' + random.below(3)));
    for (std::size_t i = 0; i < key.size(); i += 1 + random.below(30)) key[i] = static_cast<char>(random.next());
    REQUIRE_OK(sorter->add(key, RowId{row}));
    oracle.emplace(std::pair(key, row), 0);
  }
  REQUIRE_OK(sorter->finish());
  BOOST_TEST(std::filesystem::is_empty(directory.path()));
  std::string_view key;
  RowId row;
  for (const auto& [expected, unused] : oracle) {
    const auto more = sorter->next(key, row);
    REQUIRE_OK(more);
    BOOST_REQUIRE((*more && key == expected.first && row.value == expected.second));
  }
  const auto end = sorter->next(key, row);
  REQUIRE_OK(end);
  BOOST_TEST(!*end);
}
