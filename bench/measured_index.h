// SPDX-License-Identifier: Apache-2.0
//
// An index that a benchmark measures: built here, with what the build cost, or kept from an earlier run with the same
// input and options, with what it cost then.
#pragma once

#include <cstdint>
#include <memory>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <vector>

#include "engine/truth.h"
#include "engine/vecstore.hpp"

namespace vecstore::bench {

using Json = nlohmann::ordered_json;

// A vector file, or its first `rows` rows (0: all). Errors: as of open_vector_file.
Result<std::unique_ptr<VectorSource>> open_prefix(const std::string& path, std::uint64_t rows);

// Vectors in memory.
struct LoadedVectors {
  std::vector<std::byte> bytes;
  VectorView view;
};
Result<LoadedVectors> load_vectors(const std::string& path, std::uint64_t rows);
// Copies of these rows of `base`, in this order.
LoadedVectors gather(const VectorView& base, std::span<const std::uint32_t> rows);
// In the layout of big-ann-benchmarks, which the ending of the path should name. Errors: kIo.
Status write_vectors(const std::string& path, const VectorView& vectors);

// `threads` counts; `progress` and `overwrite` are set by measure_build.
struct IndexRequest {
  std::string name;   // name of the set, for the directory and for messages
  std::string input;  // vector file
  std::uint64_t rows = 0;
  BuildOptions options;
  std::string work;  // directory that indices are kept in
  bool rebuild = false;
};

struct MeasuredIndex {
  std::string path;
  Json options;  // that made it
  Json build;    // cpu_seconds, wall_seconds, ram_peak_bytes (accounting), rss_peak_bytes (VmHWM), reused
};

// Errors: as of Store::build.
Result<MeasuredIndex> measure_build(const IndexRequest& request);

// The truth file when there is one and all rows are wanted, else computed and kept in `work`.
Result<ExactNeighbours> load_truth(const IndexRequest& request, const std::string& truth_path,
                                   const std::string& query_path, std::uint64_t query_rows);

double process_cpu_seconds();    // user and system, all threads
std::uint64_t rss_bytes();       // VmRSS
std::uint64_t rss_peak_bytes();  // VmHWM
void reset_rss_peak();           // what was freed is given back, and the peak starts anew
double seconds_since(std::int64_t begin_ns);
std::int64_t now_ns();

}  // namespace vecstore::bench
