// SPDX-License-Identifier: Apache-2.0
//
// fvecs, bvecs, ivecs (corpus-texmex.irisa.fr): the rows one after the other, each with its dimension before it.
#include <cstring>

#include "engine/files/vector_file.h"

namespace vecstore {

Result<VectorLayout> read_vecs_layout(const InputFile& file, Element element, Ending ending) {
  VectorLayout layout;
  layout.element = element;
  layout.row_prefix_bytes = sizeof(std::uint32_t);
  if (file.size_bytes() < layout.row_prefix_bytes)
    return Status(Code::kInvalidInput, "the file ends here, before the dimension of its first row; it holds no vector")
        .about(file.path())
        .at(Detail::kOffset, file.size_bytes());
  // A negative dimension reads as one far above the limit.
  VECSTORE_TRY(file.read_exact(0, &layout.dim, sizeof layout.dim));
  VECSTORE_TRY(check_dim(file, layout.dim, 0));
  layout.rows = file.size_bytes() / layout.stride_bytes();
  const bool may_end_here = file.size_bytes() % layout.stride_bytes() == 0 || ending == Ending::kMayBeCut;
  if (!may_end_here || layout.rows == 0)
    return Status(Code::kInvalidInput,
                  layout.rows == 0
                      ? "the file ends here, inside its first row; fetch it again"
                      : "the file ends here, inside a row; its rows differ in dimension, or it was cut and "
                        "convert --count takes the whole rows")
        .about(file.path() + " (row " + std::to_string(layout.rows) + " of dimension " + std::to_string(layout.dim) +
               " " + std::string(name_of(element)) + " would end at " +
               std::to_string(layout.offset_of(layout.rows + 1)) + ", whole rows: " + std::to_string(layout.rows) + ")")
        .at(Detail::kOffset, file.size_bytes());
  // Rows of different dimensions are found where they are read; the last one tells most such files at once.
  std::uint32_t last_dim = 0;
  VECSTORE_TRY(file.read_exact(layout.offset_of(layout.rows - 1), &last_dim, sizeof last_dim));
  if (last_dim != layout.dim)
    return Status(Code::kInvalidInput, "this row has another dimension than row 0, or is not where row 0 puts it")
        .about(file.path() + " (offset " + std::to_string(layout.offset_of(layout.rows - 1)) + ")")
        .at(Detail::kRow, layout.rows - 1);
  return layout;
}

}  // namespace vecstore
