// SPDX-License-Identifier: Apache-2.0
//
// What is kept beside the vectors, and what becomes of a store that another one replaces.
#include <zstd.h>

#include <filesystem>
#include <iterator>

#include "tests/engine/stores.h"

using namespace vecstore;
using test::build_and_open;
using test::build_options;
using test::code_of;
using test::Matrix;

namespace {

constexpr std::uint64_t kRows = 120;

std::string key_of(std::uint64_t row) { return "key-" + std::to_string(row * 7919 % 1000); }
std::string document_of(std::uint64_t row) {
  return "{\"row\": " + std::to_string(row) + ", \"text\": \"" + std::string(row % 50, 'x') + "\"}";
}

template <typename TextOf>
void write_lines(const std::string& path, std::uint64_t count, const TextOf& text_of) {
  std::string text;
  for (std::uint64_t row = 0; row < count; ++row) text += text_of(row) + "\n";
  test::write_file(path, {text.begin(), text.end()});
}

void compress_file(const std::string& path) {
  const std::vector<char> plain = test::read_file(path);
  std::vector<char> packed(ZSTD_compressBound(plain.size()));
  const std::size_t size = ZSTD_compress(packed.data(), packed.size(), plain.data(), plain.size(), 3);
  BOOST_REQUIRE(ZSTD_isError(size) == 0);
  packed.resize(size);
  test::write_file(path + ".zst", packed);
}

struct Texts {
  test::TemporaryDirectory directory;
  std::string keys = directory.path("keys.txt");
  std::string documents = directory.path("documents.jsonl");

  Texts() {
    write_lines(keys, kRows, key_of);
    write_lines(documents, kRows, document_of);
    compress_file(keys);
    compress_file(documents);
  }
};

void check_texts(const Store& store) {
  for (std::uint64_t row = 0; row < kRows; ++row) {
    const auto key = store.key(RowId{row});
    REQUIRE_OK(key);
    BOOST_REQUIRE_EQUAL(*key, key_of(row));
    const auto document = store.document(RowId{row});
    REQUIRE_OK(document);
    BOOST_REQUIRE_EQUAL(*document, document_of(row));
    const auto found = store.find(key_of(row));
    REQUIRE_OK(found);
    BOOST_REQUIRE_EQUAL(found->value, row);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(store_content)

BOOST_AUTO_TEST_CASE(keys_and_documents_come_back_plain_or_compressed) {
  const Texts texts;
  for (const std::string ending : {"", ".zst"})
    for (const DType dtype : {DType::kU8, DType::kF32}) {
      BuildOptions options = build_options(Metric::kL2);
      options.keys_path = texts.keys + ending;
      options.documents_path = texts.documents + ending;
      options.overwrite = true;
      const Matrix base = test::recut(dtype, 32, kRows);
      const Store store = build_and_open(texts.directory.path("idx"), base, options);
      const StoreInfo info = store.info();
      BOOST_TEST((info.has_keys && info.has_documents));
      BOOST_TEST(info.has_originals == (dtype == DType::kF32));
      check_texts(store);
      BOOST_CHECK(code_of(store.find("no such key")) == Code::kNotFound);
      BOOST_CHECK(code_of(store.key(RowId{kRows})) == Code::kNotFound);
      BOOST_CHECK(code_of(store.document(RowId{kRows})) == Code::kNotFound);
      const auto report = store.verify({true});
      REQUIRE_OK(report);
      BOOST_TEST(report->damage_total == 0u);
    }
}

BOOST_AUTO_TEST_CASE(without_keys_a_row_is_known_by_its_number) {
  const test::TemporaryDirectory directory;
  const Store store = build_and_open(directory.path("idx"), test::csift(20), build_options(Metric::kL2));
  const auto key = store.key(RowId{17});
  REQUIRE_OK(key);
  BOOST_TEST(*key == "17");
  const auto found = store.find("17");
  REQUIRE_OK(found);
  BOOST_TEST(found->value == 17u);
  for (const std::string missing : {"20", "-1", "", "1x", " 1", "18446744073709551616"})
    BOOST_CHECK(code_of(store.find(missing)) == Code::kNotFound);
  BOOST_CHECK(code_of(store.key(RowId{20})) == Code::kNotFound);
  BOOST_CHECK(code_of(store.document(RowId{3})) == Code::kNotFound);
  BOOST_TEST(!store.info().has_keys);
}

BOOST_AUTO_TEST_CASE(a_store_is_replaced_only_when_asked) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("idx");
  const Store first = build_and_open(path, test::csift(300), build_options(Metric::kL2));
  const Matrix other = test::csift(200, 300);
  BuildOptions options = build_options(Metric::kInnerProduct);
  BOOST_CHECK(Store::build(path, *view_source(other.view()), options).code() == Code::kExists);
  options.overwrite = true;
  const Store second = build_and_open(path, other, options);
  BOOST_TEST(second.info().rows == 200u);
  BOOST_TEST(second.info().generation == first.info().generation + 1);
  BOOST_TEST(second.info().uuid != first.info().uuid);
  // A reader keeps what it has opened.
  const Matrix queries = test::csift_queries(5);
  BOOST_TEST(test::search(first, queries.view(), {}).size() == 5u);
  BOOST_TEST(first.info().rows == 300u);
}

BOOST_AUTO_TEST_CASE(a_build_that_fails_keeps_the_old_store) {
  const Texts texts;
  const std::string path = texts.directory.path("idx");
  BuildOptions options = build_options(Metric::kL2);
  options.keys_path = texts.keys;
  options.documents_path = texts.documents;
  const Matrix base = test::csift(kRows);
  const std::string uuid = build_and_open(path, base, options).info().uuid;
  const auto fails = [&](const BuildOptions& changed, const Matrix& vectors, Code code, const std::string& part) {
    const Status status = Store::build(path, *view_source(vectors.view()), changed);
    BOOST_CHECK_MESSAGE(status.code() == code, status.message());
    BOOST_TEST(status.message().find(part) != std::string::npos, status.message());
    const auto store = Store::open(path);
    REQUIRE_OK(store);
    BOOST_TEST(store->info().uuid == uuid);
    check_texts(*store);
    const auto report = store->verify({true});
    REQUIRE_OK(report);
    BOOST_TEST(report->damage_total == 0u);
  };
  options.overwrite = true;
  BuildOptions changed = options;
  changed.keys_path = texts.directory.path("duplicate.txt");
  write_lines(changed.keys_path, kRows, [](std::uint64_t row) { return key_of(row == 99 ? 3 : row); });
  fails(changed, base, Code::kExists, "first in line 4): line 100:");
  changed.keys_path = texts.directory.path("short.txt");
  write_lines(changed.keys_path, kRows - 1, key_of);
  fails(changed, base, Code::kInvalidInput, "short.txt");
  changed = options;
  changed.documents_path = texts.directory.path("long.txt");
  write_lines(changed.documents_path, kRows + 1, document_of);
  fails(changed, base, Code::kInvalidInput, "long.txt");
  changed.documents_path = texts.directory.path("none.txt");
  fails(changed, base, Code::kNotFound, "none.txt");
  Matrix bad = test::widened(test::win384(kRows));
  const float nan = std::numeric_limits<float>::quiet_NaN();
  std::memcpy(bad.bytes.data() + 77 * bad.row_bytes() + 8, &nan, sizeof nan);
  fails(options, bad, Code::kInvalidInput, "row 77");
  changed = options;
  changed.ram_bytes = 1 << 20;
  fails(changed, base, Code::kMemoryBudget, "--ram");
}

// The same vectors under other keys make the same uuid; a catalog of theirs must not be taken for ours.
BOOST_AUTO_TEST_CASE(keys_of_a_build_that_failed_late_are_not_found) {
  const Texts texts;
  const std::string path = texts.directory.path("idx");
  BuildOptions options = build_options(Metric::kL2);
  options.keys_path = texts.keys;
  options.documents_path = texts.documents;
  const Matrix base = test::csift(kRows);
  REQUIRE_OK(Store::build(path, *view_source(base.view()), options));
  // A build killed after its catalog is there leaves it beside the old store.
  const test::TemporaryDirectory elsewhere;
  BuildOptions other = options;
  other.keys_path = texts.directory.path("reversed.txt");
  write_lines(other.keys_path, kRows, [](std::uint64_t row) { return key_of(kRows - 1 - row); });
  const std::string copy = elsewhere.path("idx");
  std::filesystem::copy(path, copy, std::filesystem::copy_options::recursive);
  other.overwrite = true;
  REQUIRE_OK(Store::build(copy, *view_source(base.view()), other));
  std::filesystem::remove_all(path + "/catalog");
  std::filesystem::copy(copy + "/catalog", path + "/catalog", std::filesystem::copy_options::recursive);
  const auto store = Store::open(path);
  REQUIRE_OK(store);
  check_texts(*store);
}

BOOST_AUTO_TEST_CASE(a_build_that_fails_where_nothing_was_leaves_no_store) {
  const test::TemporaryDirectory directory;
  const Matrix bad = test::matrix_of<float>(2, DType::kF32, {1, 2, 0, 0, 3, 4});
  const std::string path = directory.path("idx");
  const Status status = Store::build(path, *view_source(bad.view()), build_options(Metric::kCosine));
  BOOST_CHECK(status.code() == Code::kInvalidInput);
  BOOST_TEST(status.message().find("row 1") != std::string::npos);
  BOOST_CHECK(code_of(Store::open(path)) != Code::kOk);
  // And a build may follow.
  REQUIRE_OK(Store::build(path, *view_source(bad.view()), build_options(Metric::kL2)));
}

BOOST_AUTO_TEST_CASE(a_directory_with_foreign_files_is_left_alone) {
  const test::TemporaryDirectory directory;
  test::write_file(directory.path("letter.txt"), {'h', 'i'});
  const Matrix base = test::csift(10);
  BuildOptions options = build_options(Metric::kL2);
  options.overwrite = true;
  BOOST_CHECK(Store::build(directory.path(), *view_source(base.view()), options).code() == Code::kExists);
  BOOST_TEST(test::read_file(directory.path("letter.txt")).size() == 2u);
  BOOST_TEST(std::distance(std::filesystem::directory_iterator(directory.path()), {}) == 1);
}

BOOST_AUTO_TEST_SUITE_END()
