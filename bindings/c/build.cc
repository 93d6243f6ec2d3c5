// SPDX-License-Identifier: Apache-2.0
//
// Building, keeping, checking, mending, and what is told of a store.
#include <array>

#include "bindings/c/data.h"
#include "bindings/c/handles.h"
#include "engine/files/info_json.h"

namespace vecstore::c {
namespace {

constexpr std::array kCodecs = {Codec::kAutomatic, Codec::kOpq, Codec::kPq, Codec::kRabitq};

// Options of a build, and what they borrow from.
struct BuildCall {
  SourceReader source;
  SourceReader queries;
  BuildOptions options;
};

Outcome read_build(const vecstore_source* source, const vecstore_build_options* given, BuildCall& build) {
  vecstore_build_options read;
  VECSTORE_TRY(read_versioned(given, read));
  if (read.metric > VECSTORE_COSINE || read.codec >= kCodecs.size() || read.overwrite > 1 ||
      read.without_calibration > 1)
    return refuse("metric, codec, overwrite or without_calibration has a value that the header does not name");
  BuildOptions& options = build.options;
  options.metric = static_cast<Metric>(read.metric);
  options.ram_bytes = read.ram_bytes;
  options.search_ram_bytes = read.search_ram_bytes;
  options.codec = kCodecs[read.codec];
  options.code_bytes = read.code_bytes;
  options.vector_bits = read.vector_bits;
  options.page_bytes = read.page_bytes;
  options.max_degree = read.max_degree;
  options.build_list = read.build_list;
  if (read.alpha != 0) options.alpha = read.alpha;
  options.threads = read.threads;
  if (read.seed != 0) options.seed = read.seed;
  options.overwrite = read.overwrite != 0;
  options.calibrate = read.without_calibration == 0;
  Hooks hooks;
  VECSTORE_TRY(read_hooks(read.hooks, hooks));
  options.progress = hooks.progress;
  options.cancel = hooks.cancel;
  VECSTORE_C_TRY(read_source(source, build.source));
  VECSTORE_C_TRY(read_texts_of(build.source, options));
  if (read.calibration_queries == nullptr) return {};
  VECSTORE_C_TRY(read_source(read.calibration_queries, build.queries));
  options.calibration_queries = build.queries.vectors.get();
  return {};
}

Outcome outcome_of_build(const BuildCall& build, const Status& status) {
  const Outcome outcome = with_callback_code(build.source, status);
  return build.queries.vectors == nullptr || outcome.code != static_cast<std::int32_t>(status.code())
             ? outcome
             : with_callback_code(build.queries, status);
}

void fill(vecstore_bytes* bytes, std::string_view text) {
  bytes->texts.clear();
  bytes->texts.append(text);
}

}  // namespace
}  // namespace vecstore::c

using namespace vecstore;     // NOLINT(google-build-using-namespace): C has none
using namespace vecstore::c;  // NOLINT(google-build-using-namespace)

int32_t vecstore_build(const char* path, const vecstore_source* source, const vecstore_build_options* options,
                       vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_TRY(check_path(path, "path"));
    BuildCall build;
    VECSTORE_C_TRY(read_build(source, options, build));
    return outcome_of_build(build, Store::build(path, *build.source.vectors, build.options));
  });
}

int32_t vecstore_predict_build(const vecstore_source* source, const vecstore_build_options* options,
                               vecstore_prediction* prediction, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    if (prediction == nullptr) return refuse("the place for the prediction is NULL");
    VECSTORE_TRY(check_result(prediction));
    BuildCall build;
    VECSTORE_C_TRY(read_build(source, options, build));
    const auto predicted = predict_build(*build.source.vectors, build.options);
    if (!predicted) return outcome_of_build(build, predicted.error());
    vecstore_prediction told{};
    told.page_bytes = predicted->page_bytes;
    told.memory_peak_bytes = predicted->memory_peak_bytes;
    told.disk_bytes = predicted->disk_bytes;
    told.code_bytes = predicted->code_bytes;
    told.max_degree = predicted->max_degree;
    write_versioned(prediction, told);
    return {};
  });
}

int32_t vecstore_snapshot(vecstore_store* store, const char* name, uint32_t copy, vecstore_cancel* cancel,
                          vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_writing(store));
    VECSTORE_TRY(check_path(name, "name"));
    if (copy > 1) return refuse("copy is 0 or 1");
    SnapshotOptions options;
    options.copy = copy != 0;
    if (cancel != nullptr) options.cancel = &cancel->token;
    return c::outcome_of(store, store->open->store.snapshot(name, options));
  });
}

int32_t vecstore_snapshots(const char* path, vecstore_bytes* names, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_TRY(check_path(path, "path"));
    if (names == nullptr) return refuse("the place for the names is NULL");
    names->texts.clear();
    const auto found = Store::snapshots(path);
    if (!found) return found.error();
    for (const SnapshotInfo& snapshot : *found) names->texts.append(snapshot.name);
    return {};
  });
}

int32_t vecstore_remove_snapshot(const char* path, const char* name, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_TRY(check_path(path, "path"));
    VECSTORE_TRY(check_path(name, "name"));
    return Store::remove_snapshot(path, name);
  });
}

int32_t vecstore_copy(const char* from, const char* to, const char* since, const vecstore_hooks* hooks,
                      vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_TRY(check_path(from, "from"));
    VECSTORE_TRY(check_path(to, "to"));
    Hooks read;
    VECSTORE_TRY(read_hooks(hooks, read));
    CopyOptions options;
    if (since != nullptr) {
      VECSTORE_TRY(check_path(since, "since"));
      options.since = since;
    }
    options.progress = read.progress;
    options.cancel = read.cancel;
    const auto copied = Store::copy(from, to, options);
    return copied ? Outcome() : Outcome(copied.error());
  });
}

int32_t vecstore_salvage(const char* path, const char* to, vecstore_cancel* cancel, uint64_t* rows,
                         vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_TRY(check_path(path, "path"));
    VECSTORE_TRY(check_path(to, "to"));
    const auto salvaged = Store::salvage(path, to, cancel == nullptr ? nullptr : &cancel->token);
    if (!salvaged) return salvaged.error();
    if (rows != nullptr) *rows = salvaged->rows;
    return {};
  });
}

int32_t vecstore_verify(vecstore_store* store, uint32_t deep, vecstore_bytes* findings, const vecstore_hooks* hooks,
                        vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    if (deep > 1) return refuse("deep is 0 or 1");
    if (findings != nullptr) findings->texts.clear();
    Hooks read;
    VECSTORE_TRY(read_hooks(hooks, read));
    const auto verified =
        store->open->store.verify({.deep = deep != 0, .progress = read.progress, .cancel = read.cancel});
    if (!verified) return verified.error();
    for (const Status& finding : verified->damage)
      if (findings != nullptr) findings->texts.append(finding.message());
    if (verified->damage_total == 0) return {};
    const Status first =
        verified->damage.empty() ? Status(Code::kCorrupt, "the store is damaged") : verified->damage.front();
    return Outcome::of(VECSTORE_CORRUPT, first);
  });
}

int32_t vecstore_export(vecstore_store* store, const char* vectors_path, const char* keys_path,
                        const char* documents_path, uint32_t overwrite, const vecstore_hooks* hooks,
                        vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    VECSTORE_TRY(check_path(vectors_path, "vectors_path"));
    VECSTORE_TRY(check_path(keys_path, "keys_path"));
    if (documents_path != nullptr) VECSTORE_TRY(check_path(documents_path, "documents_path"));
    if (overwrite > 1) return refuse("overwrite is 0 or 1");
    Hooks read;
    VECSTORE_TRY(read_hooks(hooks, read));
    ExportOptions options;
    options.overwrite = overwrite != 0;
    options.progress = read.progress;
    options.cancel = read.cancel;
    return store->open->store.export_to({vectors_path, keys_path, documents_path == nullptr ? "" : documents_path},
                                        options);
  });
}

int32_t vecstore_get_stats(vecstore_store* store, vecstore_stats* stats, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    if (stats == nullptr) return refuse("the place for the numbers is NULL");
    VECSTORE_TRY(check_result(stats));
    const StoreInfo info = store->open->store.info();
    const StoreStats now = store->open->store.stats();
    vecstore_stats told{};
    told.dim = info.dim;
    told.dtype = static_cast<std::uint32_t>(info.dtype);
    told.metric = static_cast<std::uint32_t>(info.metric);
    told.keys = static_cast<std::uint32_t>(info.keys);
    told.is_merging = now.is_merging ? 1 : 0;
    told.rows = now.rows;
    told.delta_rows = now.delta_rows;
    told.deleted_rows = now.deleted_rows;
    told.delta_bytes = now.delta_bytes;
    told.log_bytes = now.wal_bytes;
    told.disk_bytes = info.disk_bytes;
    told.last_lsn = now.last_lsn;
    told.durable_lsn = now.durable_lsn;
    told.merges = now.merges;
    told.ram_budget_bytes = info.ram_budget_bytes;
    told.ram_used_bytes = info.ram_used_bytes;
    told.ram_peak_bytes = info.ram_peak_bytes;
    told.pages = info.pages;
    told.pages_cached = info.pages_cached;
    write_versioned(stats, told);
    return {};
  });
}

int32_t vecstore_info_json(vecstore_store* store, vecstore_bytes* json, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    if (json == nullptr) return refuse("the place for the JSON is NULL");
    fill(json, json_of(store->open->store.info()).text());
    return {};
  });
}

int32_t vecstore_metrics_text(vecstore_store* store, vecstore_bytes* text, vecstore_error* error) {
  return call(error, [&]() -> Outcome {
    VECSTORE_C_TRY(check_reading(store));
    if (text == nullptr) return refuse("the place for the text is NULL");
    fill(text, to_prometheus(store->open->store.metrics()));
    return {};
  });
}
