// SPDX-License-Identifier: Apache-2.0
//
// What an open store consists of. Members are declared so that whatever is charged to the budget goes before it.
#pragma once

#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/fork.h"
#include "base/memory.h"
#include "engine/generation/generation.h"
#include "engine/generation/properties.h"
#include "engine/live/document_packer.h"
#include "engine/live/live_state.h"
#include "engine/rows/key_lookup.h"
#include "engine/rows/rows.h"
#include "engine/store/environment.h"
#include "engine/store/searcher_pool.h"
#include "engine/vecstore.hpp"
#include "pagestore/publish.h"
#include "wal/log.h"

namespace vecstore {

// Under a budget: buffers of the log and of a batch; what packs documents; what keys are looked up in, and built from,
// where they are bytes.
inline constexpr std::uint64_t kWriterBytes = 12u << 20;
inline constexpr std::uint64_t kWriterDocumentsBytes = 2u << 20;
static_assert(DocumentPacker::kMemoryBytes <= kWriterDocumentsBytes);
inline constexpr std::uint64_t kWriterCatalogBytes = 12u << 20;

struct Store::Impl {
  Impl(const OpenOptions& options, const StoreEnvironment& with)
      : opened(options),
        environment(with),
        budget(options.ram_bytes != 0 ? options.ram_bytes : MemoryBudget::kUnlimited, Inheritance::kNone) {}
  ~Impl();

  // kUnsupported in a child of fork(). Comes first in every call, before anything else of the store is looked at: other
  // threads may have been changing it when the child was made.
  Status check_process() const { return mark == process_mark() ? Status::ok() : of_another_process(); }
  Status of_another_process() const;

  Status open(const std::string& path);
  Status open_content();
  Status open_graph();
  Status open_log();
  Status make_searchers();
  void describe_graph(StoreInfo& info) const;
  bool rows_fit() const;
  std::uint64_t growing_bytes(std::uint64_t left) const;
  Status fill_cache();
  std::optional<std::uint64_t> pages_asked_for(const PageFile& file) const;
  static std::uint64_t caching_bytes(const PageFile& file, std::uint64_t pages);
  // kMemoryBudget with the least that these options could be opened with; `refused`: what was found to be too little.
  Status name_least(const Status& refused) const;
  bool may_hold_delta() const;  // now or after a refresh()
  std::uint64_t writer_bytes() const;
  MemoryBudget& catalog_budget() const { return writer ? writer->buffers : budget; }
  std::uint64_t log_bytes_on_disk() const;

  Status check_queries(const VectorView& queries, const SearchOptions& options) const;
  bool reranks(const SearchOptions& options) const;
  // Appends to `found` rows of the graph with their distances by the vectors as they were put: the k nearest of the
  // contenders, which come sorted, and perhaps more. Reads are added to `stats`.
  Status rerank(const VectorView& queries, std::uint64_t query, std::span<const Contender> contenders, std::uint32_t k,
                double constant, std::vector<FoundRow>& found, QueryStats& stats) const;
  // What the distances of FoundRow lack (graph/prepared_query.h).
  double constant_of(const VectorView& queries, std::uint64_t query) const;

  std::uint32_t dim() const;                            // 0: not known yet
  Result<StoredRow> stored_row(RowId row) const;        // of the graph
  Status read_vector(RowId row, std::byte* out) const;  // of graph or delta, live or not
  Result<std::string> read_document(RowId row) const;
  // The live rows of a moment, in order, until visit() returns an error, which is then returned.
  Status for_each_row(Lsn snapshot, const std::function<Status(const Key&, RowId)>& visit) const;
  Status check_row(RowId row) const;  // kNotFound where it is not live
  Result<std::optional<RowId>> row_of(const Key& key, Lsn snapshot) const;
  Result<std::optional<RowId>> graph_row_of(const Key& key) const;
  Status check_key(const Key& key) const;

  Status check_writable() const;
  Status check_batch(std::span<const Key> keys, const VectorView& vectors,
                     std::span<const std::string_view> documents) const;
  Status check_room(std::uint64_t bytes);
  std::uint64_t delta_bytes() const;
  Result<WriteReceipt> put(std::span<const Key> keys, const VectorView& vectors,
                           std::span<const std::string_view> documents);
  Status delta_is_full() const;
  // With write_lock. nullopt: the delta is full.
  Result<std::optional<Lsn>> put_now(std::span<const Key> keys, const VectorView& vectors,
                                     std::span<const std::string_view> documents);
  void log_dictionary(std::span<const std::byte> dictionary);
  Result<WriteReceipt> erase(std::span<const Key> keys);
  Result<Lsn> log_and_apply(std::span<const LogRecord> records, const LiveState::Needs& needs, Urgency urgency);
  Result<WriteReceipt> acknowledge(Lsn lsn, std::uint64_t rows);
  Result<LogTail> replay(Lsn after);
  Status set_writer_memory_aside();
  Status raise_delta_bytes(std::uint64_t bytes);
  struct DeltaMemory {
    std::uint64_t rows = 0;     // that may be put
    std::uint64_t erasing = 0;  // beyond them
  };
  DeltaMemory divide_delta(std::uint64_t bytes) const;
  Status begin_log(const LogTail& tail);
  Status publish_log();

  Status verify_graph(VerifyReport& report) const;
  Status verify_reachable(VerifyReport& report) const;
  Status verify_files(const Manifest& content, VerifyReport& report) const;
  Status verify_rows(VerifyReport& report) const;
  bool has_catalog_of_unfinished_build() const;

  const OpenOptions opened;
  const StoreEnvironment environment;
  mutable MemoryBudget budget;
  // A writer has memory of its own, set aside beyond what replay took when the store is opened, so that the cache
  // cannot take it, and when the delta is given more.
  struct WriterMemory {
    WriterMemory(std::uint64_t row_bytes, std::uint64_t erasing_bytes, std::uint64_t buffer_bytes, Charge with)
        : rows(row_bytes, Inheritance::kNone),
          erasing(erasing_bytes, Inheritance::kNone),
          buffers(buffer_bytes, Inheritance::kNone) {
      charges.push_back(std::move(with));
    }
    std::vector<Charge> charges;  // one, and one for each time that the delta was given more
    MemoryBudget rows;            // of the delta
    MemoryBudget erasing;         // when those of the rows are used up
    MemoryBudget buffers;         // of the log, of the batch at hand, and of the catalog
  };
  std::unique_ptr<WriterMemory> writer;
  std::uint64_t delta_bytes_max = 0;              // of a writer; with write_lock
  std::atomic<std::uint64_t> replayed_bytes = 0;  // of memory
  std::optional<StoreDirectory> directory;
  StoreProperties properties;
  std::unique_ptr<Generation> generation;
  std::optional<RowsExtent> rows;
  mutable InFlightTarget in_flight;  // of all searchers, where lanes were not asked for
  mutable SearcherPool searchers;
  std::uint64_t searchers_bytes = 0;
  std::uint32_t lanes = 0;  // of each
  std::string backend;
  std::string backend_fallback;
  std::unique_ptr<KeyLookup> key_lookup;  // of the graph, where they are bytes

  std::unique_ptr<LiveState> live;
  std::mutex write_lock;               // guards what follows, and writing to `live`
  std::condition_variable delta_grew;  // or the store is being closed
  bool closing = false;
  std::unique_ptr<Log> log;
  std::unique_ptr<DocumentPacker> packer;
  Lsn replayed_through;                                 // of a reader; what it can see may end before
  LogPlace replayed_to;                                 // of a reader
  std::atomic<std::uint64_t> replayed_log_bytes = 0;    // of a reader
  Buffer<std::byte> encoded;                            // payloads of the batch at hand
  std::uint64_t bytes_since_check = ~std::uint64_t{0};  // logged since the room on the disk was looked at

  // Of the process that opened the store, and how it is named; never changed.
  const std::uint64_t mark = process_mark();
  const std::string opener = " (opened by process " + std::to_string(::getpid()) + ")";
  std::string opened_path;
  Impl* next_disowned = nullptr;  // in a child

  // Every page is cached, and a walk over the graph does.
  bool in_memory() const {
    return generation && properties.walks_in_memory && generation->cache().all_pages() != nullptr;
  }
  const Manifest& manifest() const { return *directory->manifest(); }
};

}  // namespace vecstore
