// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <filesystem>

#include "base/limits.h"
#include "engine/truth.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/numbers.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

struct GroundtruthOptions {
  std::string base, queries, output;
  std::uint32_t k = 100;
  std::uint32_t threads = 0;
  Metric metric = Metric::kL2;
  bool overwrite = false;
};

Status run_groundtruth(const GroundtruthOptions& options, const Reporting& asked) {
  std::error_code unknown;
  if (!options.overwrite && std::filesystem::exists(options.output, unknown))
    return Status(Code::kExists, "the file is there already; choose another name or give --overwrite")
        .about(options.output);
  VECSTORE_ASSIGN(const auto base, open_vector_file(options.base));
  VECSTORE_ASSIGN(const auto queries, open_vector_file(options.queries));
  const auto start = std::chrono::steady_clock::now();
  VECSTORE_ASSIGN(const ExactNeighbours truth,
                  exact_search(*base, *queries, options.k, options.metric, options.threads, interruption()));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  VECSTORE_TRY(write_neighbours(options.output, truth));
  if (asked.json) {
    print_json({{"output", options.output},
                {"n", base->rows()},
                {"queries", truth.queries},
                {"k", truth.k},
                {"metric", name_of(options.metric)},
                {"seconds", seconds},
                {"rss_peak_bytes", rss_peak_bytes()}});
  } else {
    print_out("{}: {} exact neighbours of {} queries among {} rows ({}), {:.1f} s\n", options.output, truth.k,
              truth.queries, base->rows(), name_of(options.metric), seconds);
  }
  return {};
}

}  // namespace

Run add_groundtruth(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<GroundtruthOptions>();
  command.text("--base", options->base, "file of the vectors to search").required();
  command.text("--queries", options->queries, "file of the queries").required();
  command.text("--output", options->output, "file to write: rows and distances").required();
  command.whole("--k", options->k, {1, kResultsMax}, "neighbours a query, 1 to 1000 (default 100)");
  add_metric(command, options->metric);
  add_threads(command, options->threads);
  command.flag("--overwrite", options->overwrite, "replace the output if it is there");
  return [options, &asked] { return run_groundtruth(*options, asked); };
}

}  // namespace vecstore::tools
