// SPDX-License-Identifier: Apache-2.0
#include "engine/store/view.h"

namespace vecstore {

std::uint32_t View::dim() const {
  if (content_->properties().dim != 0) return content_->properties().dim;
  return delta() == nullptr ? 0 : delta()->shape().dim;
}

Result<std::optional<RowId>> View::row_of(const Key& key) const {
  VECSTORE_TRY(content_->check_key(key));
  if (delta() != nullptr)
    if (const auto row = delta()->find(key, moment_)) return row;
  VECSTORE_ASSIGN(const auto row, content_->row_of(key));
  return row && !live_->tombstones().gone(*row, moment_) ? row : std::nullopt;
}

Status View::check_row(RowId row) const {
  if (live_->is_live(row, moment_)) return Status::ok();
  return Status(Code::kNotFound, "the store has no such row").about(content_->path()).at(Detail::kRow, row.value);
}

Result<std::string> View::key_of(RowId row) const {
  if (row.value >= content_->row_count()) return delta()->key(row).to_string();
  return content_->read_key(row);
}

Status View::read_vector(RowId row, std::byte* out) const {
  if (row.value < content_->row_count()) return content_->read_vector(row, out);
  delta()->copy_vector(row, out);
  return Status::ok();
}

Result<std::string> View::read_document(RowId row) const {
  return row.value < content_->row_count() ? content_->read_document(row) : live_->document(row);
}

Status View::for_each_row(const std::function<Status(const Key&, RowId)>& visit) const {
  VECSTORE_TRY(content_->for_each_row([&](const Key& key, RowId row) {
    return live_->tombstones().gone(row, moment_) ? Status::ok() : visit(key, row);
  }));
  for (RowId row{content_->row_count()}; delta() != nullptr && delta()->has(row); ++row.value)
    if (delta()->is_live(row, moment_)) VECSTORE_TRY(visit(delta()->key(row), row));
  return Status::ok();
}

}  // namespace vecstore
