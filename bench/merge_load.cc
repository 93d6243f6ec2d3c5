// SPDX-License-Identifier: Apache-2.0
//
// Stores that merge by themselves: searches beside merges, puts that go on and on, and one key put again and again.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <numeric>
#include <thread>

#include "bench/merges.h"

namespace vecstore::bench {
namespace {

namespace fs = std::filesystem;

constexpr double kMegabyte = 1e6;
constexpr double kRestSeconds = 10;
constexpr std::uint64_t kShareOfMerge = 20;  // new rows that make a merge due (engine/store/merger.cc)

enum Phase : std::uint32_t { kBetween, kRest, kWaiting, kMerging, kSnapshots, kPhases };
constexpr const char* kPhaseNames[kPhases] = {"between", "at rest", "rows waiting", "merging", "snapshots"};

// One thread that searches without a pause, one query at a time, and notes what each took, by phase.
class SearchingThread {
 public:
  SearchingThread(const Store& store, const VectorView& queries)
      : thread_([this, &store, queries](const std::stop_token& stop) { run(store, queries, stop); }) {}
  void enter(Phase phase) { phase_.store(phase, std::memory_order_relaxed); }
  // Ends the thread. Microseconds, sorted, of the searches that began and ended in the phase.
  std::vector<double> taken(Phase phase) {
    thread_.request_stop();
    if (thread_.joinable()) thread_.join();
    std::ranges::sort(taken_[phase]);
    return taken_[phase];
  }

 private:
  void run(const Store& store, const VectorView& queries, const std::stop_token& stop) {
    for (std::uint64_t i = 0; !stop.stop_requested(); ++i) {
      const Phase phase = phase_.load(std::memory_order_relaxed);
      const VectorView one{queries.row(i % queries.rows), queries.dtype, 1, queries.dim};
      const std::int64_t began = now_ns();
      need(store.search(one, {.k = 10}));
      const double taken = 1e6 * seconds_since(began);
      if (phase == phase_.load(std::memory_order_relaxed)) taken_[phase].push_back(taken);
    }
  }

  std::atomic<Phase> phase_{kBetween};
  std::vector<double> taken_[kPhases];
  std::jthread thread_;
};

void rest(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

void print_phase(const char* name, const Json& phase) {
  fmt::print("  {:<14} {:>8} searches: p50 {:.0f} us, p99 {:.0f} us, greatest {:.0f} us\n", name,
             phase["searches"].get<std::uint64_t>(), phase["p50_us"].get<double>(), phase["p99_us"].get<double>(),
             phase["greatest_us"].get<double>());
}

void put_next(Store& store, const LoadedVectors& base, std::uint64_t& next, std::uint64_t count) {
  std::vector<std::uint32_t> rows(std::min(count, base.view.rows - next));
  std::iota(rows.begin(), rows.end(), static_cast<std::uint32_t>(next));
  put_rows(store, base, rows, rows);
  next += rows.size();
}

void wait_until_merged(const Store& store) {
  while (store.stats().is_merging) rest(.01);
}

OpenOptions sustained_options(const MergeSettings& settings) {
  OpenOptions how = writer_options(settings, MergePolicy::kAutomatic);
  how.ram_bytes = settings.ram_bytes;
  if (settings.delta_bytes != 0 || settings.ram_bytes != 0)
    how.delta_bytes = settings.delta_bytes != 0 ? settings.delta_bytes : settings.ram_bytes / 4;
  return how;
}

// A batch that was refused comes again, until `patience` seconds have brought none in.
struct Pushed {
  std::uint64_t rows = 0, refusals = 0;
  Status refusal;
};
Pushed push(Store& store, const LoadedVectors& base, std::uint64_t first, std::uint64_t last, double patience) {
  constexpr std::uint64_t kBatch = 100;
  Pushed pushed;
  std::vector<Key> keys;
  std::int64_t progressed = now_ns();
  while (first + pushed.rows < last && seconds_since(progressed) < patience) {
    const std::uint64_t from = first + pushed.rows, count = std::min(kBatch, last - from);
    keys.clear();
    for (std::uint64_t i = 0; i < count; ++i) keys.emplace_back(from + i);
    const auto receipt = store.put_batch(keys, {base.view.row(from), base.view.dtype, count, base.view.dim});
    if (receipt) {
      pushed.rows += count;
      progressed = now_ns();
    } else {
      ++pushed.refusals;
      pushed.refusal = receipt.error();
    }
  }
  return pushed;
}

}  // namespace

Json measure_beside(const MergeSettings& settings, const MergedSet& set) {
  const LoadedVectors base = need(load_vectors(path_of(settings, set.base), 0));
  const LoadedVectors queries = need(load_vectors(path_of(settings, set.queries), 0));
  const std::string path = copy_of(settings, set, fresh_of(settings, set, set.first_rows), "beside");
  OpenOptions how = writer_options(settings, MergePolicy::kAutomatic);
  how.searchers = 2;
  Store store = need(Store::open(path, how));
  SearchingThread searching(store, queries.view);
  std::uint64_t next = set.first_rows;
  double merging_seconds = 0;
  for (std::uint32_t pair = 0; pair < settings.pairs && next < base.view.rows; ++pair) {
    searching.enter(kRest);
    rest(kRestSeconds);
    searching.enter(kBetween);
    put_next(store, base, next, next / kShareOfMerge - 200);
    searching.enter(kWaiting);
    rest(kRestSeconds);
    searching.enter(kBetween);
    for (const std::uint64_t merges = store.stats().merges;
         !store.stats().is_merging && store.stats().merges == merges && next < base.view.rows;)
      put_next(store, base, next, 100);
    const std::int64_t began = now_ns();
    searching.enter(kMerging);
    wait_until_merged(store);
    searching.enter(kBetween);
    merging_seconds += seconds_since(began);
  }
  Json report{{"merges", store.stats().merges}, {"merging_seconds", merging_seconds}};
  for (const Phase phase : {kRest, kWaiting, kMerging}) {
    report[kPhaseNames[phase]] = percentiles(searching.taken(phase));
    print_phase(kPhaseNames[phase], report[kPhaseNames[phase]]);
  }
  fmt::print("  {} merges, {:.1f} s\n", store.stats().merges, merging_seconds);
  const auto ratio = [&](const char* field, const char* to) {
    return report["merging"][field].get<double>() / report[to][field].get<double>();
  };
  add_floor(report, "p50 beside a merge against rest", ratio("p50_us", "at rest"), 1e9);
  add_floor(report, "p99 beside a merge against rest", ratio("p99_us", "at rest"), 1.5);
  add_floor(report, "p99 beside a merge against rest with rows waiting", ratio("p99_us", "rows waiting"), 1.5);
  return report;
}

// Snapshots of a store that a twentieth of a merge's rows wait in, one after the other, each removed again.
Json measure_snapshots(const MergeSettings& settings, const MergedSet& set) {
  const LoadedVectors base = need(load_vectors(path_of(settings, set.base), 0));
  const LoadedVectors queries = need(load_vectors(path_of(settings, set.queries), 0));
  const std::string path = copy_of(settings, set, fresh_of(settings, set, set.first_rows), "snapshots");
  Store store = need(Store::open(path, writer_options(settings, MergePolicy::kManual)));
  std::vector<std::uint32_t> rows(set.first_rows / kShareOfMerge / 2);
  std::iota(rows.begin(), rows.end(), 0);
  put_rows(store, base, rows, rows);
  SearchingThread searching(store, queries.view);
  std::vector<double> taken;
  double own = 0, shared = 0;
  for (std::uint32_t pair = 0; pair < settings.pairs; ++pair) {
    searching.enter(kWaiting);
    rest(kRestSeconds);
    searching.enter(kSnapshots);
    for (const std::int64_t began = now_ns(); seconds_since(began) < kRestSeconds;) {
      const std::int64_t asked = now_ns();
      const SnapshotInfo snapshot = need(store.snapshot("bench"));
      taken.push_back(seconds_since(asked));
      own = std::max(own, static_cast<double>(snapshot.own_bytes));
      shared = static_cast<double>(snapshot.shared_bytes);
      need(Store::remove_snapshot(path, "bench"));
    }
    searching.enter(kBetween);
  }
  std::ranges::sort(taken);
  Json report{{"rows", store.size()},
              {"waiting", rows.size()},
              {"taken", taken.size()},
              {"median_seconds", taken[taken.size() / 2]},
              {"longest_seconds", taken.back()},
              {"own_bytes", own},
              {"shared_bytes", shared}};
  for (const Phase phase : {kWaiting, kSnapshots}) {
    report[kPhaseNames[phase]] = percentiles(searching.taken(phase));
    print_phase(kPhaseNames[phase], report[kPhaseNames[phase]]);
  }
  fmt::print("  {} rows: {} snapshots, median {:.3f} s, longest {:.3f} s; {:.1f} MB of their own, {:.1f} MB shared\n",
             store.size(), taken.size(), taken[taken.size() / 2], taken.back(), own / kMegabyte, shared / kMegabyte);
  add_floor(report, "seconds of a snapshot, the longest", taken.back(), 1);
  add_floor(report, "bytes of its own, of those shared", own / shared, .01);
  add_floor(report, "p99 beside snapshots against none",
            report["snapshots"]["p99_us"].get<double>() / report["rows waiting"]["p99_us"].get<double>(), 1.5);
  return report;
}

Json measure_sustained(const MergeSettings& settings, const MergedSet& set) {
  constexpr double kPatience = 60;
  const LoadedVectors base = need(load_vectors(path_of(settings, set.base), 0));
  const LoadedVectors queries = need(load_vectors(path_of(settings, set.queries), 0));
  const std::string path = copy_of(settings, set, fresh_of(settings, set, set.first_rows), "sustained");
  Store store = need(Store::open(path, sustained_options(settings)));
  SearchingThread searching(store, queries.view);
  searching.enter(kRest);
  rest(kRestSeconds);
  searching.enter(kMerging);
  reset_rss_peak();
  const double cpu_before = process_cpu_seconds();
  const std::int64_t began = now_ns();
  const Pushed pushed = push(store, base, set.first_rows, set.last_rows, kPatience);
  const double seconds = seconds_since(began), cpu = process_cpu_seconds() - cpu_before;
  searching.enter(kBetween);
  wait_until_merged(store);
  const StoreStats stats = store.stats();
  Json report{{"ram_bytes", settings.ram_bytes},
              {"rows", pushed.rows},
              {"seconds", seconds},
              {"cpu_seconds", cpu},
              {"rows_per_second", static_cast<double>(pushed.rows) / seconds},
              {"refusals", pushed.refusals},
              {"refusal", pushed.refusals == 0 ? "" : pushed.refusal.message()},
              {"merges", stats.merges},
              {"merge_failure", stats.merge_failure},
              {"ram_peak_bytes", store.info().ram_peak_bytes},
              {"rss_peak_bytes", rss_peak_bytes()}};
  report["at rest"] = percentiles(searching.taken(kRest));
  report["beside"] = percentiles(searching.taken(kMerging));
  print_phase("at rest", report["at rest"]);
  print_phase("beside", report["beside"]);
  fmt::print(
      "  {} of {} rows in {:.1f} s ({:.0f} a second), CPU {:.1f} s, {} merges; {} batches refused {}; memory {:.1f} "
      "MB, "
      "resident {:.1f} MB; the last merge: {}\n",
      pushed.rows, set.last_rows - set.first_rows, seconds, static_cast<double>(pushed.rows) / seconds, cpu,
      stats.merges, pushed.refusals, report["refusal"].get<std::string>(),
      report["ram_peak_bytes"].get<double>() / kMegabyte, report["rss_peak_bytes"].get<double>() / kMegabyte,
      stats.merge_failure.empty() ? "done" : stats.merge_failure);
  add_floor(report, "rows put a second, merging and searching beside", report["rows_per_second"], 1500,
            Bound::kAtLeast);
  add_floor(report, "share of the rows that came in",
            static_cast<double>(pushed.rows) / static_cast<double>(set.last_rows - set.first_rows), 1, Bound::kAtLeast);
  return report;
}

Json measure_hot_key(const MergeSettings& settings, const MergedSet& set) {
  constexpr std::uint64_t kLookedAt = 512;  // puts between two looks at the directory
  const LoadedVectors base = need(load_vectors(path_of(settings, set.base), 10000));
  const std::string path = settings.work + "/" + set.name + "-hot-key";
  fs::remove_all(path);
  need(Store::create(path, {base.view.dim, base.view.dtype, set.metric, KeyKind::kNumber}));
  OpenOptions how = writer_options(settings, MergePolicy::kAutomatic);
  how.log_bytes = settings.log_bytes;
  Store store = need(Store::open(path, how));
  std::uint64_t puts = 0, refusals = 0, largest = 0, memory = 0;
  double slowest = 0;
  std::string refusal;
  const std::int64_t began = now_ns();
  for (; puts < settings.puts && seconds_since(began) < settings.seconds; ++puts) {
    const std::int64_t asked = now_ns();
    const auto receipt =
        store.put(std::uint64_t{7}, {base.view.row(puts % base.view.rows), base.view.dtype, 1, base.view.dim});
    slowest = std::max(slowest, seconds_since(asked));
    if (!receipt) {
      ++refusals;
      refusal = receipt.error().message();
    }
    memory = std::max(memory, store.metrics().memory_used_bytes);
    if (puts % kLookedAt == 0) largest = std::max(largest, directory_bytes(path)["total"].get<std::uint64_t>());
  }
  const double seconds = seconds_since(began);
  Json report{{"puts", puts},
              {"seconds", seconds},
              {"merges", store.stats().merges},
              {"merge_failure", store.stats().merge_failure},
              {"largest_directory_bytes", largest},
              {"memory_used_most_bytes", memory},
              {"ram_peak_bytes", store.info().ram_peak_bytes},
              {"slowest_put_seconds", slowest},
              {"refusals", refusals},
              {"refusal", refusal}};
  fmt::print(
      "  {} puts in {:.1f} s, {} merges: directory up to {:.1f} MB, memory {:.1f} MB, peak {:.1f} MB, slowest put "
      "{:.1f} ms, {} refused {}\n",
      puts, seconds, store.stats().merges, static_cast<double>(largest) / kMegabyte,
      static_cast<double>(memory) / kMegabyte, report["ram_peak_bytes"].get<double>() / kMegabyte, 1e3 * slowest,
      refusals, refusal);
  add_floor(report, "puts refused, plus 1", 1 + static_cast<double>(refusals), 1);
  return report;
}

}  // namespace vecstore::bench
