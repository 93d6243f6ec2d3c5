// SPDX-License-Identifier: Apache-2.0
//
// hnswlib as bench/peers measures it: one process that builds an index and saves it, and another that loads it and says
// what memory that took. That one then times searches for every list length that comes in on stdin, one JSON object a
// line. What wheels.py does for the Python wheels; the passes must stay the same on both sides.
#include <hnswlib/hnswlib.h>
#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdint>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace vecstore::bench {
namespace {

using Json = nlohmann::ordered_json;

struct DriverOptions {
  std::string space, base, queries, index, answers;
  std::size_t m = 16, ef_construction = 200, threads = 2, passes = 3, k = 10;
  double pass_seconds = 0.25;
};

// Rows of u8bin and fbin files: u32 rows, u32 dim, then the values.
struct Matrix {
  std::uint32_t rows = 0, dim = 0;
  std::size_t row_bytes = 0;
  std::vector<char> values;

  const char* row(std::size_t i) const { return values.data() + i * row_bytes; }
};

Matrix read_matrix(const std::string& path, std::size_t element_bytes) {
  std::ifstream in(path, std::ios::binary);
  Matrix matrix;
  in.read(reinterpret_cast<char*>(&matrix.rows), sizeof matrix.rows);
  in.read(reinterpret_cast<char*>(&matrix.dim), sizeof matrix.dim);
  if (!in || matrix.rows == 0 || matrix.dim == 0) throw std::runtime_error(path + ": cannot be read as vectors");
  matrix.row_bytes = matrix.dim * element_bytes;
  matrix.values.resize(matrix.rows * matrix.row_bytes);
  in.read(matrix.values.data(), static_cast<std::streamsize>(matrix.values.size()));
  if (!in || in.peek() != std::ifstream::traits_type::eof())
    throw std::runtime_error(path + ": its length is not that of its header");
  return matrix;
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

// What is resident after the allocator has given back what it holds for nobody.
std::uint64_t resident_bytes() {
  malloc_trim(0);
  std::ifstream statm("/proc/self/statm");
  std::uint64_t total_pages = 0, resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

std::uint64_t resident_peak_bytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
}

// Calls serve(i) for all i below `count` from `threads` threads; a single one is the caller itself.
template <typename Serve>
void share_out(std::size_t count, std::size_t threads, const Serve& serve) {
  if (threads <= 1) {
    for (std::size_t i = 0; i < count; ++i) serve(i);
    return;
  }
  std::atomic<std::size_t> next{0};
  std::vector<std::jthread> workers;
  for (std::size_t t = 0; t < threads; ++t) {
    workers.emplace_back([&] {
      for (std::size_t i = next.fetch_add(1); i < count; i = next.fetch_add(1)) serve(i);
    });
  }
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

template <typename Distance>
Json build_index(hnswlib::SpaceInterface<Distance>& space, const DriverOptions& options, std::size_t element_bytes) {
  const Matrix base = read_matrix(options.base, element_bytes);
  const double cpu_before = cpu_seconds();
  const auto start = std::chrono::steady_clock::now();
  hnswlib::HierarchicalNSW<Distance> index(&space, base.rows, options.m, options.ef_construction);
  index.addPoint(base.row(0), 0);
  share_out(base.rows - 1, options.threads, [&](std::size_t i) { index.addPoint(base.row(i + 1), i + 1); });
  const Json report = {{"seconds", seconds_since(start)},
                       {"cpu_seconds", cpu_seconds() - cpu_before},
                       {"threads", options.threads},
                       {"rss_peak_bytes", resident_peak_bytes()}};
  index.saveIndex(options.index);
  return report;
}

// Searches of one loaded index; answers[query × k + rank] are row numbers, nearest first.
template <typename Distance>
class Searcher {
 public:
  Searcher(hnswlib::HierarchicalNSW<Distance>& index, const Matrix& queries, const DriverOptions& options)
      : index_(index),
        queries_(queries),
        options_(options),
        answers_(queries.rows * options.k, kNone),
        latencies_us_(queries.rows) {}

  Json measure(std::size_t ef) {
    index_.setEf(ef);
    const double warm_up_seconds = pass(1, 1);
    write_answers();
    const auto repeats =
        static_cast<std::size_t>(std::clamp(std::ceil(options_.pass_seconds / warm_up_seconds), 1.0, 20.0));
    Json qps = Json::object(), cpu = Json::object(), latency;
    for (const std::size_t threads : {std::size_t{1}, std::size_t{2}}) {
      const double cpu_before = cpu_seconds();
      const auto start = std::chrono::steady_clock::now();
      std::vector<double> rates;
      for (std::size_t i = 0; i < options_.passes; ++i)
        rates.push_back(static_cast<double>(queries_.rows * repeats) / pass(threads, repeats));
      const std::string key = std::to_string(threads);
      qps[key] = rates;
      cpu[key] = (cpu_seconds() - cpu_before) / seconds_since(start);
      if (threads == 1) latency = describe_latencies();
    }
    return {{"qps", qps}, {"cpu_per_wall", cpu}, {"latency_us", latency}};
  }

  double pass(std::size_t threads, std::size_t repeats) {
    const auto start = std::chrono::steady_clock::now();
    share_out(queries_.rows * repeats, threads, [&](std::size_t i) { search(i % queries_.rows); });
    return seconds_since(start);
  }

 private:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  void search(std::size_t query) {
    const auto start = std::chrono::steady_clock::now();
    auto found = index_.searchKnn(queries_.row(query), options_.k);
    const std::span<std::uint32_t> answers(answers_.data() + query * options_.k, options_.k);
    for (std::size_t rank = found.size(); rank > 0; found.pop())
      answers[--rank] = static_cast<std::uint32_t>(found.top().second);
    latencies_us_[query] = 1e6 * seconds_since(start);
  }

  Json describe_latencies() const {
    std::vector<double> sorted = latencies_us_;
    std::sort(sorted.begin(), sorted.end());
    const auto at = [&](double share) {
      return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
    };
    const double mean = std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size());
    return {{"mean", mean}, {"p50", at(0.5)}, {"p99", at(0.99)}};
  }

  void write_answers() const {
    std::ofstream out(options_.answers, std::ios::binary);
    out.write(reinterpret_cast<const char*>(answers_.data()),
              static_cast<std::streamsize>(answers_.size() * sizeof(std::uint32_t)));
    if (!out.flush()) throw std::runtime_error(options_.answers + ": cannot be written");
  }

  hnswlib::HierarchicalNSW<Distance>& index_;
  const Matrix& queries_;
  const DriverOptions& options_;
  std::vector<std::uint32_t> answers_;
  std::vector<double> latencies_us_;
};

template <typename Distance>
void serve_searches(hnswlib::SpaceInterface<Distance>& space, const DriverOptions& options, const Matrix& queries) {
  const std::uint64_t before = resident_bytes();
  hnswlib::HierarchicalNSW<Distance> index(&space, options.index);
  Searcher<Distance> searcher(index, queries, options);
  searcher.pass(2, 1);  // so that what a search keeps for later ones is resident too
  std::cout << Json{{"index_rss_bytes", resident_bytes() - before}}.dump() << std::endl;
  for (std::size_t ef = 0; std::cin >> ef;) std::cout << searcher.measure(ef).dump() << std::endl;
}

template <typename Distance>
void run(hnswlib::SpaceInterface<Distance>&& space, const DriverOptions& options, const Matrix& queries,
         std::size_t element_bytes, bool building) {
  if (building) {
    std::cout << build_index(space, options, element_bytes).dump() << std::endl;
  } else {
    serve_searches(space, options, queries);
  }
}

void run_in_space(const DriverOptions& options, bool building) {
  const std::size_t element_bytes = options.space == "l2_u8" ? 1 : sizeof(float);
  const Matrix queries = read_matrix(options.queries, element_bytes);
  if (options.space == "l2_u8") {
    run(hnswlib::L2SpaceI(queries.dim), options, queries, element_bytes, building);
  } else if (options.space == "l2") {
    run(hnswlib::L2Space(queries.dim), options, queries, element_bytes, building);
  } else {
    run(hnswlib::InnerProductSpace(queries.dim), options, queries, element_bytes, building);
  }
}

}  // namespace
}  // namespace vecstore::bench

int main(int argc, char** argv) {
  vecstore::bench::DriverOptions options;
  CLI::App app("builds and searches an index of hnswlib, for bench/peers");
  app.require_subcommand(1);
  app.add_option("--space", options.space, "distance and element type")
      ->required()
      ->check(CLI::IsMember({"l2", "ip", "l2_u8"}));
  app.add_option("--queries", options.queries, "fbin, or u8bin in the space l2_u8")->required();
  app.add_option("--index", options.index, "file of the index")->required();
  CLI::App* build = app.add_subcommand("build", "build an index and save it");
  build->add_option("--base", options.base, "vectors, in the layout of the queries")->required();
  build->add_option("--m", options.m, "links a row and layer");
  build->add_option("--ef-construction", options.ef_construction, "list length of the construction");
  build->add_option("--threads", options.threads, "threads of the construction");
  CLI::App* search = app.add_subcommand("search", "load an index and time each list length read from stdin");
  search->add_option("--answers", options.answers, "file of the answers of the last list length, u32")->required();
  search->add_option("--k", options.k, "answers a query");
  search->add_option("--passes", options.passes, "timed passes for each number of threads");
  search->add_option("--pass-seconds", options.pass_seconds, "a pass repeats the queries until it takes about as long");
  CLI11_PARSE(app, argc, argv);
  try {
    vecstore::bench::run_in_space(options, build->parsed());
  } catch (const std::exception& failure) {
    std::cerr << "bench_hnswlib: " << failure.what() << '\n';
    return 1;
  }
  return 0;
}
