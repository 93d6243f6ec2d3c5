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
  // One moment for both passes: what is written meanwhile is not in it.
  std::vector<RowId> rows;
  VECSTORE_ASSIGN(OutputFile keys, OutputFile::create(keys_path, overwrite));
  Status outcome;
  VECSTORE_TRY(for_each_key([&](const Key& key, RowId row) {
    const std::string text = key.to_string();
    if (text.find('\n') != std::string::npos) {
      outcome = Status(Code::kInvalidInput, "a key has a newline, which a file of one key a line cannot hold")
                    .at(Detail::kRow, row.value);
    } else {
      outcome = keys.write(text.data(), text.size());
      if (outcome.is_ok()) outcome = keys.write("\n", 1);
    }
    rows.push_back(row);
    return outcome.is_ok();
  }));
  VECSTORE_TRY(outcome);
  VECSTORE_ASSIGN(OutputFile vectors, OutputFile::create(vectors_path, overwrite));
  const std::string header = make_header(kind.family, element, rows.size(), s.dim());
  VECSTORE_TRY(vectors.write(header.data(), header.size()));
  std::vector<std::byte> vector(s.dim() * element_bytes(s.properties.dtype));
  const auto dim = static_cast<std::int32_t>(s.dim());
  for (const RowId row : rows) {
    VECSTORE_TRY(s.read_vector(row, vector.data()));
    if (kind.family == FileFamily::kVecs) VECSTORE_TRY(vectors.write(&dim, sizeof dim));
    VECSTORE_TRY(vectors.write(vector.data(), vector.size()));
  }
  VECSTORE_TRY(vectors.commit());
  return keys.commit();
}

}  // namespace vecstore
