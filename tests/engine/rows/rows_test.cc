// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/rows.h"

#include <cstring>
#include <filesystem>

#include "engine/files/text_lines.h"
#include "engine/rows/document_sample.h"
#include "engine/rows/rows_format.h"
#include "tests/engine/rows/extents.h"

using namespace vecstore;
using namespace vecstore::test;

BOOST_AUTO_TEST_CASE(rows_come_back_as_they_were_put_for_every_layout_and_odd_count) {
  const TemporaryDirectory directory;
  int file = 0;
  for (const bool keys : {false, true})
    for (const bool documents : {false, true})
      for (const std::uint32_t vector_bytes : {0u, 1u, 100u, 768u, 4100u, 16384u})
        for (const std::uint64_t count : {0u, 1u, 15u, 16u, 17u, 203u}) {
          const Extent extent = make_extent(count, {keys, documents, vector_bytes}, 3000);
          check_round_trip(directory.path(std::to_string(file++)), extent);
          if (documents) check_round_trip(directory.path(std::to_string(file++)), with_dictionary(extent));
        }
}

BOOST_AUTO_TEST_CASE(documents_up_to_the_limit_come_back) {
  const TemporaryDirectory directory;
  check_round_trip(directory.path("large"), make_extent(120, {true, true, 0}, kDocumentBytesMax));
  check_round_trip(directory.path("packed"), with_dictionary(make_extent(120, {true, true, 0}, kDocumentBytesMax)));
  Extent noise{{false, true, 0}, 0, {}, nullptr};
  Random random(3);
  for (int i = 0; i < 20; ++i) {
    std::string document(kDocumentBytesMax, ' ');
    for (char& c : document) c = static_cast<char>(random.next());
    noise.rows.push_back({"", document, {}});
  }
  noise.first = 5;
  check_round_trip(directory.path("noise"), noise);
  check_round_trip(directory.path("noise packed"), with_dictionary(noise));
}

BOOST_AUTO_TEST_CASE(the_directory_spans_pages) {
  const TemporaryDirectory directory;
  check_round_trip(directory.path("many"), make_extent(20000, {true, true, 0}, 20));
}

BOOST_AUTO_TEST_CASE(what_is_too_long_is_refused_naming_the_row_and_leaves_no_file) {
  const TemporaryDirectory directory;
  MemoryBudget budget;
  {
    auto writer = RowsWriter::create(FileSystem::posix(), directory.path("rows"), kIdentity, RowId{40}, {true, true, 0},
                                     nullptr, budget);
    REQUIRE_OK(writer);
    REQUIRE_OK(writer->append({"a", "b", {}}));
    const std::string key(kKeyBytesMax + 1, 'k');
    const std::string document(kDocumentBytesMax + 1, 'd');
    for (const RowPayload& row : {RowPayload{key, "", {}}, RowPayload{"", document, {}}}) {
      const Status refused = writer->append(row);
      BOOST_TEST((refused.code() == Code::kInvalidInput));
      BOOST_TEST((refused.detail() == Detail::kRow));
      BOOST_TEST(refused.number() == 41u);
    }
  }
  BOOST_TEST(std::filesystem::is_empty(directory.path()));
  BOOST_TEST(budget.used_bytes() == 0u);
}

BOOST_AUTO_TEST_CASE(keys_come_in_groups_for_a_rebuild) {
  const TemporaryDirectory directory;
  const Extent extent = make_extent(203, {true, true, 100}, 300);
  REQUIRE_OK(write_extent(directory.path("rows"), extent));
  const auto opened = open_extent(directory.path("rows"));
  REQUIRE_OK(opened);
  std::vector<KeyOfRow> keys;
  for (std::uint64_t i = 0; i < 203; ++i) {
    REQUIRE_OK(opened->read_keys(RowId{1000 + i}, keys));
    BOOST_REQUIRE(!keys.empty() && i + keys.size() <= 203);
    for (std::size_t j = 0; j < keys.size(); ++j) {
      BOOST_REQUIRE(keys[j].id.value == 1000 + i + j);
      BOOST_REQUIRE(keys[j].key == extent.rows[i + j].key);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_flipped_bit_in_any_page_is_reported_with_its_page_and_never_read) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = with_dictionary(make_extent(300, {true, true, 100}, 2000));
  REQUIRE_OK(write_extent(path, extent));
  const auto good = read_file(path);
  const std::size_t dictionary_page =
      good.size() / rows::kPageBytes - 2 * rows::pages_of(dictionary_of_texts().bytes().size());
  Random random(11);
  for (std::size_t page = 0; page < good.size() / rows::kPageBytes; ++page) {
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
    const std::size_t lost = rows_lost(*opened, extent, page);
    BOOST_TEST((lost != 0u) == (page < dictionary_page));
  }
}

BOOST_AUTO_TEST_CASE(one_damaged_copy_of_the_dictionary_costs_nothing_and_both_only_what_needs_it) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  Extent extent = with_dictionary(make_extent(100, {true, true, 24}, 1000));
  Random random(8);
  for (StoredRow& row : extent.rows)  // noise is stored as it is
    if (row.document.size() > 500)
      for (char& c : row.document) c = static_cast<char>(random.next());
  REQUIRE_OK(write_extent(path, extent));
  const auto good = read_file(path);
  const std::size_t pages = rows::pages_of(dictionary_of_texts().bytes().size());
  const std::uint64_t first_page = good.size() / rows::kPageBytes - 2 * pages;
  for (const int damaged_copies : {1, 2, 3}) {  // a bit each
    auto bad = good;
    for (std::size_t copy = 0; copy < 2; ++copy)  // from the end
      if ((damaged_copies & (1 << copy)) != 0) bad[bad.size() - copy * pages * rows::kPageBytes - 2000] ^= 1;
    write_file(path, bad);
    const auto opened = open_extent(path);
    REQUIRE_OK(opened);
    BOOST_TEST((opened->memory_bytes() != 0) == (damaged_copies != 3));
    const std::size_t lost = rows_lost(*opened, extent, first_page);
    BOOST_TEST((lost == 0) == (damaged_copies != 3));
    BOOST_TEST(lost < extent.rows.size());
    std::vector<KeyOfRow> keys;
    REQUIRE_OK(opened->read_keys(RowId{extent.first}, keys));
    std::vector<Status> damage;
    BOOST_TEST((opened->verify(damage).code() == Code::kCorrupt));
    // The damaged pages, and once that what needs the dictionary is lost; nothing else.
    BOOST_TEST(damage.size() <= 3u);
    for (const Status& each : damage) BOOST_TEST(each.number() >= first_page);
  }
}

BOOST_AUTO_TEST_CASE(the_dictionary_is_held_on_the_budget) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  REQUIRE_OK(write_extent(path, with_dictionary(make_extent(100, {true, true, 24}, 1000))));
  MemoryBudget budget(std::uint64_t{128} << 10);
  {
    const auto opened = RowsExtent::open(FileSystem::posix(), path, kIdentity, budget);
    REQUIRE_OK(opened);
    BOOST_TEST(budget.used_bytes() > 2 * dictionary_of_texts().bytes().size());
  }
  BOOST_TEST(budget.used_bytes() == 0u);
  MemoryBudget small(std::uint64_t{32} << 10);
  BOOST_TEST((code_of(RowsExtent::open(FileSystem::posix(), path, kIdentity, small)) == Code::kMemoryBudget));
}

BOOST_AUTO_TEST_CASE(attributes_that_do_not_hold_are_refused) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  REQUIRE_OK(write_extent(path, with_dictionary(make_extent(100, {true, true, 24}, 1000))));
  std::vector<std::byte> good = attributes_of(path);
  BOOST_REQUIRE(good.size() == sizeof(rows::Attributes) + sizeof(rows::DictionaryAttributes));
  int file = 0;
  const auto opens_as = [&](std::size_t offset, std::uint32_t value, std::size_t size, std::uint64_t more_pages = 0) {
    std::vector<std::byte> bytes = good;
    std::memcpy(bytes.data() + offset, &value, sizeof(value));
    bytes.resize(size);
    const std::string copy = directory.path(std::to_string(file++));
    copy_with_attributes(path, copy, bytes, more_pages);
    return code_of(open_extent(copy));
  };
  const std::size_t all = good.size();
  BOOST_TEST((opens_as(0, 2, all) == Code::kOk));
  BOOST_TEST((opens_as(0, 3, all) == Code::kCorrupt));  // less than version 3 has
  BOOST_TEST((opens_as(0, 4, all) == Code::kNewerFormat));
  BOOST_TEST((opens_as(0, 1, all) == Code::kCorrupt));                       // more than version 1 has
  BOOST_TEST((opens_as(0, 1, sizeof(rows::Attributes)) == Code::kCorrupt));  // pages behind the directory
  BOOST_TEST((opens_as(0, 2, sizeof(rows::Attributes)) == Code::kCorrupt));
  BOOST_TEST((opens_as(4, 1, all) == Code::kCorrupt));  // a dictionary, but no documents
  BOOST_TEST((opens_as(4, 7, all) == Code::kCorrupt));  // keys that are numbers are of version 3
  const std::size_t at = sizeof(rows::Attributes);
  for (const std::uint32_t dictionary_bytes : {0u, 1u, ~0u})
    BOOST_TEST((opens_as(at, dictionary_bytes, all) == Code::kCorrupt), dictionary_bytes);
  // With as many pages as it then has to have, a dictionary may have 64 KiB, not a byte more. These pages are none, and
  // nothing is lost but what needs them.
  const std::uint64_t more =
      2 * (rows::pages_of(FrameDictionary::kBytesMax) - rows::pages_of(dictionary_of_texts().bytes().size()));
  BOOST_TEST((opens_as(at, FrameDictionary::kBytesMax, all, more) == Code::kOk));
  BOOST_TEST((opens_as(at, FrameDictionary::kBytesMax + 1, all, more) == Code::kCorrupt));

  // No dictionary, and pages for none; so version 2 is not to be believed.
  const std::string bare = directory.path("bare");
  REQUIRE_OK(write_extent(bare, make_extent(100, {true, true, 24}, 1000)));
  good = attributes_of(bare);
  BOOST_REQUIRE(good.size() == sizeof(rows::Attributes));
  const std::uint32_t version = rows::kVersionWithDictionary;
  std::memcpy(good.data(), &version, sizeof(version));
  good.resize(all);
  copy_with_attributes(bare, directory.path("version"), good, 0);
  BOOST_TEST((code_of(open_extent(directory.path("version"))) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(a_truncated_extent_is_refused_or_reported) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = make_extent(100, {true, true, 0}, 1000);
  REQUIRE_OK(write_extent(path, extent));
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

BOOST_AUTO_TEST_CASE(hostile_pages_with_true_checksums_are_memory_safe) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  const Extent extent = make_extent(120, {true, true, 24}, 1500);
  REQUIRE_OK(write_extent(path, extent));
  const auto alone = read_file(path);
  std::filesystem::remove(path);
  REQUIRE_OK(write_extent(path, with_dictionary(extent)));
  const auto packed = read_file(path);
  Random random(5);
  std::size_t reported = 0;
  for (int round = 0; round < 1500; ++round) {
    const auto& good = round % 5 < 3 ? alone : packed;
    auto bad = good;
    const std::uint64_t page = 1 + random.below(good.size() / rows::kPageBytes - 1);
    // Tables and directories stand at the start of a page more often than not.
    const std::size_t within = random.below(round % 2 == 0 ? 64 : rows::kStreamPageBytes - 8);
    const std::uint64_t value = round % 3 == 0 ? ~std::uint64_t{0} : random.next();
    plant(bad, page, within, std::as_bytes(std::span(&value, 1)).first(1 + random.below(8)));
    write_file(path, bad);
    const auto opened = open_extent(path);
    REQUIRE_OK(opened);
    std::vector<Status> damage;
    reported += opened->verify(damage).is_ok() ? 0 : 1;
    for (std::uint64_t i = 0; i < extent.rows.size(); i += 3) {
      const auto row = opened->read(RowId{extent.first + i});
      BOOST_REQUIRE((row || row.error().code() == Code::kCorrupt));
    }
  }
  BOOST_TEST(reported > 500u);
}

BOOST_AUTO_TEST_CASE(damage_is_capped) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("rows");
  REQUIRE_OK(write_extent(path, make_extent(3000, {false, false, 200}, 0)));
  auto bad = read_file(path);
  for (std::size_t at = rows::kPageBytes + 100; at < bad.size(); at += rows::kPageBytes)
    bad[at] = static_cast<char>(bad[at] ^ 1);
  write_file(path, bad);
  const auto opened = open_extent(path);
  REQUIRE_OK(opened);
  std::vector<Status> damage;
  BOOST_TEST(!opened->verify(damage).is_ok());
  BOOST_TEST(damage.size() == RowsExtent::kDamageMax);
}

BOOST_AUTO_TEST_CASE(a_small_row_costs_two_reads) {
  const TemporaryDirectory directory;
  for (const std::uint32_t vector_bytes : {0u, 128u, 768u}) {
    const std::string path = directory.path(std::to_string(vector_bytes));
    const Extent extent = make_extent(5000, {true, true, vector_bytes}, 150);
    REQUIRE_OK(write_extent(path, extent));
    const auto opened = open_extent(path);
    REQUIRE_OK(opened);
    std::uint64_t reads = 0;
    for (std::uint64_t i = 0; i < extent.rows.size(); ++i) REQUIRE_OK(opened->read(RowId{extent.first + i}, &reads));
    BOOST_TEST(static_cast<double>(reads) / 5000 < 2.25, vector_bytes << ": " << reads);
  }
}

BOOST_AUTO_TEST_CASE(real_documents_take_less_and_fewer_reads_with_a_dictionary) {
  const TemporaryDirectory directory;
  MemoryBudget budget(std::uint64_t{24} << 20);
  auto sample = DocumentSample::create(1 << 20, budget);
  REQUIRE_OK(sample);
  std::vector<std::string> texts;
  auto lines = TextLines::open(shipped_data("win384-8k.base.text.jsonl.zst"), budget);
  REQUIRE_OK(lines);
  std::string_view line;
  for (auto more = lines->next(line); more && *more; more = lines->next(line)) {
    texts.emplace_back(line);
    sample->offer(line);
  }
  BOOST_REQUIRE(texts.size() == 8000u);
  const auto dictionary = FrameDictionary::open(train_dictionary(sample->bytes(), sample->sizes()), budget);
  REQUIRE_OK(dictionary);

  const auto measure = [&](const FrameDictionary* used, double& share, double& reads_per_row) {
    const std::string path = directory.path(used == nullptr ? "alone" : "packed");
    auto writer = RowsWriter::create(FileSystem::posix(), path, kIdentity, RowId{0}, {false, true, 0}, used, budget);
    REQUIRE_OK(writer);
    for (const std::string& text : texts) REQUIRE_OK(writer->append({"", text, {}}));
    const auto finished = writer->finish();
    REQUIRE_OK(finished);
    const auto opened = RowsExtent::open(FileSystem::posix(), path, kIdentity, budget);
    REQUIRE_OK(opened);
    std::uint64_t reads = 0;
    for (std::uint64_t i = 0; i < texts.size(); ++i) {
      const auto row = opened->read(RowId{i}, &reads);
      REQUIRE_OK(row);
      BOOST_REQUIRE(row->document == texts[i]);
    }
    share = static_cast<double>(finished->bytes) / static_cast<double>(sample->offered_bytes());
    reads_per_row = static_cast<double>(reads) / static_cast<double>(texts.size());
    BOOST_TEST_MESSAGE("stored " << share << " of raw, reads " << reads_per_row);
  };
  double share_alone = 0;
  double share = 0;
  double reads_alone = 0;
  double reads = 0;
  measure(nullptr, share_alone, reads_alone);
  measure(dictionary->get(), share, reads);
  BOOST_TEST(share_alone < 0.5);
  BOOST_TEST(share < 0.95 * share_alone);
  BOOST_TEST(reads_alone < 2.6);
  BOOST_TEST(reads < 2.2);
}
