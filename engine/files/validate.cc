// SPDX-License-Identifier: Apache-2.0
#include "engine/files/validate.h"

#include <array>
#include <cstring>

namespace vecstore {
namespace {

constexpr const char* kNotFinite = "the vector holds NaN or infinity; remove or repair it";
constexpr const char* kZero = "the vector is zero and has no direction; remove it or use the metric l2 or ip";
constexpr const char* kLargeL2 =
    "the vector has values so large that squared distances overflow a float; scale them down";
constexpr const char* kLargeProduct = "the vector has values so large that products overflow a float; scale them down";
constexpr const char* kSmallL2 =
    "the vector has values so small that squared distances underflow a float; scale them up or make them zero";
constexpr const char* kSmallProduct =
    "the vector has values so small that products underflow a float; scale them up or make them zero";

// Rows may lie at any address.
template <typename Sum>
Sum square_at(const std::byte* row, std::size_t i) {
  float value;
  std::memcpy(&value, row + i * sizeof value, sizeof value);
  return static_cast<Sum>(value) * static_cast<Sum>(value);
}

// Independent partial sums, so that the loop vectorises.
template <typename Sum>
Sum squares_of(const std::byte* row, std::size_t dim) {
  constexpr std::size_t kParts = 16;
  std::array<Sum, kParts> part{};
  std::size_t i = 0;
  for (; i + kParts <= dim; i += kParts)
    for (std::size_t j = 0; j < kParts; ++j) part[j] += square_at<Sum>(row, i + j);
  for (std::size_t j = 0; i < dim; ++i, ++j) part[j] += square_at<Sum>(row, i);
  for (std::size_t half = kParts / 2; half != 0; half /= 2)
    for (std::size_t j = 0; j < half; ++j) part[j] += part[j + half];
  return part[0];
}

struct RowFacts {
  bool finite = true;
  bool zero = true;
};

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

const char* fault_of_facts(const RowFacts& facts, Metric metric) {
  if (!facts.finite) return kNotFinite;
  return facts.zero && metric == Metric::kCosine ? kZero : nullptr;
}

const char* fault_of_floats(const std::byte* row, std::size_t dim, Metric metric) {
  // Ordinary rows are told by one sum of floats. What is NaN, infinite or overflows leaves this range. So far inside
  // the bounds the rounding of the sum, at most 2^-12 of it, does not matter.
  const auto roughly = squares_of<float>(row, dim);
  if (roughly >= 0x1p-100f && roughly <= 0x1p120f) return nullptr;
  const RowFacts facts = facts_of<std::uint32_t>(row, dim, 0x7F800000u, 0x7FFFFFFFu);
  const char* fault = fault_of_facts(facts, metric);
  if (fault != nullptr || facts.zero || metric == Metric::kCosine) return fault;
  const auto squares = squares_of<double>(row, dim);
  if (squares > kSquaresMax) return metric == Metric::kL2 ? kLargeL2 : kLargeProduct;
  if (squares < kSquaresMin) return metric == Metric::kL2 ? kSmallL2 : kSmallProduct;
  return nullptr;
}

// What is wrong with the row; nullptr: nothing.
const char* fault_of(const VectorView& vectors, std::uint64_t row, Metric metric) {
  const std::byte* data = vectors.row(row);
  switch (vectors.dtype) {
    case DType::kF32:
      return fault_of_floats(data, vectors.dim, metric);
    case DType::kF16:
      return fault_of_facts(facts_of<std::uint16_t>(data, vectors.dim, 0x7C00u, 0x7FFFu), metric);
    case DType::kU8:
    case DType::kI8:
      return fault_of_facts({true, facts_of<std::uint8_t>(data, vectors.dim, 0xFFu, 0xFFu).zero}, metric);
  }
  return nullptr;
}

}  // namespace

Status check_vectors(const VectorView& vectors, Metric metric, std::string_view subject, std::uint64_t first_row) {
  if (is_integer(vectors.dtype) && metric != Metric::kCosine) return {};
  for (std::uint64_t row = 0; row < vectors.rows; ++row) {
    const char* fault = fault_of(vectors, row, metric);
    if (fault != nullptr) return Status(Code::kInvalidInput, fault).about(subject).at(Detail::kRow, first_row + row);
  }
  return {};
}

}  // namespace vecstore
