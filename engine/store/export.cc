// SPDX-License-Identifier: Apache-2.0
#include "engine/store/export.h"

#include <optional>

#include "engine/files/output_file.h"
#include "engine/files/text_lines.h"
#include "engine/files/vector_file.h"
#include "engine/watch.h"

namespace vecstore {
namespace {

Element element_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return Element::kF32;
    case DType::kF16:
      return Element::kF16;
    case DType::kU8:
      return Element::kU8;
    case DType::kI8:
      break;
  }
  return Element::kI8;
}

// A file of one text a line.
class LineFile {
 public:
  static Result<LineFile> create(FileSystem& file_system, const std::string& path, bool overwrite) {
    VECSTORE_ASSIGN(OutputFile file, OutputFile::create(file_system, path, overwrite));
    return LineFile(std::move(file));
  }
  Status write(std::string text) {
    make_line(text, is_first_);
    is_first_ = false;
    return file_.write(text.data(), text.size());
  }
  Status commit() { return file_.commit(); }

 private:
  explicit LineFile(OutputFile file) : file_(std::move(file)) {}
  OutputFile file_;
  bool is_first_ = true;
};

bool has_newline(std::string_view text) { return text.find('\n') != std::string_view::npos; }

}  // namespace

Status export_view(FileSystem& file_system, const View& view, const ExportFiles& files, const ExportOptions& options) {
  const DType dtype = view.content().properties().dtype;
  const Element element = element_of(dtype);
  VECSTORE_ASSIGN(const VectorFileKind kind, kind_of_file(files.vectors));
  if (kind.element && *kind.element != element)
    return Status(Code::kUnsupported, "this ending is of another element type than the store's; choose another, or npy")
        .about(files.vectors);
  if (view.dim() == 0)
    return Status(Code::kNotFound, "the store has no rows, and no dimension yet").about(view.content().path());
  Watch watch(options.progress, options.cancel, file_system.clock());
  std::uint64_t rows = 0;
  std::uint64_t done = 0;
  VECSTORE_ASSIGN(LineFile keys, LineFile::create(file_system, files.keys, options.overwrite));
  std::optional<LineFile> documents;
  if (!files.documents.empty()) {
    VECSTORE_ASSIGN(LineFile made, LineFile::create(file_system, files.documents, options.overwrite));
    documents.emplace(std::move(made));
  }
  const auto write_texts = [&](const Key& key, RowId row) -> Status {
    ++rows;
    VECSTORE_TRY(watch.step({Phase::kExport, ++done, 2 * view.live().live_rows()}));
    std::string name = key.to_string();
    if (has_newline(name))
      return Status(Code::kInvalidInput,
                    "the key has a newline, which a file of one a line cannot hold; put this row "
                    "under another key, and erase it")
          .about(files.keys)
          .at(Detail::kRow, row.value);
    if (!documents) return keys.write(std::move(name));
    VECSTORE_ASSIGN(std::string document, view.read_document(row));
    if (has_newline(document))
      return Status(Code::kInvalidInput,
                    "the document has a newline, which a file of one a line cannot hold; put this "
                    "row without it, or leave documents out")
          .about(files.documents + " (key " + name + ")")
          .at(Detail::kRow, row.value);
    VECSTORE_TRY(keys.write(std::move(name)));
    return documents->write(std::move(document));
  };
  VECSTORE_TRY(view.for_each_row(write_texts));
  VECSTORE_ASSIGN(OutputFile vectors, OutputFile::create(file_system, files.vectors, options.overwrite));
  const std::string header = make_header(kind.family, element, rows, view.dim());
  VECSTORE_TRY(vectors.write(header.data(), header.size()));
  std::vector<std::byte> vector(view.dim() * element_bytes(dtype));
  const auto dim = static_cast<std::int32_t>(view.dim());
  const auto write_vector = [&](const Key&, RowId row) -> Status {
    VECSTORE_TRY(watch.step({Phase::kExport, ++done, 2 * rows}));
    VECSTORE_TRY(view.read_vector(row, vector.data()));
    if (kind.family == FileFamily::kVecs) VECSTORE_TRY(vectors.write(&dim, sizeof dim));
    return vectors.write(vector.data(), vector.size());
  };
  VECSTORE_TRY(view.for_each_row(write_vector));
  VECSTORE_TRY(vectors.commit());
  if (documents) VECSTORE_TRY(documents->commit());
  return keys.commit();
}

}  // namespace vecstore
