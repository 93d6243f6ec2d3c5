// SPDX-License-Identifier: Apache-2.0
#include "base/vector_view.h"

#include <cstring>

#include "base/check.h"
#include "base/half.h"

namespace vecstore {

std::string_view name_of(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return "f32";
    case DType::kF16:
      return "f16";
    case DType::kU8:
      return "u8";
    case DType::kI8:
      return "i8";
  }
  return "unknown";
}

std::string_view name_of(Metric metric) {
  switch (metric) {
    case Metric::kL2:
      return "l2";
    case Metric::kInnerProduct:
      return "ip";
    case Metric::kCosine:
      return "cosine";
  }
  return "unknown";
}

namespace {

template <typename T>
void widen(const std::byte* row, std::uint32_t dim, float* out) {
  for (std::uint32_t i = 0; i < dim; ++i) {
    T value;
    std::memcpy(&value, row + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(value);
  }
}

}  // namespace

void widen_row(const VectorView& vectors, std::uint64_t row, float* out) {
  const std::byte* from = vectors.row(row);
  switch (vectors.dtype) {
    case DType::kF32:
      std::memcpy(out, from, vectors.dim * sizeof(float));
      return;
    case DType::kF16:
      for (std::uint32_t i = 0; i < vectors.dim; ++i) {
        std::uint16_t half;
        std::memcpy(&half, from + i * 2, 2);
        out[i] = half_to_float(half);
      }
      return;
    case DType::kU8:
      widen<std::uint8_t>(from, vectors.dim, out);
      return;
    case DType::kI8:
      widen<std::int8_t>(from, vectors.dim, out);
      return;
  }
  VECSTORE_CHECK(false);
}

}  // namespace vecstore
