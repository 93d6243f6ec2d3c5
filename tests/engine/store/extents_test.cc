// SPDX-License-Identifier: Apache-2.0
//
// A merge leaves the extents of rows/ of which few rows are gone. What is kept in them is found through any number of
// merges, with a catalog and without one, and what is gone is not.
#include <filesystem>
#include <map>

#include "engine/store/environment.h"
#include "tests/engine/written.h"

namespace vecstore {
namespace {

using namespace test;

constexpr int kRounds = kInstrumented ? 5 : 14;

// Small stores are gone through in passes too.
Store open_in_passes(const std::string& path) {
  StoreEnvironment environment;
  environment.merge_in_passes_rows = 100;
  auto store = StoreFactory::open(path, writing(), environment);
  REQUIRE_OK(store);
  return std::move(*store);
}

// Bytes by the name of the file.
std::map<std::string, std::uint64_t> extents(const std::string& path) {
  std::map<std::string, std::uint64_t> found;
  for (const auto& entry : std::filesystem::directory_iterator(path + "/rows"))
    found[entry.path().filename().string()] = entry.file_size();
  return found;
}
std::uint64_t bytes_of_extents(const std::string& path) {
  std::uint64_t bytes = 0;
  for (const auto& [name, size] : extents(path)) bytes += size;
  return bytes;
}

void require_sound(const Store& store) {
  const auto verified = store.verify({.deep = true});
  REQUIRE_OK(verified);
  for (const Status& finding : verified->damage) BOOST_TEST_MESSAGE(finding.message());
  BOOST_REQUIRE(verified->damage_total == 0u);
}

// Without a catalog too, whether there is memory for a table of keys or not.
void check_reopened(const Written& written) {
  for (const bool has_catalog : {true, false}) {
    if (!has_catalog) std::filesystem::remove_all(written.path() + "/catalog");
    const auto reader = Store::open(written.path());
    REQUIRE_OK(reader);
    written.check(*reader);
    if (has_catalog) require_sound(*reader);
  }
  const Store writer = open_in_passes(written.path());  // makes the catalog anew
  written.check(writer);
}

// A store with an extent of a build, and one of a merge.
Written with_two(const TemporaryDirectory& directory) {
  Written written(directory.path("s"), recut(DType::kF16, 24, 2000), KeyKind::kBytes, Metric::kL2, true);
  written.build(300, directory.path());
  Store store = open_in_passes(written.path());
  for (std::uint64_t key = 300; key < 340; ++key) written.put(store, key);
  REQUIRE_OK(store.compact());
  BOOST_REQUIRE(store.info().extents == 2u);
  return written;
}

struct Shape {
  DType dtype;
  Metric metric;
  KeyKind keys;
  bool documents;
};

BOOST_AUTO_TEST_SUITE(extents_that_stay)

BOOST_AUTO_TEST_CASE(rows_that_are_added_leave_the_extents_and_there_are_few) {
  const TemporaryDirectory directory;
  Written written(directory.path("s"), recut(DType::kF16, 24, 3000), KeyKind::kBytes, Metric::kL2, true);
  written.build(2000, directory.path());
  const auto first = std::filesystem::last_write_time(written.path() + "/rows/1-0");
  std::uint64_t written_bytes = 0;
  {
    Store store = open_in_passes(written.path());
    for (std::uint64_t round = 0; round < kRounds; ++round) {
      for (std::uint64_t key = 0; key < 50; ++key) written.put(store, 2000 + round * 50 + key);
      const auto report = store.compact();
      REQUIRE_OK(report);
      BOOST_TEST((std::filesystem::last_write_time(written.path() + "/rows/1-0") == first));
      BOOST_TEST(extents(written.path()).size() <= 5u);  // by twos: 50, 100, 200, 400 rows
      written_bytes += extents(written.path()).at(std::to_string(report->generation) + "-0");
    }
    BOOST_TEST(extents(written.path()).size() >= 2u);
    written.check(store);
  }
  BOOST_TEST(written_bytes < 3 * (bytes_of_extents(written.path())));
  check_reopened(written);
}

BOOST_AUTO_TEST_CASE(stores_of_every_shape_hold_the_same_while_extents_come_and_go) {
  const TemporaryDirectory directory;
  const std::vector<Shape> shapes = {
      {DType::kF32, Metric::kL2, KeyKind::kBytes, true},
      {DType::kU8, Metric::kL2, KeyKind::kNumber, false},  // keys become numbers of their own
      {DType::kI8, Metric::kInnerProduct, KeyKind::kBytes, false},
      {DType::kF16, Metric::kCosine, KeyKind::kNumber, true},
  };
  std::uint64_t rounds_with_several = 0;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    if (kInstrumented && i % 2 != 0) continue;
    const Shape& shape = shapes[i];
    BOOST_TEST_CONTEXT("shape " << i) {
      Written written(directory.path("s" + std::to_string(i)), recut(shape.dtype, 20, 2000), shape.keys, shape.metric,
                      shape.documents);
      written.build(600, directory.path());
      Random random(i);
      Store store = open_in_passes(written.path());
      for (int round = 0; round < kRounds; ++round) {
        // Now many rows end, now few.
        const std::uint64_t writes = round % 4 == 3 ? 150 : 25;
        for (std::uint64_t n = 0; n < writes; ++n) {
          if (random.below(3) == 0) {
            written.erase(store, random.below(900));
          } else {
            written.put(store, random.below(900));
          }
        }
        const auto reader = Store::open(written.path());
        REQUIRE_OK(reader);
        const auto report = store.compact();
        REQUIRE_OK(report);
        BOOST_TEST(report->rows == written.kept().size());
        rounds_with_several += extents(written.path()).size() > 1 ? 1 : 0;
        if (round % 3 != 0) continue;
        written.check(store);
        written.check(*reader);  // goes on with what it had
        require_sound(store);
      }
      written.write(store, random, 20, 900);
      written.check(store);
      REQUIRE_OK(store.close());
      check_reopened(written);
    }
  }
  BOOST_TEST(rounds_with_several > (kInstrumented ? 1 : shapes.size()));
}

BOOST_AUTO_TEST_CASE(rows_that_are_gone_give_their_room_back) {
  const TemporaryDirectory directory;
  Written written(directory.path("s"), recut(DType::kF32, 24, 3000), KeyKind::kNumber, Metric::kL2, true);
  written.build(2000, directory.path());
  Store store = open_in_passes(written.path());
  Random random(7);
  for (int round = 0; round < kRounds; ++round) {
    for (int n = 0; n < 100; ++n) written.put(store, random.below(2000));
    REQUIRE_OK(store.compact());
    if (round % 4 == 0) written.check(store);
  }
  const std::uint64_t grown = bytes_of_extents(written.path());
  written.put(store, 1);  // or there is nothing to do
  REQUIRE_OK(store.compact({.rebuild = true}));
  BOOST_TEST(extents(written.path()).size() == 1u);
  const std::uint64_t anew = bytes_of_extents(written.path());
  BOOST_TEST_MESSAGE(grown << " bytes, anew " << anew);
  BOOST_TEST(static_cast<double>(grown) <= 1.3 * static_cast<double>(anew));
  for (std::uint64_t key = 0; key < 1000; ++key) written.erase(store, key);
  REQUIRE_OK(store.compact());
  BOOST_TEST(static_cast<double>(bytes_of_extents(written.path())) <= .6 * static_cast<double>(anew));
  written.check(store);
}

BOOST_AUTO_TEST_CASE(a_merge_that_adds_nothing_writes_no_extent) {
  const TemporaryDirectory directory;
  Written written(directory.path("s"), recut(DType::kF16, 24, 1000), KeyKind::kBytes, Metric::kL2, true);
  written.build(1000, directory.path());
  {
    Store store = open_in_passes(written.path());
    for (std::uint64_t key = 0; key < 50; ++key) written.erase(store, key * 7);
    REQUIRE_OK(store.compact());
    BOOST_TEST(extents(written.path()).size() == 1u);
    BOOST_TEST(extents(written.path()).begin()->first == "1-0");
    written.check(store);
    // What was erased comes again under its key.
    for (std::uint64_t key = 0; key < 20; ++key) written.put(store, key * 7);
    REQUIRE_OK(store.compact());
    written.check(store);
  }
  check_reopened(written);
}

BOOST_AUTO_TEST_CASE(documents_that_come_later_are_kept) {
  const TemporaryDirectory directory;
  const Matrix rows = recut(DType::kF32, 16, 700);
  BuildOptions options = build_options(Metric::kL2);
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::build(path, *view_source({rows.bytes.data(), rows.dtype, 600, rows.dim, 0}), options));
  Store store = open_in_passes(path);
  for (std::uint64_t key = 600; key < 700; ++key)
    REQUIRE_OK(store.put(key, rows.row(key), key < 650 ? "" : "document " + std::to_string(key)));
  REQUIRE_OK(store.compact());
  require_sound(store);
  for (std::uint64_t key = 0; key < 700; ++key) {
    const auto item = store.get(key);
    REQUIRE_OK(item);
    BOOST_REQUIRE(item->document == (key < 650 ? "" : "document " + std::to_string(key)));
    BOOST_REQUIRE(
        std::equal(item->vector.begin(), item->vector.end(), static_cast<const std::byte*>(rows.row(key).row(0))));
  }
}

// As many merges as one likes, each of fewer rows than the one before: no extent is small enough to be taken in.
BOOST_AUTO_TEST_CASE(extents_are_few_whatever_merges_bring) {
  const TemporaryDirectory directory;
  Written written(directory.path("s"), recut(DType::kF16, 24, 2000), KeyKind::kBytes, Metric::kL2, false);
  written.build(600, directory.path());
  Store store = open_in_passes(written.path());
  std::uint64_t key = 600;
  for (std::uint64_t rows = 24; rows != 0; --rows) {
    for (std::uint64_t i = 0; i < rows; ++i) written.put(store, key++);
    REQUIRE_OK(store.compact());
    BOOST_TEST(store.info().extents <= 16u);
  }
  BOOST_TEST(store.info().extents >= 10u);
  BOOST_TEST(extents(written.path()).size() == store.info().extents);
  written.check(store);
  require_sound(store);
}

BOOST_AUTO_TEST_CASE(a_store_with_several_is_emptied_and_filled_again) {
  const TemporaryDirectory directory;
  Written written = with_two(directory);
  {
    Store store = open_in_passes(written.path());
    for (std::uint64_t key = 0; key < 340; ++key) written.erase(store, key);
    REQUIRE_OK(store.compact());
    BOOST_TEST(store.info().extents == 0u);
    BOOST_TEST(store.size() == 0u);
    for (std::uint64_t key = 0; key < 200; ++key) written.put(store, key);
    REQUIRE_OK(store.compact());
  }
  check_reopened(written);
}

BOOST_AUTO_TEST_CASE(extents_that_are_missing_or_change_places_are_refused) {
  const TemporaryDirectory directory;
  Written written = with_two(directory);
  const std::string old = written.path() + "/rows/1-0";
  const std::string added = written.path() + "/rows/2-0";
  const std::string aside = directory.path("aside");
  for (const std::string& file : {old, added}) {
    std::filesystem::rename(file, aside);
    const auto opened = Store::open(written.path());
    BOOST_REQUIRE(!opened);
    BOOST_TEST((opened.error().code() == Code::kNotFound || opened.error().code() == Code::kCorrupt));
    BOOST_TEST(message_of(opened).find(file) != std::string::npos, message_of(opened));
    std::filesystem::rename(aside, file);
  }
  std::filesystem::rename(old, aside);
  std::filesystem::rename(added, old);
  std::filesystem::rename(aside, added);
  const auto opened = Store::open(written.path());
  BOOST_REQUIRE(!opened);
  BOOST_TEST((opened.error().code() == Code::kCorrupt), message_of(opened));
}

// What salvage copies is of several generations.
BOOST_AUTO_TEST_CASE(a_store_with_several_is_salvaged) {
  const TemporaryDirectory directory;
  Written written = with_two(directory);
  {
    Store store = open_in_passes(written.path());
    for (std::uint64_t key = 0; key < 10; ++key) written.put(store, 150 + key);
  }
  REQUIRE_OK(Store::salvage(written.path(), directory.path("saved")));
  const auto saved = Store::open(directory.path("saved"));
  REQUIRE_OK(saved);
  BOOST_TEST(saved->size() == written.kept().size());
  require_sound(*saved);
  for (const auto& [name, item] : written.kept()) {
    const auto got = saved->get(Key(name));
    REQUIRE_OK(got);
    BOOST_REQUIRE(got->document == item.document);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
