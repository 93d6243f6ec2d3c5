// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/merged_rows.h"

#include <algorithm>

#include "base/limits.h"

namespace vecstore {

Result<std::unique_ptr<MergedRows>> MergedRows::find(const View& view, MemoryBudget& budget, Watch& watch) {
  std::unique_ptr<MergedRows> rows(new MergedRows(view));
  rows->before_ = static_cast<std::uint32_t>(rows->graph().layout().rows);
  VECSTORE_TRY(rows->find_new_rows(budget));
  const std::uint64_t numbers = std::uint64_t{rows->before_} + rows->new_ids_.size();
  if (numbers > kRowsMax)
    return Status(Code::kUnsupported, "a graph cannot have that many rows; divide them among stores")
        .about(view.content().path());
  VECSTORE_ASSIGN(rows->places_, Buffer<Pos>::allocate(budget, numbers));
  VECSTORE_TRY(rows->find_rows_that_stay(budget, watch));
  if (rows->added() != 0) rows->greatest_id_ = rows->new_ids_[rows->added() - 1];
  return rows;
}

Status MergedRows::find_new_rows(MemoryBudget& budget) {
  const DeltaRows* delta = view_.delta();
  if (delta == nullptr) return Status::ok();
  std::uint64_t count = 0;
  VECSTORE_TRY(delta->for_each_live(view_.moment(), [&](RowId) {
    ++count;
    return Status::ok();
  }));
  VECSTORE_ASSIGN(new_ids_, Buffer<std::uint64_t>::allocate(budget, count));
  std::size_t at = 0;
  return delta->for_each_live(view_.moment(), [&](RowId row) {
    new_ids_[at++] = row.value;
    return Status::ok();
  });
}

Status MergedRows::find_rows_that_stay(MemoryBudget& budget, Watch& watch) {
  std::fill_n(places_.begin(), before_, kNoPos);
  const Tombstones& tombstones = view_.live().tombstones();
  std::uint64_t done = 0;
  const auto keep = [&](RowId row, Pos position) -> Status {
    if (++done % kBlockRows == 0) VECSTORE_TRY(watch.step({Phase::kRead, done, before_}));
    if (tombstones.gone(row, view_.moment())) return Status::ok();
    stay_ += places_[position] == kNoPos ? 1 : 0;
    places_[position] = 0;
    greatest_id_ = row.value;
    return Status::ok();
  };
  VECSTORE_TRY(graph().row_map().for_each(budget, keep));
  const auto placed =
      static_cast<std::uint32_t>(before_ - std::count(places_.begin(), places_.begin() + before_, kNoPos));
  if (done == before_ && placed == stay_) return Status::ok();
  return Status(Code::kCorrupt, "the row map does not name every row of the graph; restore or rebuild")
      .about(graph().row_map().file().path());
}

}  // namespace vecstore
