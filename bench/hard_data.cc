// SPDX-License-Identifier: Apache-2.0
//
// Recall on hard data, as a table: an index searched at recall_target .95, at .99 with full_precision, and a store
// without a graph. Rows were put into that store, and its answers are to be exactly right. Each line runs in a process
// of its own, so that one that dies leaves the others.
#include <fmt/format.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "bench/hard_data_sets.h"
#include "engine/vecstore.hpp"

namespace vecstore::bench {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::uint32_t kResults = 10;
constexpr std::uint64_t kBatch = 1000;
constexpr unsigned kSecondsMax = 900;  // time of one line

struct Options {
  HardSetOptions set;
  std::string only;
  std::string work = std::filesystem::temp_directory_path();
  unsigned threads = 2;
};

// A set under one metric, with the truth about it.
struct Trial {
  const HardSet& set;
  Metric metric;
  std::vector<double> kth;  // distance of the tenth row of each query
  std::vector<std::byte> base, queries;
  std::string directory;

  VectorView view(std::uint64_t first, std::uint64_t count) const {
    return {base.data() + first * set.dim * element_bytes(set.dtype), set.dtype, count, set.dim};
  }
  VectorView query_view() const { return {queries.data(), set.dtype, set.query_count(), set.dim}; }
};

// What a search was worth.
struct Outcome {
  double recall = 0;
  double recall_worst = 1;  // recall of the worst query
  double reads = 0;         // a query
  std::uint64_t negative = 0;
  double error = 0;  // the largest of a distance, relative to the true one
};

struct Line {
  double build_seconds = 0;
  std::optional<Outcome> plain, precise, flat, flat_precise;
  std::vector<std::string> messages;
};

// A hit counts when its true distance is at most that of the tenth, each row once.
Outcome judge(const Trial& trial, const SearchResults& results) {
  Outcome outcome;
  const double wanted = static_cast<double>(std::min<std::uint64_t>(kResults, trial.set.rows()));
  for (std::size_t query = 0; query < results.size(); ++query) {
    std::set<std::uint64_t> right;
    for (const Hit& hit : results[query]) {
      if (hit.key >= trial.set.rows()) continue;
      const double truth = double_distance(trial.metric, trial.set.query(query), trial.set.row(hit.key));
      if (truth <= trial.kth[query]) right.insert(hit.key);
      if (trial.metric != Metric::kInnerProduct && hit.distance < 0) ++outcome.negative;
      const double error = std::abs(static_cast<double>(hit.distance) - truth);
      // A NaN is the worst there is.
      if (!(error <= outcome.error * truth))
        outcome.error = truth > 0 && !std::isnan(error) ? error / truth : std::numeric_limits<double>::infinity();
    }
    const double recall = static_cast<double>(right.size()) / wanted;
    outcome.recall += recall / static_cast<double>(results.size());
    outcome.recall_worst = std::min(outcome.recall_worst, recall);
    const QueryStats& stats = results.stats(query);
    outcome.reads += reads_of_4k(stats.requests, stats.bytes) / static_cast<double>(results.size());
  }
  return outcome;
}

std::optional<Outcome> search(const Trial& trial, const Store& store, const SearchOptions& options, const char* what,
                              Line& line) {
  const auto results = store.search(trial.query_view(), options);
  if (results) return judge(trial, *results);
  line.messages.push_back(fmt::format("{}: {}", what, results.error().message()));
  return std::nullopt;
}

void measure_index(const Trial& trial, unsigned threads, Line& line) {
  BuildOptions options;
  options.metric = trial.metric;
  options.threads = threads;
  options.seed = 1;
  const std::string path = trial.directory + "/built";
  const auto source = view_source(trial.view(0, trial.set.rows()));
  const auto start = Clock::now();
  const Status built = Store::build(path, *source, options);
  line.build_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  if (!built.is_ok()) return line.messages.push_back(fmt::format("build: {}", built.message()));
  const auto store = Store::open(path);
  if (!store) return line.messages.push_back(fmt::format("open: {}", store.error().message()));
  line.plain = search(trial, *store, {.k = kResults, .recall_target = 0.95}, "search", line);
  line.precise =
      search(trial, *store, {.k = kResults, .recall_target = 0.99, .full_precision = true}, "full_precision", line);
}

Status put_all(const Trial& trial, Store& store) {
  std::vector<Key> keys;
  for (std::uint64_t first = 0; first < trial.set.rows(); first += kBatch) {
    const std::uint64_t count = std::min(kBatch, trial.set.rows() - first);
    keys.clear();
    for (std::uint64_t i = 0; i < count; ++i) keys.emplace_back(first + i);
    const auto receipt = store.put_batch(keys, trial.view(first, count));
    if (!receipt) return receipt.error();
  }
  return Status::ok();
}

void measure_flat(const Trial& trial, Line& line) {
  const std::string path = trial.directory + "/flat";
  const Status created = Store::create(path, {trial.set.dim, trial.set.dtype, trial.metric, KeyKind::kNumber});
  if (!created.is_ok()) return line.messages.push_back(fmt::format("create: {}", created.message()));
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = SyncMode::kNone;
  const std::uint64_t bytes = trial.set.rows() * (trial.set.dim * 12 + 512);
  options.delta_bytes = std::max(options.delta_bytes, bytes);
  options.log_bytes = std::max(options.log_bytes, bytes);
  auto store = Store::open(path, options);
  if (!store) return line.messages.push_back(fmt::format("open flat: {}", store.error().message()));
  const Status put = put_all(trial, *store);
  if (!put.is_ok()) return line.messages.push_back(fmt::format("put: {}", put.message()));
  line.flat = search(trial, *store, {.k = kResults}, "flat search", line);
  line.flat_precise =
      search(trial, *store, {.k = kResults, .full_precision = true}, "flat search, full_precision", line);
}

std::string cells(const std::optional<Outcome>& outcome, Metric metric, bool with_reads) {
  if (!outcome) return with_reads ? " – | – | – | – |" : " – | – | – |";
  return fmt::format(" {:.4f} ({:.1f}) |", outcome->recall, outcome->recall_worst) +
         (with_reads ? fmt::format(" {:.1f} |", outcome->reads) : "") +
         (metric == Metric::kInnerProduct ? std::string(" – |") : fmt::format(" {} |", outcome->negative)) +
         (metric == Metric::kL2 ? fmt::format(" {:.1e} |", outcome->error) : std::string(" – |"));
}

void print_head(const Options& options) {
  fmt::print("{} rows, {} queries, seed {}, recall@{} (of the worst query in brackets)\n\n", options.set.rows,
             options.set.queries, options.set.seed, kResults);
  fmt::print(
      "| set | metric | dim | build s | .95 | reads | negative | error | .99 full precision | reads | negative | error "
      "| flat | negative | error | flat, full precision | negative | error | messages |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|---|\n");
  std::fflush(stdout);
}

// In the child: prints one line of the table.
void measure(const Options& options, const HardSet& set, Metric metric, const std::string& directory) {
  const Trial trial{set,
                    metric,
                    kth_distances(set, metric, kResults),
                    encode_values(set.base, set.dtype),
                    encode_values(set.queries, set.dtype),
                    directory};
  Line line;
  measure_index(trial, options.threads, line);
  measure_flat(trial, line);
  std::string messages;
  for (const std::string& message : line.messages) messages += (messages.empty() ? "" : "; ") + message;
  fmt::print("| {} | {} | {} | {:.1f} |{}{}{}{} {} |\n", set.name, name_of(metric), set.dim, line.build_seconds,
             cells(line.plain, metric, true), cells(line.precise, metric, true), cells(line.flat, metric, false),
             cells(line.flat_precise, metric, false), messages);
  std::fflush(stdout);
}

bool run_line(const Options& options, const HardSet& set, Metric metric) {
  std::string directory = options.work + "/hard_data.XXXXXX";
  if (::mkdtemp(directory.data()) == nullptr) {
    fmt::print(stderr, "bench_hard_data: {}: no directory can be made there\n", options.work);
    return false;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(kSecondsMax);
    measure(options, set, metric, directory);
    ::_exit(0);
  }
  int status = 0;
  const bool waited = ::waitpid(child, &status, 0) == child;
  std::filesystem::remove_all(directory);
  if (!waited || status != 0) {
    fmt::print(
        "| {} | {} | {} | | | | | | | | | | | | | | | | died: {} |\n", set.name, name_of(metric), set.dim,
        WIFSIGNALED(status) ? fmt::format("signal {}", WTERMSIG(status)) : fmt::format("exit {}", WEXITSTATUS(status)));
    std::fflush(stdout);
  }
  return true;
}

}  // namespace
}  // namespace vecstore::bench

int main(int argc, char** argv) try {
  using namespace vecstore::bench;
  CLI::App app("Measures recall on hard data and prints a table.");
  Options options;
  bool list = false;
  app.add_option("--rows", options.set.rows, "rows of each set")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--queries", options.set.queries, "queries")->capture_default_str()->check(CLI::PositiveNumber);
  app.add_option("--seed", options.set.seed, "of the data; indices are always built with seed 1")
      ->capture_default_str();
  app.add_option("--only", options.only, "only the sets whose name begins so");
  app.add_option("--work", options.work, "where stores are made, each removed again")->capture_default_str();
  app.add_option("--threads", options.threads, "of the build")->capture_default_str();
  app.add_flag("--list", list, "print the names of the sets");
  CLI11_PARSE(app, argc, argv);
  std::vector<std::string> names;
  for (const std::string& name : hard_set_names())
    if (name.starts_with(options.only)) names.push_back(name);
  if (list) {
    for (const std::string& name : names) fmt::print("{}\n", name);
    return 0;
  }
  if (names.empty()) {
    fmt::print(stderr, "bench_hard_data: no set has a name that begins with {}; --list names them\n", options.only);
    return 2;
  }
  print_head(options);
  for (const std::string& name : names) {
    const HardSet set = make_hard_set(name, options.set);
    for (const vecstore::Metric metric : set.metrics)
      if (!run_line(options, set, metric)) return 1;
  }
  return 0;
} catch (const std::exception& failure) {
  fmt::print(stderr, "bench_hard_data: {}\n", failure.what());
  return 1;
}
