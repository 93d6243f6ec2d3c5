// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/row_map.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "tests/engine/generation/row_map_files.h"

using namespace vecstore;
using test::code_of;
using test::gapped_row_ids;

namespace {

constexpr std::uint64_t kBeyond32Bits = std::uint64_t{1} << 32;

FileIdentity identity() {
  FileIdentity identity;
  identity.store.fill(0x17);
  identity.kind = FileKind::kRowMap;
  identity.generation = 4;
  return identity;
}

// A permutation, and kNoPos for the rows that are left out.
std::vector<Pos> shuffled_positions(std::uint64_t rows, const std::vector<std::uint64_t>& left_out = {}) {
  std::vector<Pos> positions(rows, kNoPos);
  std::vector<Pos> free(rows - left_out.size());
  std::iota(free.begin(), free.end(), Pos{0});
  Random random(rows);
  for (std::uint64_t row = 0; row < rows; ++row) {
    if (std::ranges::count(left_out, row) != 0) continue;
    std::swap(free[random.below(free.size())], free.back());
    positions[row] = free.back();
    free.pop_back();
  }
  return positions;
}

// A file in a directory of its own.
struct MapFile {
  test::TemporaryDirectory directory;
  std::string path = directory.path("rowmap-4");
  MemoryBudget budget;

  void write(std::span<const Pos> positions, std::span<const std::uint64_t> row_ids = {}) {
    REQUIRE_OK(write_row_map(FileSystem::posix(), path, identity(), positions, budget, row_ids));
  }
  PageFile file() const {
    auto file = PageFile::open(FileSystem::posix(), path, identity());
    REQUIRE_OK(file);
    return std::move(*file);
  }
  Result<RowMap> open(std::uint64_t graph_rows) { return RowMap::open(file(), graph_rows, budget); }
};

// Every row is found, every gap is none, and a walk over the map comes by the same.
void require_map(const RowMap& map, MemoryBudget& budget, const std::map<std::uint64_t, Pos>& expected) {
  std::uint64_t gap = 0;
  for (const auto& [row, position] : expected) {
    const auto found = map.find(RowId{row}, budget);
    REQUIRE_OK(found);
    BOOST_REQUIRE(*found == position);
    for (const std::uint64_t none : {gap, row - 1, row + 1}) {
      if (expected.contains(none)) continue;
      const auto nothing = map.find(RowId{none}, budget);
      REQUIRE_OK(nothing);
      BOOST_REQUIRE(!nothing->has_value());
    }
    gap = row + 1;
  }
  auto next = expected.begin();
  REQUIRE_OK(map.for_each(budget, [&](RowId row, Pos position) {
    BOOST_REQUIRE(next != expected.end() && next->first == row.value && next->second == position);
    ++next;
    return Status::ok();
  }));
  BOOST_TEST((next == expected.end()));
  BOOST_TEST(map.row_end() == (expected.empty() ? 0 : expected.rbegin()->first + 1));
  BOOST_TEST(map.rows() == expected.size());
}

// Why a map of three thousand rows whose file was changed cannot be opened, or else what is wrong with its entries.
Code code_of_changed(const std::function<void(const std::string& path)>& change) {
  MapFile map;
  const auto row_ids = gapped_row_ids(3000, 10, 3);
  map.write(shuffled_positions(3000), row_ids);
  change(map.path);
  const auto opened = map.open(3000);
  if (!opened) {
    BOOST_TEST(opened.error().subject() == map.path);
    return opened.error().code();
  }
  const Status walked = opened->for_each(map.budget, [](RowId, Pos) { return Status::ok(); });
  if (!walked.is_ok()) BOOST_TEST(walked.subject() == map.path);
  return walked.code();
}

}  // namespace

BOOST_AUTO_TEST_SUITE(row_map)

BOOST_AUTO_TEST_CASE(every_row_is_found_and_every_gap_is_none) {
  for (const std::uint64_t rows : {1u, 2u, 1023u, 1024u, 1025u, 2048u, 5000u}) {
    for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{77}, kBeyond32Bits - 3000, kBeyond32Bits << 20}) {
      MapFile map;
      auto row_ids = gapped_row_ids(rows, first, 3);
      if (row_ids.back() == rows - 1) ++row_ids.back();
      const auto positions = shuffled_positions(rows);
      map.write(positions, row_ids);
      std::map<std::uint64_t, Pos> expected;
      for (std::uint64_t i = 0; i < rows; ++i) expected.emplace(row_ids[i], positions[i]);
      const std::uint64_t before = map.budget.used_bytes();
      const auto opened = map.open(rows);
      REQUIRE_OK(opened);
      BOOST_TEST(!opened->is_dense());
      const auto predicted = RowMap::predict_bytes(map.file(), rows);
      REQUIRE_OK(predicted);
      BOOST_TEST(*predicted == map.budget.used_bytes() - before);
      BOOST_TEST(*predicted == (rows + 1023) / 1024 * 8);
      require_map(*opened, map.budget, expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(the_greatest_row_ids_are_found) {
  for (const std::uint64_t greatest : {kBeyond32Bits - 1, kBeyond32Bits, ~std::uint64_t{0} - 1}) {
    MapFile map;
    map.write(std::vector<Pos>{1, 0}, std::vector<std::uint64_t>{5, greatest});
    const auto opened = map.open(2);
    REQUIRE_OK(opened);
    require_map(*opened, map.budget, {{5, 1}, {greatest, 0}});
    BOOST_TEST(map.file().attributes().size() == 22u);
  }
}

BOOST_AUTO_TEST_CASE(rows_without_gaps_take_the_form_without_row_ids) {
  for (const std::uint64_t rows : {0u, 1u, 3000u}) {
    MapFile plain;
    MapFile named;
    std::vector<std::uint64_t> row_ids(rows);
    std::iota(row_ids.begin(), row_ids.end(), std::uint64_t{0});
    const auto positions = shuffled_positions(rows);
    plain.write(positions);
    named.write(positions, row_ids);
    BOOST_CHECK(test::read_file(plain.path) == test::read_file(named.path));
    const auto opened = named.open(rows);
    REQUIRE_OK(opened);
    BOOST_TEST(opened->is_dense());
    BOOST_TEST(named.budget.used_bytes() == 0u);
    std::map<std::uint64_t, Pos> expected;
    for (std::uint64_t i = 0; i < rows; ++i) expected.emplace(i, positions[i]);
    require_map(*opened, named.budget, expected);
  }
}

// As of a graph to calibrate on.
BOOST_AUTO_TEST_CASE(rows_that_are_left_out_are_none) {
  const std::vector<std::uint64_t> left_out = {0, 7, 1023, 1024, 1025, 1999};
  const auto positions = shuffled_positions(2000, left_out);
  for (const bool gaps : {false, true}) {
    MapFile map;
    const auto row_ids = gaps ? gapped_row_ids(2000, 100, 4) : std::vector<std::uint64_t>();
    map.write(positions, row_ids);
    const auto opened = map.open(2000 - left_out.size());
    REQUIRE_OK(opened);
    BOOST_TEST(opened->rows() == (gaps ? 1994u : 2000u));
    std::size_t found = 0;
    for (std::uint64_t i = 0; i < 2000; ++i) {
      const auto position = opened->find(RowId{gaps ? row_ids[i] : i}, map.budget);
      REQUIRE_OK(position);
      BOOST_REQUIRE(position->value_or(kNoPos) == positions[i]);
      found += position->has_value() ? 1 : 0;
    }
    BOOST_TEST(found == 1994u);
  }
  MapFile none;
  none.write(std::vector<Pos>{kNoPos, kNoPos}, std::vector<std::uint64_t>{4, 9});
  const auto opened = none.open(0);
  REQUIRE_OK(opened);
  require_map(*opened, none.budget, {});
}

// As engine/generation/README.md has them.
BOOST_AUTO_TEST_CASE(the_bytes_of_a_map_with_gaps_are_frozen) {
  MapFile map;
  map.write(std::vector<Pos>{2, 0, 1}, std::vector<std::uint64_t>{0, 2, 5});
  const std::vector<std::uint8_t> attributes = {2, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0};
  const std::vector<std::uint8_t> stream = {0, 0, 0, 0, 2, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
                                            5, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0};
  const std::vector<char> bytes = test::read_file(map.path);
  BOOST_REQUIRE_EQUAL(bytes.size(), 2u * kStreamPageBytes);
  BOOST_TEST(map.file().attributes().size() == attributes.size());
  BOOST_TEST(std::memcmp(bytes.data() + kPageHeaderBytes, attributes.data(), attributes.size()) == 0);
  BOOST_TEST(std::memcmp(bytes.data() + kStreamPageBytes + 8, stream.data(), stream.size()) == 0);
  const auto is_zero = [](char byte) { return byte == 0; };
  BOOST_TEST(std::all_of(bytes.begin() + kStreamPageBytes + 8 + 32, bytes.end(), is_zero));
}

BOOST_AUTO_TEST_CASE(attributes_that_cannot_be_are_refused) {
  const auto changed = [](std::size_t offset, auto value) {
    return code_of_changed([&](const std::string& path) { test::overwrite_attribute(path, offset, value); });
  };
  BOOST_TEST((changed(0, std::uint16_t{2}) == Code::kOk));
  BOOST_TEST((changed(0, std::uint16_t{3}) == Code::kNewerFormat));
  BOOST_TEST((changed(0, std::uint16_t{1}) == Code::kCorrupt), "too long for its version");
  for (const std::uint64_t rows : {std::uint64_t{0}, std::uint64_t{2999}, std::uint64_t{3001}, ~std::uint64_t{0}})
    BOOST_TEST((changed(2, rows) == Code::kCorrupt), rows << " rows");
  for (const std::uint32_t bytes : {0u, 1u, 8u, 5u, 0xFFFFFFFFu})
    BOOST_TEST((changed(10, bytes) == Code::kCorrupt), bytes << " bytes of a RowId");
  for (const std::uint64_t end : {std::uint64_t{0}, std::uint64_t{2999}, kBeyond32Bits, kBeyond32Bits + 1})
    BOOST_TEST((changed(14, end) == Code::kCorrupt), "ends at " << end);
  MapFile dense;
  dense.write(shuffled_positions(50));
  BOOST_TEST((code_of(dense.open(51)) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(entries_that_cannot_be_are_named) {
  const auto changed = [](std::size_t offset, auto value) {
    return code_of_changed([&](const std::string& path) { test::overwrite_stream(path, offset, value); });
  };
  const auto row_ids = gapped_row_ids(3000, 10, 3);
  const auto id = [&](std::size_t i) { return static_cast<std::uint32_t>(row_ids[i]); };
  BOOST_TEST((changed(8 * 500, id(500)) == Code::kOk));
  BOOST_TEST((changed(8 * 500, id(499)) == Code::kCorrupt), "twice");
  BOOST_TEST((changed(8 * 500, id(501)) == Code::kCorrupt), "twice");
  BOOST_TEST((changed(8 * 500, 0u) == Code::kCorrupt), "descends");
  BOOST_TEST((changed(8 * 1023, id(1024)) == Code::kCorrupt), "beyond the index");
  BOOST_TEST((changed(8 * 1024, id(1024) + 1) == Code::kCorrupt), "not what the index has");
  BOOST_TEST((changed(0, id(0) - 1) == Code::kCorrupt), "not what the index has");
  BOOST_TEST((changed(8 * 2999, id(2999) + 1) == Code::kCorrupt), "beyond the end");
  BOOST_TEST((changed(8 * 2999, id(2998) + 1) == (id(2998) + 1 == id(2999) ? Code::kOk : Code::kCorrupt)), "no end");
  BOOST_TEST((changed(8 * 7 + 4, Pos{3000}) == Code::kCorrupt), "a position beyond the graph");
  BOOST_TEST((changed(8 * 7 + 4, kNoPos) == Code::kCorrupt), "no position");
  for (const std::uint64_t index : {std::uint64_t{0}, row_ids[0], row_ids[1025], row_ids[2048], ~std::uint64_t{0}})
    BOOST_TEST((changed(8 * 3000 + 8, index) == Code::kCorrupt), "an index of " << index);
}

BOOST_AUTO_TEST_CASE(damage_is_named_by_a_search_too) {
  MapFile map;
  const auto row_ids = gapped_row_ids(3000, 10, 3);
  map.write(shuffled_positions(3000), row_ids);
  test::overwrite_stream(map.path, 8 * 500 + 4, Pos{3000});
  const auto opened = map.open(3000);
  REQUIRE_OK(opened);
  const auto found = opened->find(RowId{row_ids[500]}, map.budget);
  BOOST_REQUIRE((code_of(found) == Code::kCorrupt));
  BOOST_TEST(found.error().subject() == map.path);
  BOOST_TEST(found.error().number() == row_ids[500]);
  REQUIRE_OK(opened->find(RowId{row_ids[2000]}, map.budget));
}

// Checksums that hold, and any bytes at all: an answer or an error comes back.
BOOST_AUTO_TEST_CASE(no_byte_is_believed) {
  const auto row_ids = gapped_row_ids(2500, 1, 2);
  MapFile map;
  map.write(shuffled_positions(2500), row_ids);
  const std::vector<char> whole = test::read_file(map.path);
  Random random(9);
  std::size_t refused = 0;
  for (int round = 0; round < 200; ++round) {
    test::write_file(map.path, whole);
    const auto value = random.next();
    if (round % 2 == 0) {
      const auto value_bytes = std::as_bytes(std::span(&value, 1)).first(1 + random.below(8));
      test::overwrite_sealed(map.path, 0, kPageHeaderBytes + random.below(22 - 8), value_bytes);
    } else {
      const auto value_bytes = std::as_bytes(std::span(&value, 1)).first(1 + random.below(8));
      test::overwrite_sealed(map.path, 1 + random.below(2), kPageChecksumBytes + random.below(4000), value_bytes);
    }
    const auto opened = map.open(2500);
    if (!opened) {
      ++refused;
      continue;
    }
    for (const std::uint64_t row : {row_ids[0], row_ids[600], row_ids[2499], random.next()})
      static_cast<void>(opened->find(RowId{row}, map.budget));
    if (!opened->for_each(map.budget, [](RowId, Pos) { return Status::ok(); }).is_ok()) ++refused;
  }
  BOOST_TEST(refused > 100u);
}

BOOST_AUTO_TEST_CASE(a_visit_that_fails_ends_the_walk) {
  for (const bool gaps : {false, true}) {
    MapFile map;
    map.write(shuffled_positions(100), gaps ? gapped_row_ids(100, 3, 2) : std::vector<std::uint64_t>());
    const auto opened = map.open(100);
    REQUIRE_OK(opened);
    int visits = 0;
    const Status walked = opened->for_each(
        map.budget, [&](RowId, Pos) { return ++visits == 5 ? Status(Code::kCancelled, "enough") : Status::ok(); });
    BOOST_TEST((walked.code() == Code::kCancelled));
    BOOST_TEST(visits == 5);
  }
}

// Written row by row, it is the same file.
BOOST_AUTO_TEST_CASE(rows_that_come_one_by_one_make_the_same_map) {
  for (const std::uint64_t gap_max : {0u, 3u}) {
    const std::vector<Pos> positions = shuffled_positions(3000);
    const auto row_ids = gapped_row_ids(3000, 0, gap_max);
    MapFile whole;
    whole.write(positions, row_ids);
    MapFile by_row;
    auto writer = RowMapWriter::create(FileSystem::posix(), by_row.path, identity(), row_ids.size(), row_ids.back(),
                                       by_row.budget);
    REQUIRE_OK(writer);
    for (std::size_t i = 0; i < row_ids.size(); ++i) REQUIRE_OK(writer->add(RowId{row_ids[i]}, positions[i]));
    REQUIRE_OK(writer->finish());
    BOOST_TEST((test::read_file(whole.path) == test::read_file(by_row.path)));
  }
}

BOOST_AUTO_TEST_SUITE_END()
