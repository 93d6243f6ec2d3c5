// SPDX-License-Identifier: Apache-2.0
//
// VecStore's C++ API: make a store or build one from a file, put, erase and get by key, search.
//
//   auto store = vecstore::Store::open("idx", {.access = vecstore::Access::kReadWrite}).value();
//   auto receipt = store.put(17, vecstore::VectorView{vector, vecstore::DType::kU8, 1, 128}, "a document").value();
//   auto hits = store.search(vecstore::VectorView{query, vecstore::DType::kU8, 1, 128}, {.k = 10}).value();
//   for (const auto& hit : hits[0]) std::printf("%llu %f\n", (unsigned long long)hit.row.value, hit.score);
//
// Every fallible call returns a Status or a Result<T>, kMemoryBudget where the system has no memory left. Nothing here
// throws but what a function of yours throws through it, and info(), which returns texts. Only the standard library is
// needed.
// Score and distance of a hit, by metric (larger score is better):
//   kL2            distance = squared Euclidean     score = −distance
//   kInnerProduct  distance = −⟨q,x⟩                score = ⟨q,x⟩
//   kCosine        distance = 1 − cos(q,x)          score = cos(q,x)
// Distances to rows of the graph are computed at the precision of its pages: exact for u8 and i8 input; for f32 and f16
// 8, 16 or 32 bits a value (BuildOptions::vector_bits). With SearchOptions::full_precision, and to rows that were put
// since the graph was built, they are those of the vectors as they were put.
// Vectors that are put, built upon or searched for have finite values. Under kL2 and kInnerProduct each is zero, or has
// a sum of squares from 2^-126 to 2^124, so that distances fit a float. Under kCosine each has a direction; its scale
// does not matter. kInvalidInput names the row of what is refused, and says what to do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "base/sync_mode.h"
#include "base/vector_view.h"
#include "engine/key.h"
#include "engine/vector_source.h"

namespace vecstore {

std::string_view version();  // "0.1.0"

// ---------------------------------------------------------------------------------------------------------- building

enum class BuildPhase : std::uint8_t { kRead, kGraph, kOrder, kCodes, kCalibrate, kWrite, kPublish };
std::string_view name_of(BuildPhase phase);

struct Progress {
  BuildPhase phase = BuildPhase::kRead;
  std::uint64_t done = 0;  // units of the phase: rows, or queries while calibrating
  std::uint64_t total = 0;
  std::uint64_t memory_bytes = 0;  // charged at present
};

// The codes kept in memory. kPq and kOpq (with a rotation) are trained on the vectors; kRabitq has 1, 2 or 4 bits for
// each dimension and nothing to train. kAutomatic: kOpq, or kRabitq where search_ram_bytes has too little room for the
// model of the other.
enum class Codec : std::uint8_t { kPq = 0, kOpq = 1, kRabitq = 2, kAutomatic = 3 };
std::string_view name_of(Codec codec);  // "pq" "opq" "rabitq" "automatic"

struct BuildOptions {
  Metric metric = Metric::kL2;
  std::uint64_t ram_bytes = 0;  // bound of the build's memory; 0: unbounded
  // What one searching thread takes must fit; hard data may take more (engine/README.md). Chooses codes that take no
  // more than when this is 0: 36 B a row in all up to 200 dimensions, dim/8 + 8 above; up to a tenth less for queries
  // under way. What is left caches pages.
  std::uint64_t search_ram_bytes = 0;
  Codec codec = Codec::kAutomatic;
  // 0: from search_ram_bytes. kRabitq takes the most bits a dimension that fit.
  std::uint32_t code_bytes = 0;
  // Bits in which pages keep a value of f32 and f16 vectors: 8, 16 or 32 (as it was put). 0: the least of these by
  // which the nearest rows are ranked as by the vectors themselves (recall@10 of .99, measured on a sample). u8, i8: 8.
  std::uint32_t vector_bits = 0;
  // 4096 | 8192 | 16384; 0: 4096 for records up to 640 bytes before their links, else 8192 or what a record needs.
  std::uint32_t page_bytes = 0;
  std::uint32_t max_degree = 0;  // R; 0: by dimension
  std::uint32_t build_list = 0;  // L of the construction; 0: default
  float alpha = 1.2f;            // slack of RobustPrune, 1 … 4
  std::uint32_t threads = 0;     // 0: all processors
  std::uint64_t seed = 1;
  bool overwrite = false;  // replace a store that is there
  bool calibrate = true;

  // Held-out queries for calibration, [rows × dim]; none: 1,000 rows are left out of the index for the purpose, then
  // put back.
  const VectorSource* calibration_queries = nullptr;
  // One line per row, in input order; empty path: rows are known by their number.
  std::string keys_path;       // byte-string keys, unique, ≤ kKeyBytesMax
  std::string documents_path;  // any bytes but newline, e.g. JSON lines; .zst is decompressed

  std::function<void(const Progress&)> progress;  // called from the building thread, at most a few times a second
};

// What a build is predicted to take. Errors of predict_build: as of build, before anything is written.
struct BuildPrediction {
  std::uint64_t memory_peak_bytes = 0;
  std::uint64_t disk_bytes = 0;
  std::uint32_t page_bytes = 0;
  std::uint32_t vector_bits = 8;  // where BuildOptions leaves it open, the least that it can be
  Codec codec = Codec::kOpq;
  std::uint32_t code_bytes = 0;
  std::uint32_t max_degree = 0;
};
Result<BuildPrediction> predict_build(const VectorSource& vectors, const BuildOptions& options);

// --------------------------------------------------------------------------------------------------- making, opening

struct CreateOptions {
  std::uint32_t dim = 0;  // 0: that of the first vector put
  DType dtype = DType::kF32;
  Metric metric = Metric::kL2;
  KeyKind keys = KeyKind::kNumber;
};

enum class Access : std::uint8_t {
  kRead,       // any number of processes; a moment that refresh() moves on
  kReadWrite,  // one process
};

enum class Backend : std::uint8_t { kAutomatic, kIoUring, kPread };

struct OpenOptions {
  Access access = Access::kRead;
  std::uint64_t ram_bytes = 0;  // bound of all memory below; 0: unbounded, nothing cached unless asked
  // Page cache inside the budget; by default whatever ram_bytes leaves. Fraction of the pages (0 … 1) or bytes.
  std::optional<double> cache_fraction = std::nullopt;
  std::optional<std::uint64_t> cache_bytes = std::nullopt;
  // A cache of some pages adapts to what is asked for, so that an answer may be a little better the next time; fixed,
  // it keeps the pages near which most rows lie, and the same search has the same answer and reads every time.
  bool fixed_cache = false;
  std::uint32_t searchers = 1;  // searches that may run at once; their scratch is allocated at open
  // Queries of a batch that one searcher has in progress at once, so that the device is busy while it computes; 1 … 32,
  // 0: 8 to 16, fewer where ram_bytes is short, many search or the device is slow. Answers do not depend on it.
  std::uint32_t lanes = 0;
  Backend backend = Backend::kAutomatic;

  // Of a writer.
  SyncMode sync = SyncMode::kAlways;
  std::uint32_t interval_ms = 100;  // of SyncMode::kInterval
  // Memory of what was put and is not merged yet, at least 1 MiB; taken from ram_bytes. An eighth is kept for erasing.
  std::uint64_t delta_bytes = 64ull << 20;
  // How long a put waits for room in there, before it is refused. Erasing and searching go on.
  std::uint32_t full_wait_ms = 1000;
  // Bound of the log's files, at least 4 MiB; to open a full log takes 1 MiB more. A sixteenth is kept for erasing.
  std::uint64_t log_bytes = 256ull << 20;
};

// --------------------------------------------------------------------------------------------------------- searching

struct SearchOptions {
  std::uint32_t k = 10;           // 1 … kResultsMax
  double recall_target = 0.95;    // above 0, up to 1; looked up in the calibration of the index
  std::uint32_t search_list = 0;  // L; 0: calibrated
  std::uint32_t blocks = 0;       // blocks scanned; 0: calibrated
  float bound = -1.0f;            // standard errors of the read bound, up to kBoundMax; < 0: calibrated
  // Ranks by the vectors as they were put: reads from rows/ those that may be among the k nearest, by what rounding can
  // have changed at most, so that what the search has seen is ranked exactly: of more than 1,500 rows that rounding
  // leaves open, the nearest so many.
  bool full_precision = false;
};

struct Hit {
  RowId row;
  std::uint64_t key = 0;  // where keys are numbers; else the row
  float score = 0;
  float distance = 0;
};

struct QueryStats {
  std::uint32_t reads = 0;  // requests, each for one page or several side by side
  std::uint32_t rounds = 0;
  std::uint32_t bytes = 0;
  std::uint32_t pages_from_cache = 0;
  std::uint32_t codes_scored = 0;
  std::uint32_t exact_distances = 0;
  std::uint32_t latency_us = 0;
};

// What read requests cost a disk, in requests for one 4 KiB page; `bytes`: of all together. At saturation a request
// takes it about 9.1 µs and .69 µs a KiB (virtual NVMe).
constexpr double reads_of_4k(double requests, double bytes) {
  return (9.1 * requests + 0.69 * bytes / 1024) / (9.1 + 0.69 * 4);
}

// Answers of a batch: up to k hits a query, best first. Fewer when the index holds fewer rows.
class SearchResults {
 public:
  std::size_t size() const { return counts_.size(); }
  std::span<const Hit> operator[](std::size_t query) const { return {hits_.data() + query * k_, counts_[query]}; }
  const QueryStats& stats(std::size_t query) const { return stats_[query]; }
  std::uint32_t k() const { return k_; }

 private:
  friend class Store;
  std::uint32_t k_ = 0;
  std::vector<Hit> hits_;  // [queries × k]
  std::vector<std::uint32_t> counts_;
  std::vector<QueryStats> stats_;
};

struct CalibrationPoint {
  std::uint32_t k = 0;
  double recall_target = 0;
  double recall = 0;  // reached on the calibration queries; may miss the target when the codes cap it
  std::uint32_t search_list = 0;
  std::uint32_t blocks = 0;
  float bound = 0;
  double reads_per_query = 0;     // as reads_of_4k() has it
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
  std::uint64_t lsn = 0;          // of its last record in the log
  std::uint64_t durable_lsn = 0;  // records up to this one survive a power cut; under SyncMode::kAlways ≥ lsn
  std::uint64_t rows = 0;         // put, or erased
};

struct StoredItem {
  std::vector<std::byte> vector;  // as it was put: dim elements of the store's dtype
  std::string document;
};

struct StoreStats {
  std::uint64_t rows = 0;                 // live
  std::uint64_t delta_rows = 0;           // live, of these: put since the graph was built
  std::uint64_t deleted_rows = 0;         // of the graph, still on disk
  std::uint64_t delta_bytes = 0;          // memory of what was put
  std::uint64_t document_bytes = 0;       // of the documents put since the graph was built
  std::uint64_t kept_document_bytes = 0;  // what they take in there, compressed
  bool has_dictionary = false;            // with a dictionary made of those before
  std::uint64_t wal_bytes = 0;
  std::uint64_t last_lsn = 0;
  std::uint64_t durable_lsn = 0;  // of a reader: as far as it has read
  std::uint64_t syncs = 0;        // of the log since it was opened
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
  double code_error = 0;               // mean |r − r̂|² ÷ mean |x − ĉ|² is in README; here mean |r − r̂|²
  double ram_bytes_per_row = 0;        // codes, corrections, centroids
  std::uint64_t fixed_ram_bytes = 0;   // the model of the codes
  std::uint64_t dictionary_bytes = 0;  // in memory, of the documents that the index was built with
  std::uint64_t disk_bytes = 0;
  bool has_keys = false, has_documents = false, has_originals = false;
  double copies_share = 0;    // of the calibration's queries, those that equal several rows
  std::string calibrated_on;  // "self", "queries" or "none"
  std::vector<CalibrationPoint> calibration;
  std::uint64_t ram_budget_bytes = 0, ram_used_bytes = 0, ram_peak_bytes = 0;
  std::uint64_t codes_bytes = 0;  // ram_bytes_per_row · rows
  std::uint64_t searchers = 0, searchers_bytes = 0;
  std::uint32_t lanes = 0;  // of each searcher; 0: every page is cached, and one query follows the other
  std::uint64_t pages_cached = 0, cache_bytes = 0;
  std::uint64_t pages_replaced = 0;  // in the cache, since it was opened
  std::string backend;               // in use
  std::string backend_fallback;      // why, when it is not the one asked for
};

struct ExportFiles {
  std::string vectors;
  std::string keys;
  std::string documents;  // empty: not wanted
};

// What became of a damaged store.
struct SalvageReport {
  std::uint64_t rows = 0;            // live in what was made
  std::uint64_t records = 0;         // of the log that were whole and took effect
  std::uint64_t records_lost = 0;    // that were whole, but changed what is lost
  std::uint64_t documents_lost = 0;  // of rows that are there, without them
  std::uint64_t log_bytes_lost = 0;  // that hold no whole record
  // What was wrong with superblock or manifest: then the newest manifest that is whole was taken, and its content may
  // be older than what was lost. Ok: they were whole.
  Status content;
};

struct VerifyOptions {
  bool deep = false;  // also reachability of every row, file hashes, rows/ and catalog
};
struct VerifyReport {
  std::uint64_t pages_checked = 0;
  std::uint64_t rows_checked = 0;
  std::uint64_t edges_checked = 0;
  std::uint64_t unreachable_rows = 0;
  std::vector<Status> damage;  // at most 100 findings, each naming file and place
  std::uint64_t damage_total = 0;
};

// A vector store on disk. Movable. Everything may be called from any number of threads; at most
// OpenOptions::searchers searches run at once, others wait, and writers share syncs.
//
// Every call sees the store as of one moment: a batch wholly or not at all, and never a row whose erasure was
// acknowledged before.
//
// fork(): a store belongs to the process that opened it. In a child every call that can fail returns kUnsupported and
// names that process; size(), stats(), info() and calibration_for() return what is empty, resolved() what it was given.
// Dropping the store there does nothing. A child that needs the store opens it again. The lock of writers is never a
// child's: once its parent has closed, others may write while the child lives on.
class Store {
 public:
  // Makes an empty store in the directory `path` (made if need be). Errors: kExists, kInvalidArgument (dim),
  // kPermission, kBusy, kNoSpace, kIo.
  static Status create(const std::string& path, const CreateOptions& options = {});

  // Builds a store in the directory `path` (made if need be) from `vectors`; leaves the old content, or none, when it
  // fails or is killed. Errors: kExists (no overwrite), kInvalidInput (values, with their row), kInvalidArgument (an
  // option, with its range), kMemoryBudget (before starting, or once a sample asks for wider values: the prediction
  // exceeds ram_bytes), kNoSpace, kPermission, kBusy, kIo.
  static Status build(const std::string& path, const VectorSource& vectors, const BuildOptions& options);

  // Makes a store in `to` of all that can still be read of the one in `path`, whose log is damaged: the graph as it is,
  // and every write that is whole, in order. Erasures of rows whose put is lost are lost with it, and documents whose
  // dictionary is. Where superblock or manifest are damaged it takes the newest manifest that is whole, and says so.
  // Errors: kExists, kCorrupt (no manifest is whole), kNewerFormat, kNoSpace, kPermission, kBusy, kIo.
  static Result<SalvageReport> salvage(const std::string& path, const std::string& to);

  // Replays what the log holds beyond the graph. Errors: kNotFound, kInvalidInput (not an index), kCorrupt,
  // kNewerFormat, kMemoryBudget with the least that would do, kBusy naming the process that writes, kPermission.
  static Result<Store> open(const std::string& path, const OpenOptions& options = {});

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  // Takes `vector`, one row of the store's dtype and dimension, and `document`, any bytes up to 64 KiB, in the place of
  // what the key named before. Errors: kInvalidArgument (key of the other kind, too long or empty, dtype, document too
  // large), kInvalidInput (dimension, values), kNoSpace (disk or log full: nothing was written, erasing and searching
  // go on), kMemoryBudget (delta_bytes is used up, for longer than full_wait_ms), kPermission (opened for reading),
  // kIo: a write failed, the store takes no more until it is opened again, and only then it is known whether this one
  // came through.
  Result<WriteReceipt> put(const Key& key, const VectorView& vector, std::string_view document = {});
  // All of them or none, in order; of equal keys the last stays. documents: as many as keys, or none. A batch takes at
  // most 32 MiB of the log, 2 MiB where ram_bytes is given: kInvalidArgument or kMemoryBudget beyond.
  Result<WriteReceipt> put_batch(std::span<const Key> keys, const VectorView& vectors,
                                 std::span<const std::string_view> documents = {});
  // Receipt.rows is 0 when there was no such key. Goes on when delta and log take no more puts, until what is kept for
  // it is used up too. Errors: as of put().
  Result<WriteReceipt> erase(const Key& key);
  Result<WriteReceipt> erase_batch(std::span<const Key> keys);
  // What is not merged yet may take `bytes` from now on, where delta_bytes said less; puts that wait for room go on.
  // Errors: kInvalidArgument (it is less), kMemoryBudget (ram_bytes does not have so much left: the page cache takes
  // what is not asked for otherwise, unless cache_bytes or cache_fraction bound it), kPermission, kIo.
  Status raise_delta_bytes(std::uint64_t bytes);
  // Everything acknowledged so far survives a power cut afterwards. Errors: kIo.
  Status flush();
  // Takes no more writes (kInvalidArgument), flushes and lets another writer in; reading goes on, and writes under way
  // in other threads are done, or refused, each as its own outcome says. Done by the destructor too, which cannot tell
  // of an error.
  Status close();
  // A reader moves on to what has been written meanwhile. Errors: as of open(); kUnsupported when the store was built
  // anew: open it again.
  Status refresh();

  // Errors: kNotFound, kInvalidArgument (a key of the other kind), kIo, kCorrupt.
  Result<StoredItem> get(const Key& key) const;
  Result<bool> contains(const Key& key) const;
  std::uint64_t size() const;
  // Calls visit(key, row) for every key of one moment, in order of their rows, until it returns false. Errors: kIo,
  // kCorrupt.
  Status for_each_key(const std::function<bool(const Key&, RowId)>& visit) const;
  StoreStats stats() const;
  // Writes the vectors as they were put, in a layout that VectorSource reads, and their keys and documents, one a line
  // in the same order, all of one moment; each file appears whole or not at all. Errors: kExists (no overwrite),
  // kUnsupported (the ending fits another element type), kInvalidInput (a key or document with a newline), kNotFound
  // (the store has no rows and knows no dimension), kNoSpace, kPermission, kIo, kCorrupt.
  Status export_to(const ExportFiles& files, bool overwrite = false) const;

  // queries: [rows × dim] of the store's dtype (f16 and f32 mix freely). Runs on the calling thread; `threads` > 1
  // divides the batch, among at most OpenOptions::searchers. Errors: kInvalidArgument (an option, with its
  // range; dtype), kInvalidInput (dimension; values, naming the row), kIo, kCorrupt naming the page.
  Result<SearchResults> search(const VectorView& queries, const SearchOptions& options = {},
                               std::uint32_t threads = 1) const;
  // What a search with these options uses: L, blocks and bound filled in from the calibration.
  SearchOptions resolved(const SearchOptions& options) const;
  // The point of the calibration that it takes them from: the nearest where k or target are beyond the calibrated ones.
  std::optional<CalibrationPoint> calibration_for(const SearchOptions& options) const;
  // nullopt: nothing was calibrated, or the options name L, blocks or bound themselves.
  std::optional<RecallExpectation> recall_expected(const SearchOptions& options = {}) const;

  // What was put beside the vector. Errors: kNotFound (no such row; the store keeps none), kIo, kCorrupt.
  Result<std::string> document(RowId row) const;
  Result<std::string> key(RowId row) const;  // the row number in decimal when the store has no keys
  Result<RowId> find(const Key& key) const;  // in a store of numbers, digits do as well
  // The vector as it was put, dim elements of the store's dtype. Errors: kNotFound, kIo, kCorrupt.
  Status vector(RowId row, void* out) const;

  StoreInfo info() const;
  Result<VerifyReport> verify(const VerifyOptions& options = {}) const;

 private:
  friend struct StoreFactory;  // makes and opens stores on other file systems, for tests
  class BatchSearch;
  struct Impl;
  struct Dispose {  // leaves alone what another process opened
    void operator()(Impl* impl) const;
  };
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl, Dispose> impl_;
};

// -------------------------------------------------------------------------------------------------------- exact search

struct ExactNeighbours {
  std::uint32_t queries = 0;
  std::uint32_t k = 0;
  std::vector<std::uint32_t> rows;  // [queries × k], sorted by (distance, row); 0xFFFFFFFF where there are fewer than k
  std::vector<float> distances;     // [queries × k]; +inf where there are fewer
};

// Brute force over every row of `base`, streamed in blocks. Cosine and ip in the semantics above. Ranked by
// distances in double, equal ones by row; no row is lost to rounding. Errors: as of build.
Result<ExactNeighbours> exact_search(const VectorSource& base, const VectorSource& queries, std::uint32_t k,
                                     Metric metric, std::uint32_t threads = 0);

// Ground-truth and result files: uint32 queries, uint32 k, rows, distances (see ExactNeighbours). Errors: kIo,
// kInvalidInput, kNotFound, kPermission.
Status write_neighbours(const std::string& path, const ExactNeighbours& neighbours);
Result<ExactNeighbours> read_neighbours(const std::string& path);

// recall@k with ties: a hit counts when its row is among the truth's rows at a distance ≤ the k-th true distance; each
// row once; divided by min(k, rows of the truth). Mean over the queries. Errors: kInvalidArgument when the truth has
// fewer queries or fewer than k columns.
Result<double> recall_at(const SearchResults& results, const ExactNeighbours& truth, std::uint32_t k);
Result<double> recall_at(const ExactNeighbours& found, const ExactNeighbours& truth, std::uint32_t k);

// The answers as a result file holds them, by Hit::key: what was built from a file and not written to has its rows for
// keys. Errors: kUnsupported when one does not fit 32 bits.
Result<ExactNeighbours> to_neighbours(const SearchResults& results);

}  // namespace vecstore
