// SPDX-License-Identifier: Apache-2.0
//
// Where codes get their vectors from.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.h"

namespace vecstore {

// Reads rows of the generation in position order as floats (cosine: normalised). Thread-safe.
class FloatRows {
 public:
  virtual ~FloatRows() = default;
  virtual std::uint64_t rows() const = 0;
  virtual std::uint32_t dim() const = 0;
  virtual void read(Pos position, float* out) const = 0;
  // These, kExpectedMost at most, are read next: where they lie on a disk they come side by side.
  static constexpr std::size_t kExpectedMost = 256;
  virtual void expect(std::span<const Pos>) const {}
};

}  // namespace vecstore
