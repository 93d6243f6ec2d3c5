// SPDX-License-Identifier: Apache-2.0
//
// Stores that grow, or whose rows are replaced, in steps that are each merged. After each the reads of a query are
// counted against exact answers, and at the end against those of a fresh build of the same rows.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>
#include <random>
#include <thread>

#include "bench/measured_search.h"
#include "bench/merges.h"
#include "engine/truth.h"

namespace vecstore::bench {
namespace {

namespace fs = std::filesystem;

constexpr std::uint32_t kK = 10;
constexpr double kTargets[] = {.95, .99};
constexpr std::uint32_t kSelfList = 1000;
constexpr double kMegabyte = 1e6;

// When a store merges by itself (engine/store/merger.cc).
constexpr std::uint64_t kFirstGraph = 10'000, kLeast = 4'000;

// What lives: keys are 0 … n − 1, and each names a row of the base. Searches answer with keys, and so does the truth.
using RowOfKey = std::vector<std::uint32_t>;

struct Data {
  const MergeSettings& settings;
  const MergedSet& set;
  LoadedVectors base, queries;
  std::uint32_t threads = std::max(1u, std::thread::hardware_concurrency());
};

Data load(const MergeSettings& settings, const MergedSet& set) {
  return {settings, set, need(load_vectors(path_of(settings, set.base), 0)),
          need(load_vectors(path_of(settings, set.queries), settings.queries))};
}

ExactNeighbours truth_of(const Data& data, const RowOfKey& live) {
  const LoadedVectors vectors = gather(data.base.view, live);
  return need(exact_search(*view_source(vectors.view), *view_source(data.queries.view), 100, data.set.metric));
}

// Reads at the recall itself, between the two nearest L: at few reads a step of L is some percent.
double reads_between(SearchSweep& sweep, std::uint32_t search_list, double target) {
  const SearchCounts above = need(sweep.at(search_list));
  if (search_list == 1) return above.reads;
  const SearchCounts below = need(sweep.at(search_list - 1));
  if (below.recall >= target || above.recall <= below.recall) return above.reads;
  const double share = std::min(1.0, (target - below.recall) / (above.recall - below.recall));
  return below.reads + share * (above.reads - below.reads);
}

Json measure_searches(const Data& data, const Store& store, const ExactNeighbours& truth) {
  Json points = Json::array();
  for (const double target : kTargets) {
    SearchOptions options = store.resolved({.k = kK, .recall_target = target});
    SearchSweep sweep(store, data.queries.view, truth, options, data.threads);
    const SearchCounts calibrated = need(sweep.at(options.search_list));
    const std::uint32_t smallest = need(sweep.smallest(target));
    const SearchCounts counts = need(sweep.at(smallest));
    points.push_back({{"target", target},
                      {"L", smallest},
                      {"recall", counts.recall},
                      {"reads", counts.reads},
                      {"reads_between", reads_between(sweep, smallest, target)},
                      {"rounds", counts.rounds},
                      {"calibrated_L", options.search_list},
                      {"calibrated_recall", calibrated.recall},
                      {"calibrated_reads", calibrated.reads},
                      {"blocks", options.blocks},
                      {"bound", options.bound}});
  }
  return points;
}

// How a store stands, as somebody finds it who opens it.
Json describe(const Data& data, const std::string& path, const ExactNeighbours& truth) {
  const Store store = need(Store::open(path, {.searchers = data.threads}));
  const StoreInfo info = store.info();
  return {{"rows", info.rows},
          {"mean_degree", info.mean_degree},
          {"edges_dropped", info.edges_dropped},
          {"code_error", info.code_error},
          {"page_fill", info.page_fill},
          {"ram_bytes_per_row", info.ram_bytes_per_row},
          {"files", directory_bytes(path)},
          {"searches", measure_searches(data, store, truth)}};
}

void print_searches(const char* what, const Json& store) {
  fmt::print("  {:<8} {:>7} rows, degree {:.2f}, directory {:.1f} MB:", what, store["rows"].get<std::uint64_t>(),
             store["mean_degree"].get<double>(), store["files"]["total"].get<double>() / kMegabyte);
  for (const Json& at : store["searches"])
    fmt::print("  at {:.2f} L {} reads {:.3f} ({:.3f}), calibrated L {} recall {:.4f}", at["target"].get<double>(),
               at["L"].get<int>(), at["reads"].get<double>(), at["reads_between"].get<double>(),
               at["calibrated_L"].get<int>(), at["calibrated_recall"].get<double>());
  fmt::print("\n");
}

// CPU of a merge by what it does at the time.
class PhaseClock {
 public:
  ProgressFunction watch() {
    return [this](const Progress& progress) {
      if (progress.phase != phase_) close();
      phase_ = progress.phase;
    };
  }
  // Microseconds an insert.
  Json close(double inserted) {
    close();
    Json json = Json::object();
    for (const auto& [phase, seconds] : seconds_) json[std::string(name_of(phase))] = 1e6 * seconds / inserted;
    return json;
  }

 private:
  void close() {
    const double now = process_cpu_seconds();
    seconds_[phase_] += now - began_;
    began_ = now;
  }
  Phase phase_ = Phase::kRead;
  double began_ = process_cpu_seconds();
  std::map<Phase, double> seconds_;
};

// Puts rows, merges them, and says what both cost.
Json take_step(const Data& data, Store& store, const std::string& path, std::span<const std::uint32_t> keys,
               std::span<const std::uint32_t> rows) {
  reset_rss_peak();
  const std::uint64_t resident_before = rss_bytes();
  const Spent before = spent();
  const std::int64_t began = now_ns();
  put_rows(store, data.base, keys, rows);
  const Spent between = spent();
  const double put_seconds = seconds_since(began);
  const std::int64_t merge_began = now_ns();
  PhaseClock phases;
  CompactOptions how;
  how.threads = data.settings.threads;
  how.progress = phases.watch();
  const MergeReport merged = need(store.compact(how));
  const double merge_seconds = seconds_since(merge_began);
  const Spent after = spent();
  const StoreInfo info = store.info();
  const auto inserted = static_cast<double>(keys.size());
  return {{"rows", store.size()},
          {"inserted", keys.size()},
          {"put_cpu_us", 1e6 * (between.cpu_seconds - before.cpu_seconds) / inserted},
          {"merge_cpu_us", 1e6 * (after.cpu_seconds - between.cpu_seconds) / inserted},
          {"merge_cpu_us_by_phase", phases.close(inserted)},
          {"put_seconds", put_seconds},
          {"merge_seconds", merge_seconds},
          {"put_bytes", (between.bytes - before.bytes) / inserted},
          {"merge_bytes", (after.bytes - between.bytes) / inserted},
          {"bytes_reported", static_cast<double>(merged.bytes_written) / inserted},
          {"files", directory_bytes(path)},
          {"mean_degree", info.mean_degree},
          {"edges_dropped", info.edges_dropped},
          {"code_error", info.code_error},
          {"ram_peak_bytes", info.ram_peak_bytes},
          {"rss_before_bytes", resident_before},
          {"rss_peak_bytes", rss_peak_bytes()}};
}

void print_step(const Json& step) {
  const Json& files = step["files"];
  fmt::print(
      "  {:>7} rows, {:>6} put: CPU us an insert {:.0f} putting + {:.0f} merging; bytes an insert {:.0f} + {:.0f}; "
      "MB generation {:.1f} rows {:.1f} catalog {:.1f} log {:.1f}; degree {:.2f}; peak MB {:.0f}, resident {:.0f} to "
      "{:.0f}\n",
      step["rows"].get<std::uint64_t>(), step["inserted"].get<std::uint64_t>(), step["put_cpu_us"].get<double>(),
      step["merge_cpu_us"].get<double>(), step["put_bytes"].get<double>(), step["merge_bytes"].get<double>(),
      files["generation"].get<double>() / kMegabyte, files["rows"].get<double>() / kMegabyte,
      files["catalog"].get<double>() / kMegabyte, files["log"].get<double>() / kMegabyte,
      step["mean_degree"].get<double>(), step["ram_peak_bytes"].get<double>() / kMegabyte,
      step["rss_before_bytes"].get<double>() / kMegabyte, step["rss_peak_bytes"].get<double>() / kMegabyte);
  if (!step.contains("searches")) return;
  fmt::print("          reads");
  for (const Json& at : step["searches"])
    fmt::print(" at {:.2f} {:.3f} ({:.3f}), calibrated L {} recall {:.4f};", at["target"].get<double>(),
               at["reads"].get<double>(), at["reads_between"].get<double>(), at["calibrated_L"].get<int>(),
               at["calibrated_recall"].get<double>());
  fmt::print(" CPU us by phase {}\n", step["merge_cpu_us_by_phase"].dump());
}

// Means an insert over the steps, which differ in size; and over those that are as large as was asked for.
Json total_of(const Json& steps, double share) {
  Json totals;
  for (const char* which : {"all", "whole"}) {
    double inserted = 0;
    std::map<std::string, double> sums;
    for (const Json& step : steps) {
      const auto count = step["inserted"].get<double>();
      const double before = step["rows"].get<double>() - count;
      if (std::string_view(which) == "whole" && count < share * before - 1) continue;
      inserted += count;
      for (const char* field : {"put_cpu_us", "merge_cpu_us", "put_bytes", "merge_bytes"})
        sums[field] += count * step[field].get<double>();
      for (const char* kind : {"generation", "catalog"}) sums[kind] += step["files"][kind].get<double>();
      // Extents of merges before are there too.
      sums["rows"] += count * step["bytes_reported"].get<double>() - step["files"]["generation"].get<double>();
    }
    if (inserted == 0) continue;
    for (auto& [field, sum] : sums) sum /= inserted;
    sums["bytes"] = sums["put_bytes"] + sums["merge_bytes"];
    sums["remainder"] = sums["bytes"] - sums["generation"] - sums["rows"] - sums["catalog"];
    totals[which] = sums;
    totals[which]["inserted"] = inserted;
    fmt::print(
        "  {} steps, an insert: CPU us {:.0f} putting + {:.0f} merging; bytes {:.0f}, of these generation {:.0f}, rows "
        "{:.0f}, catalog {:.0f}, all else {:.0f}; {:.0f} while putting\n",
        which, sums["put_cpu_us"], sums["merge_cpu_us"], sums["bytes"], sums["generation"], sums["rows"],
        sums["catalog"], sums["remainder"], sums["put_bytes"]);
  }
  return totals;
}

// Whether a row is the first answer to its own vector: rows at the same distance may stand before it.
bool is_found(std::span<const Hit> hits, std::uint32_t key, const Data& data, const RowOfKey& live) {
  if (hits.empty()) return false;
  if (hits[0].key == key) return true;
  for (const Hit& hit : hits)
    if (hit.key == key) return hit.distance <= hits[0].distance;
  // A copy that stands in its place.
  return hits[0].key < live.size() && std::memcmp(data.base.view.row(live[hits[0].key]), data.base.view.row(live[key]),
                                                  data.base.view.row_stride()) == 0;
}

Json measure_self(const Data& data, const std::string& path, const RowOfKey& live) {
  constexpr std::size_t kAtOnce = 1000;
  const Store store = need(Store::open(path, {.searchers = data.threads}));
  const std::size_t wanted = data.settings.self_rows == 0 ? live.size() : data.settings.self_rows;
  const std::size_t count = std::min<std::size_t>(wanted, live.size());
  std::vector<std::uint32_t> keys(count);
  for (std::size_t i = 0; i < count; ++i) keys[i] = static_cast<std::uint32_t>(i * live.size() / count);
  Json self{{"rows", count}};
  for (const std::uint32_t search_list : {0u, kSelfList}) {
    std::uint64_t lost = 0, not_first = 0;
    std::vector<std::uint32_t> lost_keys;
    for (std::size_t first = 0; first < count; first += kAtOnce) {
      const std::span<const std::uint32_t> some = std::span(keys).subspan(first, std::min(kAtOnce, count - first));
      std::vector<std::uint32_t> rows;
      for (const std::uint32_t key : some) rows.push_back(live[key]);
      const LoadedVectors vectors = gather(data.base.view, rows);
      const SearchResults found = need(store.search(vectors.view, {.k = kK, .search_list = search_list}, data.threads));
      for (std::size_t i = 0; i < some.size(); ++i) {
        const auto is_it = [&](const Hit& hit) { return hit.key == some[i]; };
        if (is_found(found[i], some[i], data, live)) continue;
        std::ranges::any_of(found[i], is_it) ? ++not_first : ++lost;
        if (lost_keys.size() < 20) lost_keys.push_back(some[i]);
      }
    }
    const std::uint32_t used = store.resolved({.k = kK, .search_list = search_list}).search_list;
    fmt::print("  by their own vector, L {}: {} of {} are not the first answer, {} of these are not in the ten\n", used,
               lost + not_first, count, lost);
    self[search_list == 0 ? "calibrated" : "L1000"] = {
        {"L", used}, {"not_first", lost + not_first}, {"not_in_ten", lost}, {"keys", lost_keys}};
  }
  return self;
}

double ratio_of(const Json& ours, const Json& fresh, std::size_t target, const char* field) {
  return ours["searches"][target][field].get<double>() / fresh["searches"][target][field].get<double>();
}

void judge_searches(Json& report, double limit) {
  const Json ours = report["merged"], fresh = report["fresh"];  // copies: what is added to a report moves the rest
  for (std::size_t target = 0; target < std::size(kTargets); ++target) {
    const double between = ratio_of(ours, fresh, target, "reads_between");
    fmt::print("  reads at {:.2f} against a fresh build: {:.3f}, between the two nearest L {:.3f}\n", kTargets[target],
               ratio_of(ours, fresh, target, "reads"), between);
    add_floor(report, fmt::format("reads at {:.2f} against a fresh build", kTargets[target]),
              ratio_of(ours, fresh, target, "reads"), limit);
  }
  const auto rows = report["self"]["rows"].get<double>();
  add_floor(report, "share found by its own vector, as calibrated",
            1 - report["self"]["calibrated"]["not_first"].get<double>() / rows, .999, Bound::kAtLeast);
  add_floor(report, "share found by its own vector, L 1000",
            1 - report["self"]["L1000"]["not_first"].get<double>() / rows, 1, Bound::kAtLeast);
}

// The store at `path` beside a fresh one, both with the rows that live.
void finish(const Data& data, Json& report, const std::string& path, const std::string& fresh_path,
            const RowOfKey& live, double read_ratio) {
  const ExactNeighbours truth = truth_of(data, live);
  report["merged"] = describe(data, path, truth);
  report["fresh"] = describe(data, fresh_path, truth);
  print_searches("merged", report["merged"]);
  print_searches("fresh", report["fresh"]);
  report["self"] = measure_self(data, path, live);
  judge_searches(report, read_ratio);
}

RowOfKey first_rows(std::uint64_t count) {
  RowOfKey rows(count);
  std::iota(rows.begin(), rows.end(), 0u);
  return rows;
}

}  // namespace

Json measure_growth(const MergeSettings& settings, const MergedSet& set) {
  const Data data = load(settings, set);
  const MeasuredIndex begun = fresh_of(settings, set, set.first_rows);
  const std::string path = copy_of(settings, set, begun, "growth");
  RowOfKey live = first_rows(set.first_rows);
  Json report{{"first_rows", set.first_rows}, {"steps", Json::array()}};
  report["begin"] = describe(data, path, truth_of(data, live));
  print_searches("begin", report["begin"]);
  {
    Store store = need(Store::open(path, writer_options(settings, MergePolicy::kManual)));
    while (live.size() < set.last_rows) {
      const auto wanted = static_cast<std::uint64_t>(std::ceil(settings.share * static_cast<double>(live.size())));
      const RowOfKey all = first_rows(std::min(live.size() + wanted, set.last_rows));
      const auto added = std::span(all).subspan(live.size());
      Json step = take_step(data, store, path, added, added);
      live = all;
      const ExactNeighbours truth = truth_of(data, live);
      step["searches"] = measure_searches(data, store, truth);
      if (settings.fresh_each_step)
        step["fresh"] = describe(data, fresh_of(settings, set, live.size()).path, truth)["searches"];
      print_step(step);
      report["steps"].push_back(std::move(step));
    }
  }
  report["total"] = total_of(report["steps"], settings.share);
  const MeasuredIndex fresh = fresh_of(settings, set, set.last_rows);
  report["fresh_build"] = fresh.build;
  fmt::print("  a fresh build: CPU us a row {:.0f}\n",
             1e6 * fresh.build["cpu_seconds"].get<double>() / static_cast<double>(set.last_rows));
  finish(data, report, path, fresh.path, live, set.read_ratio);
  const Json& cost = report["total"].value("whole", report["total"]["all"]);
  add_floor(report, "bytes written an insert", cost["bytes"], set.bytes_an_insert);
  add_floor(report, "CPU of the merges an insert, us", cost["merge_cpu_us"], set.cpu_us_an_insert);
  return report;
}

// Rows come category by category, from none on: what comes is unlike what is there.
Json measure_categories(const MergeSettings& settings, const MergedSet& set) {
  const Data data = load(settings, set);
  std::vector<std::uint32_t> category;
  std::ifstream labels(path_of(settings, set.labels));
  for (std::uint32_t label = 0; labels >> label;) category.push_back(label);
  if (category.size() != data.base.view.rows)
    fail(Status(Code::kInvalidInput, "this set has no category for each row"));
  RowOfKey order = first_rows(category.size());
  std::ranges::stable_sort(order, {}, [&](std::uint32_t row) { return category[row]; });
  const std::string path = settings.work + "/" + set.name + "-categories";
  fs::remove_all(path);
  need(Store::create(path, {data.base.view.dim, data.base.view.dtype, set.metric, KeyKind::kNumber}));
  Json report{{"steps", Json::array()}};
  {
    Store store = need(Store::open(path, writer_options(settings, MergePolicy::kManual)));
    for (std::uint64_t done = 0; done < order.size();) {
      const std::uint64_t due = done == 0 ? kFirstGraph : std::max(kLeast, done / 10);
      const auto some = std::span(order).subspan(done, std::min(due, order.size() - done));
      report["steps"].push_back(take_step(data, store, path, some, some));
      print_step(report["steps"].back());
      done += some.size();
    }
  }
  report["total"] = total_of(report["steps"], 0);
  const MeasuredIndex fresh = fresh_of(settings, set, set.last_rows);
  finish(data, report, path, fresh.path, first_rows(order.size()), 1.15);
  return report;
}

namespace {

void judge_replacing(Json& report) {
  const Json ours = report["merged"], fresh = report["fresh"];  // copies: what is added to a report moves the rest
  add_floor(report, "mean degree against a fresh build",
            ours["mean_degree"].get<double>() / fresh["mean_degree"].get<double>(), .9, Bound::kAtLeast);
  for (std::size_t target = 0; target < std::size(kTargets); ++target) {
    const auto recall = [&](const Json& store) { return store["searches"][target]["calibrated_recall"].get<double>(); };
    // A limit of 0 would be none.
    add_floor(report, fmt::format("recall as calibrated for {:.2f}, less fresh, plus 1", kTargets[target]),
              1 + recall(ours) - recall(fresh), .995, Bound::kAtLeast);
  }
  const auto total = [](const Json& store) { return store["files"]["total"].get<double>(); };
  const auto log = [](const Json& store) { return store["files"]["log"].get<double>(); };
  fmt::print("  directory without its log against a fresh build: {:.3f}\n",
             (total(ours) - log(ours)) / (total(fresh) - log(fresh)));
  add_floor(report, "bytes of the directory against a fresh build", total(ours) / total(fresh), 1.3);
}

}  // namespace

// Each round some keys, drawn anew, get vectors that come later in the file.
Json measure_replacing(const MergeSettings& settings, const MergedSet& set) {
  const Data data = load(settings, set);
  const std::string path = copy_of(settings, set, fresh_of(settings, set, set.first_rows), "replace");
  RowOfKey live = first_rows(set.first_rows);
  const auto each = static_cast<std::size_t>(std::ceil(settings.share * static_cast<double>(live.size())));
  std::mt19937_64 random(settings.seed);
  std::uint64_t next = set.first_rows;
  Json report{{"first_rows", set.first_rows}, {"steps", Json::array()}};
  {
    Store store = need(Store::open(path, writer_options(settings, MergePolicy::kManual)));
    for (std::uint32_t round = 0; round < settings.rounds; ++round) {
      RowOfKey keys = first_rows(live.size()), rows;
      for (std::size_t i = 0; i < each; ++i) {
        std::swap(keys[i], keys[i + random() % (keys.size() - i)]);
        live[keys[i]] = static_cast<std::uint32_t>(next);
        rows.push_back(live[keys[i]]);
        if (++next == data.base.view.rows) next = set.first_rows;
      }
      Json step = take_step(data, store, path, std::span(keys).first(each), rows);
      step["searches"] = measure_searches(data, store, truth_of(data, live));
      print_step(step);
      report["steps"].push_back(std::move(step));
    }
  }
  report["total"] = total_of(report["steps"], 0);
  const std::string name = fmt::format("{}-replaced-{}-{}", set.name, settings.rounds, each);
  const std::string file = settings.work + "/" + name + fs::path(set.base).extension().string();
  need(write_vectors(file, gather(data.base.view, live).view));
  const MeasuredIndex fresh = fresh_build(settings, set, name, file, 0);
  finish(data, report, path, fresh.path, live, 1.08);
  judge_replacing(report);
  return report;
}

}  // namespace vecstore::bench
