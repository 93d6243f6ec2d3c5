// SPDX-License-Identifier: Apache-2.0
//
// Extents whose RowIds have gaps, as a merge writes them.
#include <algorithm>
#include <cstring>
#include <filesystem>
#include <functional>
#include <limits>

#include "base/bytes.h"
#include "engine/rows/catalog.h"
#include "engine/rows/key_lookup.h"
#include "engine/rows/rows_format.h"
#include "tests/engine/rows/extents.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kGreatest = std::numeric_limits<std::uint64_t>::max();
constexpr Uuid kStore{5, 6, 7};

// The parts of an extent with gaps.
struct Parts {
  explicit Parts(const std::string& path) {
    const std::vector<std::byte> bytes = attributes_of(path);
    BOOST_REQUIRE(bytes.size() == sizeof(attributes) + sizeof(dictionary) + sizeof(gaps));
    std::memcpy(&attributes, bytes.data(), sizeof(attributes));
    std::memcpy(&dictionary, bytes.data() + sizeof(attributes), sizeof(dictionary));
    std::memcpy(&gaps, bytes.data() + sizeof(attributes) + sizeof(dictionary), sizeof(gaps));
    directory_page = 1 + rows::pages_of(attributes.stream_bytes);
    index_page = directory_page + rows::divided_up(gaps.groups, rows::kEntriesPerPage);
    dictionary_page =
        index_page + rows::divided_up(index_page - directory_page, rows::kStreamPageBytes / rows::kIndexEntryBytes);
  }
  std::uint64_t page_of_group(std::uint64_t group) const { return directory_page + group / rows::kEntriesPerPage; }

  rows::Attributes attributes;
  rows::DictionaryAttributes dictionary;
  rows::GapAttributes gaps;
  std::uint64_t directory_page = 0;
  std::uint64_t index_page = 0;
  std::uint64_t dictionary_page = 0;  // or the end
};

// Groups of one row each, because no two RowIds are near enough.
Extent make_lonely(std::uint64_t count) {
  Extent extent;
  extent.layout = {.keys = true, .number_keys = true};
  extent.gaps = true;
  extent.first = 7;
  for (std::uint64_t i = 0; i < count; ++i) {
    extent.ids.push_back(7 + (i << 32));
    extent.rows.push_back({number_key(i), "", {}});
  }
  return extent;
}

// No two keys are the same.
Extent make_keyed(std::uint64_t count, std::uint64_t step_max, std::uint64_t first, const std::string& prefix) {
  Extent extent = with_gaps(make_extent(count, {true, true, 0}, 100), step_max, first);
  for (std::size_t i = 0; i < extent.rows.size(); ++i) extent.rows[i].key = prefix + std::to_string(i);
  return extent;
}

BOOST_AUTO_TEST_SUITE(rows_gaps)

BOOST_AUTO_TEST_CASE(rows_with_gaps_come_back_for_every_layout_and_odd_count) {
  const TemporaryDirectory directory;
  int file = 0;
  for (const int keys : {0, 1, 2})
    for (const bool documents : {false, true})
      for (const std::uint32_t vector_bytes : {0u, 100u, 768u, 16384u})
        for (const std::uint64_t count : {0u, 1u, 16u, 17u, 203u}) {
          const Extent extent = with_gaps(make_extent(count, {keys != 0, documents, vector_bytes, keys == 2}, 3000), 5);
          check_round_trip(directory.path(std::to_string(file++)), extent);
          if (documents) check_round_trip(directory.path(std::to_string(file++)), with_dictionary(extent));
        }
}

BOOST_AUTO_TEST_CASE(gaps_of_any_size_come_back) {
  const TemporaryDirectory directory;
  int file = 0;
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{3} << 33})
    for (const int bits : {0, 10, 29, 31, 32, 33, 48}) {
      const Extent extent = make_extent(400, {true, true, 24}, 200);
      check_round_trip(directory.path(std::to_string(file++)), with_gaps(extent, std::uint64_t{1} << bits, first));
    }
}

BOOST_AUTO_TEST_CASE(a_group_reaches_as_far_as_32_bits_do_and_no_farther) {
  const TemporaryDirectory directory;
  for (const std::uint64_t more : {0u, 1u}) {
    Extent extent = make_extent(3, {true, true, 0}, 100);
    extent.gaps = true;
    extent.first = 9;
    extent.ids = {9, 9 + 0xFFFFFFFFull + more, kGreatest - 1};
    const std::string path = directory.path(std::to_string(more));
    check_round_trip(path, extent);
    BOOST_TEST(Parts(path).gaps.groups == 2 + more);
    BOOST_TEST(Parts(path).gaps.end == kGreatest);
  }
}

BOOST_AUTO_TEST_CASE(directory_and_index_span_pages) {
  const TemporaryDirectory directory;
  check_round_trip(directory.path("many"), with_gaps(make_extent(20000, {true, true, 0}, 20), 3));

  const std::uint64_t count = 512 * rows::kEntriesPerPage + 1;
  const std::string path = directory.path("lonely");
  const Extent extent = make_lonely(count);
  REQUIRE_OK(write_extent(path, extent));
  BOOST_TEST(Parts(path).dictionary_page == Parts(path).index_page + 2);
  const auto opened = open_extent(path);
  REQUIRE_OK(opened);
  BOOST_TEST(opened->memory_bytes() == 513 * 8u);
  check_pass(*opened, extent, Parts(path).index_page - 1);
  for (std::size_t i = 0; i < count; i += i < 2 * rows::kEntriesPerPage + 2 ? 1 : 997) {
    const auto row = opened->read(RowId{extent.ids[i]});
    REQUIRE_OK(row);
    BOOST_REQUIRE(row->key == extent.rows[i].key);
    check_no_row(*opened, extent.ids[i] + 1);
    check_no_row(*opened, extent.ids[i] - 1);
  }
  std::vector<Status> damage;
  REQUIRE_OK(opened->verify(damage));
}

BOOST_AUTO_TEST_CASE(a_pass_may_begin_anywhere) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = with_gaps(make_extent(100, {true, false, 0}, 0), 9);
  REQUIRE_OK(write_extent(path, extent));
  const auto opened = open_extent(path);
  REQUIRE_OK(opened);
  std::vector<KeyOfRow> keys;
  std::vector<NumberedRow> rows;
  for (std::uint64_t from = 0; from < extent.end(); ++from) {
    const auto expected = std::ranges::lower_bound(extent.ids, from);
    const auto next = opened->read_keys(RowId{from}, keys);
    REQUIRE_OK(next);
    BOOST_REQUIRE((opened->read_rows(RowId{from}, rows).value() == *next));
    const auto behind = std::ranges::upper_bound(extent.ids, keys.back().id.value);
    BOOST_REQUIRE(next->value == (behind == extent.ids.end() ? extent.end() : *behind));
    BOOST_REQUIRE((keys.front().id.value == *expected && rows.front().id.value == *expected));
    BOOST_REQUIRE(keys.size() == rows.size());
  }
}

BOOST_AUTO_TEST_CASE(what_is_too_long_is_refused_naming_the_row_with_gaps) {
  const TemporaryDirectory directory;
  MemoryBudget budget;
  {
    auto writer = RowsWriter::create_with_gaps(FileSystem::posix(), directory.path("rows"), kIdentity, {true, true, 0},
                                               nullptr, budget);
    REQUIRE_OK(writer);
    REQUIRE_OK(writer->append(RowId{40}, {"a", "b", {}}));
    const std::string key(kKeyBytesMax + 1, 'k');
    const Status refused = writer->append(RowId{77}, {key, "", {}});
    BOOST_TEST((refused.code() == Code::kInvalidInput));
    BOOST_TEST((refused.detail() == Detail::kRow));
    BOOST_TEST(refused.number() == 77u);
  }
  BOOST_TEST(std::filesystem::is_empty(directory.path()));
  BOOST_TEST(budget.used_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(a_look_up_reads_as_many_pages_as_without_gaps) {
  const TemporaryDirectory directory;
  for (const std::uint32_t vector_bytes : {0u, 128u, 768u, 3072u}) {
    const Extent plain = make_extent(5000, {true, vector_bytes < 3072, vector_bytes}, 150);
    std::uint64_t reads[3] = {};
    for (const int steps : {0, 1, 2}) {
      const Extent extent = steps == 0 ? plain : with_gaps(plain, steps == 1 ? 1 : 1u << 20);
      const std::string path = directory.path(std::to_string(vector_bytes) + "-" + std::to_string(steps));
      REQUIRE_OK(write_extent(path, extent));
      const auto opened = open_extent(path);
      REQUIRE_OK(opened);
      for (std::size_t i = 0; i < extent.rows.size(); ++i)
        REQUIRE_OK(opened->read(RowId{extent.id_of(i)}, &reads[steps]));
    }
    BOOST_TEST(reads[1] == reads[2]);
    // Four bytes a row may push a group over a page's end. With large originals they do not.
    BOOST_TEST(static_cast<double>(reads[1]) / 5000 < 2.25, vector_bytes << ": " << reads[1]);
    if (vector_bytes == 3072) BOOST_TEST(reads[1] == reads[0]);
  }
}

BOOST_AUTO_TEST_CASE(reading_a_group_reads_each_of_its_pages_once) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = with_gaps(make_extent(500, {true, true, 0}, 8000), 50);
  REQUIRE_OK(write_extent(path, extent));
  const Parts parts(path);
  const auto opened = open_extent(path);
  REQUIRE_OK(opened);
  std::uint64_t reads = 0;
  std::vector<NumberedRow> rows;
  for (RowId from = opened->first(); from < opened->end();) {
    const auto next = opened->read_rows(from, rows, &reads);
    REQUIRE_OK(next);
    from = *next;
  }
  // For each group a page of the directory, and its own: those of the stream, of which two groups share some.
  BOOST_TEST(reads <= parts.gaps.groups * 2 + parts.directory_page - 1);
}

BOOST_AUTO_TEST_CASE(the_index_is_held_on_the_budget) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  REQUIRE_OK(write_extent(path, make_lonely(10 * rows::kEntriesPerPage)));
  MemoryBudget budget;
  {
    const auto opened = RowsExtent::open(FileSystem::posix(), path, kIdentity, budget);
    REQUIRE_OK(opened);
    BOOST_TEST(budget.used_bytes() == 80u);
    BOOST_TEST(opened->memory_bytes() == 80u);
  }
  MemoryBudget small(79);
  BOOST_TEST((code_of(RowsExtent::open(FileSystem::posix(), path, kIdentity, small)) == Code::kMemoryBudget));
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_in_any_page_costs_only_what_lies_there) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = with_dictionary(with_gaps(make_extent(600, {true, true, 3000}, 500), 7));  // G = 1
  REQUIRE_OK(write_extent(path, extent));
  const Parts parts(path);
  BOOST_REQUIRE(parts.gaps.groups == 600u);
  const auto good = read_file(path);
  Random random(11);
  for (std::uint64_t page = 0; page < good.size() / rows::kPageBytes;
       page += page + 20 < parts.directory_page ? 17 : 1) {
    auto bad = good;
    const std::size_t at = page * rows::kPageBytes + random.below(rows::kPageBytes);
    bad[at] = static_cast<char>(bad[at] ^ (1 << random.below(8)));
    write_file(path, bad);
    const auto opened = open_extent(path);
    if (page == 0) {
      BOOST_TEST((code_of(opened) == Code::kCorrupt));
      continue;
    }
    REQUIRE_OK(opened);
    std::vector<Status> damage;
    BOOST_TEST((opened->verify(damage).code() == Code::kCorrupt));
    BOOST_REQUIRE(damage.size() == 1);
    BOOST_TEST(damage[0].number() == page);
    // The index is made anew from the directory.
    BOOST_TEST((rows_lost(*opened, extent, page) != 0u) == (page < parts.index_page));
  }
}

BOOST_AUTO_TEST_CASE(index_and_directory_damaged_together_cost_no_rows_of_other_pages_behind_them) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = make_lonely(5 * rows::kEntriesPerPage);
  REQUIRE_OK(write_extent(path, extent));
  const Parts parts(path);
  auto bad = read_file(path);
  bad[parts.index_page * rows::kPageBytes + 500] ^= 1;
  bad[(parts.directory_page + 2) * rows::kPageBytes + 500] ^= 1;
  write_file(path, bad);
  const auto opened = open_extent(path);
  REQUIRE_OK(opened);
  for (std::size_t i = 0; i < extent.rows.size(); ++i) {
    const auto row = opened->read(RowId{extent.ids[i]});
    const std::size_t page = i / rows::kEntriesPerPage;
    if (row) BOOST_REQUIRE(same(*row, extent.rows[i]));
    if (page == 2) BOOST_REQUIRE((code_of(row) == Code::kCorrupt));
    if (page == 0 || page > 2) BOOST_REQUIRE(row.has_value());
    if (!row) BOOST_REQUIRE((row.error().code() == Code::kCorrupt));
  }
  std::vector<Status> damage;
  BOOST_TEST((opened->verify(damage).code() == Code::kCorrupt));
  BOOST_TEST(damage.size() >= 2u);
}

BOOST_AUTO_TEST_CASE(verify_finds_what_is_planted_with_true_checksums) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = with_gaps(make_extent(600, {true, false, 3000}, 0), 7);  // G = 1, a page for each group
  REQUIRE_OK(write_extent(path, extent));
  const Parts parts(path);
  const auto good = read_file(path);
  const auto first_finding = [&](std::uint64_t page, std::size_t within, std::uint64_t value, std::size_t size) {
    auto bad = good;
    plant(bad, page, within, std::as_bytes(std::span(&value, 1)).first(size));
    write_file(path, bad);
    const auto opened = open_extent(path);
    REQUIRE_OK(opened);
    std::vector<Status> damage;
    const Status found = opened->verify(damage);
    BOOST_REQUIRE(found.code() == Code::kCorrupt);
    // Where only the index is wrong, nothing is lost before the groups beside the entry.
    for (std::size_t i = 0; page >= parts.index_page && i < 254; ++i)
      BOOST_REQUIRE(opened->read(RowId{extent.ids[i]}).has_value());
    return found.number();
  };
  // A RowId of the index, of each page, more or less by one.
  for (const std::size_t entry : {0u, 1u, 2u})
    for (const int more : {-1, 1}) {
      const std::uint64_t id = extent.ids[entry * rows::kEntriesPerPage] + static_cast<std::uint64_t>(more);
      const std::uint64_t page = first_finding(parts.index_page, entry * 8, id, 8);
      BOOST_TEST((page == parts.index_page || (page >= parts.directory_page && page < parts.index_page)));
    }
  // A RowId of the directory, and an offset.
  for (const std::size_t group : {0u, 1u, 100u, 254u, 255u, 300u, 599u}) {
    const std::size_t within = group % rows::kEntriesPerPage * sizeof(rows::DirectoryEntry);
    for (const int more : {-1, 1})
      first_finding(parts.page_of_group(group), within + 8, extent.ids[group] + static_cast<std::uint64_t>(more), 8);
    first_finding(parts.page_of_group(group), within, kGreatest, 8);
    if (group != 0) first_finding(parts.page_of_group(group), within, group * rows::kStreamPageBytes + 8, 8);
  }
  // The head of a group: rows, RowId, and the RowIds less the first.
  for (const std::uint64_t group : {0u, 254u, 599u}) {
    for (const std::uint64_t rows : {0u, 2u}) BOOST_TEST(first_finding(1 + group, 4, rows, 2) == 1 + group);
    BOOST_TEST(first_finding(1 + group, 8, extent.ids[group] + 1, 8) == 1 + group);
    BOOST_TEST(first_finding(1 + group, 16, 1, 4) == 1 + group);
  }
}

BOOST_AUTO_TEST_CASE(row_ids_of_a_group_ascend_and_stay_below_those_of_the_next) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = with_gaps(make_extent(32, {true, false, 0}, 0), 100);
  REQUIRE_OK(write_extent(path, extent));
  const auto good = read_file(path);
  const auto more = [&](std::size_t row) { return extent.ids[row] - extent.ids[0]; };
  const auto opens_with = [&](std::size_t row, std::uint64_t value) {
    auto bad = good;
    plant(bad, 1, sizeof(rows::GroupHeader) + row * 4, std::as_bytes(std::span(&value, 1)).first(4));
    write_file(path, bad);
    const auto opened = open_extent(path);
    REQUIRE_OK(opened);
    std::vector<Status> damage;
    const bool verified = opened->verify(damage).is_ok();
    BOOST_TEST(verified == opened->read(RowId{extent.ids[2]}).has_value());
    return verified;
  };
  BOOST_TEST(opens_with(5, more(5)));
  BOOST_TEST(!opens_with(0, 1));
  BOOST_TEST(!opens_with(5, more(4)));
  BOOST_TEST(!opens_with(5, more(6)));
  BOOST_TEST(opens_with(15, more(16) - 1));
  BOOST_TEST(!opens_with(15, more(16)));
  BOOST_TEST(!opens_with(15, 0xFFFFFFFF));
}

BOOST_AUTO_TEST_CASE(attributes_with_gaps_that_do_not_hold_are_refused) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  REQUIRE_OK(write_extent(path, with_gaps(make_extent(100, {true, true, 24}, 1000), 10)));
  const Parts parts(path);
  int file = 0;
  const auto opens_as = [&](const std::function<void(Parts&)>& change, std::uint64_t more_pages = 0) -> std::string {
    Parts changed = parts;
    change(changed);
    ByteWriter out;
    out.write(changed.attributes);
    out.write(changed.dictionary);
    out.write(changed.gaps);
    const std::string copy = directory.path(std::to_string(file++));
    copy_with_attributes(path, copy, out.bytes(), more_pages);
    const auto opened = open_extent(copy);
    if (code_of(opened) == Code::kNewerFormat) return "newer";
    if (!opened) return code_of(opened) == Code::kCorrupt ? "refused" : "failed";
    std::vector<Status> damage;
    return opened->verify(damage).is_ok() ? "whole" : "reported";
  };
  BOOST_TEST((opens_as([](Parts&) {}) == "whole"));
  for (const std::uint32_t version : {0u, 1u, 2u})
    BOOST_TEST((opens_as([&](Parts& p) { p.attributes.version = version; }) == "refused"));
  BOOST_TEST((opens_as([](Parts& p) { p.attributes.version = 4; }) == "newer"));
  for (const std::uint32_t flags : {6u, 8u, 15u})
    BOOST_TEST((opens_as([&](Parts& p) { p.attributes.flags = flags; }) == "refused"));
  // Opens, because the flag alone tells nothing false; but the keys are no numbers.
  BOOST_TEST((opens_as([](Parts& p) { p.attributes.flags = 7; }) == "reported"));
  for (const std::uint64_t groups : {std::uint64_t{0}, std::uint64_t{6}, std::uint64_t{101}, kGreatest})
    BOOST_TEST((opens_as([&](Parts& p) { p.gaps.groups = groups; }) == "refused"), groups);
  BOOST_TEST((opens_as([](Parts& p) { p.gaps.groups = 8; }) == "reported"));
  for (const std::uint64_t end : {std::uint64_t{0}, std::uint64_t{1099}})
    BOOST_TEST((opens_as([&](Parts& p) { p.gaps.end = end; }) == "refused"));
  for (const std::uint64_t end : {parts.gaps.end - 1, parts.gaps.end + 1, kGreatest})
    BOOST_TEST((opens_as([&](Parts& p) { p.gaps.end = end; }) == "reported"));
  for (const std::uint64_t rows : {std::uint64_t{6}, std::uint64_t{113}, kGreatest})
    BOOST_TEST((opens_as([&](Parts& p) { p.attributes.rows = rows; }) == "refused"));
  for (const std::uint64_t rows : {99u, 101u})
    BOOST_TEST((opens_as([&](Parts& p) { p.attributes.rows = rows; }) == "reported"));
  for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{999}, std::uint64_t{1001}})
    BOOST_TEST((opens_as([&](Parts& p) { p.attributes.first = first; }) == "reported"));
  BOOST_TEST((opens_as([](Parts& p) { p.attributes.first = kGreatest; }) == "refused"));
  BOOST_TEST((opens_as([](Parts& p) { p.dictionary.bytes = 1; }) == "refused"));
  BOOST_TEST((opens_as([](Parts& p) { p.dictionary.bytes = 1; }, 2) == "reported"));  // it is none
  BOOST_TEST((opens_as([](Parts& p) { p.dictionary.bytes = ~0u; }) == "refused"));
  BOOST_TEST((opens_as([](Parts&) {}, 1) == "refused"));
}

BOOST_AUTO_TEST_CASE(a_truncated_extent_with_gaps_is_refused_or_reported) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  REQUIRE_OK(write_extent(path, with_gaps(make_extent(100, {true, true, 0}, 1000), 3)));
  const auto good = read_file(path);
  for (std::size_t size = 0; size < good.size(); size += 512) {
    write_file(path, {good.begin(), good.begin() + static_cast<std::ptrdiff_t>(size)});
    const auto opened = open_extent(path);
    if (!opened) continue;
    std::vector<Status> damage;
    BOOST_TEST(!opened->verify(damage).is_ok());
    BOOST_TEST(!damage.empty());
  }
}

// Passes over what may be damaged end, and bring RowIds that ascend.
void check_groups_end(const RowsExtent& opened) {
  std::vector<KeyOfRow> keys;
  std::vector<NumberedRow> rows;
  for (RowId from = opened.first(); from < opened.end();) {
    const auto next = opened.read_rows(from, rows);
    if (!next) break;
    BOOST_REQUIRE((!rows.empty() && *next > rows.back().id && *next <= opened.end()));
    for (const NumberedRow& row : rows) {
      BOOST_REQUIRE(row.id >= from);
      from = RowId{row.id.value + 1};
    }
    from = *next;
  }
  for (RowId from = opened.first(); from < opened.end();) {
    const auto next = opened.read_keys(from, keys);
    if (!next) break;
    BOOST_REQUIRE(*next > from);
    from = *next;
  }
  MemoryBudget budget;
  auto pass = RowsPass::begin(opened, budget);
  REQUIRE_OK(pass);
  while (pass->next(rows).is_ok() && !rows.empty()) {
  }
}

BOOST_AUTO_TEST_CASE(hostile_pages_of_extents_with_gaps_are_memory_safe) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent few = with_gaps(make_extent(120, {true, true, 24}, 1500), 40);
  const Extent lonely = make_lonely(rows::kEntriesPerPage + 9);
  struct Case {
    const Extent extent;
    std::vector<char> good;
  };
  std::vector<Case> cases = {{few, {}}, {with_dictionary(few), {}}, {lonely, {}}};
  for (Case& each : cases) {
    REQUIRE_OK(write_extent(path, each.extent));
    each.good = read_file(path);
    std::filesystem::remove(path);
  }
  Random random(5);
  std::size_t reported = 0;
  for (int round = 0; round < 1200; ++round) {
    const Case& chosen = cases[round % 8 == 0 ? 2 : random.below(2)];
    auto bad = chosen.good;
    const std::uint64_t page = 1 + random.below(bad.size() / rows::kPageBytes - 1);
    const std::size_t within = random.below(round % 2 == 0 ? 96 : rows::kStreamPageBytes - 8);
    const std::uint64_t value = round % 3 == 0 ? ~std::uint64_t{0} : random.next();
    plant(bad, page, within, std::as_bytes(std::span(&value, 1)).first(1 + random.below(8)));
    write_file(path, bad);
    const auto opened = open_extent(path);
    REQUIRE_OK(opened);
    std::vector<Status> damage;
    reported += opened->verify(damage).is_ok() ? 0 : 1;
    for (std::size_t i = 0; i < chosen.extent.rows.size(); i += 5) {
      const auto row = opened->read(RowId{chosen.extent.ids[i]});
      BOOST_REQUIRE((row || row.error().code() == Code::kCorrupt || row.error().code() == Code::kNotFound));
      const auto contains = opened->contains(RowId{chosen.extent.ids[i] + 1});
      BOOST_REQUIRE((contains || contains.error().code() == Code::kCorrupt));
    }
    check_groups_end(*opened);
  }
  BOOST_TEST(reported > 400u);
}

// As the parts of a store that was merged.
BOOST_AUTO_TEST_CASE(a_catalog_of_two_extents_with_gaps_finds_every_key) {
  const TemporaryDirectory directory;
  const Extent extents[] = {make_keyed(700, 9, 3, "old "), make_keyed(50, 1, 1, "empty "),
                            make_keyed(300, std::uint64_t{1} << 31, std::uint64_t{1} << 33, "new ")};
  std::vector<RowsExtent> opened;
  for (const Extent& extent : extents) {
    const std::string path = directory.path(std::to_string(opened.size()));
    // One has no rows.
    REQUIRE_OK(
        write_extent(path, extent.rows.size() == 50 ? with_gaps(make_extent(0, {true, true, 0}, 0), 1) : extent));
    auto one = open_extent(path);
    REQUIRE_OK(one);
    opened.push_back(std::move(*one));
  }
  MemoryBudget budget;
  const std::string path = directory.path("catalog");
  const auto rows = StoredRows::of(std::move(opened), nullptr);
  REQUIRE_OK(rows);
  const auto feed = keys_of(*rows, budget);
  REQUIRE_OK(Catalog::build(FileSystem::posix(), path, kStore, 3, feed, budget));
  const auto catalog = Catalog::open(FileSystem::posix(), path, kStore, budget);
  REQUIRE_OK(catalog);
  BOOST_TEST(catalog->size() == 1000u);
  for (const Extent* extent : {&extents[0], &extents[2]})
    for (std::size_t i = 0; i < extent->rows.size(); ++i)
      BOOST_REQUIRE((catalog->find(extent->rows[i].key).value() == RowId{extent->ids[i]}));
}

BOOST_AUTO_TEST_CASE(keys_that_are_numbers_lie_in_the_catalog_in_their_order) {
  const TemporaryDirectory directory;
  const Extent extent = make_lonely(3000);
  REQUIRE_OK(write_extent(directory.path("rows"), extent));
  const auto opened = open_stored(directory.path("rows"));
  REQUIRE_OK(opened);
  MemoryBudget budget;
  const std::string path = directory.path("catalog");
  REQUIRE_OK(Catalog::build(FileSystem::posix(), path, kStore, 0, keys_of(*opened, budget), budget));
  const auto catalog = Catalog::open(FileSystem::posix(), path, kStore, budget);
  REQUIRE_OK(catalog);
  for (std::size_t i = 0; i < extent.rows.size(); ++i) {
    BOOST_REQUIRE((catalog->find(number_key(i)).value() == RowId{extent.ids[i]}));
    if (i != 0) BOOST_REQUIRE(number_key(i - 1) < number_key(i));
  }
}

BOOST_AUTO_TEST_CASE(keys_are_found_with_a_catalog_a_table_and_neither) {
  const TemporaryDirectory directory;
  int number = 0;
  for (const int bits : {1, 20, 34, 50})
    for (const std::uint64_t first : {std::uint64_t{0}, std::uint64_t{5} << 33}) {
      const Extent extent = make_keyed(800, std::uint64_t{1} << bits, first, "key ");
      const std::string path = directory.path(std::to_string(number++));
      REQUIRE_OK(write_extent(path, extent));
      const auto opened = open_stored(path);
      REQUIRE_OK(opened);
      struct Form {
        bool may_write;
        std::uint64_t bytes;
      };
      for (const Form form : {Form{true, MemoryBudget::kUnlimited}, Form{false, 11 * 800}, Form{false, 0}}) {
        MemoryBudget budget(form.bytes);
        KeyLookup lookup(FileSystem::posix(),
                         {path + (form.may_write ? "-catalog" : "-none"), kStore, 4, form.may_write}, *opened, budget);
        for (std::size_t i = 0; i < extent.rows.size(); i += form.bytes == 0 ? 37 : 1) {
          const auto found = lookup.find(extent.rows[i].key);
          REQUIRE_OK(found);
          BOOST_REQUIRE((*found == RowId{extent.ids[i]}));
        }
        BOOST_TEST(!lookup.find("absent").value().has_value());
        BOOST_TEST((budget.used_bytes() != 0) == (form.bytes != 0));
      }
      BOOST_TEST(std::filesystem::exists(path + "-catalog/data.mdb"));
      BOOST_TEST(!std::filesystem::exists(path + "-none"));
    }
}

// A merge leaves the store's uuid as it is; the catalog of the content before has the same keys, with other rows.
BOOST_AUTO_TEST_CASE(a_catalog_of_the_content_before_is_not_believed) {
  const TemporaryDirectory directory;
  const Extent before = make_keyed(500, 1, 0, "key ");
  const Extent after = make_keyed(500, 3, 0, "key ");
  for (const auto& [name, extent] : {std::pair{"before", &before}, {"after", &after}})
    REQUIRE_OK(write_extent(directory.path(name), *extent));
  const auto old_rows = open_stored(directory.path("before"));
  const auto rows = open_stored(directory.path("after"));
  REQUIRE_OK(old_rows);
  REQUIRE_OK(rows);
  MemoryBudget budget;
  const std::string path = directory.path("catalog");
  REQUIRE_OK(Catalog::build(FileSystem::posix(), path, kStore, 6, keys_of(*old_rows, budget), budget));
  const auto bytes = read_file(path + "/data.mdb");
  for (const bool may_write : {false, true}) {
    KeyLookup lookup(FileSystem::posix(), {path, kStore, 7, may_write}, *rows, budget);
    for (std::size_t i = 0; i < after.rows.size(); ++i) {
      const auto found = lookup.find(after.rows[i].key);
      REQUIRE_OK(found);
      BOOST_REQUIRE((*found == RowId{after.ids[i]}));
    }
    BOOST_TEST((read_file(path + "/data.mdb") == bytes) == !may_write);
  }
  const auto renewed = Catalog::open(FileSystem::posix(), path, kStore, budget);
  REQUIRE_OK(renewed);
  BOOST_TEST(renewed->applied_lsn() == 7u);
}

BOOST_AUTO_TEST_CASE(more_rows_than_the_header_says_never_fill_the_table) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = make_keyed(160, 5, 0, "key ");
  REQUIRE_OK(write_extent(path, extent));
  std::vector<std::byte> attributes = attributes_of(path);
  const std::uint64_t rows = 10;  // as many as there are groups
  std::memcpy(attributes.data() + offsetof(rows::Attributes, rows), &rows, sizeof(rows));
  copy_with_attributes(path, directory.path("fewer"), attributes, 0);
  const auto opened = open_stored(directory.path("fewer"));
  REQUIRE_OK(opened);
  MemoryBudget budget;
  KeyLookup lookup(FileSystem::posix(), {directory.path("none"), kStore, 0, false}, *opened, budget);
  BOOST_TEST((code_of(lookup.find("key 1")) == Code::kCorrupt));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
