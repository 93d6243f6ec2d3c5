// SPDX-License-Identifier: Apache-2.0
//
// What every vector must be before it is kept, built upon or searched for. Thread-safe.
//
//   all        finite values
//   kL2, ip    f32: all zeros, or a sum of squares from kSquaresMin to kSquaresMax. Then no squared distance and no
//              product of two vectors overflows a float, and none vanishes because its vectors are small.
//   kCosine    not all zeros; the scale does not matter
//
// Under ip a small query alone would do no harm, but two small vectors would: their product is a denormal or zero, and
// every order among such is lost without a word. A row is judged without its partners, so one rule holds for both.
// f16, u8 and i8 have no values that could break it.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/status.h"
#include "base/vector_view.h"

namespace vecstore {

// |a − b|² ≤ 2 (|a|² + |b|²) ≤ 2^126, and twice a product, as search computes it, is at most 2^125.
constexpr double kSquaresMax = 0x1p124;
constexpr double kSquaresMin = 0x1p-126;  // the least float with all its digits

// Checks the rows of `vectors` in order. `subject` names the file and `first_row` is the number of row 0 in it, for the
// message. Errors: kInvalidInput with the first row at fault.
Status check_vectors(const VectorView& vectors, Metric metric, std::string_view subject, std::uint64_t first_row);

}  // namespace vecstore
