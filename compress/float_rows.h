// SPDX-License-Identifier: Apache-2.0
//
// Where codes get their vectors from.
#pragma once

#include <cstdint>

#include "base/ids.h"

namespace vecstore {

// Reads rows of the generation in position order as floats (cosine: normalised). Thread-safe.
class FloatRows {
 public:
  virtual ~FloatRows() = default;
  virtual std::uint64_t rows() const = 0;
  virtual std::uint32_t dim() const = 0;
  virtual void read(Pos position, float* out) const = 0;
};

}  // namespace vecstore
