// SPDX-License-Identifier: Apache-2.0
#include "engine/files/float_rows.h"

#include <cmath>
#include <cstdint>
#include <cstring>

#include "base/half.h"

namespace vecstore {
namespace {

bool narrow_row(const std::byte* from, std::size_t dim, std::byte* to) {
  bool fits = true;
  for (std::size_t i = 0; i < dim; ++i) {
    float value = 0;
    std::memcpy(&value, from + i * sizeof(value), sizeof(value));
    const std::uint16_t half = float_to_half(value);
    fits = fits && (half & 0x7FFFu) < 0x7C00u;
    std::memcpy(to + i * sizeof(half), &half, sizeof(half));
  }
  return fits;
}

}  // namespace

Result<Buffer<std::byte>> convert_floats(const VectorView& vectors, DType dtype, std::string_view subject,
                                         MemoryBudget& budget) {
  const std::size_t row_bytes = vectors.dim * element_bytes(dtype);
  VECSTORE_ASSIGN(auto converted, Buffer<std::byte>::allocate(budget, vectors.rows * row_bytes));
  for (std::uint64_t row = 0; row < vectors.rows; ++row) {
    std::byte* const to = converted.data() + row * row_bytes;
    if (dtype == DType::kF32) {
      widen_row(vectors, row, reinterpret_cast<float*>(to));
    } else if (!narrow_row(vectors.row(row), vectors.dim, to)) {
      return Status(Code::kInvalidInput, "a value is beyond what f16 holds, 65504; scale the vectors, or keep f32")
          .about(subject)
          .at(Detail::kRow, row);
    }
  }
  return converted;
}

}  // namespace vecstore
