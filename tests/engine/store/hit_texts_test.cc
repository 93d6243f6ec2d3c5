// SPDX-License-Identifier: Apache-2.0
//
// Hits bring key and document of the moment that was searched, whatever is written meanwhile.
#include <atomic>
#include <thread>

#include "base/random.h"
#include "tests/engine/stores.h"
#include "tests/engine/text_input.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint32_t kDim = 8;

// A vector that says in its first two elements which key it is of, and in its third which version.
std::vector<std::byte> vector_of(std::uint64_t key, std::uint8_t version) {
  std::vector<std::byte> vector(kDim, std::byte{1});
  vector[0] = static_cast<std::byte>(key % 250);
  vector[1] = static_cast<std::byte>(key / 250);
  vector[2] = static_cast<std::byte>(version);
  return vector;
}
std::string document_of(std::uint64_t key, std::uint8_t version) {
  return std::to_string(key) + " version " + std::to_string(version);
}

// The squared distance from `query` to the vector that a document tells of.
float distance_to(const std::vector<std::byte>& query, const std::string& document) {
  const std::size_t at = document.find(" version ");
  BOOST_REQUIRE(at != std::string::npos);
  const auto vector = vector_of(std::stoull(document), static_cast<std::uint8_t>(std::stoul(document.substr(at + 9))));
  float sum = 0;
  for (std::uint32_t d = 0; d < kDim; ++d) {
    const float difference = static_cast<float>(query[d]) - static_cast<float>(vector[d]);
    sum += difference * difference;
  }
  return sum;
}

// Rows of version 0 in the graph; keys are their numbers, as numbers or as texts.
struct Versions {
  explicit Versions(KeyKind kind) : keys(kind) {
    std::vector<std::byte> bytes;
    std::vector<std::string> names;
    std::vector<std::string> documents;
    for (std::uint64_t row = 0; row < kRows; ++row) {
      const auto vector = vector_of(row, 0);
      bytes.insert(bytes.end(), vector.begin(), vector.end());
      names.push_back(std::to_string(row));
      documents.push_back(document_of(row, 0));
    }
    BuildOptions build = build_options(Metric::kL2);
    if (kind == KeyKind::kBytes) {
      write_lines(directory.path("keys"), names);
      build.keys_path = directory.path("keys");
    }
    write_lines(directory.path("documents"), documents);
    build.documents_path = directory.path("documents");
    const VectorView rows{bytes.data(), DType::kU8, kRows, kDim};
    REQUIRE_OK(Store::build(directory.path("idx"), *view_source(rows), build));
  }
  Store open() const {
    OpenOptions options;
    options.access = Access::kReadWrite;
    options.sync = SyncMode::kNone;
    options.searchers = 2;
    auto store = Store::open(directory.path("idx"), options);
    REQUIRE_OK(store);
    return std::move(*store);
  }
  Status put(Store& store, std::uint64_t key, std::uint8_t version) const {
    const auto vector = vector_of(key, version);
    const VectorView one{vector.data(), DType::kU8, 1, kDim};
    const std::string text = std::to_string(key);
    const auto receipt = keys == KeyKind::kBytes ? store.put(text, one, document_of(key, version))
                                                 : store.put(key, one, document_of(key, version));
    return receipt ? Status::ok() : receipt.error();
  }
  Status erase(Store& store, std::uint64_t key) const {
    const std::string text = std::to_string(key);
    const auto receipt = keys == KeyKind::kBytes ? store.erase(text) : store.erase(key);
    return receipt ? Status::ok() : receipt.error();
  }

  static constexpr std::uint64_t kRows = 400;
  const KeyKind keys;
  TemporaryDirectory directory;
};

void check(const SearchResults& results, const std::vector<std::byte>& query) {
  for (std::size_t i = 0; i < results[0].size(); ++i) {
    const std::string key(results.key(0, i));
    const std::string document(results.document(0, i));
    BOOST_REQUIRE(document.starts_with(key + " version "));
    BOOST_REQUIRE(results[0][i].distance == distance_to(query, document));
  }
}

BOOST_AUTO_TEST_SUITE(hit_texts)

BOOST_AUTO_TEST_CASE(hits_bring_what_they_are_asked_for_from_graph_and_delta) {
  for (const KeyKind kind : {KeyKind::kNumber, KeyKind::kBytes}) {
    const Versions versions(kind);
    Store store = versions.open();
    for (std::uint64_t key = 0; key < 20; ++key) REQUIRE_OK(versions.put(store, key * 3, 5));
    const auto query = vector_of(17, 2);
    const VectorView view{query.data(), DType::kU8, 1, kDim};
    const auto plain = store.search(view, {.k = 30});
    const auto named = store.search(view, {.k = 30, .texts = HitTexts::kKeys});
    const auto whole = store.search(view, {.k = 30, .texts = HitTexts::kKeysAndDocuments});
    for (const auto* found : {&plain, &named, &whole}) REQUIRE_OK(*found);
    BOOST_REQUIRE((*plain)[0].size() == 30u);
    for (std::size_t i = 0; i < 30; ++i) {
      BOOST_TEST((*plain).key(0, i).empty());
      BOOST_TEST((*named).document(0, i).empty());
      BOOST_TEST((*named).key(0, i) == (*whole).key(0, i));
      BOOST_TEST(*store.key((*whole)[0][i].row) == (*whole).key(0, i));
      BOOST_TEST(*store.document((*whole)[0][i].row) == (*whole).document(0, i));
      BOOST_TEST((*whole)[0][i].row.value == (*plain)[0][i].row.value);
    }
    check(*whole, query);
    // A read for every hit of the graph, where there is something to read.
    const auto reads = [](const Result<SearchResults>& found) { return (*found).stats(0).requests; };
    BOOST_TEST((reads(named) > reads(plain)) == (kind == KeyKind::kBytes));
    BOOST_TEST(reads(whole) > reads(plain));
  }
}

BOOST_AUTO_TEST_CASE(they_are_of_one_moment_while_writers_replace_the_rows) {
  for (const KeyKind kind : {KeyKind::kNumber, KeyKind::kBytes}) {
    const Versions versions(kind);
    Store store = versions.open();
    std::atomic<bool> done{false};
    Status outcome;
    std::uint64_t searched = 0;
    {
      const std::jthread writer([&] {
        Random random(1);
        for (int i = 0; i < (kInstrumented ? 600 : 4000) && outcome.is_ok(); ++i) {
          const std::uint64_t key = random.below(40);
          outcome = i % 7 == 0 ? versions.erase(store, key) : versions.put(store, key, static_cast<std::uint8_t>(i));
        }
        done = true;
      });
      Random random(2);
      while (!done) {
        const auto query = vector_of(random.below(40), static_cast<std::uint8_t>(random.next()));
        const auto found =
            store.search({query.data(), DType::kU8, 1, kDim}, {.k = 20, .texts = HitTexts::kKeysAndDocuments});
        REQUIRE_OK(found);
        check(*found, query);
        ++searched;
      }
    }
    REQUIRE_OK(outcome);
    BOOST_TEST(searched > 0u);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
