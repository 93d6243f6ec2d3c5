// SPDX-License-Identifier: Apache-2.0
//
// VecStore's C++ API: make a store or build one from files or memory, put, erase and get by key, search.
//
//   auto store = vecstore::Store::open("idx", {.access = vecstore::Access::kReadWrite}).value();
//   auto receipt = store.put(17, vecstore::VectorView{vector, vecstore::DType::kU8, 1, 128}, "a document").value();
//   auto hits = store.search(vecstore::VectorView{query, vecstore::DType::kU8, 1, 128}, {.k = 10}).value();
//   for (const auto& hit : hits[0]) std::printf("%llu %f\n", (unsigned long long)hit.row.value, hit.score);
//
// Every fallible call returns a Status or a Result<T>, kMemoryBudget where the system has no memory left (then with
// ENOMEM). Nothing here throws but what a function of yours throws through it, and info(), resolved() and
// to_prometheus(), which copy texts and functions. Only the
// standard library is needed.
// Score and distance of a hit, by metric (larger score is better):
//   kL2            distance = squared Euclidean     score = −distance
//   kInnerProduct  distance = −⟨q,x⟩                score = ⟨q,x⟩
//   kCosine        distance = 1 − cos(q,x)          score = cos(q,x)
// Distances to rows of the graph are computed at the precision of its pages. That is exact for u8 and i8 input. For f32
// and f16 it is 8, 16 or 32 bits a value (BuildOptions::vector_bits). With SearchOptions::full_precision, and to rows
// that were put since the graph was built, they are those of the vectors as they were put.
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
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "engine/key.h"
#include "engine/metrics.h"
#include "engine/options.h"
#include "engine/reports.h"
#include "engine/vector_source.h"

namespace vecstore {

// Brings the rows of a store as they were when Store::scan() was called, batch by batch; each page is read once, as far
// as a batch has what lies on it. The store, which may move, must outlive it. It keeps what merges have replaced, as a
// search does. For one thread at a time.
//
//   auto scan = store.scan().value();
//   for (vecstore::ScanBatch batch; scan.next(batch).is_ok() && batch.size() != 0;)
//     for (std::size_t i = 0; i < batch.size(); ++i) use(batch.key(i), batch.vector(i), batch.document(i));
class Scan {
 public:
  Scan(Scan&&) noexcept;
  Scan& operator=(Scan&&) noexcept;
  ~Scan();
  // Replaces what is in `batch` by the next rows, at most rows_max; none after the last one. An error leaves
  // `batch` empty. Errors: kInvalidArgument (rows_max is 0); kIo, kCorrupt naming the page, kMemoryBudget and
  // kCancelled, after which every further call returns the same; kUnsupported (in a child of fork()).
  Status next(ScanBatch& batch, std::size_t rows_max = 1024);

 private:
  friend class Store;
  struct Impl;
  struct Dispose {
    void operator()(Impl* impl) const;
  };
  explicit Scan(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl, Dispose> impl_;
};

// A vector store on disk. Movable. Everything may be called from any number of threads; at most
// OpenOptions::searchers searches run at once, others wait, and writers share syncs.
//
// A call whose options have a CancelToken ends with kCancelled soon after the token was cancelled, within 200 ms as a
// rule, and leaves all as it was. engine/store/README.md has the steps that may take longer.
//
// Every call sees the store as of one moment: a batch wholly or not at all, and never a row whose erasure was
// acknowledged before.
//
// fork(): a store belongs to the process that opened it. In a child every call that can fail returns kUnsupported and
// names that process. There size(), stats(), metrics(), info() and calibration_for() return what is empty, and
// resolved() returns what it was given. Dropping the store there does nothing. A child that needs the store opens it
// again. The lock of writers is never a child's: once its parent has closed, others may write while the child lives on.
class Store {
 public:
  // Makes an empty store in the directory `path` (made if need be); leaves nothing behind when it fails. Errors:
  // kExists, kInvalidArgument (dim), kPermission, kBusy, kNoSpace, kIo.
  static Status create(const std::string& path, const CreateOptions& options = {});

  // Builds a store in the directory `path` (made if need be) from `vectors`. Where it fails, or `progress` throws
  // before the store is there, nothing of it is left, and the old content stays; where it is killed, the next writer
  // removes what is left. Errors: kExists (no overwrite; a key appears twice: names it and both lines), kInvalidInput
  // (values, with their row; keys or documents, with their line), kInvalidArgument (an option, with its range),
  // kMemoryBudget (before starting, or once a sample asks for wider values: the prediction exceeds ram_bytes),
  // kNoSpace, kPermission, kBusy, kIo.
  static Status build(const std::string& path, const VectorSource& vectors, const BuildOptions& options);

  // Makes a store in `to` of all that can still be read of the one in `path`, whose log is damaged: the graph as it is,
  // and every write that is whole, in order. Erasures of rows whose put is lost are lost with it, and documents whose
  // dictionary is. Where superblock or manifest are damaged it takes the newest manifest that is whole, and says so.
  // Errors: kExists, kCorrupt (no manifest is whole), kNewerFormat, kNoSpace, kPermission, kBusy, kIo.
  // It appears under that name when it is whole: what fails, or is cancelled, leaves nothing.
  static Result<SalvageReport> salvage(const std::string& path, const std::string& to,
                                       const CancelToken* cancel = nullptr);

  // The content of the store in `path`, or of a snapshot, as it is now becomes a store of its own in `to`: files, and
  // the log behind them. Others may write and merge there meanwhile; what a writer has not synced yet may be missing.
  // It is verified as verify({.deep = true}) does before this returns. Errors, which leave nothing in `to`: kExists
  // (something is there), kCorrupt (what was read is damaged, or log and files do not fit), kNotFound, kNewerFormat,
  // kNoSpace, kPermission, kBusy, kIo, kInvalidInput (options.since is no store), kCancelled.
  static Result<CopyReport> copy(const std::string& from, const std::string& to, const CopyOptions& options = {});
  // Snapshots of the store in `path`, by name. Errors: kNotFound, kInvalidInput, kPermission, kIo.
  static Result<std::vector<SnapshotInfo>> snapshots(const std::string& path);
  // Whoever reads it goes on; the disk gets its room back when the last of them closes it. Errors: kNotFound,
  // kInvalidArgument (a name that is none), kPermission, kIo.
  static Status remove_snapshot(const std::string& path, const std::string& name);

  // Replays what the log holds beyond the graph. Errors: kNotFound, kInvalidInput (not an index), kCorrupt,
  // kNewerFormat, kMemoryBudget with the least that would do, kBusy naming the process that writes, kPermission,
  // kInvalidArgument (an option; the store is another than options.create says). With options.create also those of
  // create(), but kExists only where a directory has something else than a store.
  static Result<Store> open(const std::string& path, const OpenOptions& options = {});

  Store(Store&&) noexcept;
  Store& operator=(Store&&) noexcept;
  ~Store();

  // Takes `vector` and `document` in the place of what the key named before. `vector` is one row of the store's
  // dimension and dtype. f16 and f32 mix: a store of f16 keeps the nearest f16. `document` is any bytes up to 64 KiB.
  // Errors: kInvalidArgument (key of the other kind, too long or empty, dtype, document too large), kInvalidInput
  // (dimension, values), kNoSpace (disk or log full: nothing was written, erasing and searching go on), kMemoryBudget
  // (delta_bytes is used up, for longer than full_wait_ms), kPermission (opened for reading), kIo. After kIo a write
  // failed: the store takes no more until it is opened again, and only then it is known whether this one came through.
  Result<WriteReceipt> put(const Key& key, const VectorView& vector, std::string_view document = {},
                           const PutOptions& options = {});
  // All of them or none, in order; of equal keys the last stays. documents: as many as keys, or none. An empty batch is
  // done at once, and its receipt has the newest lsn. options.if_there says what becomes of keys that are there, or
  // that come twice in the batch: kExists where it is kFail. One that is cancelled while it waits is kCancelled. A
  // batch takes at most 32 MiB of the log, 2 MiB where ram_bytes is given: kInvalidArgument or kMemoryBudget beyond.
  // One that an empty delta does not hold is refused at once (kMemoryBudget), with the delta_bytes that take it and how
  // many of its rows would fit.
  Result<WriteReceipt> put_batch(std::span<const Key> keys, const VectorView& vectors,
                                 std::span<const std::string_view> documents = {}, const PutOptions& options = {});
  // Receipt.rows is 0 when there was no such key. Goes on when delta and log take no more puts, until what is kept for
  // it is used up too. Errors: as of put().
  Result<WriteReceipt> erase(const Key& key);
  Result<WriteReceipt> erase_batch(std::span<const Key> keys);
  // What is not merged yet may take `bytes` from now on, where delta_bytes said less; puts that wait for room go on.
  // Errors: kInvalidArgument (it is less), kMemoryBudget (ram_bytes does not have so much left: the page cache takes
  // what is not asked for otherwise, unless cache_bytes or cache_fraction bound it), kPermission, kIo.
  Status raise_delta_bytes(std::uint64_t bytes);
  // Takes what was put since into the graph on disk, and what was erased out of it. Then memory and log have it no
  // more, and rows that are gone take no space. Searches and writes go on meanwhile; a call that has begun sees what it
  // saw. It takes memory as a build does, within ram_bytes, and disk for a second graph. Errors, all of which leave the
  // store as it was: kMemoryBudget (names what would do), kNoSpace, kIo, kCorrupt (a page of the graph is damaged;
  // names it), kCancelled, kPermission, kBusy (calls keep as much as reader_bytes_max allows).
  Result<MergeReport> compact(const CompactOptions& options = {});
  // Keeps what the store holds now, in snapshots/<name> of its directory: second names of its files, those of the log
  // among them, and a copy of the log's end. It opens for reading as any store, and changes no more; copy() makes a
  // store of it that can be written to. Writes and searches go on meanwhile, merges wait. name: 1 to 100 letters,
  // digits, '.', '_' or '-', not '.' first. Errors, which leave no snapshot: kExists, kInvalidArgument (the name),
  // kUnsupported (the file system takes no second names; ask for a copy), kNoSpace, kIo, kMemoryBudget, kPermission
  // (opened for reading), kCancelled.
  Result<SnapshotInfo> snapshot(const std::string& name, const SnapshotOptions& options = {});
  // Everything acknowledged so far survives a power cut afterwards. Errors: kIo.
  Status flush();
  // Takes no more writes (kInvalidArgument), cancels a merge, flushes and lets another writer in. Reading goes on.
  // Writes under way in other threads are done, or refused, each as its own outcome says. The destructor does the same,
  // but cannot tell of an error.
  Status close();
  // A reader moves on to what has been written meanwhile. Errors: as of open(); kUnsupported when the store was built
  // anew: open it again.
  Status refresh();

  // Errors: kNotFound, kInvalidArgument (a key of the other kind), kIo, kCorrupt.
  Result<StoredItem> get(const Key& key) const;
  // All of one moment, in the order of the keys; nullopt where there is no such key. Errors: kInvalidArgument (a key of
  // the other kind), kIo, kCorrupt, kCancelled.
  Result<std::vector<std::optional<StoredItem>>> get_batch(std::span<const Key> keys,
                                                           const GetOptions& options = {}) const;
  Result<bool> contains(const Key& key) const;
  std::uint64_t size() const;
  // Calls visit(key, row) for every key of one moment, in order of their rows, until it returns false. Errors: kIo,
  // kCorrupt.
  Status for_each_key(const std::function<bool(const Key&, RowId)>& visit) const;
  // All rows of this moment, whatever is written meanwhile, in order of their rows. Errors: kIo, kCorrupt,
  // kMemoryBudget.
  Result<Scan> scan(const ScanOptions& options = {}) const;
  StoreStats stats() const;
  // What the calls of this object did since it was opened, and how the store stands. It waits for nobody and allocates
  // nothing, so it may be asked as often as one likes.
  Metrics metrics() const;
  // Writes the vectors as they were put, in a layout that VectorSource reads. Their keys and documents come one a line
  // in the same order. All is of one moment, and each file appears whole or not at all. Errors: kExists (no overwrite),
  // kUnsupported (the ending fits another element type), kInvalidInput (a key or document with a newline; all other
  // bytes are read again as they were), kNotFound (the store has no rows and knows no dimension), kNoSpace,
  // kPermission, kIo, kCorrupt.
  Status export_to(const ExportFiles& files, const ExportOptions& options = {}) const;
  Status export_to(const ExportFiles& files, bool overwrite) const;  // as in 0.1.0

  // queries: [rows × dim] of the store's dtype (f16 and f32 mix freely). Runs on the calling thread; `threads` > 1
  // divides the batch, among at most OpenOptions::searchers. Errors: kInvalidArgument (an option, with its
  // range; dtype), kInvalidInput (dimension; values, naming the row), kIo, kCorrupt naming the page.
  Result<SearchResults> search(const VectorView& queries, const SearchOptions& options = {},
                               std::uint32_t threads = 1) const;
  // As search(), for the vectors that the keys have at that moment; of each query its own row is no hit. k is 999 at
  // the most. Errors besides: kNotFound, naming the key; kInvalidArgument (a key of the other kind).
  Result<SearchResults> search_by_key(std::span<const Key> keys, const SearchOptions& options = {},
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
  // The vector as it was put. out: dim elements of the store's dtype, no more and no fewer. Errors: kInvalidArgument
  // (out has another size), kNotFound, kIo, kCorrupt.
  Status vector(RowId row, std::span<std::byte> out) const;

  StoreInfo info() const;
  Result<VerifyReport> verify(const VerifyOptions& options = {}) const;

 private:
  friend class Scan;
  friend struct StoreFactory;  // makes and opens stores on other file systems, for tests
  struct Impl;
  struct Dispose {  // leaves alone what another process opened
    void operator()(Impl* impl) const;
  };
  explicit Store(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl, Dispose> impl_;
};

}  // namespace vecstore
