// SPDX-License-Identifier: Apache-2.0
//
// fbin, f16bin, u8bin, i8bin, ibin (big-ann-benchmarks): uint32 rows, uint32 dim, then the rows. A ground-truth file is
// an ibin whose distances follow the ids; as a matrix it is its ids.
#include <array>
#include <limits>

#include "base/bytes.h"
#include "engine/files/vector_file.h"

namespace vecstore {

Result<VectorLayout> read_bin_layout(const InputFile& file, const VectorFileKind& kind, Ending ending) {
  constexpr std::uint64_t kHeaderBytes = 8;
  if (file.size_bytes() < kHeaderBytes)
    return Status(Code::kInvalidInput, "the file ends here, inside the header of 8 bytes (uint32 rows, uint32 dim)")
        .about(file.path())
        .at(Detail::kOffset, file.size_bytes());
  std::array<std::byte, kHeaderBytes> header{};
  VECSTORE_TRY(file.read_exact(0, header.data(), header.size()));
  ByteReader reader(header);
  VectorLayout layout;
  layout.element = *kind.element;
  layout.rows = reader.read<std::uint32_t>();
  layout.dim = reader.read<std::uint32_t>();
  layout.data_offset = kHeaderBytes;
  VECSTORE_TRY(check_dim(file, layout.dim, sizeof(std::uint32_t)));
  // A crop may still have the header of the set that it was taken from.
  if (kind.crop_rows && *kind.crop_rows > layout.rows)
    return Status(Code::kInvalidInput, "the header promises fewer rows than the name; give the name the right crop_nb_")
        .about(file.path() + " (header: " + std::to_string(layout.rows) + " rows)")
        .at(Detail::kOffset, 0);
  layout.rows = kind.crop_rows.value_or(layout.rows);
  const std::uint64_t ids_bytes = layout.rows * layout.row_bytes();  // < 2^32 · 2^14
  const bool with_distances = layout.element == Element::kI32 && file.size_bytes() == kHeaderBytes + 2 * ids_bytes;
  if (!with_distances) VECSTORE_TRY(fit_size(file, ending, layout));
  return layout;
}

}  // namespace vecstore
