// SPDX-License-Identifier: Apache-2.0
//
// The content of a store as a publish made it: one generation of the graph with its rows/, and the way from a key to a
// row of it and back. What was written since is not here (engine/content/view.h).
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/cancel_token.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/generation/generation.h"
#include "engine/generation/open_plan.h"
#include "engine/generation/properties.h"
#include "engine/key.h"
#include "engine/live/live_state.h"
#include "engine/rows/key_lookup.h"
#include "engine/rows/stored_rows.h"
#include "pagestore/publish.h"

namespace vecstore {

// Once it is prepared nothing of it changes but what is cached, and any number of threads may ask it. Whoever reads it
// pins it by a shared pointer.
class Content {
 public:
  // Opens what the directory's manifest names. Loads codes and model; nothing is cached yet. File system and budget
  // must outlive it. Errors: kCorrupt, kNewerFormat, kIo, kMemoryBudget, kNotFound (a file that the manifest names),
  // kCancelled.
  static Result<std::shared_ptr<Content>> open(FileSystem& file_system, const StoreDirectory& directory,
                                               MemoryBudget& budget, const CancelToken* cancel);
  // As above, of a manifest that is about to be published: its files are finished.
  static Result<std::shared_ptr<Content>> open(FileSystem& file_system, const StoreDirectory& directory,
                                               const Manifest& manifest, MemoryBudget& budget,
                                               const CancelToken* cancel);
  Content(const Content&) = delete;
  Content& operator=(const Content&) = delete;

  // Before it is shared: how keys of bytes are looked up. may_write: the caller has the lock of writers, and a catalog
  // that is damaged is made anew. What that takes is charged to `budget`.
  void look_up_keys(bool may_write, MemoryBudget& budget);
  void stop_writing_catalog() const;
  // Before it is shared. Errors: kMemoryBudget, kIo, kCorrupt, kCancelled.
  Status fill_cache(std::uint64_t pages, CachePolicy policy, const CancelToken* cancel);

  const Manifest& manifest() const { return manifest_; }
  const StoreProperties& properties() const { return properties_; }
  const std::string& path() const { return path_; }              // directory of the store
  const Generation* graph() const { return generation_.get(); }  // nullptr: there is none
  const StoredRows* rows() const { return rows_ ? &*rows_ : nullptr; }
  std::uint64_t row_end() const { return properties_.row_end; }  // RowIds below are of the graph, or gone for good
  // One of these is in the graph, live or not. Errors: kIo, kCorrupt, kMemoryBudget.
  Result<bool> has_row(RowId row) const;
  DeltaShape delta_shape() const;
  LiveState::Base live_base() const;
  // What a search will use.
  SearchOptions resolved(const SearchOptions& options) const {
    return resolve_options(properties_, options, in_memory());
  }
  // Every page is cached, and a search goes over the graph.
  bool in_memory() const;
  OpenFacts open_facts() const;
  std::uint64_t memory_bytes() const;                           // of codes, model, cache and dictionary
  std::uint64_t disk_bytes() const;                             // of the files
  std::uint64_t disk_bytes_beside(const Content& other) const;  // of files that the other has not

  // All of rows of the graph, live or not. Errors: kIo, kCorrupt, kMemoryBudget.
  Status read_vector(RowId row, std::byte* out) const;  // dim elements, as they were put
  Result<StoredRow> read_row(RowId row) const;          // empty where rows/ keeps nothing
  Result<std::string> read_document(RowId row) const;
  Result<std::string> read_key(RowId row) const;
  bool keeps_keys() const { return rows_ && rows_->layout().keys; }  // in rows/, with a catalog
  bool has_documents() const { return rows_ && rows_->layout().documents; }
  bool keeps_vectors() const { return rows_ && rows_->layout().vector_bytes != 0; }  // in rows/, as they were put

  // kInvalidArgument where it is not of the store's kind, empty or too long.
  Status check_key(const Key& key) const;
  // nullopt: no row of the graph has it.
  Result<std::optional<RowId>> row_of(const Key& key) const;
  // Every row in order with its key, until visit() returns an error, which is then returned.
  Status for_each_row(const std::function<Status(const Key&, RowId)>& visit) const;

 private:
  Content(FileSystem& file_system, MemoryBudget& budget) : file_system_(file_system), budget_(budget) {}
  Status load(const StoreDirectory& directory, const Manifest& manifest, const CancelToken* cancel);
  // Keys are numbers that rows/ keeps, because they are not the RowIds.
  bool keeps_number_keys() const { return keeps_keys() && rows_->layout().number_keys; }
  bool rows_fit() const;

  FileSystem& file_system_;
  MemoryBudget& budget_;
  std::string path_;
  std::string catalog_path_;
  Manifest manifest_;
  StoreProperties properties_;
  std::unique_ptr<Generation> generation_;
  std::optional<StoredRows> rows_;
  std::unique_ptr<KeyLookup> key_lookup_;  // where rows/ keeps keys
};

// What of a store that did not fit its budget is known without loading it. Errors: as of Content::open().
Result<LeastFacts> read_least_facts(FileSystem& file_system, const StoreDirectory& directory);

}  // namespace vecstore
