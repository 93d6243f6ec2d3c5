// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/build_report.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cmath>
#include <ctime>
#include <thread>

#include "base/io.h"
#include "compress/kernels/kernels.h"
#include "engine/files/json.h"
#include "engine/reports.h"

namespace vecstore {
namespace {

double cpu_seconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
}

double in_milliseconds(double seconds) { return std::round(seconds * 1000) / 1000; }

Json describe_host() {
  utsname system{};
  uname(&system);
  return {{"system", std::string(system.sysname) + " " + system.release},
          {"machine", system.machine},
          {"processors", std::thread::hardware_concurrency()},
          {"kernels", name_of(kernels().level)}};
}

}  // namespace

BuildReport::BuildReport() : step_began_(std::chrono::steady_clock::now()), cpu_at_begin_(cpu_seconds()) {}

void BuildReport::finish_step(const char* step, std::uint64_t memory_bytes) {
  const auto now = std::chrono::steady_clock::now();
  const double cpu = cpu_seconds();
  const double seconds = std::chrono::duration<double>(now - step_began_).count();
  steps_.push_back({step, seconds, cpu - cpu_at_begin_, memory_bytes});
  step_began_ = now;
  cpu_at_begin_ = cpu;
}

std::string BuildReport::to_json(const Subject& subject, const BuildPlan& plan) const {
  std::vector<Json> steps;
  double seconds = 0;
  double cpu = 0;
  std::uint64_t peak = 0;
  for (const Step& step : steps_) {
    steps.push_back(Json({{"step", step.name},
                          {"seconds", in_milliseconds(step.seconds)},
                          {"cpu_seconds", in_milliseconds(step.cpu_seconds)},
                          {"memory_peak_bytes", step.memory_peak_bytes}}));
    seconds += step.seconds;
    cpu += step.cpu_seconds;
    peak = std::max(peak, step.memory_peak_bytes);
  }
  const Json report = {{"version", version()},
                       {"uuid", subject.uuid},
                       {"generation", subject.generation},
                       {"input", subject.input},
                       {"n", plan.rows},
                       {"dim", plan.dim},
                       {"dtype", name_of(plan.dtype)},
                       {"metric", name_of(plan.metric)},
                       {"threads", plan.threads},
                       {"seconds", in_milliseconds(seconds)},
                       {"cpu_seconds", in_milliseconds(cpu)},
                       {"ram_budget_bytes", subject.ram_budget_bytes},
                       {"memory_predicted_bytes", plan.prediction.memory_peak_bytes},
                       {"memory_peak_bytes", peak},
                       {"host", describe_host()},
                       {"steps", Json(std::move(steps))}};
  return report.text() + "\n";
}

Status BuildReport::write(FileSystem& file_system, const std::string& path, const std::string& temporary,
                          const std::string& text) {
  {
    VECSTORE_ASSIGN(const auto file, file_system.open(temporary, {OpenMode::kCreateNew, false}));
    VECSTORE_TRY(file->write_at(std::as_bytes(std::span(text.data(), text.size())), 0));
  }
  return file_system.rename(temporary, path);
}

}  // namespace vecstore
