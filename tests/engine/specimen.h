// SPDX-License-Identifier: Apache-2.0
//
// Small stores of real vectors to be damaged, and the judgement of what a damaged one does.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "engine/generation/file_names.h"
#include "engine/vecstore.hpp"
#include "pagestore/publish.h"
#include "tests/engine/text_input.h"
#include "tests/instrumented.h"
#include "tests/test_util.h"

namespace vecstore::test {

// In memory where the system has such a file system: tens of thousands of opens, and syncs that cost nothing.
class FastDirectory {
 public:
  FastDirectory() {
    const std::string parent =
        ::access("/dev/shm", W_OK) == 0 ? "/dev/shm" : std::filesystem::temp_directory_path().string();
    std::string pattern = parent + "/vecstore-test-XXXXXX";
    BOOST_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
  }
  ~FastDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  FastDirectory(const FastDirectory&) = delete;
  FastDirectory& operator=(const FastDirectory&) = delete;
  std::string path(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

// Rows, queries, keys and documents of one of the sets that ship with the project.
class Sample {
 public:
  Sample(const FastDirectory& directory, const std::string& base, const std::string& queries, Metric metric,
         std::uint64_t rows)
      : keys_path_(directory.path("keys.txt")), documents_path_(directory.path("documents.jsonl")), metric_(metric) {
    load(shipped_data(base), rows, row_bytes_, vectors_);
    load(shipped_data(queries), kQueries, query_bytes_, queries_);
    write_lines(documents_path_, first_lines(shipped_data("win384-8k.base.text.jsonl.zst"), rows));
    std::vector<std::string> keys;
    keys.reserve(rows);
    for (std::uint64_t row = 0; row < rows; ++row) keys.push_back(key_of(row));
    write_lines(keys_path_, keys);
  }
  static std::string key_of(std::uint64_t row) { return "key-" + std::to_string(row * 7919 % 100003); }

  const VectorView& vectors() const { return vectors_; }
  const VectorView& queries() const { return queries_; }
  BuildOptions options() const {
    BuildOptions options;
    options.metric = metric_;
    options.threads = 1;
    options.keys_path = keys_path_;
    options.documents_path = documents_path_;
    return options;
  }
  void build(const std::string& path, const BuildOptions& options) const {
    REQUIRE_OK(Store::build(path, *view_source(vectors_), options));
  }

 private:
  static constexpr std::uint64_t kQueries = 8;

  static void load(const std::string& path, std::uint64_t rows, std::vector<std::byte>& bytes, VectorView& view) {
    const auto source = open_vector_file(path);
    REQUIRE_OK(source);
    view = {nullptr, (*source)->dtype(), rows, (*source)->dim(), 0};
    bytes.resize(rows * view.row_stride());
    REQUIRE_OK((*source)->read(0, rows, bytes.data()));
    view.data = bytes.data();
  }

  std::vector<std::byte> row_bytes_, query_bytes_;
  VectorView vectors_, queries_;
  std::string keys_path_, documents_path_;
  Metric metric_;
};

// Everything that a store says to a few questions.
struct Answers {
  std::vector<std::uint64_t> rows;
  std::vector<float> scores;
  std::vector<std::string> texts;  // documents and keys
  std::vector<std::byte> vectors;
  std::vector<std::uint64_t> found;  // rows by key
  bool operator==(const Answers&) const = default;
};

inline Result<Answers> ask(const Store& store, const Sample& sample) {
  Answers answers;
  const VectorView& queries = sample.queries();
  VECSTORE_ASSIGN(const SearchResults results, store.search(queries, {.k = 10, .full_precision = true}));
  for (std::size_t query = 0; query < results.size(); ++query) {
    for (const Hit& hit : results[query]) {
      answers.rows.push_back(hit.row.value);
      answers.scores.push_back(hit.score);
    }
  }
  const std::uint64_t rows = sample.vectors().rows;
  for (const std::uint64_t row : {std::uint64_t{0}, rows / 3, rows - 1}) {
    VECSTORE_ASSIGN(std::string document, store.document({row}));
    VECSTORE_ASSIGN(std::string key, store.key({row}));
    answers.texts.push_back(std::move(document));
    answers.texts.push_back(std::move(key));
    std::vector<std::byte> vector(sample.vectors().row_stride());
    VECSTORE_TRY(store.vector({row}, vector));
    answers.vectors.insert(answers.vectors.end(), vector.begin(), vector.end());
  }
  return answers;
}

// By key, which may rebuild the catalog: after everything else.
inline Status ask_by_key(const Store& store, const Sample& sample, Answers& answers) {
  for (const std::uint64_t row : {std::uint64_t{1}, sample.vectors().rows / 2}) {
    VECSTORE_ASSIGN(const RowId found, store.find(Sample::key_of(row)));
    answers.found.push_back(found.value);
  }
  return Status::ok();
}

inline Answers answers_of(const std::string& path, const Sample& sample) {
  const auto store = Store::open(path, {.backend = Backend::kPread});
  REQUIRE_OK(store);
  auto answers = ask(*store, sample);
  REQUIRE_OK(answers);
  REQUIRE_OK(ask_by_key(*store, sample, *answers));
  const auto report = store->verify({.deep = true});
  REQUIRE_OK(report);
  for (const Status& finding : report->damage) BOOST_TEST_MESSAGE(finding.message());
  BOOST_REQUIRE(report->damage_total == 0u);
  return *answers;
}

// Where a store was damaged. `page` 0: an error need not name one.
struct Place {
  std::string file;  // relative
  std::uint64_t page = 0;
};

inline bool names(const Status& error, const Place& place) {
  // Nobody can tell which of the catalog's two files is wrong when a sum and what it is of do not fit.
  const bool file = place.file.starts_with("catalog") ? error.subject().find("/catalog") != std::string_view::npos
                                                      : error.subject().ends_with("/" + place.file);
  return file && (place.page == 0 || (error.detail() == Detail::kPage && error.number() == place.page));
}

inline bool is_report(const Status& error, const Place& place) {
  return (error.code() == Code::kCorrupt || error.code() == Code::kNewerFormat) && names(error, place);
}

// "" when the damage at `place` is reported and every answer that is given is one of `right`; else what went wrong.
inline std::string judge(const std::string& path, const Place& place, const Sample& sample,
                         const std::vector<Answers>& right) {
  const auto store = Store::open(path, {.backend = Backend::kPread});
  if (!store) return is_report(store.error(), place) ? "" : "open says: " + store.error().message();
  const auto report = store->verify({.deep = true});
  if (!report && !is_report(report.error(), place)) return "verify says: " + report.error().message();
  if (report && std::none_of(report->damage.begin(), report->damage.end(),
                             [&](const Status& finding) { return is_report(finding, place); }))
    return report->damage.empty() ? "verify finds nothing" : "verify says: " + report->damage.front().message();
  auto answers = ask(*store, sample);
  if (!answers) return is_report(answers.error(), place) ? "" : "search says: " + answers.error().message();
  if (const Status asked = ask_by_key(*store, sample, *answers); !asked.is_ok())
    return is_report(asked, place) ? "" : "find says: " + asked.message();
  if (std::find(right.begin(), right.end(), *answers) == right.end()) return "the answers are others";
  return "";
}

inline void copy_store(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::copy(from, to, std::filesystem::copy_options::recursive);
}

// Every file of the store, relative, but the lock, whose content is for people.
inline std::vector<std::string> files_of(const std::string& path) {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const std::string name = std::filesystem::relative(entry.path(), path).string();
    // The lock holds a pid, the build report is for people: neither is part of the format.
    if (entry.is_regular_file() && name != "LOCK" && name != kBuildReportName) files.push_back(name);
  }
  std::sort(files.begin(), files.end());
  return files;
}

// What a page of this file measures; 0 where it has none.
inline std::uint64_t page_bytes_in(const std::string& path, const std::string& file) {
  if (file.starts_with("superblock") || file.starts_with("manifest") || file.starts_with("catalog")) return 0;
  std::ifstream in(path + "/" + file, std::ios::binary);
  std::uint32_t page_bytes = 0;
  in.seekg(24);  // pagestore/README.md
  in.read(reinterpret_cast<char*>(&page_bytes), sizeof(page_bytes));
  return page_bytes;
}

}  // namespace vecstore::test
