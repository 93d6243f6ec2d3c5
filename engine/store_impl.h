// SPDX-License-Identifier: Apache-2.0
//
// What an open store consists of. Members are declared so that whatever is charged to the budget goes before it.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "engine/base/memory.h"
#include "engine/catalog.h"
#include "engine/generation.h"
#include "engine/properties.h"
#include "engine/rows.h"
#include "engine/searcher_pool.h"
#include "engine/vecstore.hpp"
#include "pagestore/publish.h"

namespace vecstore {

struct Store::Impl {
  explicit Impl(std::uint64_t ram_bytes) : budget(ram_bytes != 0 ? ram_bytes : MemoryBudget::kUnlimited) {}

  Status open(const std::string& path, const OpenOptions& options);
  Status open_files(const OpenOptions& options);
  bool rows_fit() const;
  Status fill_cache(const OpenOptions& options);
  static std::optional<std::uint64_t> pages_asked_for(const PageFile& file, const OpenOptions& options);
  static std::uint64_t caching_bytes(const PageFile& file, std::uint64_t pages);
  // kMemoryBudget with the least that these options could be opened with.
  Status name_least(const OpenOptions& options) const;

  Status check_queries(const VectorView& queries, const SearchOptions& options) const;
  bool reranks(const SearchOptions& options) const;
  // Writes what was found for one query to its place in `results`.
  Status take_answer(const GraphSearcher::Answer& answer, const VectorView& queries, const SearchOptions& options,
                     SearchResults& results) const;
  // Orders `found` by the vectors as they were put. `found` is at least what is wanted; reads are added to `stats`.
  Status rerank(const VectorView& queries, std::uint64_t query, std::vector<FoundRow>& found, QueryStats& stats) const;

  Result<StoredRow> stored_row(RowId row) const;
  Result<RowId> find_key(const std::string& key) const;

  Status verify_graph(VerifyReport& report) const;
  Status verify_reachable(VerifyReport& report) const;
  Status verify_files(const Manifest& content, VerifyReport& report) const;
  void verify_rows(VerifyReport& report) const;

  mutable MemoryBudget budget;
  std::optional<StoreDirectory> directory;
  StoreProperties properties;
  std::unique_ptr<Generation> generation;
  std::optional<RowsExtent> rows;
  mutable SearcherPool searchers;
  std::uint64_t searchers_bytes = 0;
  std::uint32_t lanes = 0;  // of each
  std::string backend;
  std::string backend_fallback;
  mutable std::mutex catalog_lock;         // guards catalog
  mutable std::optional<Catalog> catalog;  // opened by the first find()

  bool in_memory() const { return generation->cache().all_pages() != nullptr; }
  const Manifest& manifest() const { return *directory->manifest(); }
};

}  // namespace vecstore
