// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/size_text.h"

namespace vecstore::tools {

Run add_salvage(CommandOptions& command, const Reporting& asked) {
  struct Options {
    std::string path, output;
  };
  const auto options = std::make_shared<Options>();
  command.text("store", options->path, "directory of the damaged store").required();
  command.text("--output", options->output, "directory of the store to make").required();
  return [options, &asked]() -> Status {
    VECSTORE_ASSIGN(const SalvageReport report, Store::salvage(options->path, options->output, interruption()));
    if (asked.json) {
      print_json({{"output", options->output},
                  {"content", report.content.is_ok() ? "" : report.content.message()},
                  {"rows", report.rows},
                  {"records", report.records},
                  {"records_lost", report.records_lost},
                  {"documents_lost", report.documents_lost},
                  {"log_bytes_lost", report.log_bytes_lost}});
      return {};
    }
    print_out("{}: {} rows; {} records of the log took effect, {} did not, {} of it could not be read\n",
              options->output, report.rows, report.records, report.records_lost, format_size(report.log_bytes_lost));
    if (!report.content.is_ok()) print_out("it may be older than what was lost: {}\n", report.content.message());
    if (report.documents_lost != 0)
      print_out("{} rows came without their documents, whose dictionary is lost\n", report.documents_lost);
    return {};
  };
}

}  // namespace vecstore::tools
