// SPDX-License-Identifier: Apache-2.0
//
// The C API as tests of it call it: vectors of real values, keys of either kind, and handles that go by themselves.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "bindings/c/vecstore.h"
#include "tests/engine/stores.h"

// A call of the C API that must go well; its message otherwise. `error` must be in scope.
#define REQUIRE_C(expression) BOOST_REQUIRE_MESSAGE((expression) == VECSTORE_OK, error.message)
// One that must end with a code, says a line, and says it without an error too.
#define CHECK_C(wanted, expression)                                                                    \
  do {                                                                                                 \
    error.message[0] = '\0';                                                                           \
    const std::int32_t code_ = (expression);                                                           \
    BOOST_TEST(code_ == (wanted), vecstore_code_name(code_)                                            \
                                      << " for " #wanted ": " << error.message << " of " #expression); \
    BOOST_TEST(error.code == code_);                                                                   \
    BOOST_TEST(error.message[0] != '\0');                                                              \
  } while (false)

namespace vecstore::test {

struct FreeHandle {
  void operator()(vecstore_store* store) const { vecstore_free(store); }
  void operator()(vecstore_scan* scan) const { vecstore_scan_free(scan); }
  void operator()(vecstore_bytes* bytes) const { vecstore_bytes_free(bytes); }
  void operator()(vecstore_cancel* cancel) const { vecstore_cancel_free(cancel); }
};
template <typename T>
using Handle = std::unique_ptr<T, FreeHandle>;

// Columns that outlive the structs that point into them.
struct TextData {
  explicit TextData(const std::vector<std::string>& all) {
    for (const std::string& text : all) column.append(text);
    texts = {column.bytes.data(), column.offsets.data(), column.size()};
  }
  TextData(const TextData&) = delete;
  TextData& operator=(const TextData&) = delete;
  TextColumn column;
  vecstore_texts texts{};
};

inline vecstore_keys numbers(const std::vector<std::uint64_t>& keys) { return {keys.data(), nullptr, keys.size()}; }
inline vecstore_keys names(const TextData& texts) { return {nullptr, &texts.texts, texts.texts.count}; }
inline vecstore_vectors vectors_of(const VectorView& view) {
  return {view.data, view.rows, view.stride, view.dim, static_cast<std::uint32_t>(view.dtype)};
}
inline std::vector<std::string> strings_of(const vecstore_texts& texts) {
  std::vector<std::string> strings;
  for (std::uint64_t i = 0; i < texts.count; ++i)
    strings.emplace_back(texts.bytes + texts.offsets[i], texts.bytes + texts.offsets[i + 1]);
  return strings;
}
inline std::vector<std::string> strings_of(const Handle<vecstore_bytes>& bytes) {
  return strings_of(vecstore_bytes_view(bytes.get()));
}

inline vecstore_open_options creating(std::uint32_t dim, std::uint32_t dtype,
                                      std::uint32_t keys = VECSTORE_KEY_NUMBER) {
  vecstore_open_options options = {};
  options.struct_size = sizeof(options);
  options.access = VECSTORE_CREATE;
  options.dim = dim;
  options.dtype = dtype;
  options.keys = keys;
  options.searchers = 2;
  return options;
}

inline Handle<vecstore_store> open_c(const std::string& path, const vecstore_open_options& options) {
  vecstore_store* store = nullptr;
  vecstore_error error;
  REQUIRE_C(vecstore_open(path.c_str(), &options, &store, &error));
  return Handle<vecstore_store>(store);
}

inline vecstore_search_options asking_for(std::uint32_t k) {
  vecstore_search_options options = {};
  options.struct_size = sizeof(options);
  options.k = k;
  return options;
}

// Columns for the hits of some queries, with marks that must be overwritten.
struct HitData {
  HitData(std::size_t queries, std::uint32_t k)
      : keys(queries * k, 12345),
        scores(queries * k, 12345),
        distances(queries * k, 12345),
        counts(queries, 12345),
        stats(queries),
        texts(vecstore_bytes_new()),
        documents(vecstore_bytes_new()) {
    for (vecstore_query_stats& one : stats) one.struct_size = sizeof(one);
    hits.struct_size = sizeof(hits);
    hits.keys = keys.data();
    hits.scores = scores.data();
    hits.distances = distances.data();
    hits.counts = counts.data();
    hits.stats = stats.data();
    hits.key_texts = texts.get();
    hits.documents = documents.get();
  }
  HitData(const HitData&) = delete;
  HitData& operator=(const HitData&) = delete;
  std::vector<std::uint64_t> keys;
  std::vector<float> scores, distances;
  std::vector<std::uint32_t> counts;
  std::vector<vecstore_query_stats> stats;
  Handle<vecstore_bytes> texts, documents;
  vecstore_hits hits{};
};

}  // namespace vecstore::test
