// SPDX-License-Identifier: Apache-2.0
//
// How vectors enter VecStore: a borrowed matrix of any element type. Nothing is copied and nothing is owned.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace vecstore {

enum class DType : std::uint8_t { kF32 = 0, kF16 = 1, kU8 = 2, kI8 = 3 };

enum class Metric : std::uint8_t {
  kL2 = 0,            // distance = squared Euclidean,  score = −distance
  kInnerProduct = 1,  // distance = −⟨q,x⟩,             score = ⟨q,x⟩
  kCosine = 2,        // distance = 1 − cos(q,x),       score = cos(q,x)
};

constexpr bool is_integer(DType dtype) { return dtype == DType::kU8 || dtype == DType::kI8; }
constexpr std::size_t element_bytes(DType dtype) { return dtype == DType::kF32 ? 4 : dtype == DType::kF16 ? 2 : 1; }

// [rows × dim] row-major; `stride` is the distance between rows in bytes (0: rows are contiguous).
struct VectorView {
  const void* data = nullptr;
  DType dtype = DType::kF32;
  std::uint64_t rows = 0;
  std::uint32_t dim = 0;
  std::size_t stride = 0;

  std::size_t row_stride() const { return stride != 0 ? stride : dim * element_bytes(dtype); }
  const std::byte* row(std::uint64_t i) const { return static_cast<const std::byte*>(data) + i * row_stride(); }
};

std::string_view name_of(DType dtype);    // "f32" "f16" "u8" "i8"
std::string_view name_of(Metric metric);  // "l2" "ip" "cosine"

// Widens `row` of `vectors` to floats: out[dim].
void widen_row(const VectorView& vectors, std::uint64_t row, float* out);

}  // namespace vecstore
