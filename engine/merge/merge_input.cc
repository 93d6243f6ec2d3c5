// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/merge_input.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "engine/rows/number_key.h"

namespace vecstore {

Result<std::unique_ptr<MergeInput>> MergeInput::create(const View& view, MemoryBudget& budget, Watch& watch) {
  std::unique_ptr<MergeInput> input(new MergeInput(view, budget));
  VECSTORE_TRY(input->gather_ids(watch));
  return input;
}

Status MergeInput::load(Watch& watch) {
  VECSTORE_ASSIGN(vectors_, Buffer<std::byte>::allocate(budget_, load_bytes()));
  VECSTORE_TRY(read_graph(watch));
  read_delta();
  drop_names_that_say_nothing();
  return Status::ok();
}

Status MergeInput::gather_ids(Watch& watch) {
  const auto for_each_live = [&](const auto& visit) -> Status {
    const Content& content = view_.content();
    if (content.graph() != nullptr)
      VECSTORE_TRY(content.graph()->for_each_row_id(budget_, [&](RowId row) -> Status {
        return view_.live().tombstones().gone(row, view_.moment()) ? Status::ok() : visit(row);
      }));
    return view_.delta() == nullptr ? Status::ok() : view_.delta()->for_each_live(view_.moment(), visit);
  };
  std::uint64_t rows = 0;
  VECSTORE_TRY(for_each_live([&](RowId) -> Status {
    ++rows;
    return watch.step({Phase::kRead, 0, rows});
  }));
  VECSTORE_ASSIGN(row_ids_, Buffer<std::uint64_t>::allocate(budget_, rows));
  if (!has_keys()) {
    VECSTORE_ASSIGN(number_keys_, Buffer<std::uint64_t>::allocate(budget_, rows));
  }
  std::size_t place = 0;
  return for_each_live([&](RowId row) -> Status {
    if (row.value < view_.content().row_end()) ++graph_rows_;
    row_ids_[place++] = row.value;
    return Status::ok();
  });
}

std::optional<std::size_t> MergeInput::place_in_graph(RowId row) const {
  const std::uint64_t* end = row_ids_.begin() + graph_rows_;
  const std::uint64_t* found = std::lower_bound(row_ids_.begin(), end, row.value);
  if (found == end || *found != row.value) return std::nullopt;
  return static_cast<std::size_t>(found - row_ids_.begin());
}

// Integers lie on their page as they were put; of anything else rows/ keeps the originals. Number keys are on pages.
Status MergeInput::read_graph(Watch& watch) {
  if (graph_rows_ == 0) return Status::ok();
  if (!is_integer(dtype())) VECSTORE_TRY(read_originals(watch));
  return is_integer(dtype()) || !number_keys_.empty() ? read_pages(watch) : Status::ok();
}

Status MergeInput::read_originals(Watch& watch) {
  VECSTORE_TRY(rewind());
  std::uint64_t done = 0;
  while (true) {
    VECSTORE_TRY(pass_->next(group_));
    if (group_.empty()) break;
    VECSTORE_TRY(watch.step({Phase::kRead, done, graph_rows_}));
    for (const auto& [row, stored] : group_) {
      const auto place = place_in_graph(row);
      if (!place) continue;
      VECSTORE_CHECK(stored.vector.size() == row_bytes());
      std::memcpy(vector_at(*place), stored.vector.data(), stored.vector.size());
      ++done;
    }
  }
  if (done == graph_rows_) return Status::ok();
  return Status(Code::kCorrupt, "rows/ lacks rows that the graph has; restore or rebuild").about(name());
}

Status MergeInput::read_pages(Watch& watch) {
  const Generation& graph = *view_.content().graph();
  const GraphLayout& layout = graph.layout();
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, layout.page_bytes));
  std::uint64_t done = 0;
  for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
    VECSTORE_TRY(watch.step({Phase::kRead, done, graph_rows_}));
    VECSTORE_TRY(graph.graph().read_page(page, bytes.span()));
    const PageView records(layout, bytes.data());
    for (std::uint32_t slot = 0; slot < layout.rows_on(page); ++slot) {
      const auto place = place_in_graph(records.row_id(slot));
      if (!place) continue;
      ++done;
      if (!number_keys_.empty()) number_keys_[*place] = records.key(slot);
      if (is_integer(dtype())) records.copy_integers(slot, vector_at(*place));
    }
  }
  if (done == graph_rows_) return Status::ok();
  return Status(Code::kCorrupt, "the row map names rows that no page has; restore or rebuild")
      .about(graph.graph().path());
}

void MergeInput::read_delta() {
  for (std::size_t place = graph_rows_; place < row_ids_.size(); ++place) {
    const RowId row{row_ids_[place]};
    view_.delta()->copy_vector(row, vector_at(place));
    if (!number_keys_.empty()) number_keys_[place] = view_.delta()->key(row).number();
  }
}

void MergeInput::drop_names_that_say_nothing() {
  if (std::ranges::equal(number_keys_, row_ids_)) number_keys_.reset();
  is_numbered_from_0_ = !row_ids_.empty() && row_ids_[row_ids_.size() - 1] == row_ids_.size() - 1;
}

Status MergeInput::read(std::uint64_t first, std::uint64_t count, void* out) const {
  VECSTORE_CHECK(first + count <= rows());
  std::memcpy(out, vectors_.data() + first * row_bytes(), count * row_bytes());
  return Status::ok();
}

// --------------------------------------------------------------------------------------------------------------- texts

bool MergeInput::has_documents() const {
  return view_.content().has_documents() || (view_.delta() != nullptr && view_.delta()->document_bytes() != 0);
}

Status MergeInput::rewind() {
  at_ = 0;
  group_.clear();
  group_at_ = 0;
  pass_.reset();
  if (view_.content().rows() == nullptr) return Status::ok();
  VECSTORE_ASSIGN(StoredRowsPass pass, StoredRowsPass::begin(*view_.content().rows(), budget_));
  pass_.emplace(std::move(pass));
  return Status::ok();
}

Status MergeInput::next(std::string_view& key, std::string_view& document) {
  if (at_ < graph_rows_) return next_of_graph(key, document);
  const RowId row{row_ids_[at_++]};
  if (has_keys()) key = view_.delta()->key(row).bytes();
  VECSTORE_ASSIGN(document_, view_.read_document(row));
  document = document_;
  return Status::ok();
}

// Of a graph without rows/ there is nothing to read.
Status MergeInput::next_of_graph(std::string_view& key, std::string_view& document) {
  const RowId row{row_ids_[at_++]};
  if (!pass_) return Status::ok();
  while (group_at_ == group_.size() || group_[group_at_].id < row) {
    if (group_at_ < group_.size()) {
      ++group_at_;
      continue;
    }
    VECSTORE_TRY(pass_->next(group_));
    group_at_ = 0;
    if (group_.empty()) break;
  }
  if (group_.empty() || group_[group_at_].id != row)
    return Status(Code::kCorrupt, "rows/ lacks a row that the graph has; restore or rebuild")
        .about(name())
        .at(Detail::kRow, row.value);
  const StoredRow& stored = group_[group_at_].row;
  if (has_keys()) key = stored.key;
  document = stored.document;
  return Status::ok();
}

}  // namespace vecstore
