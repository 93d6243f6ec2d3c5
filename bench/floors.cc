// SPDX-License-Identifier: Apache-2.0
//
// The floors that the project promises, measured: reads, rounds and memory of searches on real data, at recall@10 of
// .95 and .99. None, a tenth and a quarter of the pages are cached. Times stand beside them, and what building and
// opening take. "At .95" is the smallest L that reaches it on all queries; the figures at the calibrated L stand
// beside.
//
//   bench_floors [--data DIR] [--work DIR] [--json FILE] [--set NAME]… [--rebuild] [--counts-only] …
//
// Exit codes: 0 every floor holds, 1 one is missed, 2 something could not be measured.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "bench/measured_index.h"
#include "bench/measured_search.h"
#include "engine/truth.h"

namespace vecstore::bench {
namespace {

constexpr std::uint32_t kK = 10;
constexpr double kTargets[] = {.95, .99};
constexpr double kCurveTargets[] = {.80, .85, .90, .925, .95, .97, .98, .99, .995};
constexpr double kCached[] = {0.0, 0.10, 0.25};
constexpr std::uint64_t kExactQueries = 200;
constexpr std::uint32_t kClients[] = {1, 2, 4, 8, 16, 32, 64};
constexpr std::uint64_t kClientSearches = 10000;  // so that p99.9 stands on ten

struct QuerySet {
  const char* label;  // "" for the one that the floors are about
  const char* queries;
  const char* truth;
};

// At most so many reads and rounds a query, at a target and with a share of the pages cached. rounds = 0: any.
struct ReadFloor {
  const char* queries = "";
  double target = 0;
  double cached = 0;
  double reads = 0;
  double rounds = 0;
};

struct SetSpec {
  const char* name;
  const char* base;
  Metric metric;
  std::uint32_t code_bytes;  // 0: the default
  std::vector<QuerySet> queries;
  std::vector<ReadFloor> reads;
  double ram_bytes = 0;  // a vector; 0: no floor, and so below
  double build_cpu_seconds = 0;
  double open_seconds = 0;
  // Nothing cached, .95, as calibrated.
  double lone_p50_us = 0;
  double lone_p99_to_p50 = 0;
  double qps_2_threads = 0;  // at least, as is the next
  double device_share = 0;
};

// 4 KiB pages throughout. Code bytes are what the floor of RAM leaves after correction and centroid.
std::vector<SetSpec> known_sets() {
  const std::vector<QuerySet> mdn256 = {{"", "mdn256.query.fbin", "mdn256.gt.ibin"},
                                        {"ood", "mdn256.query_ood.fbin", "mdn256.gt_ood.ibin"}};
  return {
      {"csift",
       "csift.base.u8bin",
       Metric::kL2,
       0,
       {{"", "csift.query.u8bin", "csift.gt.ibin"}},
       {{"", .95, 0, 12, 2.2}, {"", .99, 0, 17.5, 2.8}, {"", .95, .1, 10, 0}, {"", .95, .25, 7.7, 0}},
       38,
       150,
       0.5,
       330,
       2.5,
       5000,
       .75},
      {"fashion-mnist",
       "fashion-mnist.base.u8bin",
       Metric::kL2,
       52,
       {{"", "fashion-mnist.query.u8bin", "fashion-mnist.gt.ibin"}},
       {{"", .95, 0, 13, 0}, {"", .95, .25, 7.5, 0}},
       58},
      {"win384",
       "win384.base.f16bin",
       Metric::kCosine,
       52,
       {{"", "win384.query.f16bin", "win384.gt.ibin"}, {"short", "win384.query_short.f16bin", "win384.gt_short.ibin"}},
       {{"", .95, 0, 7.3, 1.6}, {"", .99, 0, 11.8, 2.1}, {"short", .95, 0, 10.2, 0}},
       56,
       0,
       0,
       250,
       0,
       7500,
       .75},
      {"mdn256", "mdn256.base.fbin", Metric::kCosine, 66, mdn256, {{"", .95, 0, 4.2, 0}, {"", .99, 0, 5.8, 0}}, 70},
      {"mdn256-narrow", "mdn256.base.fbin", Metric::kCosine, 34, mdn256, {{"", .95, 0, 5.4, 0}}, 42},
      {"synth1m",
       "synth1m.base.u8bin",
       Metric::kL2,
       0,
       {{"", "synth1m.query.u8bin", "synth1m.gt.ibin"}},
       {{"", .95, 0, 17, 0}}},
  };
}

struct Settings {
  std::string data = std::getenv("VECSTORE_DATA") != nullptr ? std::getenv("VECSTORE_DATA") : "../shared/data";
  std::string work = "build/bench-work";
  std::string json;
  std::vector<std::string> sets;
  std::uint64_t rows = 0;
  std::uint64_t queries = 0;
  std::uint32_t blocks = 0;
  BuildOptions build;
  bool rebuild = false, counts_only = false, no_calibration = false;
};

[[noreturn]] void fail(const Status& status) {
  fmt::print(stderr, "bench_floors: {}\n", status.message());
  std::exit(2);
}

template <typename T>
T need(Result<T> result) {
  if (!result) fail(result.error());
  return std::move(result).value();
}

// One set of queries against one index.
struct Subject {
  const Settings* settings;
  const MeasuredIndex* index;
  std::string set;
  std::string label;
  VectorView queries;
  const ExactNeighbours* truth;
  double ceiling;
};

Json times_of(const Subject& subject, const Store& store, const SearchOptions& options, double reads) {
  const SearchTimes one = need(time_search(store, subject.queries, options, 1));
  const SearchTimes two = need(time_search(store, subject.queries, options, 2));
  Json times{{"qps_1_thread", one.qps}, {"qps_2_threads", two.qps}, {"p50_us", one.p50_us}, {"p99_us", one.p99_us}};
  if (subject.ceiling > 0) times["device_share_2_threads"] = two.qps * reads / subject.ceiling;
  return times;
}

void print_point(const Json& p) {
  fmt::print("{:<14} {:<6} {:>5.0f}% {:>6.2f} {:<10} {:>4} {:>4} {:>7.4f} {:>7.2f} {:>7.2f} {:>8.0f}",
             p["set"].get<std::string>(), p["queries"].get<std::string>(), 100 * p["cached"].get<double>(),
             p["target"].get<double>(), p["chosen_by"].get<std::string>(), p["L"].get<int>(), p["blocks"].get<int>(),
             p["recall"].get<double>(), p["reads"].get<double>(), p["rounds"].get<double>(), p["bytes"].get<double>());
  if (p.contains("times")) {
    const Json& t = p["times"];
    fmt::print(" {:>7.0f} {:>7.0f} {:>6.0f} {:>6.0f} {:>5.0f}%", t["qps_1_thread"].get<double>(),
               t["qps_2_threads"].get<double>(), t["p50_us"].get<double>(), t["p99_us"].get<double>(),
               100 * t.value("device_share_2_threads", 0.0));
  }
  fmt::print("\n");
  std::fflush(stdout);
}

Json measure_point(const Subject& subject, const Store& store, SearchSweep& sweep, SearchOptions options, double cached,
                   double target, const char* chosen_by) {
  const SearchCounts counts = need(sweep.at(options.search_list));
  Json point{{"set", subject.set},
             {"queries", subject.label},
             {"cached", cached},
             {"pages_cached", store.info().pages_cached},
             {"target", target},
             {"chosen_by", chosen_by},
             {"L", options.search_list},
             {"blocks", options.blocks},
             {"bound", options.bound},
             {"recall", counts.recall},
             {"reads", counts.reads},
             {"requests", counts.requests},
             {"rounds", counts.rounds},
             {"bytes", counts.bytes},
             {"codes_scored", counts.codes_scored},
             {"exact_distances", counts.exact_distances}};
  if (!subject.settings->counts_only) point["times"] = times_of(subject, store, options, counts.reads);
  print_point(point);
  return point;
}

Json measure_points(const Subject& subject) {
  Json points = Json::array();
  const std::uint32_t threads = std::max(1u, std::thread::hardware_concurrency());
  for (const double cached : kCached) {
    const Store store = need(Store::open(
        subject.index->path, {.cache_fraction = cached, .fixed_cache = true, .searchers = std::max(2u, threads)}));
    for (const double target : kTargets) {
      SearchOptions options = store.resolved({.k = kK, .recall_target = target, .blocks = subject.settings->blocks});
      SearchSweep sweep(store, subject.queries, *subject.truth, options, threads);
      if (!subject.settings->no_calibration)
        points.push_back(measure_point(subject, store, sweep, options, cached, target, "calibrated"));
      options.search_list = need(sweep.smallest(target));
      points.push_back(measure_point(subject, store, sweep, options, cached, target, "smallest"));
    }
  }
  return points;
}

Json measure_clients(const Subject& subject) {
  const Store store =
      need(Store::open(subject.index->path, {.searchers = kClients[std::size(kClients) - 1], .lanes = 1}));
  const SearchOptions options = store.resolved({.k = kK, .recall_target = kTargets[0]});
  Json measured = Json::array();
  for (const std::uint32_t clients : kClients) {
    const ClientTimes times = need(time_clients(store, subject.queries, options, clients, kClientSearches));
    fmt::print("{:<14} {:>3} clients: {:>6.0f} QPS, p50 {:>6.0f}, p99 {:>6.0f}, p99.9 {:>6.0f} us\n", subject.set,
               clients, times.qps, times.p50_us, times.p99_us, times.p999_us);
    measured.push_back({{"clients", clients},
                        {"qps", times.qps},
                        {"p50_us", times.p50_us},
                        {"p99_us", times.p99_us},
                        {"p999_us", times.p999_us}});
  }
  return measured;
}

// Reads and rounds by recall, nothing cached, at the blocks and bound calibrated for the target that is nearest.
Json measure_curve(const Subject& subject) {
  const std::uint32_t threads = std::max(1u, std::thread::hardware_concurrency());
  const Store store = need(Store::open(subject.index->path, {.searchers = threads}));
  Json curve = Json::array();
  for (const double target : kCurveTargets) {
    SearchOptions options = store.resolved({.k = kK, .recall_target = target});
    SearchSweep sweep(store, subject.queries, *subject.truth, options, threads);
    options.search_list = need(sweep.smallest(target));
    const SearchCounts counts = need(sweep.at(options.search_list));
    if (counts.recall < target) break;  // codes or graph end here
    curve.push_back(
        {{"L", options.search_list}, {"recall", counts.recall}, {"reads", counts.reads}, {"rounds", counts.rounds}});
  }
  return curve;
}

Json describe_store(const std::string& path) {
  const std::int64_t begin = now_ns();
  const Store store = need(Store::open(path));
  const double seconds = seconds_since(begin);
  const StoreInfo info = store.info();
  return {{"open_seconds", seconds},
          {"rows", info.rows},
          {"dim", info.dim},
          {"dtype", name_of(info.dtype)},
          {"metric", name_of(info.metric)},
          {"page_bytes", info.page_bytes},
          {"rows_per_page", info.rows_per_page},
          {"pages", info.pages},
          {"page_fill", info.page_fill},
          {"max_degree", info.max_degree},
          {"mean_degree", info.mean_degree},
          {"edges_dropped", info.edges_dropped},
          {"codec", info.codec},
          {"code_bytes", info.code_bytes},
          {"ram_bytes_per_row", info.ram_bytes_per_row},
          {"fixed_ram_bytes", info.fixed_ram_bytes},
          {"ram_used_bytes", info.ram_used_bytes},
          {"disk_bytes", info.disk_bytes},
          {"backend", info.backend}};
}

Json measure_exact(const IndexRequest& request, const VectorView& queries) {
  VectorView few = queries;
  few.rows = std::min(few.rows, kExactQueries);
  const auto source = view_source(few);
  const LoadedVectors base = need(load_vectors(request.input, request.rows));
  const auto rows = view_source(base.view);
  Json exact = Json::object();
  for (const std::uint32_t threads : {1u, 2u}) {
    const std::int64_t begin = now_ns();
    need(exact_search(*rows, *source, kK, request.options.metric, threads));
    exact[threads == 1 ? "qps_1_thread" : "qps_2_threads"] = static_cast<double>(few.rows) / seconds_since(begin);
  }
  return exact;
}

enum class Bound { kAtMost, kAtLeast };

void add_floor(Json& floors, const std::string& set, const std::string& what, double value, double limit,
               Bound bound = Bound::kAtMost) {
  if (limit <= 0) return;
  const bool at_most = bound == Bound::kAtMost;
  const bool holds = at_most ? value <= limit : value >= limit;
  fmt::print("{} {:<14} {:<52} {:>9.3f} {} {}\n", holds ? "PASS" : "FAIL", set, what, value,
             at_most ? "<=" : ">=", limit);
  floors.push_back({{"set", set},
                    {"floor", what},
                    {"value", value},
                    {"bound", at_most ? "at most" : "at least"},
                    {"limit", limit},
                    {"holds", holds}});
}

void judge_times(const SetSpec& spec, const Json& set, Json& floors) {
  if (!set.contains("clients")) return;
  const Json& lone = set["clients"][0];
  add_floor(floors, spec.name, "p50 of a lone client, us", lone["p50_us"], spec.lone_p50_us);
  add_floor(floors, spec.name, "p99 of a lone client over its p50",
            lone["p99_us"].get<double>() / lone["p50_us"].get<double>(), spec.lone_p99_to_p50);
  for (const Json& point : set["points"]) {
    if (point["queries"] != "" || point["cached"] != 0.0 || point["target"] != kTargets[0] ||
        point["chosen_by"] != "calibrated")
      continue;
    add_floor(floors, spec.name, "QPS of two threads, 0 % cached", point["times"]["qps_2_threads"], spec.qps_2_threads,
              Bound::kAtLeast);
    add_floor(floors, spec.name, "of these the share of the device",
              point["times"].value("device_share_2_threads", 0.0), spec.device_share, Bound::kAtLeast);
  }
}

void judge_reads(const SetSpec& spec, const ReadFloor& floor, const Json& points, Json& floors) {
  for (const Json& point : points) {
    if (point["queries"] != floor.queries || point["target"] != floor.target || point["cached"] != floor.cached ||
        point["chosen_by"] != "smallest")
      continue;
    const bool reached = point["recall"].get<double>() >= floor.target;
    const double reads = reached ? point["reads"].get<double>() : 1e9;
    const std::string where = fmt::format("/query at {:.2f}, {:.0f} % cached{}{}", floor.target, floor.cached * 100,
                                          *floor.queries != 0 ? ", queries " : "", floor.queries);
    add_floor(floors, spec.name, "reads" + where, reads, floor.reads);
    add_floor(floors, spec.name, "rounds" + where, point["rounds"], floor.rounds);
  }
}

void judge(const SetSpec& spec, const Json& set, Json& floors) {
  for (const ReadFloor& floor : spec.reads) judge_reads(spec, floor, set["points"], floors);
  const Json& store = set["store"];
  add_floor(floors, spec.name, "bytes of RAM per vector", store["ram_bytes_per_row"], spec.ram_bytes);
  add_floor(floors, spec.name, "CPU-seconds to build", set["build"]["cpu_seconds"], spec.build_cpu_seconds);
  add_floor(floors, spec.name, "seconds to open", store["open_seconds"], spec.open_seconds);
  judge_times(spec, set, floors);
}

Json measure_set(const Settings& settings, const SetSpec& spec) {
  IndexRequest request{spec.name,       settings.data + "/" + spec.base, settings.rows, settings.build, settings.work,
                       settings.rebuild};
  request.options.metric = spec.metric;
  if (request.options.code_bytes == 0) request.options.code_bytes = spec.code_bytes;
  const MeasuredIndex index = need(measure_build(request));
  Json set{{"set", spec.name}, {"options", index.options}, {"build", index.build}};
  set["store"] = describe_store(index.path);
  fmt::print("{}: build {:.1f} CPU-s, {:.1f} s, {:.0f} MB{}; open {:.3f} s; {:.2f} B/vector; {} rows a page\n",
             spec.name, index.build["cpu_seconds"].get<double>(), index.build["wall_seconds"].get<double>(),
             index.build["rss_peak_bytes"].get<double>() * 1e-6, index.build["reused"].get<bool>() ? " (kept)" : "",
             set["store"]["open_seconds"].get<double>(), set["store"]["ram_bytes_per_row"].get<double>(),
             set["store"]["rows_per_page"].get<int>());
  const double ceiling = settings.counts_only ? 0 : need(ceiling_of(index.path));
  set["device_reads_per_second"] = ceiling;
  set["points"] = Json::array();
  for (const QuerySet& queries : spec.queries) {
    const std::string path = settings.data + "/" + queries.queries;
    const LoadedVectors loaded = need(load_vectors(path, settings.queries));
    const ExactNeighbours truth =
        need(load_truth(request, settings.data + "/" + queries.truth, path, settings.queries));
    const Subject subject{&settings, &index, spec.name, queries.label, loaded.view, &truth, ceiling};
    if (std::string_view(queries.label).empty()) {
      set["oracle_pages"] = need(oracle_pages(index.path, truth, kK));
      if (!settings.counts_only) set["exact_search"] = measure_exact(request, loaded.view);
    }
    for (Json& point : measure_points(subject)) set["points"].push_back(std::move(point));
    if (std::string_view(queries.label).empty() && !settings.counts_only && !settings.no_calibration)
      set["clients"] = measure_clients(subject);
    if (std::string_view(queries.label).empty() && !settings.no_calibration) set["curve"] = measure_curve(subject);
  }
  fmt::print("{}: oracle {:.2f} pages\n", spec.name, set["oracle_pages"].get<double>());
  return set;
}

int measure(const Settings& settings) {
  Json report{{"version", version()}, {"k", kK}, {"sets", Json::array()}, {"floors", Json::array()}};
  fmt::print("{:<14} {:<6} {:>6} {:>6} {:<10} {:>4} {:>4} {:>7} {:>7} {:>7} {:>8} {:>7} {:>7} {:>6} {:>6} {:>6}\n",
             "set", "query", "cached", "target", "L chosen", "L", "blk", "recall", "reads", "rounds", "bytes", "QPS 1",
             "QPS 2", "p50", "p99", "device");
  for (const SetSpec& spec : known_sets()) {
    if (std::ranges::find(settings.sets, spec.name) == settings.sets.end()) continue;
    report["sets"].push_back(measure_set(settings, spec));
    judge(spec, report["sets"].back(), report["floors"]);
  }
  if (!settings.json.empty() && !(std::ofstream(settings.json) << report.dump(2) << '\n')) {
    fmt::print(stderr, "bench_floors: {}: cannot be written\n", settings.json);
    return 2;
  }
  return std::ranges::all_of(report["floors"], [](const Json& floor) { return floor["holds"].get<bool>(); }) ? 0 : 1;
}

}  // namespace
}  // namespace vecstore::bench

int main(int count, char** arguments) {
  using namespace vecstore::bench;
  Settings settings;
  settings.sets = {"csift", "fashion-mnist", "win384", "mdn256", "mdn256-narrow"};
  settings.build.page_bytes = 4096;
  CLI::App app("Measures the floors that VecStore promises on real data.", "bench_floors");
  app.add_option("--data", settings.data, "where the data sets are [$VECSTORE_DATA or ../shared/data]");
  app.add_option("--work", settings.work, "where indices are kept for the next run [build/bench-work]");
  app.add_option("--json", settings.json, "also write everything measured to this file");
  app.add_option("--set", settings.sets,
                 "csift, fashion-mnist, win384, mdn256, mdn256-narrow or synth1m; may be given again");
  app.add_option("--rows", settings.rows, "only so many rows of the base; ground truth is computed");
  app.add_option("--queries", settings.queries, "only so many queries");
  const std::map<std::string, vecstore::Codec> codecs{
      {"opq", vecstore::Codec::kOpq}, {"pq", vecstore::Codec::kPq}, {"rabitq", vecstore::Codec::kRabitq}};
  app.add_option("--codec", settings.build.codec, "opq, pq or rabitq [opq]")->transform(CLI::Transformer(codecs));
  app.add_option("--code-bytes", settings.build.code_bytes, "as of vecstore build");
  app.add_option("--page-size", settings.build.page_bytes, "in bytes [4096]");
  app.add_option("--max-degree", settings.build.max_degree, "as of vecstore build");
  app.add_option("--build-list", settings.build.build_list, "L of the construction");
  app.add_option("--seed", settings.build.seed, "of the build [1]");
  app.add_option("--blocks", settings.blocks, "blocks scanned, instead of the calibrated number");
  app.add_option("--threads", settings.build.threads, "of the build [all processors]");
  app.add_flag("--rebuild", settings.rebuild, "build though an index of the same options is there");
  app.add_flag("--counts-only", settings.counts_only, "no times: for a machine that does other work");
  app.add_flag("--no-calibration", settings.no_calibration, "build without calibration: half the time of a variation");
  CLI11_PARSE(app, count, arguments);
  settings.build.calibrate = !settings.no_calibration;
  return measure(settings);
}
