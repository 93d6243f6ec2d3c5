// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

struct VerifyCommandOptions {
  std::string path;
  VerifyOptions verify;
  bool json = false;
};

void print_report(const VerifyCommandOptions& options, const VerifyReport& report) {
  if (options.json) {
    std::vector<Json> damage;
    for (const Status& finding : report.damage) damage.emplace_back(finding.message());
    print_json({{"sound", report.damage_total == 0},
                {"deep", options.verify.deep},
                {"pages_checked", report.pages_checked},
                {"rows_checked", report.rows_checked},
                {"edges_checked", report.edges_checked},
                {"unreachable_rows", report.unreachable_rows},
                {"damage_total", report.damage_total},
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

Status run_verify(const VerifyCommandOptions& options) {
  VECSTORE_ASSIGN(const Store store, Store::open(options.path));
  VECSTORE_ASSIGN(const VerifyReport report, store.verify(options.verify));
  print_report(options, report);
  if (report.damage_total == 0) return {};
  return Status(Code::kCorrupt, "the index is damaged; build it again from the vectors, or restore it from a copy")
      .about(options.path + " (" + std::to_string(report.damage_total) + " found)");
}

}  // namespace

Command add_verify(CommandLine& line) {
  const auto options = std::make_shared<VerifyCommandOptions>();
  CommandOptions command = line.add("verify", "check every page and list of an index; exit code 3 when it is damaged");
  command.text("index", options->path, "directory of the index").required();
  command.flag("--deep", options->verify.deep, "also reachability, file hashes, documents and keys");
  add_json(command, options->json);
  return {command, [options] { return run_verify(*options); }};
}

}  // namespace vecstore::tools
