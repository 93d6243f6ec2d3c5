// SPDX-License-Identifier: Apache-2.0
#include "engine/files/convert.h"

#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/numbers.h"
#include "tools/output.h"
#include "tools/progress.h"

namespace vecstore::tools {
namespace {

struct ConvertCommandOptions {
  std::string from, to;
  ConvertOptions convert;
};

Status run_convert(ConvertCommandOptions& options, const Reporting& asked) {
  ProgressPrinter progress(asked.quiet);
  options.convert.progress = [&](std::uint64_t done, std::uint64_t total) { progress.update("convert", done, total); };
  options.convert.cancel = interruption();
  VECSTORE_ASSIGN(const ConvertReport report, convert_vectors(options.from, options.to, options.convert));
  progress.clear();
  if (asked.json) {
    print_json({{"output", options.to},
                {"rows", report.rows},
                {"dim", report.dim},
                {"from", report.from_element},
                {"to", report.to_element}});
  } else {
    print_out("{}: {} x {} {}\n", options.to, report.rows, report.dim, report.to_element);
  }
  return {};
}

}  // namespace

Run add_convert(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<ConvertCommandOptions>();
  command.text("input", options->from, "file to read").required();
  command.text("output", options->to, "file to write").required();
  command.whole("--first-row", options->convert.first_row, {}, "first row taken (default 0)");
  command.whole("--count", options->convert.count, {}, "rows taken (default: all that follow)");
  command.flag("--overwrite", options->convert.overwrite, "replace the output if it is there");
  return [options, &asked] { return run_convert(*options, asked); };
}

}  // namespace vecstore::tools
