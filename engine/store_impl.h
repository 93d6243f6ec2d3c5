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
#include "engine/live_state.h"
#include "engine/properties.h"
#include "engine/rows.h"
#include "engine/searcher_pool.h"
#include "engine/vecstore.hpp"
#include "pagestore/publish.h"
#include "wal/log.h"

namespace vecstore {

// Where a store lives and how its log goes about: the operating system's files and a thread of its own, or what a test
// brings.
struct StoreEnvironment {
  FileSystem* file_system = &FileSystem::posix();
  bool log_background = true;
  std::uint64_t segment_bytes_first = kSegmentBytesMin;
  std::uint64_t segment_bytes_max = kSegmentBytesMax;
  std::uint64_t seed = 0;  // of uuids and salts; 0: drawn from the operating system
};

struct StoreFactory {
  static Status create(const std::string& path, const CreateOptions& options, const StoreEnvironment& environment);
  static Result<Store> open(const std::string& path, const OpenOptions& options, const StoreEnvironment& environment);
};

struct Store::Impl {
  Impl(const OpenOptions& options, const StoreEnvironment& with)
      : opened(options),
        environment(with),
        budget(options.ram_bytes != 0 ? options.ram_bytes : MemoryBudget::kUnlimited) {}
  ~Impl();

  Status open(const std::string& path, const OpenOptions& options);
  Status open_content(const OpenOptions& options);
  Status open_graph();
  Status open_log();
  Status make_searchers(const OpenOptions& options);
  void describe_graph(StoreInfo& info) const;
  bool rows_fit() const;
  Status fill_cache(const OpenOptions& options);
  static std::optional<std::uint64_t> pages_asked_for(const PageFile& file, const OpenOptions& options);
  static std::uint64_t caching_bytes(const PageFile& file, std::uint64_t pages);
  // kMemoryBudget with the least that these options could be opened with.
  Status name_least(const OpenOptions& options) const;
  std::uint64_t log_bytes_on_disk() const;

  Status check_queries(const VectorView& queries, const SearchOptions& options) const;
  bool reranks(const SearchOptions& options) const;
  // Orders `found` by the vectors as they were put. `found` is at least what is wanted; reads are added to `stats`.
  Status rerank(const VectorView& queries, std::uint64_t query, std::vector<FoundRow>& found, QueryStats& stats) const;

  std::uint32_t dim() const;                            // 0: not known yet
  Result<StoredRow> stored_row(RowId row) const;        // of the graph
  Status read_vector(RowId row, std::byte* out) const;  // of graph or delta, live or not
  Result<std::string> read_document(RowId row) const;
  Status check_row(RowId row) const;  // kNotFound where it is not live
  Result<std::optional<RowId>> row_of(const Key& key, Lsn snapshot) const;
  Result<std::optional<RowId>> graph_row_of(const Key& key) const;
  Status check_key(const Key& key) const;

  Status check_writable() const;
  Status check_batch(std::span<const Key> keys, const VectorView& vectors,
                     std::span<const std::string_view> documents) const;
  Status check_room(std::uint64_t bytes);
  Result<WriteReceipt> put(std::span<const Key> keys, const VectorView& vectors,
                           std::span<const std::string_view> documents);
  Result<WriteReceipt> erase(std::span<const Key> keys);
  Result<Lsn> log_and_apply(std::span<const LogRecord> records, const LiveState::Needs& needs);
  Result<WriteReceipt> acknowledge(Lsn lsn, std::uint64_t rows);
  Result<LogTail> replay(Lsn after);
  Status begin_log(const LogTail& tail);
  Status publish_log();

  Status verify_graph(VerifyReport& report) const;
  Status verify_reachable(VerifyReport& report) const;
  Status verify_files(const Manifest& content, VerifyReport& report) const;
  void verify_rows(VerifyReport& report) const;

  const OpenOptions opened;
  const StoreEnvironment environment;
  mutable MemoryBudget budget;
  // A writer's delta has memory of its own, set aside at open.
  std::optional<MemoryBudget> delta_budget;
  Charge delta_charge;
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

  std::unique_ptr<LiveState> live;
  std::mutex write_lock;  // guards what follows, and writing to `live`
  std::unique_ptr<Log> log;
  Lsn replayed_through;                                 // of a reader; what it can see may end before
  std::uint64_t log_bytes = 0;                          // of a reader: as replayed
  Buffer<std::byte> encoded;                            // payloads of the batch at hand
  std::uint64_t bytes_since_check = ~std::uint64_t{0};  // logged since the room on the disk was looked at
  int process = 0;                                      // that opened the store

  bool in_memory() const { return generation && generation->cache().all_pages() != nullptr; }
  const Manifest& manifest() const { return *directory->manifest(); }
};

}  // namespace vecstore
