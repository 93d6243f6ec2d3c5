// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <chrono>
#include <optional>

#include "base/limits.h"
#include "tools/commands.h"
#include "tools/explain.h"
#include "tools/interrupt.h"
#include "tools/numbers.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

struct BuildCommandOptions {
  std::string input, output, calibration_queries;
  BuildOptions build;
  bool no_calibration = false, dry_run = false;
};

Json to_json(const BuildPrediction& prediction) {
  return {{"memory_peak_bytes", prediction.memory_peak_bytes},
          {"disk_bytes", prediction.disk_bytes},
          {"page_bytes", prediction.page_bytes},
          {"vector_bits", prediction.vector_bits},
          {"codec", name_of(prediction.codec)},
          {"code_bytes", prediction.code_bytes},
          {"max_degree", prediction.max_degree}};
}

void print_prediction(const VectorSource& input, const BuildPrediction& prediction) {
  print_out("{}: {} x {} {}\n", input.name(), input.rows(), input.dim(), name_of(input.dtype()));
  print_out("predicted: memory {}, disk {}; pages of {} bytes, {} codes of {} bytes, degree at most {}\n",
            format_size(prediction.memory_peak_bytes), format_size(prediction.disk_bytes), prediction.page_bytes,
            name_of(prediction.codec), prediction.code_bytes, prediction.max_degree);
}

Status print_summary(const BuildCommandOptions& options, const BuildPrediction& prediction, double seconds, bool json) {
  const std::uint64_t rss_bytes = rss_peak_bytes();  // before the index is opened to be described
  VECSTORE_ASSIGN(const Store store, Store::open(options.output));
  const StoreInfo info = store.info();
  const std::optional<RecallExpectation> expectation = store.recall_expected();
  if (expectation) warn_of_missed_target(*expectation);
  if (json) {
    print_json({{"output", options.output},
                {"n", info.rows},
                {"dim", info.dim},
                {"dtype", name_of(info.dtype)},
                {"metric", name_of(info.metric)},
                {"seconds", seconds},
                {"rss_peak_bytes", rss_bytes},
                {"disk_bytes", info.disk_bytes},
                {"ram_bytes_per_row", info.ram_bytes_per_row},
                {"pages", info.pages},
                {"mean_degree", info.mean_degree},
                {"page_fill", info.page_fill},
                {"vector_bits", info.vector_bits},
                {"calibrated_on", info.calibrated_on},
                {"recall_expected", expectation ? Json(expectation->expected) : Json()},
                {"target_missed", expectation ? Json(expectation->missed) : Json()},
                {"prediction", to_json(prediction)}});
    return {};
  }
  print_out("built {}: {} rows in {:.1f} s, memory {}, disk {}, {:.1f} bytes of memory a row when searched\n",
            options.output, info.rows, seconds, format_size(rss_bytes), format_size(info.disk_bytes),
            info.ram_bytes_per_row);
  return {};
}

Status run_build(BuildCommandOptions& options, const Reporting& asked) {
  VECSTORE_ASSIGN(const auto input, open_vector_file(options.input));
  std::unique_ptr<VectorSource> queries;
  if (!options.calibration_queries.empty()) {
    VECSTORE_ASSIGN(queries, open_vector_file(options.calibration_queries));
    options.build.calibration_queries = queries.get();
  }
  options.build.calibrate = !options.no_calibration;
  VECSTORE_ASSIGN(const BuildPrediction prediction, predict_build(*input, options.build));
  if (!asked.json) print_prediction(*input, prediction);
  VECSTORE_TRY(finish_output());  // before a long wait
  if (options.dry_run) {
    if (asked.json) print_json({{"n", input->rows()}, {"dim", input->dim()}, {"prediction", to_json(prediction)}});
    return {};
  }
  ProgressPrinter progress(asked.quiet);
  options.build.progress = [&](const Progress& at) {
    progress.update(name_of(at.phase), at.done, at.total, at.memory_bytes);
  };
  options.build.cancel = interruption();
  const auto start = std::chrono::steady_clock::now();
  VECSTORE_TRY(Store::build(options.output, *input, options.build));
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  progress.clear();
  return print_summary(options, prediction, seconds, asked.json);
}

void add_form_options(CommandOptions& options, BuildOptions& build) {
  add_named(options, "--codec", {Codec::kOpq, Codec::kPq, Codec::kRabitq}, build.codec,
            "codes kept in memory (default: from --search-ram, else opq)");
  options.whole("--code-bytes", build.code_bytes, {1, kDimMax},
                "bytes a code (default: from --search-ram); rabitq takes 1, 2 or 4 bits a dimension of them");
  options.parsed("--page-size", "SIZE", "bytes a page: 4096, 8192, 16384 (default: by record)",
                 [&build](const std::string& text) -> std::string {
                   const auto size = parse_size(text);
                   if (!size || (*size != 4096 && *size != 8192 && *size != 16384))
                     return "'" + text + "' is none of 4096, 8192, 16384";
                   build.page_bytes = static_cast<std::uint32_t>(*size);
                   return {};
                 });
  options.choice(
      "--vectors", {"auto", "8", "16", "32"},
      "bits in which pages keep a value of f32 and f16 vectors (default: the least that rank as the vectors do)",
      [&build](std::size_t i) { build.vector_bits = i == 0 ? 0u : 4u << i; });
  options.whole("--max-degree", build.max_degree, {1, kDegreeMax}, "edges a row, at most (default: by dimension)");
  options.whole("--build-list", build.build_list, {1, kSearchListMax}, "list length of the construction (default 80)");
  options.real("--alpha", build.alpha, {1, 4}, "slack of pruning, 1 to 4 (default 1.2)");
  options.whole("--seed", build.seed, {}, "seed of everything drawn by chance (default 1)");
}

}  // namespace

Run add_build(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<BuildCommandOptions>();
  BuildOptions& build = options->build;
  command.text("--input", options->input, "fbin, f16bin, u8bin, i8bin, fvecs, bvecs or npy file").required();
  command.text("--output", options->output, "directory of the index").required();
  add_metric(command, build.metric);
  command.size("--ram", build.ram_bytes, kBoundMinBytes, "bound of the build's memory (default: none)");
  command.size("--search-ram", build.search_ram_bytes, kBoundMinBytes,
               "memory that a search may use; chooses the codes");
  add_threads(command, build.threads);
  command.text("--keys", build.keys_path, "file of keys, one a line, in the order of the vectors");
  command.text("--documents", build.documents_path, "file of documents, one a line, plain or .zst");
  add_form_options(command, build);
  command.text("--calibration-queries", options->calibration_queries,
               "queries to calibrate on (default: rows held out)");
  command.flag("--no-calibration", options->no_calibration, "leave recall targets uncalibrated");
  command.flag("--overwrite", build.overwrite, "replace an index that is there");
  command.flag("--dry-run", options->dry_run, "print what the build would take, and stop");
  return [options, &asked] { return run_build(*options, asked); };
}

}  // namespace vecstore::tools
