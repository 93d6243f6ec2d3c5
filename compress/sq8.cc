// SPDX-License-Identifier: Apache-2.0
#include "compress/sq8.h"

#include <algorithm>
#include <limits>

#include "compress/extremes.h"

namespace vecstore {
namespace {

// Sums run in this many lanes, so that the compiler can vectorise them and still add in one fixed order everywhere.
constexpr std::size_t kLanes = 8;

// Σ term(i) in the lanes' order.
template <typename Term>
float sum_of(std::size_t dim, const Term& term) {
  double sums[kLanes] = {};
  std::size_t i = 0;
  for (; i + kLanes <= dim; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) sums[lane] += term(i + lane);
  }
  for (; i < dim; ++i) sums[0] += term(i);
  double sum = 0;
  for (const double part : sums) sum += part;
  return static_cast<float>(sum);
}

double decoded(std::uint8_t code, float scale, float offset) {
  return static_cast<double>(offset + scale * static_cast<float>(code));
}

}  // namespace

Sq8Row encode_sq8(const float* row, std::size_t dim, std::uint8_t* codes) {
  Sq8Row encoded;
  if (dim == 0) return encoded;
  const Extremes extremes = extremes_of(row, dim);
  encoded.offset = extremes.least;
  encoded.scale =
      static_cast<float>((static_cast<double>(extremes.greatest) - static_cast<double>(extremes.least)) / 255.0);
  // A range this small is lost in any distance, and the inverse of a subnormal scale would overflow.
  if (encoded.scale < std::numeric_limits<float>::min()) {
    encoded.scale = 0;
    std::fill_n(codes, dim, std::uint8_t{0});
  } else {
    const float inverse = 1.0f / encoded.scale;
    for (std::size_t i = 0; i < dim; ++i) {
      const float level = (row[i] - encoded.offset) * inverse + 0.5f;
      codes[i] = static_cast<std::uint8_t>(static_cast<std::int32_t>(level < 255.0f ? level : 255.0f));
      encoded.code_sum += codes[i];
    }
  }
  encoded.norm2 = sum_of(dim, [&](std::size_t i) {
    const double value = decoded(codes[i], encoded.scale, encoded.offset);
    const double error = static_cast<double>(row[i]) - value;
    return value * value + error * error;
  });
  return encoded;
}

float norm2_sq8(const std::uint8_t* codes, float scale, float offset, std::size_t dim) {
  return sum_of(dim, [&](std::size_t i) {
    const double value = decoded(codes[i], scale, offset);
    return value * value;
  });
}

void decode_sq8(const std::uint8_t* codes, float scale, float offset, std::size_t dim, float* out) {
  for (std::size_t i = 0; i < dim; ++i) out[i] = offset + scale * static_cast<float>(codes[i]);
}

}  // namespace vecstore
