// SPDX-License-Identifier: Apache-2.0
//
// The files of one generation: graph-<n> (pages), codes-<n> (what is kept in RAM, and which pages to cache first),
// rowmap-<n> (RowId → Pos). Byte-exact formats: graph/README.md, compress/README.md, engine/generation/README.md.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/cancel_token.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/block_codes.h"
#include "engine/generation/file_names.h"
#include "engine/generation/row_map.h"
#include "graph/format.h"
#include "graph/pack.h"
#include "graph/search_types.h"
#include "pagestore/manifest.h"
#include "pagestore/page_cache.h"
#include "pagestore/page_file.h"

namespace vecstore {

// `centre`: what codes and pages are relative to, or empty. `page_ranking`: data pages, the most wanted first.
Result<ManifestFile> write_codes_file(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                      const BlockCodes& codes, Centre centre,
                                      std::span<const std::uint32_t> page_ranking, MemoryBudget& budget);

// An open generation: what a search reads. Immovable, because searchers point into it.
class Generation {
 public:
  // `names` are paths of the three files. Loads codes and model; nothing is cached yet. Errors: kNotFound, kCorrupt,
  // kIo, kMemoryBudget, kNewerFormat, kCancelled.
  struct Paths {
    std::string graph;
    std::string codes;
    std::string row_map;
  };
  static Result<std::unique_ptr<Generation>> open(FileSystem& file_system, const Paths& paths, const Uuid& store,
                                                  std::uint32_t generation, MemoryBudget& budget,
                                                  const CancelToken* cancel = nullptr);

  // What an open generation takes, and is, by the heads of its files. Errors: as of open().
  struct Needs {
    GraphLayout layout;
    CodeForm form;
    std::uint64_t resident_bytes = 0;  // codes and model, and the index of a row map with gaps
    std::uint64_t loading_bytes = 0;   // beside them, while they or a page ranking are read
  };
  static Result<Needs> predict_open(FileSystem& file_system, const Paths& paths, const Uuid& store,
                                    std::uint32_t generation);

  // Fills the cache with `pages` pages, which replaces what was cached. Not while searches run.
  Status fill_cache(std::uint64_t pages, CachePolicy policy, MemoryBudget& budget, const CancelToken* cancel = nullptr);

  // Where the row stands, nullopt: it is not in the graph. A page or two of the row map are read; none for a row that
  // lies beyond row_end(). Errors: kCorrupt, kIo, kMemoryBudget.
  Result<std::optional<Pos>> find_position(RowId row, MemoryBudget& budget) const;
  // Of a row that is there. Errors: as of find_position(), kNotFound.
  Result<Pos> position_of(RowId row, MemoryBudget& budget) const;
  // Every row of the graph, ascending, until visit() returns an error, which is then returned. Errors: as of
  // find_position().
  Status for_each_row_id(MemoryBudget& budget, const std::function<Status(RowId)>& visit) const;
  // One past the greatest RowId. Where row_map().is_dense(), every row below it is in the graph.
  std::uint64_t row_end() const { return row_map_->row_end(); }

  const GraphSummary& summary() const { return summary_; }
  const GraphLayout& layout() const { return summary_.layout; }
  const PageFile& graph() const { return *graph_; }
  const RowMap& row_map() const { return *row_map_; }
  const BlockCodes& codes() const { return codes_; }
  const PageCache& cache() const { return cache_; }
  Centre centre() const { return centre_.span(); }
  SearchIndex search_index() const { return {&summary_, graph_.get(), &codes_, &cache_, centre()}; }

 private:
  Generation() = default;
  Status load_centre(MemoryBudget& budget);

  GraphSummary summary_;
  std::unique_ptr<PageFile> graph_;
  std::unique_ptr<PageFile> codes_file_;
  std::optional<RowMap> row_map_;
  BlockCodes codes_;
  Buffer<float> centre_;  // [dim] or empty
  PageCache cache_;
};

}  // namespace vecstore
