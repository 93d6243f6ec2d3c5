// SPDX-License-Identifier: Apache-2.0
//
// Opening, writing, and what is read by key or front to back.
#include <cstring>
#include <new>
#include <utility>

#include "bindings/c/data.h"
#include "bindings/c/handles.h"

namespace vecstore::c {
namespace {

static_assert(VECSTORE_SYNC_NONE == static_cast<int>(SyncMode::kNone) &&
              VECSTORE_BACKEND_PREAD == static_cast<int>(Backend::kPread) &&
              VECSTORE_SKIP_IF_THERE == static_cast<int>(IfThere::kSkip) &&
              VECSTORE_COSINE == static_cast<int>(Metric::kCosine) &&
              VECSTORE_KEY_BYTES == static_cast<int>(KeyKind::kBytes));

Status check_choice(std::uint32_t value, std::uint32_t last, const char* what) {
  if (value <= last) return Status::ok();
  return Status(Code::kInvalidArgument, "an option has a value that the header does not name")
      .about(std::string(what) + " = " + std::to_string(value));
}

// 0: the default; all bits set: another than that of 0.
template <typename T>
void choose(T& option, T given, T for_most) {
  if (given == 0) return;
  option = given == static_cast<T>(~T{0}) ? for_most : given;
}

Status check_choices(const vecstore_open_options& given) {
  VECSTORE_TRY(check_choice(given.access, VECSTORE_CREATE, "access"));
  VECSTORE_TRY(check_choice(given.dtype, VECSTORE_I8, "dtype"));
  VECSTORE_TRY(check_choice(given.metric, VECSTORE_COSINE, "metric"));
  VECSTORE_TRY(check_choice(given.keys, VECSTORE_KEY_BYTES, "keys"));
  VECSTORE_TRY(check_choice(given.cache, VECSTORE_CACHE_FRACTION, "cache"));
  VECSTORE_TRY(check_choice(given.fixed_cache, 1, "fixed_cache"));
  VECSTORE_TRY(check_choice(given.backend, VECSTORE_BACKEND_PREAD, "backend"));
  VECSTORE_TRY(check_choice(given.sync, VECSTORE_SYNC_NONE, "sync"));
  return check_choice(given.merge, VECSTORE_MERGE_MANUAL, "merge");
}

Status read_options(const vecstore_open_options& given, OpenOptions& options) {
  VECSTORE_TRY(check_choices(given));
  options.access = given.access == VECSTORE_READ ? Access::kRead : Access::kReadWrite;
  if (given.access == VECSTORE_CREATE)
    options.create = CreateOptions{given.dim, static_cast<DType>(given.dtype), static_cast<Metric>(given.metric),
                                   static_cast<KeyKind>(given.keys)};
  options.ram_bytes = given.ram_bytes;
  if (given.cache == VECSTORE_CACHE_BYTES) options.cache_bytes = given.cache_bytes;
  if (given.cache == VECSTORE_CACHE_FRACTION) options.cache_fraction = given.cache_fraction;
  options.fixed_cache = given.fixed_cache != 0;
  if (given.searchers != 0) options.searchers = given.searchers;
  options.lanes = given.lanes;
  options.backend = static_cast<Backend>(given.backend);
  options.sync = static_cast<SyncMode>(given.sync);
  if (given.interval_ms != 0) options.interval_ms = given.interval_ms;
  choose(options.full_wait_ms, given.full_wait_ms, 0u);
  choose(options.merge_wait_ms, given.merge_wait_ms, 0u);
  options.merge = given.merge == VECSTORE_MERGE_MANUAL ? MergePolicy::kManual : MergePolicy::kAutomatic;
  choose(options.merge_threads, given.merge_threads, 0u);
  choose(options.merge_write_bytes, given.merge_write_bytes, std::uint64_t{0});
  if (given.delta_bytes != 0) options.delta_bytes = given.delta_bytes;
  if (given.log_bytes != 0) options.log_bytes = given.log_bytes;
  options.reader_bytes_max = given.reader_bytes_max;
  Hooks hooks;
  VECSTORE_TRY(read_hooks(given.hooks, hooks));
  options.progress = hooks.progress;
  options.cancel = hooks.cancel;
  return Status::ok();
}

Status close_of(const vecstore_store* store) {
  store->open->is_closed = store->open->is_writer;
  return store->open->store.close();
}

vecstore_receipt receipt_of(const WriteReceipt& receipt) {
  vecstore_receipt told{};
  told.lsn = receipt.lsn;
  told.durable_lsn = receipt.durable_lsn;
  told.rows = receipt.rows;
  told.replaced = receipt.replaced;
  return told;
}

}  // namespace
}  // namespace vecstore::c

using namespace vecstore;     // NOLINT(google-build-using-namespace): C has none
using namespace vecstore::c;  // NOLINT(google-build-using-namespace)

int32_t vecstore_open(const char* path, const vecstore_open_options* given, vecstore_store** out,
                      vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    if (out == nullptr) return refuse("the place for the store is NULL");
    *out = nullptr;
    VECSTORE_TRY(check_path(path, "path"));
    vecstore_open_options read;
    VECSTORE_TRY(read_versioned(given, read));
    OpenOptions options;
    VECSTORE_TRY(read_options(read, options));
    auto handle = std::make_unique<vecstore_store>();
    auto store = Store::open(path, options);
    if (!store) return store.error();
    handle->open = std::make_shared<OpenStore>(std::move(*store), options.access == Access::kReadWrite);
    *out = handle.release();
    return {};
  });
}

int32_t vecstore_close(vecstore_store* store, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    return close_of(store);
  });
}

void vecstore_free(vecstore_store* store) {
  if (store == nullptr || check_reading(store).code != VECSTORE_OK) return;
  // Scans keep what they read; the lock of writers is not theirs.
  if (store->open.use_count() > 1) static_cast<void>(close_of(store));
  delete store;
}

int32_t vecstore_refresh(vecstore_store* store, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    return store->open->store.refresh();
  });
}

int32_t vecstore_flush(vecstore_store* store, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_writing(store));
    return outcome_of(store, store->open->store.flush());
  });
}

int32_t vecstore_put(vecstore_store* store, const vecstore_keys* keys, const vecstore_vectors* vectors,
                     const vecstore_put_options* given, vecstore_receipt* receipt, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_writing(store));
    VECSTORE_TRY(check_result(receipt));
    vecstore_put_options read;
    VECSTORE_TRY(read_versioned(given, read));
    VECSTORE_TRY(check_choice(read.if_there, VECSTORE_SKIP_IF_THERE, "if_there"));
    PutOptions options;
    options.if_there = static_cast<IfThere>(read.if_there);
    Hooks hooks;
    VECSTORE_TRY(read_hooks(read.hooks, hooks));
    options.progress = hooks.progress;
    options.cancel = hooks.cancel;
    VectorView view;
    VECSTORE_C_TRY(read_vectors(vectors, view));
    std::vector<Key> own;
    VECSTORE_C_TRY(read_keys(keys, own, view.rows));
    std::vector<std::string_view> documents;
    VECSTORE_C_TRY(read_documents(read.documents, documents, view.rows));
    const auto put = store->open->store.put_batch(own, view, documents, options);
    if (put) write_versioned(receipt, receipt_of(*put));
    Outcome outcome = outcome_of(store, put);
    const std::uint32_t dim = outcome.code == VECSTORE_INVALID_INPUT ? store->open->store.info().dim : 0;
    return dim != 0 && dim != view.dim ? std::move(outcome).with(dim, view.dim) : outcome;
  });
}

int32_t vecstore_erase(vecstore_store* store, const vecstore_keys* keys, vecstore_receipt* receipt,
                       vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_writing(store));
    VECSTORE_TRY(check_result(receipt));
    std::vector<Key> own;
    VECSTORE_C_TRY(read_keys(keys, own));
    const auto erased = store->open->store.erase_batch(own);
    if (erased) write_versioned(receipt, receipt_of(*erased));
    return outcome_of(store, erased);
  });
}

int32_t vecstore_raise_delta_bytes(vecstore_store* store, uint64_t bytes, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_writing(store));
    return outcome_of(store, store->open->store.raise_delta_bytes(bytes));
  });
}

int32_t vecstore_compact(vecstore_store* store, const vecstore_compact_options* given, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_writing(store));
    vecstore_compact_options read;
    VECSTORE_TRY(read_versioned(given, read));
    VECSTORE_TRY(check_choice(read.rebuild, 1, "rebuild"));
    CompactOptions options;
    options.rebuild = read.rebuild != 0;
    options.threads = read.threads;
    Hooks hooks;
    VECSTORE_TRY(read_hooks(read.hooks, hooks));
    options.progress = hooks.progress;
    options.cancel = hooks.cancel;
    return outcome_of(store, store->open->store.compact(options));
  });
}

int32_t vecstore_get(vecstore_store* store, const vecstore_keys* keys, uint8_t* found, void* vectors,
                     uint64_t vectors_bytes, vecstore_bytes* documents, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    if (keys == nullptr) return refuse("keys is NULL");
    const std::uint64_t row_bytes = store->open->row_bytes();
    const bool fits = row_bytes == 0 ? vectors_bytes == 0
                                     : vectors_bytes / row_bytes == keys->count && vectors_bytes % row_bytes == 0;
    if (vectors != nullptr && !fits)
      return Outcome(Status(Code::kInvalidArgument, "the place for the vectors has another size than they take")
                         .at(Detail::kBytes, row_bytes * keys->count))
          .with(row_bytes * keys->count, vectors_bytes);
    std::vector<Key> own;
    VECSTORE_C_TRY(read_keys(keys, own));
    const auto items =
        store->open->store.get_batch(own, {.vectors = vectors != nullptr, .documents = documents != nullptr});
    if (!items) return items.error();
    if (vectors != nullptr) std::memset(vectors, 0, vectors_bytes);
    TextColumn texts;  // keys may be those that `documents` has
    for (std::size_t i = 0; i < own.size(); ++i) {
      const auto& item = (*items)[i];
      if (found != nullptr) found[i] = item ? 1 : 0;
      if (vectors != nullptr && item && item->vector.size() <= row_bytes)
        std::memcpy(static_cast<std::byte*>(vectors) + i * row_bytes, item->vector.data(), item->vector.size());
      if (documents != nullptr) texts.append(item ? item->document : std::string());
    }
    if (documents != nullptr) documents->texts = std::move(texts);
    return {};
  });
}

int32_t vecstore_scan_open(vecstore_store* store, const vecstore_scan_options* given, vecstore_scan** out,
                           vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    if (out == nullptr) return refuse("the place for the scan is NULL");
    *out = nullptr;
    VECSTORE_C_TRY(check_reading(store));
    vecstore_scan_options read;
    VECSTORE_TRY(read_versioned(given, read));
    VECSTORE_TRY(check_choice(read.without_vectors, 1, "without_vectors"));
    VECSTORE_TRY(check_choice(read.without_documents, 1, "without_documents"));
    ScanOptions options;
    options.vectors = read.without_vectors == 0;
    options.documents = read.without_documents == 0;
    if (read.cancel != nullptr) options.cancel = &read.cancel->token;
    auto scan = store->open->store.scan(options);
    if (!scan) return scan.error();
    *out = new vecstore_scan{store->open, std::move(*scan), {}, {}};
    return {};
  });
}

int32_t vecstore_scan_next(vecstore_scan* scan, uint64_t rows_max, vecstore_rows* rows, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    if (scan == nullptr || rows == nullptr) return refuse("the scan or the place for its rows is NULL");
    VECSTORE_C_TRY(check_handle(scan->open.get()));
    VECSTORE_TRY(check_result(rows));
    write_versioned(rows, vecstore_rows{});
    ScanBatch& batch = scan->batch;
    VECSTORE_TRY(scan->scan.next(batch, rows_max));
    static_assert(sizeof(RowId) == sizeof(std::uint64_t));
    vecstore_rows told{};
    told.count = batch.size();
    told.rows = reinterpret_cast<const std::uint64_t*>(batch.rows.data());
    told.keys.count = batch.size();
    if (batch.key_kind == KeyKind::kNumber) {
      told.keys.numbers = batch.number_keys.data();
    } else {
      scan->keys = {batch.keys.bytes.c_str(), batch.keys.offsets.data(), batch.keys.size()};
      told.keys.texts = &scan->keys;
    }
    told.vectors.rows = batch.vectors.empty() ? 0 : batch.size();
    told.vectors.data = batch.vectors.empty() ? nullptr : batch.vectors.data();
    told.vectors.dim = batch.dim;
    told.vectors.dtype = static_cast<std::uint32_t>(batch.dtype);
    told.documents = {batch.documents.bytes.c_str(), batch.documents.offsets.data(), batch.documents.size()};
    write_versioned(rows, told);
    return {};
  });
}

void vecstore_scan_free(vecstore_scan* scan) {
  if (scan != nullptr && check_handle(scan->open.get()).code == VECSTORE_OK) delete scan;
}
