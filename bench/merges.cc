// SPDX-License-Identifier: Apache-2.0
//
// What merging costs, and what it does to searches: stores that grow, or whose rows are replaced, in steps, against
// fresh builds of the same rows; searches beside merges; one key put again and again.
//
//   bench_merges [--scenario NAME]… [--set NAME]… [--data DIR] [--work DIR] [--json FILE] [--share .05] …
//
// Exit codes: 0 every floor holds, 1 one is missed, 2 something could not be measured.
#include "bench/merges.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>

namespace vecstore::bench {
namespace {

namespace fs = std::filesystem;

struct Scenario {
  const char* name;
  Json (*measure)(const MergeSettings&, const MergedSet&);
  std::vector<std::string> sets;  // unless others are asked for
};

std::vector<MergedSet> known_sets() {
  return {{"csift", "csift.base.u8bin", "csift.query.u8bin", "csift.base.labels.txt", Metric::kL2, 200000, 300000, 1.10,
           10000, 450},
          {"win384", "win384.base.f16bin", "win384.query.f16bin", "", Metric::kCosine, 50000, 100000, 1.10, 20000, 0},
          {"mdn256", "mdn256.base.fbin", "mdn256.query.fbin", "", Metric::kCosine, 20000, 40000, 0, 0, 0},
          {"synth1m", "synth1m.base.u8bin", "synth1m.query.u8bin", "", Metric::kL2, 1000000, 1000000, 0, 0, 0}};
}

std::vector<Scenario> known_scenarios() {
  return {{"growth", measure_growth, {"csift", "win384"}}, {"categories", measure_categories, {"csift"}},
          {"replace", measure_replacing, {"win384"}},      {"beside", measure_beside, {"csift"}},
          {"sustained", measure_sustained, {"csift"}},     {"hot-key", measure_hot_key, {"csift"}},
          {"snapshots", measure_snapshots, {"csift"}}};
}

// What other runs left in the file stays, but for what is measured again.
void keep(const std::string& path, Json entry) {
  std::ifstream in(path);
  Json report = Json::parse(in, nullptr, false);
  if (!report.is_object()) report = {{"version", version()}, {"measured", Json::array()}};
  Json& measured = report["measured"];
  const auto same = std::ranges::find_if(measured, [&](const Json& other) {
    return other["scenario"] == entry["scenario"] && other["set"] == entry["set"] && other["share"] == entry["share"];
  });
  if (same != measured.end()) {
    *same = std::move(entry);
  } else {
    measured.push_back(std::move(entry));
  }
  if (std::ofstream(path) << report.dump(1) << '\n') return;
  fmt::print(stderr, "bench_merges: {}: cannot be written\n", path);
  std::exit(2);
}

bool measure(const MergeSettings& settings) {
  bool all_hold = true;
  for (const Scenario& scenario : known_scenarios()) {
    if (std::ranges::find(settings.scenarios, scenario.name) == settings.scenarios.end()) continue;
    const auto& wanted = settings.sets.empty() ? scenario.sets : settings.sets;
    for (const MergedSet& set : known_sets()) {
      if (std::ranges::find(wanted, set.name) == wanted.end()) continue;
      fmt::print("{}, {}\n", scenario.name, set.name);
      Json entry{{"scenario", scenario.name}, {"set", set.name}, {"share", settings.share}};
      entry.update(scenario.measure(settings, set));
      all_hold = all_floors_hold(entry) && all_hold;
      if (!settings.json.empty()) keep(settings.json, std::move(entry));
    }
  }
  return all_hold;
}

}  // namespace

std::string path_of(const MergeSettings& settings, const char* file) { return settings.data + "/" + file; }

OpenOptions writer_options(const MergeSettings& settings, MergePolicy policy) {
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = settings.sync;
  options.merge = policy;
  return options;
}

MeasuredIndex fresh_build(const MergeSettings& settings, const MergedSet& set, const std::string& name,
                          const std::string& input, std::uint64_t rows) {
  IndexRequest request;
  request.name = name;
  request.input = input;
  request.rows = rows;
  request.options.metric = set.metric;
  request.options.seed = settings.seed;
  request.work = settings.work;
  return need(measure_build(request));
}

MeasuredIndex fresh_of(const MergeSettings& settings, const MergedSet& set, std::uint64_t rows) {
  return fresh_build(settings, set, set.name, path_of(settings, set.base), rows == set.last_rows ? 0 : rows);
}

std::string copy_of(const MergeSettings& settings, const MergedSet& set, const MeasuredIndex& index, const char* name) {
  const std::string path = settings.work + "/" + set.name + "-" + name;
  fs::remove_all(path);
  fs::copy(index.path, path, fs::copy_options::recursive);
  return path;
}

}  // namespace vecstore::bench

int main(int count, char** arguments) try {
  using namespace vecstore::bench;
  using vecstore::SyncMode;
  MergeSettings settings;
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  settings.scenarios = {"growth", "categories", "replace", "beside", "sustained", "hot-key", "snapshots"};
  const std::map<std::string, SyncMode> syncs{
      {"always", SyncMode::kAlways}, {"interval", SyncMode::kInterval}, {"none", SyncMode::kNone}};
  CLI::App app("Measures what merging costs, and what it does to searches.", "bench_merges");
  app.add_option("--scenario", settings.scenarios,
                 "growth, categories, replace, beside, sustained, hot-key or snapshots; may be given again [all]");
  app.add_option("--set", settings.sets, "csift, win384, mdn256 or synth1m; may be given again [by scenario]");
  app.add_option("--data", settings.data, "where the data sets are [$VECSTORE_DATA or ../shared/data]");
  app.add_option("--work", settings.work, "where stores are made and fresh builds kept [build/bench-work/merges]");
  app.add_option("--json", settings.json, "also write what was measured to this file, beside what is there");
  app.add_option("--share", settings.share, "of the rows put before each merge [.05]");
  app.add_option("--queries", settings.queries, "only so many queries");
  app.add_option("--self", settings.self_rows, "rows that are searched by their own vector; 0: all [20000]");
  app.add_option("--rounds", settings.rounds, "of replacing [20]");
  app.add_option("--threads", settings.threads, "of a merge [1]");
  app.add_option("--seed", settings.seed, "of builds, and of the keys that are replaced [1]");
  app.add_option("--sync", settings.sync, "always, interval or none [always]")->transform(CLI::Transformer(syncs));
  app.add_option("--ram", settings.ram_bytes, "sustained: bytes, 0: unbounded [64 MiB]");
  app.add_option("--delta", settings.delta_bytes, "sustained: bytes of what waits [a quarter of --ram]");
  app.add_option("--log", settings.log_bytes, "hot-key: bytes of the log [4 MiB]");
  app.add_option("--puts", settings.puts, "hot-key: at the most [10,000,000]");
  app.add_option("--seconds", settings.seconds, "hot-key: at the most [60]");
  app.add_option("--pairs", settings.pairs, "beside: merges; snapshots: turns [4]");
  app.add_flag("--fresh-each-step", settings.fresh_each_step, "growth: a fresh build at every step");
  CLI11_PARSE(app, count, arguments);
  std::filesystem::create_directories(settings.work);
  return measure(settings) ? 0 : 1;
} catch (const std::exception& failure) {
  fmt::print(stderr, "bench_merges: {}\n", failure.what());
  return 2;
}
