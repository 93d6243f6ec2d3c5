// SPDX-License-Identifier: Apache-2.0
#include "engine/output_file.h"
#include "engine/store_impl.h"
#include "engine/vector_file.h"

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

}  // namespace

Status Store::export_to(const std::string& vectors_path, const std::string& keys_path, bool overwrite) const {
  const Impl& s = *impl_;
  const Element element = element_of(s.properties.dtype);
  VECSTORE_ASSIGN(const VectorFileKind kind, kind_of_file(vectors_path));
  if (kind.element && *kind.element != element)
    return Status(Code::kUnsupported, "this ending is of another element type than the store's; choose another, or npy")
        .about(vectors_path);
  if (s.dim() == 0)
    return Status(Code::kNotFound, "the store has no rows, and no dimension yet").about(s.directory->path());
  // Both passes see one moment: what is written meanwhile is not in it.
  const Lsn snapshot = s.live->snapshot();
  std::uint64_t rows = 0;
  VECSTORE_ASSIGN(OutputFile keys, OutputFile::create(keys_path, overwrite));
  const auto write_key = [&](const Key& key, RowId row) -> Status {
    const std::string text = key.to_string() + '\n';
    if (text.find('\n') + 1 != text.size())
      return Status(Code::kInvalidInput, "a key has a newline, which a file of one key a line cannot hold")
          .at(Detail::kRow, row.value);
    ++rows;
    return keys.write(text.data(), text.size());
  };
  VECSTORE_TRY(s.for_each_row(snapshot, write_key));
  VECSTORE_ASSIGN(OutputFile vectors, OutputFile::create(vectors_path, overwrite));
  const std::string header = make_header(kind.family, element, rows, s.dim());
  VECSTORE_TRY(vectors.write(header.data(), header.size()));
  std::vector<std::byte> vector(s.dim() * element_bytes(s.properties.dtype));
  const auto dim = static_cast<std::int32_t>(s.dim());
  const auto write_vector = [&](const Key&, RowId row) -> Status {
    VECSTORE_TRY(s.read_vector(row, vector.data()));
    if (kind.family == FileFamily::kVecs) VECSTORE_TRY(vectors.write(&dim, sizeof dim));
    return vectors.write(vector.data(), vector.size());
  };
  VECSTORE_TRY(s.for_each_row(snapshot, write_vector));
  VECSTORE_TRY(vectors.commit());
  return keys.commit();
}

}  // namespace vecstore
