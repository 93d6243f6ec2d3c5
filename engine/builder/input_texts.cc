// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/input_texts.h"

#include <utility>

#include "base/limits.h"

namespace vecstore {

Result<InputColumn> InputColumn::open(FileSystem& file_system, const std::string& path, InputColumn column,
                                      MemoryBudget& budget) {
  if (path.empty()) return column;
  column.name_ = path;
  VECSTORE_ASSIGN(TextLines lines, TextLines::open(file_system, path, budget, column.bytes_max_));
  column.lines_.emplace(std::move(lines));
  return column;
}

Result<InputColumn> InputColumn::open_keys(FileSystem& file_system, const BuildOptions& options, std::uint64_t rows,
                                           MemoryBudget& budget) {
  return open(file_system, options.keys_path, {"key_of", options.key_of, rows, kKeyBytesMax}, budget);
}

Result<InputColumn> InputColumn::open_documents(FileSystem& file_system, const BuildOptions& options,
                                                std::uint64_t rows, MemoryBudget& budget) {
  return open(file_system, options.documents_path, {"document_of", options.document_of, rows, kDocumentBytesMax},
              budget);
}

Status InputColumn::next(std::string_view& text) {
  const std::uint64_t row = row_++;
  if (lines_) return lines_->expect_line(rows_, text);
  text = (*text_of_)(row);
  if (text.size() <= bytes_max_) return Status::ok();
  return locate(
      Status(Code::kInvalidInput, bytes_max_ == kKeyBytesMax ? "a key is too long; the most is 480 bytes"
                                                             : "a document is too large; the most is 65536 bytes"),
      row);
}

Status InputColumn::expect_end() { return lines_ ? lines_->expect_end(rows_) : Status::ok(); }

Status InputColumn::locate(Status said, std::uint64_t row, const std::string& more) const {
  return lines_ ? std::move(said).about(name_ + more).at(Detail::kLine, row + 1)
                : std::move(said).about(name_ + more).at(Detail::kRow, row);
}

std::string InputColumn::place_of(std::uint64_t row) const {
  return lines_ ? "line " + std::to_string(row + 1) : "row " + std::to_string(row);
}

Status InputTexts::rewind() {
  if (has_keys()) {
    VECSTORE_ASSIGN(keys_, InputColumn::open_keys(file_system_, options_, rows_, budget_));
  }
  if (has_documents()) {
    VECSTORE_ASSIGN(documents_, InputColumn::open_documents(file_system_, options_, rows_, budget_));
  }
  return Status::ok();
}

Status InputTexts::next(std::string_view& key, std::string_view& document) {
  if (keys_) VECSTORE_TRY(keys_->next(key));
  return documents_ ? documents_->next(document) : Status::ok();
}

Status InputTexts::expect_end() {
  if (keys_) VECSTORE_TRY(keys_->expect_end());
  return documents_ ? documents_->expect_end() : Status::ok();
}

}  // namespace vecstore
