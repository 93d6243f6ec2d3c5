// SPDX-License-Identifier: Apache-2.0
//
// Several extents of one graph: which of their rows are of it is told by the row map.
#include "engine/rows/stored_rows.h"

#include "engine/rows/key_lookup.h"
#include "tests/engine/rows/extents.h"

namespace vecstore {
namespace {

using namespace test;

constexpr RowsLayout kLayout{true, true, 8};

// Extents of 300, 40 and 1 rows, with gaps between, and a graph that has some of them.
struct Parts {
  Parts() {
    Random random(3);
    std::uint64_t first = 5;
    for (const std::uint64_t count : {300, 40, 1}) {
      Extent extent = with_gaps(make_extent(count, kLayout, 200, first), 4, first);
      for (std::size_t i = 0; i < extent.rows.size(); ++i) extent.rows[i].key = "key " + std::to_string(extent.ids[i]);
      const std::string path = directory.path(std::to_string(extents.size()));
      REQUIRE_OK(write_extent(path, extent));
      files.push_back({path, kIdentity});
      for (std::size_t i = 0; i < extent.rows.size(); ++i)
        if (random.below(4) != 0) live.push_back({RowId{extent.ids[i]}, extent.rows[i]});
      first = extent.end() + 100;
      extents.push_back(std::move(extent));
    }
    write_map(live, "map");
  }
  void write_map(const std::vector<NumberedRow>& rows, const std::string& name) {
    std::vector<std::uint64_t> ids;
    std::vector<Pos> positions;
    for (const NumberedRow& row : rows) {
      ids.push_back(row.id.value);
      positions.push_back(static_cast<Pos>(positions.size()));
    }
    const FileIdentity identity{{1, 2, 3, 4}, FileKind::kRowMap, 0};
    REQUIRE_OK(write_row_map(FileSystem::posix(), directory.path(name), identity, positions, budget, ids));
    auto file = PageFile::open(FileSystem::posix(), directory.path(name), identity);
    REQUIRE_OK(file);
    auto opened = RowMap::open(std::move(*file), rows.size(), budget);
    REQUIRE_OK(opened);
    map.emplace(std::move(*opened));
  }
  Result<StoredRows> open() { return StoredRows::open(FileSystem::posix(), files, &*map, budget); }

  TemporaryDirectory directory;
  MemoryBudget budget;
  std::vector<Extent> extents;
  std::vector<StoredRows::File> files;
  std::vector<NumberedRow> live;
  std::optional<RowMap> map;
};

std::vector<NumberedRow> all_rows(const StoredRows& rows, MemoryBudget& budget, std::size_t from = 0) {
  auto pass = StoredRowsPass::begin(rows, budget, from);
  REQUIRE_OK(pass);
  std::vector<NumberedRow> all;
  std::vector<NumberedRow> some;
  do {
    REQUIRE_OK(pass->next(some));
    all.insert(all.end(), some.begin(), some.end());
  } while (!some.empty());
  REQUIRE_OK(pass->next(some));
  BOOST_TEST(some.empty());
  return all;
}

void require_same(const std::vector<NumberedRow>& found, std::span<const NumberedRow> expected) {
  BOOST_REQUIRE(found.size() == expected.size());
  for (std::size_t i = 0; i < found.size(); ++i)
    BOOST_REQUIRE((found[i].id == expected[i].id && same(found[i].row, expected[i].row)));
}

BOOST_AUTO_TEST_SUITE(stored_rows)

BOOST_FIXTURE_TEST_CASE(passes_bring_the_rows_of_the_graph_and_no_others, Parts) {
  std::ranges::reverse(files);  // in any order
  const auto rows = open();
  REQUIRE_OK(rows);
  BOOST_TEST(rows->rows() == live.size());
  BOOST_TEST(rows->rows_kept() == 341u);
  BOOST_TEST(rows->first().value == extents[0].first);
  BOOST_TEST(rows->end().value == extents[2].end());
  require_same(all_rows(*rows, budget), live);
  for (std::size_t from = 0; from <= 3; ++from) {
    const std::uint64_t first = from == 3 ? extents[2].end() : extents[from].first;
    const auto behind = std::ranges::lower_bound(live, RowId{first}, {}, &NumberedRow::id);
    require_same(all_rows(*rows, budget, from), {behind, live.end()});
  }
  auto keys = StoredKeysPass::begin(*rows, budget);
  REQUIRE_OK(keys);
  std::vector<KeyOfRow> some;
  std::size_t at = 0;
  do {
    REQUIRE_OK(keys->next(some));
    for (const KeyOfRow& key : some) {
      BOOST_REQUIRE((key.id == live[at].id && key.key == live[at].row.key));
      ++at;
    }
  } while (!some.empty());
  BOOST_TEST(at == live.size());
  std::vector<Status> damage;
  REQUIRE_OK(rows->verify(damage, budget));
  BOOST_TEST(damage.empty());
}

BOOST_FIXTURE_TEST_CASE(each_row_is_read_from_its_extent, Parts) {
  const auto rows = open();
  REQUIRE_OK(rows);
  for (const NumberedRow& row : live) {
    const auto read = rows->read(row.id);
    REQUIRE_OK(read);
    BOOST_REQUIRE(same(*read, row.row));
    BOOST_REQUIRE(rows->read_key(row.id).value() == row.row.key);
  }
  for (const std::uint64_t outside : {std::uint64_t{0}, extents[0].end(), extents[1].end() + 3, extents[2].end()}) {
    BOOST_TEST((code_of(rows->read(RowId{outside})) == Code::kNotFound));
    BOOST_TEST((code_of(rows->read_key(RowId{outside})) == Code::kNotFound));
  }
}

BOOST_FIXTURE_TEST_CASE(keys_of_rows_that_are_gone_are_not_found, Parts) {
  const auto rows = open();
  REQUIRE_OK(rows);
  struct Form {
    bool may_write;
    std::uint64_t bytes;
  };
  // A catalog, a table, and no room for either.
  for (const Form form :
       {Form{true, MemoryBudget::kUnlimited}, Form{false, MemoryBudget::kUnlimited}, Form{false, 17'000}}) {
    MemoryBudget room(form.bytes);
    KeyLookup lookup(FileSystem::posix(),
                     {directory.path(form.may_write ? "catalog" : "none"), kIdentity.store, 4, form.may_write}, *rows,
                     room);
    auto next = live.begin();
    for (const Extent& extent : extents)
      for (const std::uint64_t id : extent.ids) {
        const auto found = lookup.find("key " + std::to_string(id));
        REQUIRE_OK(found);
        const bool is_live = next != live.end() && next->id.value == id;
        BOOST_REQUIRE(found->has_value() == is_live);
        if (!is_live) continue;
        BOOST_REQUIRE(**found == next->id);
        ++next;
      }
  }
}

BOOST_FIXTURE_TEST_CASE(a_row_of_the_graph_that_no_extent_has_is_damage, Parts) {
  for (const std::uint64_t missing : {std::uint64_t{0}, extents[0].end() + 50, extents[2].end() + 7}) {
    std::vector<NumberedRow> more = live;
    more.insert(std::ranges::lower_bound(more, RowId{missing}, {}, &NumberedRow::id), {RowId{missing}, {}});
    write_map(more, "map-" + std::to_string(missing));
    const auto rows = open();
    REQUIRE_OK(rows);
    std::vector<Status> damage;
    BOOST_TEST((rows->verify(damage, budget).code() == Code::kCorrupt));
    BOOST_REQUIRE(damage.size() == 1u);
    BOOST_TEST(damage[0].number() == missing);
    auto keys = StoredKeysPass::begin(*rows, budget);
    REQUIRE_OK(keys);
    std::vector<KeyOfRow> some;
    Status passed;
    do {
      passed = keys->next(some);
    } while (passed.is_ok() && !some.empty());
    BOOST_TEST((passed.code() == Code::kCorrupt));
  }
}

BOOST_FIXTURE_TEST_CASE(extents_that_overlap_or_differ_do_not_go_together, Parts) {
  const Extent other = with_gaps(make_extent(10, {true, false, 8}, 0), 1, extents[2].end());
  const Extent within = with_gaps(make_extent(10, kLayout, 100), 1, extents[2].end() - 1);
  for (const Extent& extent : {other, within}) {
    const std::string path = directory.path("more");
    REQUIRE_OK(write_extent(path, extent));
    std::vector<StoredRows::File> more = files;
    more.push_back({path, kIdentity});
    const auto opened = StoredRows::open(FileSystem::posix(), more, &*map, budget);
    BOOST_REQUIRE((code_of(opened) == Code::kCorrupt));
    BOOST_TEST(opened.error().subject() == path);
    std::filesystem::remove(path);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
