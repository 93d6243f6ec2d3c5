// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/progress.h"

namespace vecstore::tools {
namespace {

struct VerifyCommandOptions {
  std::string path;
  VerifyOptions verify;
};

void print_report(const VerifyCommandOptions& options, const VerifyReport& report, bool json) {
  if (json) {
    std::vector<Json> damage;
    damage.reserve(report.damage.size());
    for (const Status& finding : report.damage) damage.emplace_back(finding.message());
    print_json({{"sound", report.damage_total == 0},
                {"deep", options.verify.deep},
                {"pages_checked", report.pages_checked},
                {"rows_checked", report.rows_checked},
                {"edges_checked", report.edges_checked},
                {"unreachable_rows", report.unreachable_rows},
                {"damage_total", report.damage_total},
                {"damage_repairable", report.damage_repairable},
                {"damage", Json(std::move(damage))}});
    return;
  }
  print_out("{}: {} pages, {} rows, {} edges checked\n", options.path, report.pages_checked, report.rows_checked,
            report.edges_checked);
  if (options.verify.deep) print_out("unreachable rows: {}\n", report.unreachable_rows);
  for (const Status& finding : report.damage) print_out("damaged: {}\n", finding.message());
  if (report.damage_total > report.damage.size())
    print_out("... and {} more\n", report.damage_total - report.damage.size());
  if (report.damage_total == 0) print_out("sound\n");
}

Status run_verify(VerifyCommandOptions& options, const Reporting& asked) {
  VECSTORE_ASSIGN(const Store store, open_store(options.path, {}, asked.quiet));
  ProgressPrinter progress(asked.quiet);
  options.verify.cancel = interruption();
  options.verify.progress = [&](const Progress& at) { progress.update(name_of(at.phase), at.done, at.total); };
  VECSTORE_ASSIGN(const VerifyReport report, store.verify(options.verify));
  progress.clear();
  print_report(options, report, asked.json);
  if (report.damage_total == 0) return {};
  if (report.damage_repairable == report.damage_total)
    return Status(
               Code::kCorrupt,
               "nothing is lost, and the next write by key repairs what is damaged, such as vecstore delete of a key "
               "that no row has")
        .about(options.path + " (" + std::to_string(report.damage_total) + " found)");
  return Status(Code::kCorrupt, "the index is damaged; build it again from the vectors, or restore it from a copy")
      .about(options.path + " (" + std::to_string(report.damage_total) + " found)");
}

}  // namespace

Run add_verify(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<VerifyCommandOptions>();
  command.text("index", options->path, "directory of the index").required();
  command.flag("--deep", options->verify.deep, "also reachability, file hashes, documents and keys");
  return [options, &asked] { return run_verify(*options, asked); };
}

}  // namespace vecstore::tools
