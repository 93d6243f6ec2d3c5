// SPDX-License-Identifier: Apache-2.0
//
// build.json: what a build took. It lies beside the store's files and outside its content, because times, host and
// peaks differ from build to build while the content does not. Nothing reads it back; people and benchmarks do.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "base/io.h"
#include "base/status.h"
#include "engine/builder/build_plan.h"

namespace vecstore {

// Kept by the one thread that builds.
class BuildReport {
 public:
  BuildReport();

  // What ran since the last call, or since this was made, was `step`. memory_bytes: the budget's peak so far.
  void finish_step(const char* step, std::uint64_t memory_bytes);

  struct Subject {
    std::string input;
    std::string uuid;
    std::uint32_t generation = 0;
    std::uint64_t ram_budget_bytes = 0;  // 0: unbounded
  };
  // The file's text. Byte-exact in keys and order: engine/builder/README.md.
  std::string to_json(const Subject& subject, const BuildPlan& plan) const;

  // Replaces `path` whole, by way of `temporary`. Errors: kIo, kNoSpace, kPermission.
  static Status write(FileSystem& file_system, const std::string& path, const std::string& temporary,
                      const std::string& text);

 private:
  struct Step {
    const char* name = "";
    double seconds = 0;
    double cpu_seconds = 0;  // of all threads
    std::uint64_t memory_peak_bytes = 0;
  };
  std::vector<Step> steps_;
  std::chrono::steady_clock::time_point step_began_;
  double cpu_at_begin_ = 0;
};

}  // namespace vecstore
