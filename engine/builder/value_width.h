// SPDX-License-Identifier: Apache-2.0
//
// In what form pages keep the vectors of a build: what they are relative to, and in how many bits a value. Both are
// found from a sample before anything is kept.
#pragma once

#include <cstdint>
#include <functional>

#include "base/memory.h"
#include "base/status.h"
#include "engine/builder/calibrate.h"
#include "engine/generation/properties.h"
#include "graph/quantized_rows.h"

namespace vecstore {

// The median of a sample of rows in each dimension: few far rows move it little, where they would move the mean. Under
// cosine of the normalised rows; empty for integers, which pages keep exactly. Errors: those of `vectors`,
// kMemoryBudget.
Result<Buffer<float>> find_centre(const VectorSource& vectors, Metric metric, MemoryBudget& budget);

struct ValueWidth {
  std::uint32_t bits = kValueBitsMin;
  WidthRecall recall;
};

inline constexpr double kWidthRecall = .99;  // that a width has to reach

// The least width that reaches kWidthRecall on some queries of `set`. `shape` is that of the rows, without a width.
// Errors: those of `vectors`, kMemoryBudget.
Result<ValueWidth> choose_width(const VectorSource& vectors, const CalibrationSet& set, RowShape shape,
                                MemoryBudget& budget);

// Of one width.
Result<double> measure_width(const VectorSource& vectors, const CalibrationSet& set, const RowShape& shape,
                             MemoryBudget& budget);

}  // namespace vecstore
