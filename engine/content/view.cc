// SPDX-License-Identifier: Apache-2.0
#include "engine/content/view.h"

namespace vecstore {

std::uint32_t View::dim() const {
  if (content_->properties().dim != 0) return content_->properties().dim;
  return delta() == nullptr ? 0 : delta()->shape().dim;
}

Result<std::optional<RowId>> View::row_of(const Key& key) const {
  VECSTORE_TRY(content_->check_key(key));
  if (const auto row = live_->find(key, moment())) return row;
  VECSTORE_ASSIGN(const auto row, content_->row_of(key));
  return row && !live_->tombstones().gone(*row, moment()) ? row : std::nullopt;
}

Status View::check_row(RowId row) const {
  bool is_live = false;
  if (row.value >= content_->row_end()) {
    is_live = delta() != nullptr && delta()->is_live(row, moment());
  } else if (!live_->tombstones().gone(row, moment())) {
    VECSTORE_ASSIGN(is_live, content_->has_row(row));
  }
  if (is_live) return Status::ok();
  return Status(Code::kNotFound, "the store has no such row").about(content_->path()).at(Detail::kRow, row.value);
}

Result<std::string> View::key_of(RowId row) const {
  if (row.value >= content_->row_end()) return delta()->key(row).to_string();
  return content_->read_key(row);
}

Status View::read_vector(RowId row, std::byte* out) const {
  if (row.value < content_->row_end()) return content_->read_vector(row, out);
  delta()->copy_vector(row, out);
  return Status::ok();
}

Result<std::string> View::read_document(RowId row) const {
  return row.value < content_->row_end() ? content_->read_document(row) : live_->document(*delta(), row);
}

Status View::read_item(RowId row, std::vector<std::byte>* vector, std::string* document) const {
  const bool is_of_graph = row.value < content_->row_end();
  if (is_of_graph && content_->keeps_vectors() && vector != nullptr) {
    VECSTORE_ASSIGN(StoredRow stored, content_->read_row(row));
    *vector = std::move(stored.vector);
    if (document != nullptr) *document = std::move(stored.document);
    return Status::ok();
  }
  if (vector != nullptr) {
    vector->resize(dim() * element_bytes(content_->properties().dtype));
    VECSTORE_TRY(read_vector(row, vector->data()));
  }
  if (document != nullptr) {
    VECSTORE_ASSIGN(*document, read_document(row));
  }
  return Status::ok();
}

Status View::for_each_row(const std::function<Status(const Key&, RowId)>& visit) const {
  VECSTORE_TRY(content_->for_each_row([&](const Key& key, RowId row) {
    return live_->tombstones().gone(row, moment()) ? Status::ok() : visit(key, row);
  }));
  if (delta() == nullptr) return Status::ok();
  return delta()->for_each_live(moment(), [&](RowId row) { return visit(delta()->key(row), row); });
}

}  // namespace vecstore
