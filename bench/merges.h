// SPDX-License-Identifier: Apache-2.0
//
// What bench_merges measures: the scenarios, and what they share.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "bench/measured_index.h"
#include "bench/put_rows.h"
#include "bench/report.h"
#include "engine/vecstore.hpp"

namespace vecstore::bench {

struct MergeSettings {
  std::string data = std::getenv("VECSTORE_DATA") != nullptr ? std::getenv("VECSTORE_DATA") : "../shared/data";
  std::string work = "build/bench-work/merges";
  std::string json;
  std::vector<std::string> scenarios;
  std::vector<std::string> sets;
  double share = .05;  // of the rows, put or replaced before each merge
  std::uint64_t queries = 0;
  std::uint64_t self_rows = 20000;
  std::uint32_t rounds = 20;
  std::uint32_t threads = 1;  // of a merge
  std::uint64_t seed = 1;
  SyncMode sync = SyncMode::kAlways;
  std::uint64_t ram_bytes = 64ull << 20;
  std::uint64_t delta_bytes = 0;  // 0: a quarter of ram_bytes
  std::uint64_t log_bytes = 4ull << 20;
  std::uint64_t puts = 10'000'000;
  double seconds = 60;
  std::uint32_t pairs = 4;
  bool fresh_each_step = false;
};

// Real data that a store grows by, from `first_rows` that it was built of to `last_rows`.
struct MergedSet {
  const char* name;
  const char* base;
  const char* queries;
  const char* labels;  // one number a row; empty: none
  Metric metric;
  std::uint64_t first_rows, last_rows;
  double read_ratio = 0;        // at most, of growth against a fresh build; 0: no floor, and so below
  double bytes_an_insert = 0;   // at most
  double cpu_us_an_insert = 0;  // of the merges, at most
};

// Each returns what it measured, with its floors under "floors".
Json measure_growth(const MergeSettings& settings, const MergedSet& set);
Json measure_categories(const MergeSettings& settings, const MergedSet& set);
Json measure_replacing(const MergeSettings& settings, const MergedSet& set);
Json measure_beside(const MergeSettings& settings, const MergedSet& set);
Json measure_snapshots(const MergeSettings& settings, const MergedSet& set);
Json measure_sustained(const MergeSettings& settings, const MergedSet& set);
Json measure_hot_key(const MergeSettings& settings, const MergedSet& set);

std::string path_of(const MergeSettings& settings, const char* file);
OpenOptions writer_options(const MergeSettings& settings, MergePolicy policy);
// A build of a file, or of its first rows (0: all); kept, and not built again in the next run.
MeasuredIndex fresh_build(const MergeSettings& settings, const MergedSet& set, const std::string& name,
                          const std::string& input, std::uint64_t rows);
// Of the first rows of the set.
MeasuredIndex fresh_of(const MergeSettings& settings, const MergedSet& set, std::uint64_t rows);
// A copy of it in the working directory, to write to.
std::string copy_of(const MergeSettings& settings, const MergedSet& set, const MeasuredIndex& index, const char* name);

}  // namespace vecstore::bench
