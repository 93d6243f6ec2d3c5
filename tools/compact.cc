// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

struct CompactCommandOptions {
  std::string path;
  OpenOptions open;
  CompactOptions compact;
};

void print_report(const CompactCommandOptions& options, const MergeReport& report, const StoreStats& stats, bool json) {
  if (json) {
    print_json({{"was_needed", report.was_needed},
                {"generation", report.generation},
                {"rows", report.rows},
                {"rows_merged", report.rows_merged},
                {"rows_dropped", report.rows_dropped},
                {"bytes_written", report.bytes_written},
                {"wal_bytes", stats.wal_bytes}});
    return;
  }
  if (!report.was_needed) {
    print_out("{}: nothing waits to be merged, {} rows\n", options.path, report.rows);
    return;
  }
  print_out("{}: {} rows merged, {} dropped, {} rows in the graph; {} written, the log has {}\n", options.path,
            report.rows_merged, report.rows_dropped, report.rows, format_size(report.bytes_written),
            format_size(stats.wal_bytes));
}

Status run_compact(CompactCommandOptions& options, const Reporting& asked) {
  VECSTORE_ASSIGN(Store store, open_store(options.path, options.open, asked.quiet));
  ProgressPrinter progress(asked.quiet);
  options.compact.cancel = interruption();
  options.compact.progress = [&](const Progress& at) { progress.update(name_of(at.phase), at.done, at.total); };
  const auto report = store.compact(options.compact);
  progress.clear();
  if (!report) return with_memory_options(report.error(), options.open);
  VECSTORE_TRY(store.close());
  print_report(options, *report, store.stats(), asked.json);
  return {};
}

}  // namespace

Run add_compact(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<CompactCommandOptions>();
  command.text("store", options->path, "directory of the store").required();
  command.flag("--rebuild", options->compact.rebuild, "link and order every row anew, as a build does");
  add_threads(command, options->compact.threads);
  add_writer_memory(command, options->open);
  return [options, &asked] { return run_compact(*options, asked); };
}

}  // namespace vecstore::tools
