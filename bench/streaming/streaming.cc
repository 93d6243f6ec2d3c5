// SPDX-License-Identifier: Apache-2.0
//
// A store that lives through a runbook: rows come, go and are replaced, the store merges by itself, and searches at
// every search step are held against the exact answers of that moment. At the end it is compacted and stands beside a
// fresh build of the rows that live.
//
//   bench_streaming --runbook FILE --base FILE --queries FILE [--order FILE] [--metric l2] [--ram 64MiB] [--json FILE]
//   …
//
// Exit codes: 0 every floor holds, 1 one is missed, 2 something could not be measured.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <numeric>
#include <optional>

#include "bench/put_rows.h"
#include "bench/report.h"
#include "bench/streaming/moving_truth.h"
#include "bench/streaming/runbook.h"
#include "engine/vecstore.hpp"

namespace vecstore::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kK = 10;
constexpr double kTarget = .95;
constexpr double kMegabyte = 1e6;

struct StreamingSettings {
  std::string runbook, base, queries, order, name;
  std::string work = "build/bench-work/streaming";
  std::string json;
  Metric metric = Metric::kL2;
  std::uint64_t query_rows = 0;
  std::uint64_t ram_bytes = 64ull << 20;
  std::uint64_t seed = 1;  // of the fresh build
  SyncMode sync = SyncMode::kAlways;
};

struct Data {
  LoadedVectors base, queries;
};

// The base in the order that the runbook means.
Data load(const StreamingSettings& settings) {
  Data data{need(load_vectors(settings.base, 0)), need(load_vectors(settings.queries, settings.query_rows))};
  if (settings.order.empty()) return data;
  std::vector<std::uint32_t> order;
  std::ifstream file(settings.order);
  for (std::uint32_t row = 0; file >> row;) order.push_back(row);
  const auto rows = data.base.view.rows;
  if (order.empty() || std::ranges::any_of(order, [rows](std::uint32_t row) { return row >= rows; }))
    fail(Status(Code::kInvalidInput, "should have numbers of rows of the base, one a line").about(settings.order));
  data.base = gather(data.base.view, order);
  return data;
}

std::vector<std::uint32_t> numbers(std::uint32_t first, std::uint32_t last) {
  std::vector<std::uint32_t> all(last - first);
  std::iota(all.begin(), all.end(), first);
  return all;
}

// Every query in a call of its own, as a service asks them.
Json measure_search(const Store& store, const VectorView& queries, const ExactNeighbours& truth) {
  ExactNeighbours found{truth.queries, kK, {}, {}};
  found.rows.assign(std::size_t{truth.queries} * kK, 0xFFFFFFFF);
  found.distances.assign(found.rows.size(), std::numeric_limits<float>::infinity());
  std::vector<double> taken;
  double requests = 0, bytes = 0;
  for (std::uint64_t query = 0; query < queries.rows; ++query) {
    const std::int64_t began = now_ns();
    const SearchResults results = need(store.search({queries.row(query), queries.dtype, 1, queries.dim}, {.k = kK}));
    taken.push_back(1e6 * seconds_since(began));
    for (std::size_t i = 0; i < results[0].size(); ++i) {
      found.rows[query * kK + i] = static_cast<std::uint32_t>(results[0][i].key);
      found.distances[query * kK + i] = results[0][i].distance;
    }
    requests += results.stats(0).requests;
    bytes += results.stats(0).bytes;
  }
  std::ranges::sort(taken);
  Json search = percentiles(taken);
  search["recall"] = need(recall_at(found, truth, kK));
  search["reads"] = reads_of_4k(requests, bytes) / static_cast<double>(queries.rows);
  search["L"] = store.resolved({.k = kK}).search_list;
  search["blocks"] = store.resolved({.k = kK}).blocks;
  return search;
}

// A store, and the truth of what it should hold.
class Life {
 public:
  Life(const StreamingSettings& settings, const Data& data)
      : data_(data),
        path_(settings.work + "/" + settings.name),
        truth_(data.base.view, data.queries.view, settings.metric, static_cast<std::uint32_t>(data.base.view.rows)) {
    fs::remove_all(path_);
    need(Store::create(path_, {data.base.view.dim, data.base.view.dtype, settings.metric, KeyKind::kNumber}));
    OpenOptions how;
    how.access = Access::kReadWrite;
    how.sync = settings.sync;
    how.ram_bytes = settings.ram_bytes;
    if (settings.ram_bytes != 0) how.delta_bytes = settings.ram_bytes / 4;
    store_ = need(Store::open(path_, how));
    steps_ = Json::array();
  }

  void take(const RunbookStep& step) {
    const Spent before = spent();
    const std::int64_t began = now_ns();
    const std::vector<std::uint32_t> keys = numbers(step.first_key, step.last_key);
    const std::vector<std::uint32_t> rows = numbers(step.first_row, step.last_row);
    if (step.operation == Operation::kDelete) {
      erase_keys(*store_, keys);
    } else {
      put_rows(*store_, data_.base, keys, rows);
    }
    write_seconds_ += seconds_since(began);
    write_bytes_ += spent().bytes - before.bytes;
    written_ += static_cast<double>(keys.size());
    if (step.operation == Operation::kDelete) {
      truth_.erase(keys);
    } else {
      put_ += keys.size();
      truth_.put(keys, rows);
    }
  }

  void search(std::size_t number) {
    const ExactNeighbours truth = truth_.now();
    const double before = spent().bytes;
    Json step{{"step", number}, {"search", measure_search(*store_, data_.queries.view, truth)}};
    // What a merge wrote meanwhile.
    write_bytes_ += spent().bytes - before;
    const Metrics metrics = store_->metrics();
    step.update(Json{{"rows", metrics.rows},
                     {"delta_rows", metrics.delta_rows},
                     {"put", put_},
                     {"written", written_},
                     {"write_seconds", write_seconds_},
                     {"write_bytes", write_bytes_},
                     {"merges", metrics.merges},
                     {"merges_failed", metrics.merges_failed},
                     {"is_merging", metrics.merging != 0},
                     {"memory_used", metrics.memory_used_bytes},
                     {"memory_peak", metrics.memory_peak_bytes},
                     {"files", directory_bytes(path_)}});
    const Json& at = step["search"];
    fmt::print(
        "  {:>4}: {:>7} rows, {:>6} wait, {:>3} merges{}; recall {:.4f}, reads {:.2f} (L {}, {} blocks), p50 {:.0f} "
        "p99 "
        "{:.0f} us; {:.0f} rows/s, {:.0f} B a row, {:.1f} MB, memory {:.1f} MB\n",
        number, metrics.rows, metrics.delta_rows, metrics.merges, metrics.merging != 0 ? "+" : " ",
        at["recall"].get<double>(), at["reads"].get<double>(), at["L"].get<int>(), at["blocks"].get<int>(),
        at["p50_us"].get<double>(), at["p99_us"].get<double>(), rate(), write_bytes_ / std::max(1.0, written_),
        step["files"]["total"].get<double>() / kMegabyte, static_cast<double>(metrics.memory_peak_bytes) / kMegabyte);
    steps_.push_back(std::move(step));
  }

  // Merges what waits, and closes the store.
  Json finish() {
    Json end;
    const Spent before = spent();
    const std::int64_t began = now_ns();
    need(store_->compact());
    end["compact_seconds"] = seconds_since(began);
    end["compact_bytes"] = spent().bytes - before.bytes;
    end["memory_peak"] = store_->metrics().memory_peak_bytes;
    end["rows_per_second"] = rate();
    end["bytes_a_row"] = write_bytes_ / std::max(1.0, written_);
    store_.reset();
    return end;
  }

  double rate() const { return written_ / std::max(1e-9, write_seconds_); }
  const std::string& path() const { return path_; }
  MovingTruth& truth() { return truth_; }
  Json& steps() { return steps_; }

 private:
  const Data& data_;
  std::string path_;
  MovingTruth truth_;
  std::optional<Store> store_;
  Json steps_;
  double write_seconds_ = 0, write_bytes_ = 0;
  double written_ = 0;  // rows put and erased
  std::uint64_t put_ = 0;
};

// As somebody finds it who opens it.
Json describe(const std::string& path, const Data& data, const ExactNeighbours& truth) {
  const Store store = need(Store::open(path));
  const StoreInfo info = store.info();
  Json json{{"rows", info.rows},
            {"mean_degree", info.mean_degree},
            {"code_error", info.code_error},
            {"page_fill", info.page_fill},
            {"extents", info.extents},
            {"files", directory_bytes(path)},
            {"search", measure_search(store, data.queries.view, truth)}};
  const Json& at = json["search"];
  fmt::print("  {}: {} rows, {:.1f} MB, degree {:.2f}; recall {:.4f}, reads {:.2f} (L {}, {} blocks)\n", path,
             info.rows, json["files"]["total"].get<double>() / kMegabyte, info.mean_degree, at["recall"].get<double>(),
             at["reads"].get<double>(), at["L"].get<int>(), at["blocks"].get<int>());
  return json;
}

MeasuredIndex fresh_build(const StreamingSettings& settings, const Data& data, std::span<const std::uint32_t> rows) {
  IndexRequest request;
  request.name = settings.name + "-fresh";
  request.input = settings.work + "/" + settings.name + fs::path(settings.base).extension().string();
  request.options.metric = settings.metric;
  request.options.seed = settings.seed;
  request.work = settings.work;
  request.rebuild = true;
  need(write_vectors(request.input, gather(data.base.view, rows).view));
  return need(measure_build(request));
}

// The same truth by positions in the list of keys, as a fresh build numbers its rows.
ExactNeighbours by_position(ExactNeighbours truth, std::span<const std::uint32_t> keys) {
  for (std::uint32_t& row : truth.rows) {
    const auto at = std::ranges::lower_bound(keys, row);
    if (at != keys.end() && *at == row) row = static_cast<std::uint32_t>(at - keys.begin());
  }
  return truth;
}

void judge(const StreamingSettings& settings, Json& report) {
  const Json steps = report["steps"], ours = report["end"], fresh = report["fresh"];
  double lowest = 1, memory = report["closing"]["memory_peak"].get<double>();
  for (const Json& step : steps) lowest = std::min(lowest, step["search"]["recall"].get<double>());
  report["least_recall"] = lowest;
  const auto of = [](const Json& store, const char* field) { return store["search"][field].get<double>(); };
  fmt::print("  reads at the end against a fresh build: {:.3f}\n", of(ours, "reads") / of(fresh, "reads"));
  add_floor(report, "least recall of all steps, as calibrated for .95", lowest, .94, Bound::kAtLeast);
  add_floor(report, "recall at the end less that of a fresh build, plus 1",
            1 + of(ours, "recall") - of(fresh, "recall"), .99, Bound::kAtLeast);
  add_floor(report, "directory after compact against a fresh build",
            ours["files"]["total"].get<double>() / fresh["files"]["total"].get<double>(), 1.3);
  add_floor(report, "memory, of what was allowed",
            settings.ram_bytes == 0 ? 0 : memory / static_cast<double>(settings.ram_bytes), 1);
}

Json measure(const StreamingSettings& settings) {
  const Data data = load(settings);
  const Runbook runbook = need(read_runbook(settings.runbook, data.base.view.rows));
  fmt::print("{}: {} steps\n", settings.name, runbook.steps.size());
  Life life(settings, data);
  for (std::size_t number = 0; number < runbook.steps.size(); ++number) {
    const RunbookStep& step = runbook.steps[number];
    step.operation == Operation::kSearch ? life.search(number + 1) : life.take(step);
  }
  Json report{{"name", settings.name},           {"set", runbook.set},       {"version", version()},
              {"ram_bytes", settings.ram_bytes}, {"closing", life.finish()}, {"steps", life.steps()}};
  const std::vector<std::uint32_t> keys = life.truth().live_keys();
  const ExactNeighbours truth = life.truth().now();
  const MeasuredIndex fresh = fresh_build(settings, data, life.truth().live_rows());
  report["end"] = describe(life.path(), data, truth);
  report["fresh"] = describe(fresh.path, data, by_position(truth, keys));
  judge(settings, report);
  return report;
}

}  // namespace
}  // namespace vecstore::bench

int main(int count, char** arguments) try {
  using namespace vecstore::bench;
  using vecstore::Metric;
  using vecstore::SyncMode;
  StreamingSettings settings;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  const std::map<std::string, Metric> metrics{
      {"l2", Metric::kL2}, {"ip", Metric::kInnerProduct}, {"cosine", Metric::kCosine}};
  const std::map<std::string, SyncMode> syncs{
      {"always", SyncMode::kAlways}, {"interval", SyncMode::kInterval}, {"none", SyncMode::kNone}};
  CLI::App app("Runs a store through a runbook, and measures it at every search step.", "bench_streaming");
  app.add_option("--runbook", settings.runbook, "steps, as big-ann-benchmarks writes them (YAML)")->required();
  app.add_option("--base", settings.base, "vector file of the rows")->required();
  app.add_option("--queries", settings.queries, "vector file of the queries")->required();
  app.add_option("--order", settings.order, "text file: the row of the base that is row 0, 1, … of the runbook");
  app.add_option("--metric", settings.metric, "l2, ip or cosine [l2]")->transform(CLI::Transformer(metrics));
  app.add_option("--name", settings.name, "of the run, and of its store [that of the runbook's file]");
  app.add_option("--work", settings.work, "where the store is made [build/bench-work/streaming]");
  app.add_option("--json", settings.json, "also write what was measured to this file");
  app.add_option("--query-rows", settings.query_rows, "only so many queries");
  app.add_option("--ram", settings.ram_bytes, "bound of the store's memory, e.g. 64MiB; 0: none [64MiB]")
      ->transform(CLI::AsSizeValue(false));
  app.add_option("--sync", settings.sync, "always, interval or none [always]")->transform(CLI::Transformer(syncs));
  app.add_option("--seed", settings.seed, "of the fresh build [1]");
  CLI11_PARSE(app, count, arguments);
  if (settings.name.empty()) settings.name = std::filesystem::path(settings.runbook).stem().string();
  std::filesystem::create_directories(settings.work);
  const Json report = measure(settings);
  if (!settings.json.empty() && !(std::ofstream(settings.json) << report.dump(1) << '\n'))
    fail(vecstore::Status(vecstore::Code::kIo, "cannot be written").about(settings.json));
  return all_floors_hold(report) ? 0 : 1;
} catch (const std::exception& failure) {
  fmt::print(stderr, "bench_streaming: {}\n", failure.what());
  return 2;
}
