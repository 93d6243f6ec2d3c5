// SPDX-License-Identifier: Apache-2.0
#include "tools/explain.h"

#include <fmt/format.h>

#include <optional>
#include <string>

#include "tools/output.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

std::string why_cached(const StoreInfo& info, const OpenOptions& opened) {
  if (info.pages_cached == 0) return "no page";
  const double share = 100.0 * static_cast<double>(info.pages_cached) / static_cast<double>(info.pages);
  std::string text = fmt::format("{} of {} pages ({:.1f} %)", info.pages_cached, info.pages, share);
  if (info.pages_cached == info.pages) return text + ", so nothing is read and vectors are followed instead of codes";
  text += opened.cache_bytes || opened.cache_fraction ? ", as asked for" : ", what the budget leaves";
  if (opened.fixed_cache) return text + "; those near which most rows lie";
  return text + fmt::format("; at first those near which most rows lie, since then {} replaced by what was asked for",
                            info.pages_replaced);
}

std::string why_lanes(const StoreInfo& info) {
  if (info.lanes == 0) return fmt::format("{}, one query after the other", info.searchers);
  return fmt::format("{}, each with up to {} queries in progress", info.searchers, info.lanes);
}

std::string why_settings(const Store& store, const StoreInfo& info, const SearchOptions& asked) {
  const SearchOptions used = store.resolved(asked);
  std::string text = fmt::format("L {}, blocks {}, bound {:.2f}", used.search_list, used.blocks, used.bound);
  if (info.lanes == 0) text = fmt::format("L {}", used.search_list);
  if (asked.search_list != 0 || asked.blocks != 0 || asked.bound >= 0) return text + ": as asked for";
  const std::optional<CalibrationPoint> point = store.calibration_for(asked);
  if (!point) return text + ": nothing was calibrated";
  return text + fmt::format(
                    ": calibrated ({}) for recall {:g} at k {}, where recall was {:.3f} with {:.1f} reads and "
                    "nothing cached",
                    info.calibrated_on, point->recall_target, point->k, point->recall, point->reads_per_query);
}

}  // namespace

void warn_of_missed_target(const RecallExpectation& expectation) {
  if (!expectation.missed) return;
  print_error("vecstore: warning: recall {:.3f} is expected, where {:g} was asked for: {}\n", expectation.expected,
              expectation.target, expectation.reason);
}

Json budget_of(const StoreInfo& info) {
  return {{"ram_budget_bytes", info.ram_budget_bytes},
          {"codes_bytes", info.codes_bytes},
          {"model_bytes", info.fixed_ram_bytes},
          {"dictionary_bytes", info.dictionary_bytes},
          {"searchers_bytes", info.searchers_bytes},
          {"cache_bytes", info.cache_bytes},
          {"left_bytes", info.ram_budget_bytes == 0 ? Json() : Json(info.ram_budget_bytes - info.ram_used_bytes)},
          {"codec", info.codec},
          {"code_bytes", info.code_bytes},
          {"searchers", info.searchers},
          {"lanes", info.lanes},
          {"pages_cached", info.pages_cached},
          {"pages_replaced", info.pages_replaced}};
}

void print_explanation(const Store& store, const OpenOptions& opened, const SearchOptions& asked) {
  const StoreInfo info = store.info();
  const auto line = [](std::uint64_t bytes, const std::string& why) {
    return fmt::format("{:>10}  {}", format_size(bytes), why);
  };
  Table table;
  if (info.ram_budget_bytes != 0) table.add("memory to use", line(info.ram_budget_bytes, "--ram"));
  table.add("codes", line(info.codes_bytes, fmt::format("{}, {} bytes each; {:.1f} bytes a row with corrections and "
                                                        "centroids",
                                                        info.codec, info.code_bytes, info.ram_bytes_per_row)));
  table.add("codec model", line(info.fixed_ram_bytes, "the same for any number of rows"));
  if (info.dictionary_bytes != 0) table.add("dictionary", line(info.dictionary_bytes, "of the documents"));
  table.add("searchers", line(info.searchers_bytes, why_lanes(info)));
  table.add("page cache", line(info.cache_bytes, why_cached(info, opened)));
  if (info.ram_budget_bytes != 0)
    table.add("left", line(info.ram_budget_bytes - info.ram_used_bytes, "less than another page, or not asked for"));
  table.add("search", why_settings(store, info, asked));
  table.print();
}

}  // namespace vecstore::tools
