// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <limits>
#include <mutex>
#include <numeric>
#include <optional>
#include <thread>

#include "base/limits.h"
#include "base/memory.h"
#include "engine/truth.h"
#include "tools/commands.h"
#include "tools/explain.h"
#include "tools/interrupt.h"
#include "tools/numbers.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

constexpr std::uint64_t kQueryBytesAtOnce = 4u << 20;  // so that a large file of queries does not count as memory

struct SearchCommandOptions {
  std::string path, queries, groundtruth, output;
  OpenOptions open;
  SearchOptions search;
  std::uint32_t threads = 1;
  std::uint32_t clients = 0;
  bool explain = false;
};

// What all searches of one run gave.
struct Outcome {
  ExactNeighbours found;
  std::vector<QueryStats> stats;
  double seconds = 0;
};

Status keep(const SearchResults& results, std::uint64_t first_query, Outcome& outcome) {
  VECSTORE_ASSIGN(const ExactNeighbours part, to_neighbours(results));
  const std::uint32_t k = outcome.found.k;
  for (std::size_t query = 0; query < results.size(); ++query) {
    outcome.stats[first_query + query] = results.stats(query);
    const std::size_t hits = std::min<std::size_t>(k, part.k);
    std::copy_n(part.rows.begin() + query * part.k, hits, outcome.found.rows.begin() + (first_query + query) * k);
    std::copy_n(part.distances.begin() + query * part.k, hits,
                outcome.found.distances.begin() + (first_query + query) * k);
  }
  return {};
}

// Many callers with one query each, as a server has them: each client takes the next query that nobody has.
Status search_by_clients(const Store& store, const SearchCommandOptions& options, const VectorView& batch,
                         std::uint64_t first_query, Outcome& outcome) {
  std::atomic<std::uint64_t> next{0};
  std::mutex mutex;  // guards `failure`; queries keep their answers in places of their own
  Status failure;
  const auto serve = [&] {
    for (std::uint64_t query = next.fetch_add(1); query < batch.rows; query = next.fetch_add(1)) {
      const VectorView one{batch.row(query), batch.dtype, 1, batch.dim};
      const auto results = store.search(one, options.search, 1);
      const Status status = results ? keep(*results, first_query + query, outcome) : results.error();
      if (status.is_ok()) continue;
      const std::scoped_lock lock(mutex);
      if (failure.is_ok()) failure = in_file(status, options.queries, first_query + query);
      next.store(batch.rows);
    }
  };
  {
    std::vector<std::jthread> clients;
    clients.reserve(options.clients);
    for (std::uint32_t i = 0; i < options.clients; ++i) clients.emplace_back(serve);
  }
  return failure;
}

Result<Outcome> search_all(const Store& store, const SearchCommandOptions& options, const VectorSource& queries,
                           bool quiet) {
  Outcome outcome;
  outcome.found.queries = static_cast<std::uint32_t>(queries.rows());
  outcome.found.k = options.search.k;
  outcome.found.rows.assign(queries.rows() * options.search.k, 0xFFFFFFFFu);
  outcome.found.distances.assign(queries.rows() * options.search.k, std::numeric_limits<float>::infinity());
  outcome.stats.resize(queries.rows());
  const std::uint64_t row_bytes = queries.dim() * element_bytes(queries.dtype());
  const std::uint64_t rows_at_once =
      std::clamp<std::uint64_t>(kQueryBytesAtOnce / row_bytes, 1, std::max<std::uint64_t>(1, queries.rows()));
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto buffer, Buffer<std::byte>::allocate(budget, rows_at_once * row_bytes));
  ProgressPrinter progress(quiet);
  for (std::uint64_t first = 0; first < queries.rows(); first += rows_at_once) {
    const std::uint64_t rows = std::min(rows_at_once, queries.rows() - first);
    VECSTORE_TRY(queries.read(first, rows, buffer.data()));
    const VectorView batch{buffer.data(), queries.dtype(), rows, queries.dim()};
    const auto start = std::chrono::steady_clock::now();
    if (options.clients != 0) {
      VECSTORE_TRY(search_by_clients(store, options, batch, first, outcome));
    } else {
      const auto results = store.search(batch, options.search, options.threads);
      if (!results) return in_file(results.error(), options.queries, first);
      VECSTORE_TRY(keep(*results, first, outcome));
    }
    outcome.seconds += std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    progress.update("search", first + rows, queries.rows());
  }
  return outcome;
}

double mean_of(const std::vector<QueryStats>& stats, std::uint32_t QueryStats::* field) {
  const double sum = std::accumulate(stats.begin(), stats.end(), 0.0,
                                     [field](double so_far, const QueryStats& one) { return so_far + one.*field; });
  return stats.empty() ? 0.0 : sum / static_cast<double>(stats.size());
}

std::uint32_t latency_percentile(std::vector<QueryStats> stats, double share) {
  if (stats.empty()) return 0;
  const auto rank = static_cast<std::size_t>(std::lround(share * static_cast<double>(stats.size() - 1)));
  const auto at = stats.begin() + static_cast<std::ptrdiff_t>(rank);
  std::nth_element(stats.begin(), at, stats.end(),
                   [](const QueryStats& a, const QueryStats& b) { return a.latency_us < b.latency_us; });
  return at->latency_us;
}

// What is told of all searches of one run; a mean is one of all queries.
struct Report {
  SearchOptions used;
  StoreInfo info;
  std::uint64_t queries = 0;
  std::optional<double> recall;
  std::optional<RecallExpectation> expectation;
  double qps = 0, seconds = 0;
  double latency_us = 0, requests = 0, reads = 0, rounds = 0, bytes = 0;
  double pages_from_cache = 0, codes_scored = 0, exact_distances = 0;
  std::uint32_t median_latency_us = 0, p99_latency_us = 0;
  std::uint64_t rss_peak_bytes = 0;
};

Report report_on(const Store& store, const SearchOptions& asked, const Outcome& outcome,
                 const std::optional<double>& recall) {
  const auto& stats = outcome.stats;
  Report report;
  report.used = store.resolved(asked);
  report.info = store.info();
  report.queries = stats.size();
  report.recall = recall;
  report.expectation = store.recall_expected(asked);
  report.seconds = outcome.seconds;
  if (outcome.seconds > 0) report.qps = static_cast<double>(stats.size()) / outcome.seconds;
  report.latency_us = mean_of(stats, &QueryStats::latency_us);
  report.requests = mean_of(stats, &QueryStats::requests);
  report.rounds = mean_of(stats, &QueryStats::rounds);
  report.bytes = mean_of(stats, &QueryStats::bytes);
  report.reads = reads_of_4k(report.requests, report.bytes);
  report.pages_from_cache = mean_of(stats, &QueryStats::pages_from_cache);
  report.codes_scored = mean_of(stats, &QueryStats::codes_scored);
  report.exact_distances = mean_of(stats, &QueryStats::exact_distances);
  report.median_latency_us = latency_percentile(stats, 0.5);
  report.p99_latency_us = latency_percentile(stats, 0.99);
  report.rss_peak_bytes = rss_peak_bytes();
  return report;
}

Json to_json(const SearchCommandOptions& options, const Report& report) {
  const StoreInfo& info = report.info;
  return {
      {"recall", report.recall},
      {"qps", report.qps},
      {"latency_us", {{"mean", report.latency_us}, {"p50", report.median_latency_us}, {"p99", report.p99_latency_us}}},
      {"reads_per_query", report.reads},
      {"requests_per_query", report.requests},
      {"rounds_per_query", report.rounds},
      {"bytes_per_query", report.bytes},
      {"pages_from_cache_per_query", report.pages_from_cache},
      {"codes_scored_per_query", report.codes_scored},
      {"exact_distances_per_query", report.exact_distances},
      {"pages_cached", info.pages_cached},
      {"ram_budget_bytes", info.ram_budget_bytes},
      {"ram_peak_bytes", info.ram_peak_bytes},
      {"rss_peak_bytes", report.rss_peak_bytes},
      {"n", info.rows},
      {"dim", info.dim},
      {"queries", report.queries},
      {"k", options.search.k},
      {"recall_target", options.search.recall_target},
      {"recall_expected", report.expectation ? Json(report.expectation->expected) : Json()},
      {"target_missed", report.expectation ? Json(report.expectation->missed) : Json()},
      {"L", report.used.search_list},
      {"blocks", report.used.blocks},
      {"bound", report.used.bound},
      {"threads", options.clients != 0 ? 1 : options.threads},
      {"clients", options.clients},
      {"backend", info.backend},
      {"backend_fallback", info.backend_fallback},
      {"budget", budget_of(info)},
      {"seconds", report.seconds}};
}

void print_report(const SearchOptions& asked, const Report& report) {
  const StoreInfo& info = report.info;
  Table table;
  const std::string fallback = info.backend_fallback.empty() ? "" : " (" + info.backend_fallback + ")";
  table.add("index", fmt::format("{} rows, {} dimensions, backend {}{}", info.rows, info.dim, info.backend, fallback));
  table.add("searched", fmt::format("{} queries, k {}, L {}, blocks {}", report.queries, asked.k,
                                    report.used.search_list, report.used.blocks));
  if (report.recall) table.add(fmt::format("recall@{}", asked.k), fmt::format("{:.4f}", *report.recall));
  if (report.expectation)
    table.add("recall expected",
              fmt::format("{:.4f}, target {:.2f}{}", report.expectation->expected, asked.recall_target,
                          report.expectation->missed ? ", which is MISSED" : ""));
  table.add("queries/s", fmt::format("{:.0f}", report.qps));
  table.add("latency", fmt::format("{:.0f} us mean, {} us median, {} us p99", report.latency_us,
                                   report.median_latency_us, report.p99_latency_us));
  table.add("reads/query", fmt::format("{:.2f} in {:.2f} rounds: {:.2f} requests, {:.1f} KiB", report.reads,
                                       report.rounds, report.requests, report.bytes / 1024));
  table.add("from cache/query",
            fmt::format("{:.2f} pages; {} pages cached", report.pages_from_cache, info.pages_cached));
  table.add("scored/query", fmt::format("{:.0f} codes, {:.0f} vectors", report.codes_scored, report.exact_distances));
  const bool bounded = info.ram_budget_bytes != 0 && info.ram_budget_bytes != MemoryBudget::kUnlimited;
  table.add("memory",
            fmt::format("peak {} of {}, process {}", format_size(info.ram_peak_bytes),
                        bounded ? format_size(info.ram_budget_bytes) : "no bound", format_size(report.rss_peak_bytes)));
  table.print();
}

Status run_search(SearchCommandOptions& options, const Reporting& asked) {
  if (options.threads == 0) options.threads = std::max(1u, std::thread::hardware_concurrency());
  options.threads = std::min(options.threads, kThreadsMax);
  VECSTORE_ASSIGN(const auto queries, open_vector_file(options.queries));
  if (queries->rows() > kQueriesMax)
    return Status(Code::kInvalidArgument, "more than 16777216 queries; cut the file with convert")
        .about(options.queries);
  std::optional<ExactNeighbours> truth;
  if (!options.groundtruth.empty()) {
    VECSTORE_ASSIGN(truth, read_neighbours(options.groundtruth));
    if (truth->queries < queries->rows() || truth->k < options.search.k)
      return Status(Code::kInvalidArgument,
                    "the ground truth has fewer queries or fewer neighbours than are searched for")
          .about(options.groundtruth + " (" + std::to_string(truth->queries) + " x " + std::to_string(truth->k) + ")");
  }
  options.search.cancel = interruption();
  options.open.searchers = std::max(options.clients, options.threads);
  VECSTORE_ASSIGN(const Store store, open_store(options.path, options.open, asked.quiet));
  VECSTORE_ASSIGN(const Outcome outcome, search_all(store, options, *queries, asked.quiet));
  std::optional<double> recall;
  if (truth && !outcome.stats.empty()) {
    VECSTORE_ASSIGN(recall, recall_at(outcome.found, *truth, options.search.k));
  }
  if (!options.output.empty()) VECSTORE_TRY(write_neighbours(options.output, outcome.found));
  const Report report = report_on(store, options.search, outcome, recall);
  const std::uint64_t rows = report.info.rows;
  if (options.search.k > rows && !asked.quiet)
    print_error("vecstore: the index holds {} rows, fewer than k; each query got {}\n", rows, rows);
  if (report.expectation) warn_of_missed_target(*report.expectation);
  if (asked.json) {
    print_json(to_json(options, report));
  } else {
    print_report(options.search, report);
    if (options.explain) {
      print_out("\n");
      print_explanation(store, options.open, options.search);
    }
  }
  return {};
}

}  // namespace

Run add_search(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<SearchCommandOptions>();
  SearchOptions& search = options->search;
  command.text("index", options->path, "directory of the index").required();
  command.text("--queries", options->queries, "file of the queries").required();
  command.whole("--k", search.k, {1, kResultsMax}, "answers a query, 1 to 1000 (default 10)");
  command.text("--groundtruth", options->groundtruth, "file of exact neighbours, to measure recall");
  add_recall_target(command, search.recall_target);
  add_open_options(command, options->open);
  command.whole("--L", search.search_list, {1, kSearchListMax}, "list length, instead of the calibrated one");
  command.whole("--blocks", search.blocks, {1}, "blocks scanned, instead of the calibrated number");
  command.real("--bound", search.bound, {0, kBoundMax}, "standard errors of the read bound, instead of the calibrated");
  command.flag("--full-precision", search.full_precision, "rank the answers by the vectors as they were put");
  command.whole("--threads", options->threads, {0, kThreadsMax},
                "threads that share the batch; 0: all processors (default 1)");
  command.whole("--clients", options->clients, {1, kClientsMax},
                "callers that search one query at a time, instead of a batch");
  command.text("--output", options->output, "file of the answers to write: rows and distances (replaced if there)");
  command.flag("--explain", options->explain, "also say where the memory went and where the settings come from");
  return [options, &asked] { return run_search(*options, asked); };
}

}  // namespace vecstore::tools
