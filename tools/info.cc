// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <optional>

#include "engine/files/info_json.h"
#include "tools/commands.h"
#include "tools/output.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

struct InfoOptions {
  std::string path;
};

std::string describe_width(const StoreInfo& info) {
  if (info.dtype == DType::kU8 || info.dtype == DType::kI8) return "8 bits a value, as they were put";
  std::string text = fmt::format("{} bits a value", info.vector_bits);
  if (info.vector_bits == 32) text += ", as they were put";
  const auto add = [&text](int bits, double recall) {
    if (recall >= 0) text += fmt::format("; {} bits rank the nearest ten with recall {:.4f}", bits, recall);
  };
  add(8, info.recall_of_8_bits);
  add(16, info.recall_of_16_bits);
  return text;
}

std::string describe_expectation(const RecallExpectation& expectation) {
  const std::string text = fmt::format("{:.4f} at the target {:g}", expectation.expected, expectation.target);
  return expectation.missed ? fmt::format("{}, which is MISSED: {}", text, expectation.reason) : text;
}

void print_info(const std::string& path, const StoreInfo& info, const std::optional<RecallExpectation>& expectation) {
  Table table;
  table.add("index", path);
  table.add("vectors",
            fmt::format("{} x {} {}, metric {}", info.rows, info.dim, name_of(info.dtype), name_of(info.metric)));
  table.add("format",
            fmt::format("version {}.{}, generation {}", info.format_major, info.format_minor, info.generation));
  table.add("uuid", info.uuid);
  if (info.pages == 0) {
    table.add("graph", "none yet: every row is in memory and in the log");
    table.print();
    return;
  }
  table.add("disk", format_size(info.disk_bytes));
  table.add("pages", fmt::format("{} of {} bytes, {} rows each, {:.1f}% filled", info.pages, info.page_bytes,
                                 info.rows_per_page, 100 * info.page_fill));
  table.add("pages keep vectors in", describe_width(info));
  table.add("degree", fmt::format("{:.1f} in the mean, {} at most; {:.2f}% of the edges dropped to fit a page",
                                  info.mean_degree, info.max_degree, 100 * info.edges_dropped));
  const std::string bits = info.code_bits == 0 ? "" : fmt::format(" ({}-bit)", info.code_bits);
  table.add("codes", fmt::format("{}{}, {} bytes a row, mean squared error {:.6g}", info.codec, bits, info.code_bytes,
                                 info.code_error));
  table.add("memory", fmt::format("{:.1f} bytes a row = {}, and {} fixed", info.ram_bytes_per_row,
                                  format_size(info.codes_bytes), format_size(info.fixed_ram_bytes)));
  table.add("beside the vectors",
            fmt::format("keys {}, documents {}, original vectors {}, in {} files", info.has_keys ? "yes" : "no",
                        info.has_documents ? "yes" : "no", info.has_originals ? "yes" : "no", info.extents));
  table.add("backend", info.backend + (info.backend_fallback.empty() ? "" : " (" + info.backend_fallback + ")"));
  table.add("calibrated on",
            info.calibrated_on == "self" ? "self: rows of the index, which may overstate recall" : info.calibrated_on);
  if (expectation) table.add("recall expected", describe_expectation(*expectation));
  table.print();
  if (info.calibration.empty()) return;
  print_out("\n{:>5} {:>7} {:>7} {:>6} {:>7} {:>6} {:>12} {:>12}\n", "k", "target", "recall", "L", "blocks", "bound",
            "reads/query", "L in memory");
  for (const CalibrationPoint& point : info.calibration)
    print_out("{:>5} {:>7.3f} {:>7.4f} {:>6} {:>7} {:>6.2f} {:>12.2f} {:>12}\n", point.k, point.recall_target,
              point.recall, point.search_list, point.blocks, point.bound, point.reads_per_query, point.memory_list);
}

Status run_info(const InfoOptions& options, const Reporting& asked) {
  VECSTORE_ASSIGN(const Store store, open_store(options.path, {}, true));
  const StoreInfo info = store.info();
  const std::optional<RecallExpectation> expectation = store.recall_expected();
  if (asked.json) {
    Json json = json_of(info);
    json.add("recall_expected", expectation ? Json(expectation->expected) : Json());
    json.add("target_missed", expectation ? Json(expectation->missed) : Json());
    print_json(json);
  } else {
    print_info(options.path, info, expectation);
  }
  return {};
}

}  // namespace

Run add_info(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<InfoOptions>();
  command.text("index", options->path, "directory of the index").required();
  return [options, &asked] { return run_info(*options, asked); };
}

}  // namespace vecstore::tools
