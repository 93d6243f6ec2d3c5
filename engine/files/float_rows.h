// SPDX-License-Identifier: Apache-2.0
//
// Rows of f16 as f32, and of f32 as f16. Thread-safe.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"

namespace vecstore {

// [rows × dim] of `dtype`, which is a float as that of the rows is. f16 widens exactly; f32 is rounded to the nearest
// f16. Errors: kInvalidInput with the first row that has a value beyond f16 (±65504), kMemoryBudget.
Result<Buffer<std::byte>> convert_floats(const VectorView& vectors, DType dtype, std::string_view subject,
                                         MemoryBudget& budget);

}  // namespace vecstore
