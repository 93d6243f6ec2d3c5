// SPDX-License-Identifier: Apache-2.0
#include "engine/convert.h"

#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/numbers.h"
#include "tools/output.h"
#include "tools/progress.h"

namespace vecstore::tools {
namespace {

struct ConvertCommandOptions {
  std::string from, to;
  ConvertOptions convert;
  bool json = false, quiet = false;
};

Status run_convert(ConvertCommandOptions& options) {
  ProgressPrinter progress(options.quiet);
  options.convert.progress = [&](std::uint64_t done, std::uint64_t total) { progress.update("convert", done, total); };
  VECSTORE_ASSIGN(const ConvertReport report, convert_vectors(options.from, options.to, options.convert));
  progress.clear();
  if (options.json) {
    print_json({{"output", options.to},
                {"rows", report.rows},
                {"dim", report.dim},
                {"from", report.from_element},
                {"to", report.to_element}});
  } else {
    fmt::print("{}: {} x {} {}\n", options.to, report.rows, report.dim, report.to_element);
  }
  return {};
}

}  // namespace

Command add_convert(CLI::App& app) {
  const auto options = std::make_shared<ConvertCommandOptions>();
  CLI::App* command = app.add_subcommand(
      "convert",
      "write a vector file in another layout: fvecs bvecs ivecs fbin f16bin u8bin i8bin ibin npy, by the ending");
  command->add_option("input", options->from, "file to read")->required();
  command->add_option("output", options->to, "file to write")->required();
  add_whole(*command, "--first-row", options->convert.first_row, "first row taken (default 0)");
  add_whole(*command, "--count", options->convert.count, "rows taken (default: all that follow)");
  command->add_flag("--overwrite", options->convert.overwrite, "replace the output if it is there");
  add_quiet(*command, options->quiet);
  add_json(*command, options->json);
  return {command, [options] { return run_convert(*options); }};
}

}  // namespace vecstore::tools
