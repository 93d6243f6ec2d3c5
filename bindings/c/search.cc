// SPDX-License-Identifier: Apache-2.0
//
// Searching: answers go to columns of the caller, which are filled to their end.
#include <algorithm>
#include <limits>

#include "base/limits.h"
#include "bindings/c/data.h"
#include "bindings/c/handles.h"

namespace vecstore::c {
namespace {

// As of the header: what a caller of its first version knows.
Status read_options(const vecstore_search_options* given, SearchOptions& options, std::uint32_t& threads,
                    std::vector<Key>& exclude, Outcome& refused) {
  vecstore_search_options read;
  VECSTORE_TRY(read_versioned(given, read));
  options.k = read.k;
  if (read.recall_target != 0) options.recall_target = read.recall_target;
  options.search_list = read.search_list;
  options.blocks = read.blocks;
  if (read.bound != 0) options.bound = read.bound;
  threads = std::max(read.threads, 1u);
  if (read.full_precision > 1 || read.has_radius > 1) return refuse("full_precision and has_radius are 0 or 1");
  options.full_precision = read.full_precision != 0;
  if (read.has_radius != 0) options.radius = read.radius;
  if (read.exclude != nullptr) refused = read_keys(read.exclude, exclude);
  options.exclude = exclude;
  Hooks hooks;
  VECSTORE_TRY(read_hooks(read.hooks, hooks));
  options.progress = hooks.progress;
  options.cancel = hooks.cancel;
  return Status::ok();
}

// The columns of an answer.
class Columns {
 public:
  Columns(const vecstore_hits& hits, std::uint64_t queries, std::uint32_t k, std::uint32_t stats_bytes)
      : hits_(hits), queries_(queries), k_(k), stats_bytes_(stats_bytes) {}

  void clear() const {
    const std::size_t all = queries_ * k_;
    if (hits_.keys != nullptr) std::fill_n(hits_.keys, all, std::numeric_limits<std::uint64_t>::max());
    if (hits_.scores != nullptr) std::fill_n(hits_.scores, all, -std::numeric_limits<float>::infinity());
    if (hits_.distances != nullptr) std::fill_n(hits_.distances, all, std::numeric_limits<float>::infinity());
    if (hits_.counts != nullptr) std::fill_n(hits_.counts, queries_, 0u);
    for (std::uint64_t query = 0; query < queries_; ++query) write_stats(query, {});
  }

  void fill(const SearchResults& results) {
    for (std::size_t query = 0; query < results.size(); ++query) {
      const std::span<const Hit> hits = results[query];
      const std::size_t first = query * k_;
      for (std::size_t i = 0; i < hits.size(); ++i) {
        if (hits_.keys != nullptr) hits_.keys[first + i] = hits[i].key;
        if (hits_.scores != nullptr) hits_.scores[first + i] = hits[i].score;
        if (hits_.distances != nullptr) hits_.distances[first + i] = hits[i].distance;
        if (hits_.key_texts != nullptr) keys_.append(results.key(query, i));
        if (hits_.documents != nullptr) documents_.append(results.document(query, i));
      }
      if (hits_.counts != nullptr) hits_.counts[query] = static_cast<std::uint32_t>(hits.size());
      write_stats(query, results.stats(query));
    }
  }

  // Once nothing that the caller passed is looked at any more: it may be what these have from the call before.
  void give_texts() {
    if (hits_.key_texts != nullptr) hits_.key_texts->texts = std::move(keys_);
    if (hits_.documents != nullptr) hits_.documents->texts = std::move(documents_);
  }

 private:
  void write_stats(std::uint64_t query, const QueryStats& stats) const {
    if (hits_.stats == nullptr) return;
    vecstore_query_stats told{};
    told.requests = stats.requests;
    told.rounds = stats.rounds;
    told.bytes = stats.bytes;
    told.pages_from_cache = stats.pages_from_cache;
    told.codes_scored = stats.codes_scored;
    told.exact_distances = stats.exact_distances;
    told.latency_us = stats.latency_us;
    auto* to =
        reinterpret_cast<vecstore_query_stats*>(reinterpret_cast<std::byte*>(hits_.stats) + query * stats_bytes_);
    to->struct_size = stats_bytes_;
    write_versioned(to, told);
  }

  const vecstore_hits& hits_;
  const std::uint64_t queries_;
  const std::uint32_t k_;
  const std::uint32_t stats_bytes_;
  TextColumn keys_, documents_;
};

// search(options, threads): of so many queries.
template <typename Search>
Outcome search_into(const vecstore_search_options* given, std::uint64_t queries, const vecstore_hits* given_hits,
                    const Search& search) {
  if (given_hits == nullptr) return refuse("hits is NULL");
  vecstore_hits hits;
  VECSTORE_TRY(read_versioned(given_hits, hits));
  SearchOptions options;
  std::uint32_t threads = 1;
  std::vector<Key> exclude;
  Outcome refused;
  VECSTORE_TRY(read_options(given, options, threads, exclude, refused));
  VECSTORE_C_TRY(refused);
  if (hits.key_texts != nullptr && hits.key_texts == hits.documents)
    return refuse("key_texts and documents are the same vecstore_bytes");
  if (options.k == 0 || options.k > kResultsMax) return refuse("k must be between 1 and 1000");
  if (queries > kQueriesMax) return refuse("too many queries for one batch; divide it");
  std::uint32_t stats_bytes = 0;
  if (hits.stats != nullptr && queries != 0) {
    VECSTORE_TRY(check_result(hits.stats));
    stats_bytes = hits.stats->struct_size;
  }
  if (hits.documents != nullptr) {
    options.texts = HitTexts::kKeysAndDocuments;
  } else if (hits.key_texts != nullptr) {
    options.texts = HitTexts::kKeys;
  }
  Columns columns(hits, queries, options.k, stats_bytes);
  columns.clear();
  const Result<SearchResults> results = search(options, threads);
  if (results) columns.fill(*results);
  columns.give_texts();
  return results ? Outcome() : Outcome(results.error());
}

}  // namespace
}  // namespace vecstore::c

using namespace vecstore;     // NOLINT(google-build-using-namespace): C has none
using namespace vecstore::c;  // NOLINT(google-build-using-namespace)

int32_t vecstore_search(vecstore_store* store, const vecstore_vectors* queries, const vecstore_search_options* options,
                        vecstore_hits* hits, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    VectorView view;
    VECSTORE_C_TRY(read_vectors(queries, view));
    Outcome outcome = search_into(options, view.rows, hits, [&](const SearchOptions& read, std::uint32_t threads) {
      return store->open->store.search(view, read, threads);
    });
    const std::uint32_t dim = outcome.code == VECSTORE_INVALID_INPUT ? store->open->store.info().dim : 0;
    return dim != 0 && dim != view.dim ? std::move(outcome).with(dim, view.dim) : outcome;
  });
}

int32_t vecstore_search_by_key(vecstore_store* store, const vecstore_keys* keys, const vecstore_search_options* options,
                               vecstore_hits* hits, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    if (keys != nullptr && keys->count > kQueriesMax) return refuse("too many queries for one batch; divide it");
    std::vector<Key> own;
    VECSTORE_C_TRY(read_keys(keys, own));
    return search_into(options, own.size(), hits, [&](const SearchOptions& read, std::uint32_t threads) {
      return store->open->store.search_by_key(own, read, threads);
    });
  });
}
