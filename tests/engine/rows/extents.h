// SPDX-License-Identifier: Apache-2.0
//
// Extents that tests make up, write and compare with what is read.
#pragma once

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "engine/rows/rows_format.h"
#include "engine/rows/stored_rows.h"
#include "tests/test_util.h"

namespace vecstore::test {

inline constexpr FileIdentity kIdentity{{1, 2, 3, 4}, FileKind::kRows, 0};

struct Extent {
  RowsLayout layout;
  std::uint64_t first = 0;
  std::vector<StoredRow> rows;
  const FrameDictionary* dictionary = nullptr;
  // Where RowIds may have gaps: one for each row. `first` is the first of them.
  bool gaps = false;
  std::vector<std::uint64_t> ids = {};

  std::uint64_t id_of(std::size_t i) const { return gaps ? ids[i] : first + i; }
  std::uint64_t end() const { return rows.empty() ? first : id_of(rows.size() - 1) + 1; }
};

inline std::string text_of(Random& random, std::size_t size) {
  constexpr std::string_view kWords[] = {"page ", "vector ", "search ", "of the ", "disk, ", "{\"title\": "};
  std::string text;
  while (text.size() < size)
    text += random.below(8) == 0 ? std::to_string(random.next()) : std::string(kWords[random.below(6)]);
  text.resize(size);
  return text;
}

inline std::string number_key(std::uint64_t number) {
  std::string key(rows::kNumberKeyBytes, '\0');
  for (auto at = key.rbegin(); at != key.rend(); ++at, number >>= 8) *at = static_cast<char>(number & 0xFF);
  return key;
}

// Keys of 0 … key_max bytes, documents of 0 … document_max, the largest and the empty one among them.
inline Extent make_extent(std::uint64_t count, const RowsLayout& layout, std::size_t document_max,
                          std::uint64_t seed = 1) {
  Random random(seed);
  Extent extent{layout, 1000, {}, nullptr};
  for (std::uint64_t i = 0; i < count; ++i) {
    StoredRow row;
    if (layout.keys) row.key = text_of(random, i % 7 == 0 ? 0 : i % 11 == 0 ? kKeyBytesMax : random.below(24));
    if (layout.number_keys) row.key = number_key(random.next());
    if (layout.documents)
      row.document = text_of(random, i % 5 == 0 ? 0 : i % 13 == 0 ? document_max : random.below(document_max / 4 + 1));
    row.vector.resize(layout.vector_bytes);
    for (std::byte& value : row.vector) value = static_cast<std::byte>(random.next());
    extent.rows.push_back(std::move(row));
  }
  return extent;
}

// A dictionary of texts as make_extent makes them.
inline const FrameDictionary& dictionary_of_texts() {
  static MemoryBudget budget;
  static const std::unique_ptr<FrameDictionary> dictionary = [] {
    Random random(77);
    std::string samples;
    std::vector<std::size_t> sizes;
    for (int i = 0; i < 2000; ++i) {
      const std::string text = text_of(random, 50 + random.below(200));
      samples += text;
      sizes.push_back(text.size());
    }
    auto opened = FrameDictionary::open(train_dictionary(std::as_bytes(std::span(samples)), sizes), budget);
    BOOST_REQUIRE(opened.has_value());
    return std::move(*opened);
  }();
  return *dictionary;
}

inline Extent with_dictionary(Extent extent) {
  extent.dictionary = &dictionary_of_texts();
  return extent;
}

// Each RowId is 1 … `step_max` above the one before.
inline Extent with_gaps(Extent extent, std::uint64_t step_max, std::uint64_t first = 1000) {
  Random random(41);
  extent.gaps = true;
  extent.first = extent.rows.empty() ? 0 : first;
  for (std::uint64_t id = first; extent.ids.size() < extent.rows.size(); id += 1 + random.below(step_max))
    extent.ids.push_back(id);
  return extent;
}

inline Result<RowsWriter> create_writer(const std::string& path, const Extent& extent, MemoryBudget& budget) {
  FileSystem& files = FileSystem::posix();
  if (extent.gaps)
    return RowsWriter::create_with_gaps(files, path, kIdentity, extent.layout, extent.dictionary, budget);
  return RowsWriter::create(files, path, kIdentity, RowId{extent.first}, extent.layout, extent.dictionary, budget);
}

inline Status write_extent(const std::string& path, const Extent& extent) {
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto writer, create_writer(path, extent, budget));
  for (std::size_t i = 0; i < extent.rows.size(); ++i) {
    const StoredRow& row = extent.rows[i];
    const RowPayload payload{row.key, row.document, row.vector};
    VECSTORE_TRY(extent.gaps ? writer.append(RowId{extent.ids[i]}, payload) : writer.append(payload));
  }
  return writer.finish().has_value() ? Status::ok() : Status(Code::kIo, "finish failed");
}

inline Result<RowsExtent> open_extent(const std::string& path) {
  static MemoryBudget budget;
  return RowsExtent::open(FileSystem::posix(), path, kIdentity, budget);
}

// An extent all of whose rows are of the graph.
inline Result<StoredRows> open_stored(const std::string& path) {
  VECSTORE_ASSIGN(RowsExtent extent, open_extent(path));
  std::vector<RowsExtent> extents;
  extents.push_back(std::move(extent));
  return StoredRows::of(std::move(extents), nullptr);
}

inline bool same(const StoredRow& a, const StoredRow& b) {
  return a.key == b.key && a.document == b.document && a.vector == b.vector;
}

// How many rows cannot be read, for damage of that page; all others are as they were.
inline std::size_t rows_lost(const RowsExtent& opened, const Extent& extent, std::uint64_t damaged_page) {
  std::size_t lost = 0;
  for (std::size_t i = 0; i < extent.rows.size(); ++i) {
    const auto row = opened.read(RowId{extent.id_of(i)});
    if (row) {
      BOOST_REQUIRE(same(*row, extent.rows[i]));
    } else {
      BOOST_REQUIRE((row.error().code() == Code::kCorrupt && row.error().number() == damaged_page));
      ++lost;
    }
  }
  return lost;
}

// From the first row to the last, group by group.
inline void check_groups(const RowsExtent& opened, const Extent& extent) {
  std::vector<KeyOfRow> keys;
  std::vector<NumberedRow> rows;
  std::size_t at = 0;
  for (RowId from = opened.first(); from < opened.end();) {
    const auto next = opened.read_rows(from, rows);
    REQUIRE_OK(next);
    BOOST_REQUIRE(!rows.empty() && at + rows.size() <= extent.rows.size());
    if (extent.layout.keys) BOOST_REQUIRE((opened.read_keys(from, keys).value() == *next));
    from = *next;
    for (std::size_t i = 0; i < rows.size(); ++i, ++at) {
      BOOST_REQUIRE(rows[i].id.value == extent.id_of(at));
      BOOST_REQUIRE(same(rows[i].row, extent.rows[at]));
      if (extent.layout.keys) BOOST_REQUIRE((keys[i].id == rows[i].id && keys[i].key == rows[i].row.key));
    }
    if (extent.layout.keys) BOOST_REQUIRE(keys.size() == rows.size());
  }
  BOOST_TEST(at == extent.rows.size());
}

// Each page of rows and directory is read once.
inline void check_pass(const RowsExtent& opened, const Extent& extent, std::uint64_t pages_max) {
  MemoryBudget budget;
  {
    std::uint64_t reads = 0;
    auto pass = RowsPass::begin(opened, budget, &reads);
    REQUIRE_OK(pass);
    std::vector<NumberedRow> rows;
    std::size_t at = 0;
    do {
      REQUIRE_OK(pass->next(rows));
      BOOST_REQUIRE(at + rows.size() <= extent.rows.size());
      for (const NumberedRow& row : rows) {
        BOOST_REQUIRE((row.id.value == extent.id_of(at) && same(row.row, extent.rows[at])));
        ++at;
      }
    } while (!rows.empty());
    BOOST_TEST(at == extent.rows.size());
    BOOST_TEST(reads <= pages_max);
    REQUIRE_OK(pass->next(rows));
    BOOST_TEST(rows.empty());
  }
  BOOST_TEST(budget.used_bytes() == 0u);
}

inline void check_no_row(const RowsExtent& opened, std::uint64_t id) {
  BOOST_REQUIRE((code_of(opened.read(RowId{id})) == Code::kNotFound));
  BOOST_REQUIRE(!opened.contains(RowId{id}).value());
}

inline void check_round_trip(const std::string& path, const Extent& extent) {
  REQUIRE_OK(write_extent(path, extent));
  const auto opened = open_extent(path);
  REQUIRE_OK(opened);
  BOOST_REQUIRE(opened->rows() == extent.rows.size());
  BOOST_TEST(opened->first().value == extent.first);
  BOOST_TEST(opened->end().value == extent.end());
  BOOST_TEST(opened->layout().number_keys == extent.layout.number_keys);
  for (std::size_t i = 0; i < extent.rows.size(); ++i) {
    const std::uint64_t id = extent.id_of(i);
    const auto row = opened->read(RowId{id});
    REQUIRE_OK(row);
    BOOST_REQUIRE_MESSAGE(same(*row, extent.rows[i]), "row " << i << " of " << extent.rows.size());
    BOOST_REQUIRE(opened->contains(RowId{id}).value());
    const std::uint64_t next = i + 1 == extent.rows.size() ? extent.end() : extent.id_of(i + 1);
    for (const std::uint64_t between : {id + 1, id + (next - id) / 2, next - 1})
      if (between > id && between < next) check_no_row(*opened, between);
  }
  for (const std::uint64_t outside : {extent.first - 1, extent.end(), std::numeric_limits<std::uint64_t>::max()})
    check_no_row(*opened, outside);
  std::vector<NumberedRow> rows;
  for (const std::uint64_t behind : {extent.end(), std::numeric_limits<std::uint64_t>::max()})
    BOOST_TEST((code_of(opened->read_rows(RowId{behind}, rows)) == Code::kNotFound));
  check_groups(*opened, extent);
  check_pass(*opened, extent, std::filesystem::file_size(path) / rows::kPageBytes - 1);
  std::vector<Status> damage;
  REQUIRE_OK(opened->verify(damage));
  BOOST_TEST(damage.empty());
}

// The attributes in the header page of the extent there.
inline std::vector<std::byte> attributes_of(const std::string& path) {
  const auto file = PageFile::open(FileSystem::posix(), path, kIdentity);
  REQUIRE_OK(file);
  return {file->attributes().begin(), file->attributes().end()};
}

// The pages of the extent at `from` and some more, with other attributes.
inline void copy_with_attributes(const std::string& from, const std::string& to, std::span<const std::byte> attributes,
                                 std::uint64_t more_pages) {
  MemoryBudget budget;
  const auto in = PageFile::open(FileSystem::posix(), from, kIdentity);
  REQUIRE_OK(in);
  auto out = PageFileWriter::create(FileSystem::posix(), to, {kIdentity, rows::kPageBytes}, budget);
  REQUIRE_OK(out);
  alignas(4096) std::array<std::byte, rows::kPageBytes> page;
  for (std::uint64_t number = 1; number <= in->page_count(); ++number) {
    REQUIRE_OK(in->read_page(number, page));
    std::ranges::copy(std::span(page).subspan(kPageChecksumBytes), out->page().begin() + kPageChecksumBytes);
    REQUIRE_OK(out->append());
  }
  for (std::uint64_t i = 0; i < more_pages; ++i) REQUIRE_OK(out->append());
  REQUIRE_OK(out->finish(attributes));
}

// Writes bytes into a page of the extent in memory, with a true checksum.
inline void plant(std::vector<char>& file, std::uint64_t page, std::size_t within, std::span<const std::byte> bytes) {
  auto whole = std::as_writable_bytes(std::span(file)).subspan(page * rows::kPageBytes, rows::kPageBytes);
  std::ranges::copy(bytes, whole.begin() + static_cast<std::ptrdiff_t>(kPageChecksumBytes + within));
  seal_page(kIdentity, page, whole);
}

}  // namespace vecstore::test
