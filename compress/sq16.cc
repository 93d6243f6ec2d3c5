// SPDX-License-Identifier: Apache-2.0
#include "compress/sq16.h"

#include <limits>

#include "compress/extremes.h"

namespace vecstore {
namespace {

constexpr double kLevels = 65535.0;

}  // namespace

Sq16Row encode_sq16(const float* row, std::size_t dim, std::uint16_t* codes) {
  Sq16Row encoded;
  if (dim == 0) return encoded;
  const Extremes extremes = extremes_of(row, dim);
  encoded.offset = extremes.least;
  const double range = double{extremes.greatest} - double{extremes.least};
  encoded.scale = static_cast<float>(range / kLevels);
  // A range this small is lost in any distance, and the inverse of a subnormal scale would overflow.
  if (encoded.scale < std::numeric_limits<float>::min()) encoded.scale = 0;
  const double inverse = encoded.scale > 0 ? 1.0 / double{encoded.scale} : 0.0;
  for (std::size_t i = 0; i < dim; ++i) {
    const double level = (double{row[i]} - double{encoded.offset}) * inverse + 0.5;
    codes[i] = static_cast<std::uint16_t>(static_cast<std::int32_t>(level < kLevels ? level : kLevels));
  }
  return encoded;
}

void decode_sq16(const std::uint16_t* codes, float scale, float offset, std::size_t dim, float* out) {
  for (std::size_t i = 0; i < dim; ++i)
    out[i] = offset + scale * static_cast<float>(static_cast<std::int32_t>(codes[i]));
}

}  // namespace vecstore
