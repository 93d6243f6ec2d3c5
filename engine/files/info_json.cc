// SPDX-License-Identifier: Apache-2.0
#include "engine/files/info_json.h"

#include <utility>
#include <vector>

namespace vecstore {
namespace {

Json to_json(const CalibrationPoint& point) {
  return {{"k", point.k},
          {"recall_target", point.recall_target},
          {"recall", point.recall},
          {"L", point.search_list},
          {"blocks", point.blocks},
          {"bound", point.bound},
          {"reads_per_query", point.reads_per_query},
          {"memory_L", point.memory_list}};
}

Json known_or_null(double recall) { return recall < 0 ? Json() : Json(recall); }

}  // namespace

Json json_of(const StoreInfo& info) {
  std::vector<Json> calibration;
  calibration.reserve(info.calibration.size());
  for (const CalibrationPoint& point : info.calibration) calibration.push_back(to_json(point));
  return {{"n", info.rows},
          {"dim", info.dim},
          {"dtype", name_of(info.dtype)},
          {"metric", name_of(info.metric)},
          {"keys", info.keys == KeyKind::kNumber ? "number" : "bytes"},
          {"uuid", info.uuid},
          {"format", std::to_string(info.format_major) + "." + std::to_string(info.format_minor)},
          {"generation", info.generation},
          {"page_bytes", info.page_bytes},
          {"rows_per_page", info.rows_per_page},
          {"pages", info.pages},
          {"page_fill", info.page_fill},
          {"vector_bits", info.vector_bits},
          {"recall_of_8_bits", known_or_null(info.recall_of_8_bits)},
          {"recall_of_16_bits", known_or_null(info.recall_of_16_bits)},
          {"copies_share", info.copies_share},
          {"max_degree", info.max_degree},
          {"mean_degree", info.mean_degree},
          {"edges_dropped", info.edges_dropped},
          {"codec", info.codec},
          {"code_bytes", info.code_bytes},
          {"code_bits", info.code_bits},
          {"code_error", info.code_error},
          {"ram_bytes_per_row", info.ram_bytes_per_row},
          {"fixed_ram_bytes", info.fixed_ram_bytes},
          {"disk_bytes", info.disk_bytes},
          {"has_keys", info.has_keys},
          {"has_documents", info.has_documents},
          {"has_originals", info.has_originals},
          {"extents", info.extents},
          {"calibrated_on", info.calibrated_on},
          {"calibration", Json(std::move(calibration))},
          {"backend", info.backend},
          {"backend_fallback", info.backend_fallback}};
}

}  // namespace vecstore
