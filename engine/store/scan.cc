// SPDX-License-Identifier: Apache-2.0
#include "engine/store/scan.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/rows/number_key.h"
#include "graph/format.h"

namespace vecstore {

Result<ScanOfView> ScanOfView::begin(View view, const ScanOptions& options, MemoryBudget& budget) {
  ScanOfView scan(std::move(view), options, budget);
  if (scan.view_.content().graph() == nullptr) {
    scan.is_graph_done_ = true;
  } else {
    VECSTORE_TRY(scan.begin_graph());
  }
  return scan;
}

bool ScanOfView::wants_rows() const {
  const Content& content = view_.content();
  return (options_.documents && content.has_documents()) || (options_.vectors && content.keeps_vectors());
}

Status ScanOfView::begin_graph() {
  const Content& content = view_.content();
  if (wants_rows()) {
    VECSTORE_ASSIGN(auto pass, StoredRowsPass::begin(*content.rows(), *budget_));
    rows_pass_.emplace(std::move(pass));
  } else if (content.keeps_keys()) {
    VECSTORE_ASSIGN(auto pass, StoredKeysPass::begin(*content.rows(), *budget_));
    keys_pass_.emplace(std::move(pass));
  }
  const bool reads_pages = options_.vectors && !content.keeps_vectors();
  if (reads_pages || (!rows_pass_ && !keys_pass_)) {
    VECSTORE_ASSIGN(auto cursor, RowMapCursor::begin(content.graph()->row_map(), *budget_));
    cursor_.emplace(std::move(cursor));
  }
  if (reads_pages) {
    VECSTORE_ASSIGN(page_, Buffer<std::byte>::allocate(*budget_, content.graph()->layout().page_bytes));
  }
  return Status::ok();
}

Status ScanOfView::next(ScanBatch& batch, std::size_t rows_max) {
  batch.clear();
  batch.key_kind = view_.content().properties().keys;
  batch.dtype = view_.content().properties().dtype;
  batch.dim = view_.dim();
  VECSTORE_TRY(check_cancelled(options_.cancel));
  if (!is_graph_done_) VECSTORE_TRY(next_of_graph(batch, rows_max));
  return next_of_delta(batch, rows_max);
}

// What comes next of the pass, if there is one. Nothing waits afterwards: there is no more.
Status ScanOfView::refill() {
  if (taken_ < waiting_.size()) return Status::ok();
  waiting_.clear();
  taken_ = 0;
  if (rows_pass_) return rows_pass_->next(waiting_);
  if (keys_pass_) {
    VECSTORE_TRY(keys_pass_->next(keys_));
    for (KeyOfRow& key : keys_) waiting_.push_back({key.id, {std::move(key.key), {}, {}}});
    return Status::ok();
  }
  VECSTORE_ASSIGN(const auto entry, cursor_->next());
  if (!entry || entry->position == kNoPos) return Status::ok();
  waiting_.push_back({entry->row, {}});
  positions_.push_back(entry->position);
  return Status::ok();
}

// Rows and row map are both by RowId, and have the same rows.
Result<Pos> ScanOfView::position_of(RowId row) {
  while (true) {
    VECSTORE_ASSIGN(const auto entry, cursor_->next());
    if (entry && entry->row < row) continue;
    if (entry && entry->row == row && entry->position != kNoPos) return entry->position;
    return Status(Code::kCorrupt, "rows and row map do not name the same rows; restore or rebuild")
        .about(view_.content().graph()->row_map().file().path())
        .at(Detail::kRow, row.value);
  }
}

Status ScanOfView::next_of_graph(ScanBatch& batch, std::size_t rows_max) {
  positions_.clear();
  while (batch.size() < rows_max) {
    VECSTORE_TRY(check_cancelled(options_.cancel));
    VECSTORE_TRY(refill());
    if (waiting_.empty()) {
      is_graph_done_ = true;
      break;
    }
    VECSTORE_TRY(take(waiting_[taken_++], batch));
  }
  if (page_.size() != 0) VECSTORE_TRY(read_pages(batch));
  return Status::ok();
}

Status ScanOfView::take(const NumberedRow& row, ScanBatch& batch) {
  const Content& content = view_.content();
  const bool is_named_by_map = !rows_pass_ && !keys_pass_;
  if (page_.size() != 0 && !is_named_by_map) {
    VECSTORE_ASSIGN(const Pos position, position_of(row.id));
    positions_.push_back(position);
  }
  if (view_.live().tombstones().gone(row.id, view_.moment())) {
    if (!positions_.empty()) positions_.pop_back();
    return Status::ok();
  }
  batch.rows.push_back(row.id);
  if (!content.keeps_keys()) {
    append_key(Key(row.id.value), batch);
  } else if (content.properties().keys == KeyKind::kNumber) {
    append_key(Key(decode_number_key(row.row.key)), batch);
  } else {
    append_key(Key(row.row.key), batch);
  }
  if (options_.documents) batch.documents.append(row.row.document);
  if (options_.vectors && content.keeps_vectors())
    batch.vectors.insert(batch.vectors.end(), row.row.vector.begin(), row.row.vector.end());
  return Status::ok();
}

void ScanOfView::append_key(const Key& key, ScanBatch& batch) const {
  if (batch.key_kind == KeyKind::kNumber) {
    batch.number_keys.push_back(key.number());
  } else {
    batch.keys.append(key.bytes());
  }
}

// Each page once, in the order of the file.
Status ScanOfView::read_pages(ScanBatch& batch) {
  const Generation& generation = *view_.content().graph();
  const GraphLayout& layout = generation.layout();
  const std::size_t bytes = layout.value_bytes();
  batch.vectors.resize(batch.size() * bytes);
  std::vector<std::size_t> order(batch.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [this](std::size_t i) { return positions_[i]; });
  std::uint64_t held = 0;  // no page of rows has this number
  for (const std::size_t i : order) {
    const std::uint64_t page = layout.page_of(positions_[i]);
    if (page != held) {
      VECSTORE_TRY(check_cancelled(options_.cancel));
      VECSTORE_TRY(generation.graph().read_page(page, page_.span()));
      held = page;
    }
    PageView(layout, page_.data()).copy_integers(layout.slot_of(positions_[i]), batch.vectors.data() + i * bytes);
  }
  return Status::ok();
}

Status ScanOfView::next_of_delta(ScanBatch& batch, std::size_t rows_max) {
  const DeltaRows* delta = view_.delta();
  const std::size_t bytes = batch.dim * element_bytes(batch.dtype);
  while (delta != nullptr && batch.size() < rows_max) {
    const auto row = delta->next_live(view_.moment(), delta_place_);
    if (!row) return Status::ok();
    batch.rows.push_back(*row);
    append_key(delta->key(*row), batch);
    if (options_.vectors) {
      batch.vectors.resize(batch.size() * bytes);
      delta->copy_vector(*row, batch.vectors.data() + (batch.size() - 1) * bytes);
    }
    if (!options_.documents) continue;
    VECSTORE_ASSIGN(const std::string document, view_.read_document(*row));
    batch.documents.append(document);
  }
  return Status::ok();
}

}  // namespace vecstore
