// SPDX-License-Identifier: Apache-2.0
//
// What writing costs: acknowledged rows a second by sync mode, callers that share syncs, and searching beside rows that
// are not merged yet. It also opens a store again whose writer was killed. Real vectors: csift where it is, else the
// 55,000 of it that ship with the project.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "engine/vecstore.hpp"

namespace vecstore::bench {
namespace {

using Json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr std::uint64_t kBatch = 100;
constexpr std::uint64_t kFirstKey = 1u << 30;

struct Options {
  std::string base, queries, index, work = "build/bench-work/writes", json;
};

struct Vectors {
  std::vector<std::byte> bytes;
  DType dtype = DType::kU8;
  std::uint64_t rows = 0;
  std::uint32_t dim = 0;
  VectorView view(std::uint64_t first, std::uint64_t count) const {
    return {bytes.data() + first * dim * element_bytes(dtype), dtype, count, dim};
  }
};

template <typename T>
T need(Result<T> result) {
  if (result) return std::move(result).value();
  fmt::print(stderr, "bench_writes: {}\n", result.error().message());
  std::exit(1);
}
void need(const Status& status) {
  if (status.is_ok()) return;
  fmt::print(stderr, "bench_writes: {}\n", status.message());
  std::exit(1);
}

Vectors load(const std::string& path, std::uint64_t rows_max) {
  const auto source = need(open_vector_file(path));
  Vectors vectors{{}, source->dtype(), std::min(rows_max, source->rows()), source->dim()};
  vectors.bytes.resize(vectors.rows * vectors.dim * element_bytes(vectors.dtype));
  need(source->read(0, vectors.rows, vectors.bytes.data()));
  return vectors;
}

double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

Store fresh_store(const std::string& path, const Vectors& vectors, const OpenOptions& options) {
  std::filesystem::remove_all(path);
  need(Store::create(path, {vectors.dim, vectors.dtype, Metric::kL2, KeyKind::kNumber}));
  return need(Store::open(path, options));
}

void put_batches(Store& store, const Vectors& vectors, std::uint64_t rows, std::uint64_t first_key) {
  std::vector<Key> keys;
  for (std::uint64_t row = 0; row < rows; row += kBatch) {
    const std::uint64_t count = std::min(kBatch, rows - row);
    const std::uint64_t from = row % (vectors.rows - kBatch + 1);
    keys.clear();
    for (std::uint64_t i = 0; i < count; ++i) keys.emplace_back(first_key + row + i);
    need(store.put_batch(keys, vectors.view(from, count)));
  }
}

OpenOptions writer(SyncMode sync) {
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = sync;
  return options;
}

Json measure_batches(const Options& options, const Vectors& vectors, SyncMode sync, const char* name) {
  constexpr std::uint64_t kRows = 100000;
  Store store = fresh_store(options.work + "/store", vectors, writer(sync));
  const auto start = Clock::now();
  put_batches(store, vectors, kRows, 0);
  const double seconds = seconds_since(start);
  const StoreStats stats = store.stats();
  fmt::print("{:<10} batches of {}, one caller: {:>8.0f} rows/s, {} syncs, log {:.1f} MB, delta {:.1f} MB\n", name,
             kBatch, kRows / seconds, stats.syncs, static_cast<double>(stats.wal_bytes) / 1e6,
             static_cast<double>(stats.delta_bytes) / 1e6);
  return {{"sync", name},
          {"rows_per_second", kRows / seconds},
          {"syncs", stats.syncs},
          {"wal_bytes", stats.wal_bytes},
          {"delta_bytes", stats.delta_bytes}};
}

Json measure_callers(const Options& options, const Vectors& vectors, unsigned callers) {
  constexpr std::uint64_t kEach = 1000;
  Store store = fresh_store(options.work + "/store", vectors, writer(SyncMode::kAlways));
  const auto start = Clock::now();
  {
    std::vector<std::jthread> threads;
    threads.reserve(callers);
    for (unsigned caller = 0; caller < callers; ++caller)
      threads.emplace_back([&, caller] {
        for (std::uint64_t i = 0; i < kEach; ++i)
          need(store.put(caller * kEach + i, vectors.view((caller * kEach + i) % vectors.rows, 1)));
      });
  }
  const double seconds = seconds_since(start);
  const std::uint64_t syncs = store.stats().syncs;
  fmt::print("always     single puts, {:>2} callers: {:>8.0f} rows/s, {} syncs of {:.0f} us\n", callers,
             static_cast<double>(callers * kEach) / seconds, syncs, 1e6 * seconds / static_cast<double>(syncs));
  return {{"callers", callers}, {"rows_per_second", static_cast<double>(callers * kEach) / seconds}, {"syncs", syncs}};
}

double queries_per_second(const Store& store, const Vectors& queries, unsigned threads) {
  double best = 0;
  for (int pass = 0; pass < 3; ++pass) {
    const auto start = Clock::now();
    need(store.search(queries.view(0, queries.rows), {.k = 10}, threads));
    best = std::max(best, static_cast<double>(queries.rows) / seconds_since(start));
  }
  return best;
}

Json measure_search(const Options& options, const Vectors& vectors) {
  constexpr std::uint64_t kRows = 50000;
  const Vectors queries = load(options.queries, 5000);
  const std::string path = options.work + "/index";
  std::filesystem::remove_all(path);
  std::filesystem::copy(options.index, path, std::filesystem::copy_options::recursive);
  OpenOptions how = writer(SyncMode::kNone);
  how.searchers = 2;
  Store store = need(Store::open(path, how));
  Json report;
  for (const unsigned threads : {1u, 2u}) {
    const std::string name = fmt::format("threads_{}", threads);
    report["before"][name] = queries_per_second(store, queries, threads);
  }
  put_batches(store, vectors, kRows, kFirstKey);
  for (const unsigned threads : {1u, 2u}) {
    const std::string name = fmt::format("threads_{}", threads);
    const double before = report["before"][name], after = queries_per_second(store, queries, threads);
    report["beside_delta"][name] = after;
    fmt::print("search, {} threads: {:.0f} queries/s, with {} rows not merged yet {:.0f} ({:.0f} %)\n", threads, before,
               kRows, after, 100 * after / before);
  }
  std::filesystem::remove_all(path);
  return report;
}

// The writer dies without closing; then a store is opened and asked once.
Json measure_reopening(const Options& options, const Vectors& vectors) {
  constexpr std::uint64_t kLogBytes = 64u << 20;
  const std::string path = options.work + "/store";
  std::filesystem::remove_all(path);
  need(Store::create(path, {vectors.dim, vectors.dtype, Metric::kL2, KeyKind::kNumber}));
  const pid_t child = ::fork();
  if (child == 0) {
    OpenOptions how = writer(SyncMode::kNone);
    how.delta_bytes = 256u << 20;
    how.merge = MergePolicy::kManual;
    Store store = need(Store::open(path, how));
    for (std::uint64_t first = 0; store.stats().wal_bytes < kLogBytes + (kLogBytes >> 1); first += 10000)
      put_batches(store, vectors, 10000, first);
    ::_exit(0);
  }
  int status = 0;
  if (::waitpid(child, &status, 0) != child || status != 0) std::exit(1);
  OpenOptions how = writer(SyncMode::kAlways);
  how.delta_bytes = 256u << 20;
  how.merge = MergePolicy::kManual;
  const auto start = Clock::now();
  const Store store = need(Store::open(path, how));
  need(store.search(vectors.view(0, 1)));
  const double seconds = seconds_since(start);
  const std::uint64_t used = store.size() * vectors.dim * element_bytes(vectors.dtype);
  fmt::print(
      "opened again after the writer was killed: {:.2f} s to the first answer, {} rows ({:.1f} MB of vectors), log "
      "{:.1f} MB, memory at its peak {:.1f} MB\n",
      seconds, store.size(), static_cast<double>(used) / 1e6, static_cast<double>(store.stats().wal_bytes) / 1e6,
      static_cast<double>(store.info().ram_peak_bytes) / 1e6);
  return {{"seconds", seconds},
          {"rows", store.size()},
          {"wal_bytes", store.stats().wal_bytes},
          {"ram_peak_bytes", store.info().ram_peak_bytes}};
}

}  // namespace
}  // namespace vecstore::bench

int main(int argc, char** argv) try {
  using namespace vecstore::bench;
  CLI::App app("Measures what writing costs, and searching beside what was written.");
  Options options;
  app.add_option("--base", options.base, "vectors to put")->required();
  app.add_option("--queries", options.queries, "queries; with --index");
  app.add_option("--index", options.index, "index that is searched with rows beside it; it is copied");
  app.add_option("--work", options.work, "where stores are made")->capture_default_str();
  app.add_option("--json", options.json, "also write what was measured to this file");
  CLI11_PARSE(app, argc, argv);
  std::filesystem::create_directories(options.work);
  const Vectors vectors = load(options.base, 100000);
  Json report;
  report["batches"].push_back(measure_batches(options, vectors, vecstore::SyncMode::kAlways, "always"));
  report["batches"].push_back(measure_batches(options, vectors, vecstore::SyncMode::kInterval, "interval"));
  report["batches"].push_back(measure_batches(options, vectors, vecstore::SyncMode::kNone, "none"));
  for (const unsigned callers : {1u, 4u, 16u}) report["callers"].push_back(measure_callers(options, vectors, callers));
  if (!options.index.empty()) report["search"] = measure_search(options, vectors);
  report["reopening"] = measure_reopening(options, vectors);
  if (!options.json.empty()) std::ofstream(options.json) << report.dump(1) << "\n";
} catch (const std::exception& failure) {
  fmt::print(stderr, "bench_writes: {}\n", failure.what());
  return 1;
}
