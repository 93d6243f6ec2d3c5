// SPDX-License-Identifier: Apache-2.0
//
// What calls answer and report. Plain values, installed with vecstore.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "engine/key.h"
#include "engine/options.h"
#include "engine/progress.h"
#include "graph/query_stats.h"

namespace vecstore {

std::string_view version();  // "0.1.0"

// What a build is predicted to take.
struct BuildPrediction {
  std::uint64_t memory_peak_bytes = 0;
  std::uint64_t disk_bytes = 0;
  std::uint32_t page_bytes = 0;
  std::uint32_t vector_bits = 8;  // where BuildOptions leaves it open, the least that it can be
  Codec codec = Codec::kOpq;
  std::uint32_t code_bytes = 0;
  std::uint32_t max_degree = 0;
};
// Errors: as of Store::build, before anything is written.
Result<BuildPrediction> predict_build(const VectorSource& vectors, const BuildOptions& options);

struct Hit {
  RowId row;
  std::uint64_t key = 0;  // where keys are numbers; else the row
  float score = 0;
  float distance = 0;
};

// Answers of a batch: up to k hits a query, best first. Fewer when the index holds fewer rows.
class SearchResults {
 public:
  std::size_t size() const { return counts_.size(); }
  std::span<const Hit> operator[](std::size_t query) const { return {hits_.data() + query * k_, counts_[query]}; }
  const QueryStats& stats(std::size_t query) const { return stats_[query]; }
  std::uint32_t k() const { return k_; }
  // Of a hit of a query; empty where SearchOptions::texts did not ask for them. A number comes in decimal.
  std::string_view key(std::size_t query, std::size_t hit) const { return text(keys_, query, hit); }
  std::string_view document(std::size_t query, std::size_t hit) const { return text(documents_, query, hit); }

 private:
  friend class Store;
  std::string_view text(const std::vector<std::string>& texts, std::size_t query, std::size_t hit) const {
    return texts.empty() ? std::string_view() : texts[query * k_ + hit];
  }
  std::uint32_t k_ = 0;
  std::vector<Hit> hits_;  // [queries × k]
  std::vector<std::uint32_t> counts_;
  std::vector<QueryStats> stats_;
  std::vector<std::string> keys_;       // [queries × k] or none
  std::vector<std::string> documents_;  // [queries × k] or none
};

struct CalibrationPoint {
  std::uint32_t k = 0;
  double recall_target = 0;
  double recall = 0;  // reached on the calibration queries; may miss the target when the codes cap it
  std::uint32_t search_list = 0;
  std::uint32_t blocks = 0;
  float bound = 0;
  double reads_per_query = 0;     // reads of 4 KiB, as reads_of_4k() counts them
  std::uint32_t memory_list = 0;  // L where every page is cached; 0: not calibrated
};

// What recall a search can expect, from the calibration.
struct RecallExpectation {
  double target = 0;    // SearchOptions::recall_target
  double expected = 0;  // reached at calibration with the settings that will be used, at the precision of pages
  bool missed = false;  // the target is out of reach of this index
  // Why, and what to do; empty unless it is missed.
  std::string_view reason;
};

// What a write did, and how safe it is.
struct WriteReceipt {
  std::uint64_t lsn = 0;          // LSN of its last record in the log
  std::uint64_t durable_lsn = 0;  // records up to this one survive a power cut; under SyncMode::kAlways ≥ lsn
  std::uint64_t rows = 0;         // put, or erased; without those that were skipped
  std::uint64_t replaced = 0;     // of those put: that took the place of another row
};

struct StoredItem {
  std::vector<std::byte> vector;  // vector as it was put: dim elements of the store's dtype
  std::string document;
};

// Texts end to end: text i is bytes[offsets[i]] to before bytes[offsets[i + 1]].
struct TextColumn {
  std::string bytes;
  std::vector<std::uint64_t> offsets = {0};

  std::size_t size() const { return offsets.size() - 1; }
  std::string_view operator[](std::size_t i) const {
    return std::string_view(bytes).substr(offsets[i], offsets[i + 1] - offsets[i]);
  }
  void append(std::string_view text) {
    bytes += text;
    offsets.push_back(bytes.size());
  }
  void clear() {
    bytes.clear();
    offsets.assign(1, 0);
  }
};

// Rows of a scan, in columns.
struct ScanBatch {
  std::vector<RowId> rows;
  KeyKind key_kind = KeyKind::kNumber;
  std::vector<std::uint64_t> number_keys;  // [rows], where keys are numbers
  TextColumn keys;                         // [rows], where they are byte strings
  DType dtype = DType::kF32;
  std::uint32_t dim = 0;
  std::vector<std::byte> vectors;  // [rows × dim] as they were put; empty where they were not asked for
  TextColumn documents;            // [rows], likewise

  std::size_t size() const { return rows.size(); }
  // These borrow from the batch.
  Key key(std::size_t i) const { return key_kind == KeyKind::kNumber ? Key(number_keys[i]) : Key(keys[i]); }
  VectorView vector(std::size_t i) const {
    if (vectors.empty()) return {nullptr, dtype, 0, dim, 0};
    return {vectors.data() + i * dim * element_bytes(dtype), dtype, 1, dim, 0};
  }
  std::string_view document(std::size_t i) const { return documents.size() == 0 ? std::string_view() : documents[i]; }
  void clear() {
    rows.clear();
    number_keys.clear();
    keys.clear();
    vectors.clear();
    documents.clear();
  }
};

struct StoreStats {
  std::uint64_t rows = 0;                 // live
  std::uint64_t delta_rows = 0;           // live, of these: put since the graph was built
  std::uint64_t deleted_rows = 0;         // rows of the graph that were erased, still on disk
  std::uint64_t delta_bytes = 0;          // memory of what was put
  std::uint64_t document_bytes = 0;       // size of the documents put since the graph was built
  std::uint64_t kept_document_bytes = 0;  // what they take in there, compressed
  bool has_dictionary = false;            // with a dictionary made of those before
  std::uint64_t wal_bytes = 0;
  std::uint64_t last_lsn = 0;
  std::uint64_t durable_lsn = 0;  // up to this LSN all is on the disk; of a reader: as far as it has read
  std::uint64_t syncs = 0;        // syncs of the log since it was opened
  std::uint64_t merges = 0;       // that were completed since it was opened
  bool is_merging = false;
  Progress merge_progress;  // of the one under way, as CompactOptions::progress is told
  // What calls keep that go on reading what a merge replaced since they began, or a refresh(); of this object.
  std::uint64_t old_generations = 0;   // that they read
  std::uint64_t old_readers = 0;       // calls
  std::uint64_t old_memory_bytes = 0;  // of graphs and rows; until they end
  std::uint64_t old_disk_bytes = 0;    // of files that were removed, whose room the disk gets back then
  std::string merge_failure;           // why the last merge in the background did not come about; empty where it did
};

// What Store::compact() did.
struct MergeReport {
  bool was_needed = false;          // else nothing waited, and nothing was done
  std::uint32_t generation = 0;     // that is searched now
  std::uint64_t rows = 0;           // of its graph
  std::uint64_t rows_merged = 0;    // that waited in memory
  std::uint64_t rows_dropped = 0;   // of the graph before, that were erased or replaced
  std::uint64_t bytes_written = 0;  // of the files of the generation
};

struct StoreInfo {
  std::uint64_t rows = 0;  // live
  std::uint32_t dim = 0;
  DType dtype = DType::kF32;
  Metric metric = Metric::kL2;
  KeyKind keys = KeyKind::kNumber;
  std::string uuid;
  std::uint16_t format_major = 0, format_minor = 0;
  std::uint32_t generation = 0;
  std::uint32_t page_bytes = 0, rows_per_page = 0;
  std::uint64_t pages = 0;
  std::uint32_t vector_bits = 8;  // in which pages keep a value
  // Why: recall@10 of ranking by pages with 8 and with 16 bits a value, on a sample; −1: was not measured.
  double recall_of_8_bits = -1, recall_of_16_bits = -1;
  double page_fill = 0;  // mean share of a page's bytes in use
  std::uint32_t max_degree = 0;
  double mean_degree = 0;
  double edges_dropped = 0;  // share of edges that did not fit their page
  std::string codec;         // "opq", "pq" or "rabitq"
  std::uint32_t code_bytes = 0;
  std::uint32_t code_bits = 0;         // a dimension, where the codec is "rabitq"
  double code_error = 0;               // mean |r − r̂|² ÷ mean |x − ĉ|² is in compress/NOTES.md; here mean |r − r̂|²
  double ram_bytes_per_row = 0;        // codes, corrections, centroids
  std::uint64_t fixed_ram_bytes = 0;   // the model of the codes
  std::uint64_t dictionary_bytes = 0;  // in memory, of the documents that the index was built with
  std::uint64_t disk_bytes = 0;
  bool has_keys = false, has_documents = false, has_originals = false;
  std::uint32_t extents = 0;  // files of rows/ that have these
  double copies_share = 0;    // share of the calibration's queries that equal several rows
  std::string calibrated_on;  // "self", "queries" or "none"
  std::vector<CalibrationPoint> calibration;
  std::uint64_t ram_budget_bytes = 0, ram_used_bytes = 0, ram_peak_bytes = 0;
  std::uint64_t codes_bytes = 0;  // ram_bytes_per_row · rows
  std::uint64_t searchers = 0, searchers_bytes = 0;
  std::uint32_t lanes = 0;  // lanes of each searcher; 0: every page is cached, and one query follows the other
  std::uint64_t pages_cached = 0, cache_bytes = 0;
  std::uint64_t pages_replaced = 0;  // in the cache, since it was opened
  std::string backend;               // in use
  std::string backend_fallback;      // why, when it is not the one asked for
};

// What became of a damaged store.
struct SalvageReport {
  std::uint64_t rows = 0;            // live in what was made
  std::uint64_t records = 0;         // records of the log that were whole and took effect
  std::uint64_t records_lost = 0;    // that were whole, but changed what is lost
  std::uint64_t documents_lost = 0;  // rows that are there without their document
  std::uint64_t log_bytes_lost = 0;  // that hold no whole record
  // What was wrong with superblock or manifest: then the newest manifest that is whole was taken, and its content may
  // be older than what was lost. Ok: they were whole.
  Status content;
};

// The content of a store at one moment, kept in snapshots/<name> of its directory.
struct SnapshotInfo {
  std::string name;
  std::string path;                // a directory that opens for reading as a store does
  std::int64_t made_at = 0;        // seconds since 1970
  std::uint64_t rows = 0;          // live
  std::uint64_t lsn = 0;           // the last write that it holds
  std::uint64_t own_bytes = 0;     // that removing it gives back
  std::uint64_t shared_bytes = 0;  // of files that the store or other snapshots have too
  Status problem;                  // why the figures are not known; ok: they are
};

// What Store::copy() made.
struct CopyReport {
  std::uint64_t rows = 0;  // live
  std::uint64_t lsn = 0;   // the last write that it holds
  std::uint64_t bytes_copied = 0;
  std::uint64_t bytes_linked = 0;  // of files that CopyOptions::since has too
  std::uint64_t pages_checked = 0;
};

struct VerifyReport {
  std::uint64_t pages_checked = 0;
  std::uint64_t rows_checked = 0;
  std::uint64_t edges_checked = 0;
  std::uint64_t unreachable_rows = 0;
  std::vector<Status> damage;  // at most 100 findings, each naming file and place
  std::uint64_t damage_total = 0;
  // Of these: what the next writer makes good that looks a key up. Nothing is lost, and nobody has to build again.
  std::uint64_t damage_repairable = 0;
};

}  // namespace vecstore
