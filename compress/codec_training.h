// SPDX-License-Identifier: Apache-2.0
//
// Training of the model that all rows of a code cache share.
#pragma once

#include <cstdint>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/codec_model.h"
#include "compress/codec_shape.h"

namespace vecstore {

// Trains rotation and codebooks. sample: [shape.sample_rows × padded(dim)] residuals, which are overwritten.
// Same result for any thread count. Errors: kMemoryBudget, kInvalidInput.
Status train_model(const CodecShape& shape, std::uint64_t seed, float* sample, Executor& executor, MemoryBudget& budget,
                   CodecModel& model);

// What train_model charges at its peak.
std::uint64_t train_bytes(const CodecShape& shape, std::uint64_t threads);

}  // namespace vecstore
