// SPDX-License-Identifier: Apache-2.0
//
// A build from memory and from functions: the same store as of files, with keys that are numbers besides.
#include <filesystem>
#include <fstream>
#include <numeric>
#include <stdexcept>

#include "tests/engine/stores.h"
#include "tests/engine/text_input.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kRows = 800;

struct Texts {
  Texts() {
    for (std::uint64_t row = 0; row < kRows; ++row) {
      keys.push_back("key-" + std::to_string(row * 7 % kRows));
      documents.push_back("the document of row " + std::to_string(row));
    }
  }
  std::vector<std::string> keys;
  std::vector<std::string> documents;
};

BuildOptions from_functions(const Texts& texts) {
  BuildOptions options = build_options(Metric::kL2);
  options.key_of = [&](std::uint64_t row) -> std::string_view { return texts.keys[row]; };
  options.document_of = [&](std::uint64_t row) -> std::string_view { return texts.documents[row]; };
  return options;
}

// Vectors that nobody has in memory as a whole.
class MadeVectors final : public VectorSource {
 public:
  explicit MadeVectors(Matrix rows, std::uint64_t fails_at = ~std::uint64_t{0})
      : rows_(std::move(rows)), fails_at_(fails_at) {}
  DType dtype() const override { return rows_.dtype; }
  std::uint64_t rows() const override { return rows_.rows(); }
  std::uint32_t dim() const override { return rows_.dim; }
  const std::string& name() const override { return name_; }
  Status read(std::uint64_t first, std::uint64_t count, void* out) const override {
    if (first + count > fails_at_) return Status(Code::kIo, "the other side went away").about(name_);
    std::memcpy(out, rows_.row(first).data, count * rows_.row_bytes());
    return Status::ok();
  }

 private:
  Matrix rows_;
  std::uint64_t fails_at_;
  std::string name_ = "made";
};

std::vector<char> bytes_of(const std::string& store, const char* name) { return read_file(store + "/" + name); }

BOOST_AUTO_TEST_SUITE(build_from_memory)

BOOST_AUTO_TEST_CASE(it_is_the_store_that_files_give) {
  const TemporaryDirectory directory;
  const Matrix rows = recut(DType::kF32, 24, kRows);
  const Texts texts;
  write_lines(directory.path("keys"), texts.keys);
  write_lines(directory.path("documents"), texts.documents);
  BuildOptions of_files = build_options(Metric::kL2);
  of_files.keys_path = directory.path("keys");
  of_files.documents_path = directory.path("documents");
  REQUIRE_OK(Store::build(directory.path("files"), *view_source(rows.view()), of_files));
  REQUIRE_OK(Store::build(directory.path("memory"), MadeVectors(rows), from_functions(texts)));
  const auto a = Store::open(directory.path("files"));
  const auto b = Store::open(directory.path("memory"));
  REQUIRE_OK(a);
  REQUIRE_OK(b);
  BOOST_TEST(a->info().uuid == b->info().uuid);
  for (const char* file : {"graph-1", "codes-1", "rows/extent-1"})
    if (std::filesystem::exists(directory.path("files") + "/" + file))
      BOOST_TEST((bytes_of(directory.path("files"), file) == bytes_of(directory.path("memory"), file)), file);
  for (std::uint64_t row = 0; row < kRows; row += 13) {
    const auto got = b->get(texts.keys[row]);
    REQUIRE_OK(got);
    BOOST_TEST(got->document == texts.documents[row]);
  }
}

BOOST_AUTO_TEST_CASE(keys_may_be_any_numbers) {
  for (const DType dtype : {DType::kU8, DType::kF32})
    for (const bool large : {false, true}) {
      const TemporaryDirectory directory;
      const Matrix rows = recut(dtype, 24, kRows);
      const Texts texts;
      std::vector<std::uint64_t> keys(kRows);
      for (std::uint64_t row = 0; row < kRows; ++row)
        keys[row] = large ? ~std::uint64_t{0} - row * 3 : 1000 + (row * 7 % kRows) * 10;
      BuildOptions options = build_options(Metric::kL2);
      options.number_keys = keys;
      options.document_of = from_functions(texts).document_of;
      REQUIRE_OK(Store::build(directory.path("s"), *view_source(rows.view()), options));
      auto store = Store::open(directory.path("s"), {.access = Access::kReadWrite});
      REQUIRE_OK(store);
      BOOST_TEST((store->info().keys == KeyKind::kNumber));
      const auto check = [&] {
        for (std::uint64_t row = 0; row < kRows; row += 13) {
          const auto got = store->get(keys[row]);
          REQUIRE_OK(got);
          BOOST_TEST(got->document == texts.documents[row]);
          const SearchResults found = search(*store, rows.row(row), exhaustive(1));
          const auto of_found = store->get(found[0][0].key);
          REQUIRE_OK(of_found);
          BOOST_TEST(found[0][0].distance <= 1e-3f);
          BOOST_TEST((of_found->vector == got->vector));
        }
        BOOST_TEST((code_of(store->get(7)) == Code::kNotFound));
        const auto verified = store->verify({.deep = true});
        REQUIRE_OK(verified);
        BOOST_TEST(verified->damage_total == 0u);
      };
      check();
      REQUIRE_OK(store->put(7, rows.row(0), "seven"));
      REQUIRE_OK(store->erase(7));
      REQUIRE_OK(store->put(keys[1], rows.row(1), texts.documents[1]));
      REQUIRE_OK(store->compact());
      check();
      BOOST_TEST(store->size() == kRows);
    }
}

BOOST_AUTO_TEST_CASE(what_is_refused_names_the_row_and_leaves_nothing) {
  const TemporaryDirectory directory;
  const Matrix rows = recut(DType::kU8, 16, kRows);
  Texts texts;
  const auto refused = [&](const BuildOptions& options) {
    const Status status = Store::build(directory.path("s"), *view_source(rows.view()), options);
    BOOST_TEST(!std::filesystem::exists(directory.path("s")));
    return status;
  };
  texts.keys[17] = texts.keys[3];
  Status status = refused(from_functions(texts));
  BOOST_TEST((status.code() == Code::kExists), status.message());
  BOOST_TEST((status.detail() == Detail::kRow && status.number() == 17));
  BOOST_TEST(status.message().find("first in row 3") != std::string::npos, status.message());
  texts.keys[17] = "";
  status = refused(from_functions(texts));
  BOOST_TEST((status.code() == Code::kInvalidInput && status.number() == 17), status.message());
  texts.keys[17] = std::string(481, 'k');
  status = refused(from_functions(texts));
  BOOST_TEST((status.code() == Code::kInvalidInput && status.number() == 17), status.message());
  texts.keys[17] = "once";
  texts.documents[20] = std::string(65537, 'd');
  status = refused(from_functions(texts));
  BOOST_TEST((status.code() == Code::kInvalidInput && status.number() == 20), status.message());
  texts.documents[20] = std::string(65536, 'd');

  std::vector<std::uint64_t> keys(kRows);
  std::iota(keys.begin(), keys.end(), std::uint64_t{0});
  keys[9] = 4;
  BuildOptions numbers = build_options(Metric::kL2);
  numbers.number_keys = keys;
  status = refused(numbers);
  BOOST_TEST((status.code() == Code::kExists && status.number() == 9), status.message());
  BOOST_TEST(status.message().find("key 4, first in row 4") != std::string::npos, status.message());
  numbers.number_keys = std::span(keys).first(10);
  BOOST_TEST((refused(numbers).code() == Code::kInvalidArgument));
  BuildOptions both = from_functions(texts);
  keys[9] = 9;
  both.number_keys = keys;
  BOOST_TEST((refused(both).code() == Code::kInvalidArgument));
  both = from_functions(texts);
  both.documents_path = directory.path("none");
  BOOST_TEST((refused(both).code() == Code::kInvalidArgument));
}

BOOST_AUTO_TEST_CASE(a_source_or_a_function_that_fails_in_the_middle_leaves_nothing) {
  const TemporaryDirectory directory;
  const Matrix rows = recut(DType::kU8, 16, kRows);
  const Texts texts;
  const Status gone = Store::build(directory.path("s"), MadeVectors(rows, 500), build_options(Metric::kL2));
  BOOST_TEST((gone.code() == Code::kIo), gone.message());
  BuildOptions options = from_functions(texts);
  std::uint64_t calls = 0;
  options.document_of = [&](std::uint64_t row) -> std::string_view {
    if (++calls > kRows + 100) throw std::runtime_error("no more");
    return texts.documents[row];
  };
  BOOST_CHECK_THROW(static_cast<void>(Store::build(directory.path("s"), *view_source(rows.view()), options)),
                    std::runtime_error);
  BOOST_TEST(!std::filesystem::exists(directory.path("s")));
  REQUIRE_OK(Store::build(directory.path("s"), *view_source(rows.view()), from_functions(texts)));
}

// Whenever the caller's function ends a build, nothing is there; once the store is, nothing ends it.
BOOST_AUTO_TEST_CASE(a_build_that_is_stopped_at_any_call_of_progress_leaves_what_was_there) {
  const TemporaryDirectory directory;
  const Matrix rows = recut(DType::kU8, 16, kRows), before = recut(DType::kU8, 8, 100);
  REQUIRE_OK(Store::build(directory.path("s"), *view_source(before.view()), build_options(Metric::kL2)));
  BuildOptions options = build_options(Metric::kL2);
  options.overwrite = true;
  bool is_done = false;
  for (int last = 0; !is_done; ++last) {
    int calls = 0;
    options.progress = [&](const Progress&) {
      if (++calls > last) throw std::runtime_error("enough");
    };
    try {
      is_done = Store::build(directory.path("s"), *view_source(rows.view()), options).is_ok();
    } catch (const std::runtime_error&) {
    }
    const auto store = Store::open(directory.path("s"));
    REQUIRE_OK(store);
    BOOST_REQUIRE(store->info().dim == (is_done ? 16u : 8u));
  }
}

BOOST_AUTO_TEST_CASE(functions_are_called_in_the_order_of_the_rows) {
  const TemporaryDirectory directory;
  const Matrix rows = recut(DType::kU8, 16, kRows);
  const Texts texts;
  BuildOptions options = from_functions(texts);
  std::vector<std::uint64_t> asked;
  std::string reused;
  options.key_of = [&](std::uint64_t row) -> std::string_view {
    asked.push_back(row);
    return reused = texts.keys[row];  // good until the next call only
  };
  REQUIRE_OK(Store::build(directory.path("s"), *view_source(rows.view()), options));
  BOOST_REQUIRE(asked.size() == 2 * kRows);
  for (std::uint64_t i = 0; i < asked.size(); ++i) BOOST_REQUIRE(asked[i] == i % kRows);
  const auto store = Store::open(directory.path("s"));
  REQUIRE_OK(store);
  REQUIRE_OK(store->get(texts.keys[700]));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
