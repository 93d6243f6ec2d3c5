// SPDX-License-Identifier: Apache-2.0
//
// How a writer whose memory is bounded divides it between what waits to be merged and the merge.
#include <algorithm>

#include "engine/live/delta_search.h"
#include "engine/merge/merge.h"
#include "engine/merge/merge_in_passes.h"
#include "engine/store/impl.h"

namespace vecstore {

// Of what was asked for, as much as leaves merges room: a merge of a full delta must fit, beside `others`. Both get
// half of what is left, or as much as rows take of which a merge is due while as many more come in; the rest is the
// cache's. Where hardly any row would fit, all.
std::uint64_t Store::Impl::choose_delta_bytes(const Content& content, std::uint32_t dim, std::uint64_t others) {
  const std::uint64_t asked = writer ? writer->delta_bytes_asked() : opened.delta_bytes;
  const Generation* graph = content.graph();
  if (opened.ram_bytes == 0 || dim == 0) return asked;
  if (graph == nullptr && opened.merge == MergePolicy::kManual) return asked;  // it may be meant to stay without one
  std::uint64_t searching = DeltaSearcher::predict_bytes(dim);
  if (graph != nullptr)
    searching += GraphSearcher::predict_bytes(graph->layout(), graph->codes().form(), kLanesBesideMerges);
  others += opened.searchers * searching;
  const std::uint64_t left = budget.limit_bytes() - std::min(budget.limit_bytes(), others);
  DeltaShape shape = content.delta_shape();
  shape.dim = dim;
  const auto delta_bytes_for = [&](std::uint64_t rows) {
    return WriterMemory::delta_bytes_for(Delta::bytes_alone(shape, rows, 0));
  };
  const auto bytes_of = [&](std::uint64_t rows) { return delta_bytes_for(rows) + merge_bytes(content, dim, rows); };
  const std::uint64_t due = merge_share_of(content.properties().rows);
  const std::uint64_t most = std::min(left, std::max(left / 2, bytes_of(2 * due)));
  std::uint64_t fit = 0;
  for (std::uint64_t step = std::uint64_t{1} << 24; step != 0; step /= 2) {
    const std::uint64_t rows = fit + step;
    if (delta_bytes_for(rows) <= asked && bytes_of(rows) <= most) fit = rows;
  }
  if (fit < kMergedRowsLeast) return asked;
  rows_merged_most = fit;
  return std::clamp(delta_bytes_for(fit), kDeltaBytesMin, asked);
}

// That a merge of so many new rows wants of the budget, and what comes with it. Where they may be more than the
// graph's, it builds anew, of no more than twice as many.
std::uint64_t Store::Impl::merge_bytes(const Content& content, std::uint32_t dim, std::uint64_t rows) const {
  const bool has_texts = content.rows() != nullptr || !is_integer(content.properties().dtype);
  // With the first key that is no RowId a catalog comes, and stays.
  const std::uint64_t catalog = content.keeps_keys() ? 0 : kWriterCatalogBytes;
  std::uint64_t bytes = 0;
  if (content.graph() != nullptr)
    bytes = MergeInPasses::predict_bytes(MergeInPasses::facts_of(*content.graph()), rows, has_texts);
  if (rows > content.properties().rows) bytes = std::max(bytes, Merge::predict_build_bytes(content, dim, 2 * rows));
  return catalog + bytes;
}

}  // namespace vecstore
