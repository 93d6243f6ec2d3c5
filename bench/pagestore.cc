// SPDX-License-Identifier: Apache-2.0
//
// Random page reads: a bare loop over PageReader, beside a raw io_uring loop over the same file in the same run. So a
// ratio holds on a shared disk. It is a loop of its own rather than Google Benchmark, because what is wanted is latency
// percentiles and the CPU's share at each depth. Every page is verified in ours, none in the raw loop.
//
//   bench_pagestore [--file PATH] [--gib N] [--seconds S] [--repeat N]
//
// The file is made (real page files, sealed) in $TMPDIR when --file is not there yet, and removed if it was made there.
#include <liburing.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "base/random.h"
#include "bench/raw_reads.h"
#include "pagestore/page_reader.h"

namespace vecstore {
namespace {

using bench::Clock;
using Outcome = bench::ReadOutcome;

struct Settings {
  std::string file;
  double gib = 2.5;
  double seconds = 1.0;
  int repeat = 3;
};

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

[[noreturn]] void fail(const std::string& message) {
  std::fprintf(stderr, "bench_pagestore: %s\n", message.c_str());
  std::exit(1);
}

FileIdentity identity() {
  FileIdentity identity;
  identity.store.fill(0x5A);
  identity.generation = 1;
  return identity;
}

void make_file(const Settings& settings) {
  MemoryBudget budget;
  auto writer = PageFileWriter::create(FileSystem::posix(), settings.file, {identity(), 4096}, budget);
  if (!writer) fail(writer.error().message());
  const auto pages = static_cast<std::uint64_t>(settings.gib * 1024 * 1024 * 1024 / 4096);
  Random random(1);
  for (std::uint64_t i = 0; i < pages; ++i) {
    const auto page = writer->page();
    for (std::size_t at = kPageChecksumBytes; at + 8 <= page.size(); at += 8) {
      const std::uint64_t word = random.next();
      std::memcpy(page.data() + at, &word, 8);
    }
    if (const Status appended = writer->append(); !appended.is_ok()) fail(appended.message());
  }
  if (const auto finished = writer->finish({}); !finished) fail(finished.error().message());
}

// Keeps `depth` reads in flight until the deadline. A read's place is its frame (ours) or its index (raw).
void run_reader(const PageFile& file, Backend backend, std::uint32_t depth, double seconds, std::uint64_t seed,
                Outcome& out) {
  MemoryBudget budget;
  auto made = PageReader::create(file, {backend, depth}, budget);
  if (!made) fail(made.error().message());
  PageReader& reader = **made;
  Random random(seed, depth);
  std::vector<std::pair<std::uint64_t, Clock::time_point>> started;  // starts of the pages in flight
  std::array<std::uint64_t, kPagesInFlightMax> batch;
  const auto deadline = Clock::now() + std::chrono::duration<double>(seconds);
  while (true) {
    auto now = Clock::now();
    const std::size_t size = now < deadline ? reader.free_frames() : 0;
    for (std::size_t i = 0; i < size; ++i) {
      batch[i] = 1 + random.below(file.page_count());
      started.emplace_back(batch[i], now);
    }
    if (size != 0)
      if (const Status taken = reader.submit(std::span(batch).first(size)); !taken.is_ok()) fail(taken.message());
    if (reader.in_flight() == 0) return;
    const auto arrived = reader.wait(1);
    if (!arrived) fail(arrived.error().message());
    now = Clock::now();
    for (const ArrivedPage& page : *arrived) {
      const auto found = std::ranges::find(started, page.page, &std::pair<std::uint64_t, Clock::time_point>::first);
      out.latencies_us.push_back(std::chrono::duration<float, std::micro>(now - found->second).count());
      *found = started.back();
      started.pop_back();
      reader.release(page.frame);
      ++out.reads;
    }
  }
}

// The best of `repeat` runs by IOPS: on a shared disk the others measure the neighbours.
template <typename Run>
Outcome best_of(const Settings& settings, unsigned threads, const Run& run) {
  Outcome best;
  for (int i = 0; i < settings.repeat; ++i) {
    std::vector<Outcome> parts(threads);
    const double cpu_before = cpu_seconds();
    const auto begin = Clock::now();
    {
      std::vector<std::jthread> workers;
      for (unsigned t = 0; t < threads; ++t)
        workers.emplace_back([&, t] { run(static_cast<std::uint64_t>(i) * 100 + t, parts[t]); });
    }
    Outcome whole;
    whole.seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    whole.cpu_seconds = cpu_seconds() - cpu_before;
    for (Outcome& part : parts) {
      whole.reads += part.reads;
      whole.latencies_us.insert(whole.latencies_us.end(), part.latencies_us.begin(), part.latencies_us.end());
    }
    if (best.seconds == 0 || whole.iops() > best.iops()) best = std::move(whole);
  }
  std::ranges::sort(best.latencies_us);
  return best;
}

void print(const char* loop, unsigned threads, std::uint32_t depth, const Outcome& outcome) {
  const double cores = std::thread::hardware_concurrency();
  std::printf("%-9s %7u %5u %9.0f %8.0f %8.0f %11.2f %9.1f%%\n", loop, threads, depth, outcome.iops(),
              outcome.percentile(0.50), outcome.percentile(0.99),
              outcome.cpu_seconds * 1e6 / static_cast<double>(outcome.reads),
              100 * outcome.cpu_seconds / outcome.seconds / cores);
  std::fflush(stdout);
}

void measure(const Settings& settings) {
  const auto file = PageFile::open(FileSystem::posix(), settings.file, identity());
  if (!file) fail(file.error().message());
  std::printf("# %s: %llu pages of 4096 bytes, %s; best of %d runs of %.1f s; share: of all %u cores\n",
              settings.file.c_str(), static_cast<unsigned long long>(file->page_count()),
              file->direct() ? "O_DIRECT" : "buffered (NOT a measurement of the disk)", settings.repeat,
              settings.seconds, std::thread::hardware_concurrency());
  std::printf("%-9s %7s %5s %9s %8s %8s %11s %10s\n", "loop", "threads", "depth", "IOPS", "p50 us", "p99 us",
              "CPU us/read", "CPU share");
  for (const unsigned threads : {1u, 2u}) {
    for (const std::uint32_t depth : {1u, 4u, 8u, 16u, 32u, 64u}) {
      const auto raw = [&](unsigned flags) {
        return best_of(settings, threads, [&, flags](std::uint64_t seed, Outcome& out) {
          const Status read = bench::read_raw(*file, flags, depth, settings.seconds, seed, out);
          if (!read.is_ok()) fail(read.message());
        });
      };
      const auto ours = [&](Backend backend) {
        return best_of(settings, threads, [&, backend](std::uint64_t seed, Outcome& out) {
          run_reader(*file, backend, depth, settings.seconds, seed, out);
        });
      };
      print("raw", threads, depth, raw(IORING_SETUP_COOP_TASKRUN));
      print("raw-defer", threads, depth, raw(IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN));
      print("io_uring", threads, depth, ours(Backend::kIoUring));
      if (depth == 1) print("pread", threads, depth, ours(Backend::kPread));
    }
  }
}

Settings parse(int count, char** arguments) {
  Settings settings;
  for (int i = 1; i < count; ++i) {
    const std::string name = arguments[i];
    if (i + 1 == count) fail("usage: bench_pagestore [--file PATH] [--gib N] [--seconds S] [--repeat N]");
    const char* value = arguments[++i];
    if (name == "--file") {
      settings.file = value;
    } else if (name == "--gib") {
      settings.gib = std::atof(value);
    } else if (name == "--seconds") {
      settings.seconds = std::atof(value);
    } else if (name == "--repeat") {
      settings.repeat = std::atoi(value);
    } else {
      fail("unknown option " + name);
    }
  }
  return settings;
}

}  // namespace
}  // namespace vecstore

int main(int count, char** arguments) {
  vecstore::Settings settings = vecstore::parse(count, arguments);
  const char* directory = std::getenv("TMPDIR");
  const bool temporary = settings.file.empty();
  if (temporary)
    settings.file =
        std::string(directory != nullptr ? directory : "/tmp") + "/vecstore-bench-" + std::to_string(::getpid());
  if (::access(settings.file.c_str(), F_OK) != 0) vecstore::make_file(settings);
  vecstore::measure(settings);
  if (temporary) ::unlink(settings.file.c_str());
}
