// SPDX-License-Identifier: Apache-2.0
#include "engine/validate.h"

#include <cstring>

namespace vecstore {
namespace {

struct RowFacts {
  bool finite = true;
  bool zero = true;
};

// Rows may lie at any address, so elements are copied out; the loops have no branch and vectorise.
template <typename Bits>
RowFacts facts_of(const std::byte* row, std::size_t dim, Bits exponent, Bits magnitude) {
  Bits not_finite = 0, any = 0;
  for (std::size_t i = 0; i < dim; ++i) {
    Bits bits;
    std::memcpy(&bits, row + i * sizeof bits, sizeof bits);
    not_finite = static_cast<Bits>(not_finite | static_cast<Bits>((bits & exponent) == exponent));
    any = static_cast<Bits>(any | (bits & magnitude));
  }
  return {not_finite == 0, any == 0};
}

RowFacts facts_of_row(const VectorView& vectors, std::uint64_t row) {
  const std::byte* data = vectors.row(row);
  switch (vectors.dtype) {
    case DType::kF32:
      return facts_of<std::uint32_t>(data, vectors.dim, 0x7F800000u, 0x7FFFFFFFu);
    case DType::kF16:
      return facts_of<std::uint16_t>(data, vectors.dim, 0x7C00u, 0x7FFFu);
    case DType::kU8:
    case DType::kI8:
      return {true, facts_of<std::uint8_t>(data, vectors.dim, 0xFFu, 0xFFu).zero};
  }
  return {};
}

}  // namespace

Status check_vectors(const VectorView& vectors, Metric metric, std::string_view subject, std::uint64_t first_row) {
  if (is_integer(vectors.dtype) && metric != Metric::kCosine) return {};
  for (std::uint64_t row = 0; row < vectors.rows; ++row) {
    const RowFacts facts = facts_of_row(vectors, row);
    if (!facts.finite)
      return Status(Code::kInvalidInput, "the vector holds NaN or infinity; remove or repair it")
          .about(subject)
          .at(Detail::kRow, first_row + row);
    if (facts.zero && metric == Metric::kCosine)
      return Status(Code::kInvalidInput,
                    "the vector is zero and has no direction; remove it or use the metric l2 or ip")
          .about(subject)
          .at(Detail::kRow, first_row + row);
  }
  return {};
}

}  // namespace vecstore
