// SPDX-License-Identifier: Apache-2.0
#include "bench/report.h"

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

namespace vecstore::bench {
namespace {

namespace fs = std::filesystem;

}  // namespace

void fail(const Status& status) {
  fmt::print(stderr, "{}: {}\n", program_invocation_short_name, status.message());
  std::exit(2);
}

void add_floor(Json& report, const std::string& what, double value, double limit, Bound bound) {
  if (limit <= 0) return;
  const bool holds = bound == Bound::kAtMost ? value <= limit : value >= limit;
  fmt::print("{} {:<60} {:>10.3f} {} {}\n", holds ? "PASS" : "FAIL", what, value,
             bound == Bound::kAtMost ? "<=" : ">=", limit);
  report["floors"].push_back({{"floor", what},
                              {"value", value},
                              {"bound", bound == Bound::kAtMost ? "at most" : "at least"},
                              {"limit", limit},
                              {"holds", holds}});
}

bool all_floors_hold(const Json& report) {
  bool all_hold = true;
  for (const Json& floor : report["floors"]) all_hold = all_hold && floor["holds"].get<bool>();
  return all_hold;
}

Json percentiles(const std::vector<double>& sorted) {
  if (sorted.empty()) return {{"searches", 0}, {"p50_us", 0.0}, {"p99_us", 0.0}, {"greatest_us", 0.0}};
  const auto at = [&](double share) {
    return sorted[static_cast<std::size_t>(share * static_cast<double>(sorted.size() - 1))];
  };
  return {{"searches", sorted.size()}, {"p50_us", at(.5)}, {"p99_us", at(.99)}, {"greatest_us", sorted.back()}};
}

Json directory_bytes(const std::string& path) {
  std::map<std::string, std::uint64_t> bytes{{"generation", 0}, {"rows", 0}, {"catalog", 0}, {"log", 0}, {"other", 0}};
  std::uint64_t total = 0;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    // A file that a merge removes meanwhile counts nothing.
    std::error_code gone;
    if (!entry.is_regular_file(gone)) continue;
    const std::uintmax_t size = entry.file_size(gone);
    if (gone) continue;
    const std::string name = entry.path().lexically_relative(path).string();
    const auto begins = [&](const char* with) { return name.starts_with(with); };
    const char* kind = begins("graph-") || begins("codes-") || begins("rowmap-") ? "generation"
                       : begins("rows")                                          ? "rows"
                       : begins("catalog")                                       ? "catalog"
                       : begins("wal")                                           ? "log"
                                                                                 : "other";
    bytes[kind] += size;
    total += size;
  }
  Json json(bytes);
  json["total"] = total;
  return json;
}

Spent spent() {
  std::ifstream io("/proc/self/io");
  double bytes = 0;
  for (std::string line; std::getline(io, line);)
    if (line.starts_with("write_bytes: ")) bytes = std::stod(line.substr(13));
  return {process_cpu_seconds(), bytes};
}

}  // namespace vecstore::bench
