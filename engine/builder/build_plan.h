// SPDX-License-Identifier: Apache-2.0
//
// Before a build starts: options resolved against the input, and what it will take.
#pragma once

#include <cstdint>
#include <span>

#include "base/status.h"
#include "compress/codec_model.h"
#include "engine/options.h"
#include "engine/reports.h"
#include "graph/build.h"

namespace vecstore {

inline constexpr std::uint32_t kSampleRowsMin = 8192;  // the codec's sample shrinks to this to meet a budget

// Of each on its page; 0: there are none.
std::uint32_t bytes_of_number_keys(std::span<const std::uint64_t> keys);

struct BuildPlan {
  std::uint64_t rows = 0;
  std::uint32_t dim = 0;
  DType dtype = DType::kF32;
  Metric metric = Metric::kL2;
  std::uint32_t threads = 1;
  std::uint32_t page_bytes = 4096;
  GraphBuildOptions graph;
  CodecOptions codec;
  bool keep_originals = false;
  std::uint32_t value_bits = kValueBitsMin;
  bool row_params = false;
  std::uint64_t held_out = 0;          // rows that serve as queries first
  std::uint64_t query_bytes = 0;       // of the queries to calibrate on; 0: no calibration
  std::uint64_t chunk_rows = 1;        // rows read at a time
  std::uint64_t dictionary_bytes = 0;  // that the documents' dictionary may take of an open index
  BuildPrediction prediction;
};

// `value_bits`: in which pages will keep values, where options.vector_bits leaves it open.
// Errors: kInvalidArgument (options that contradict one another or a limit), kUnsupported (no page is large enough),
// kMemoryBudget (the prediction exceeds ram_bytes; the detail is the least that would do).
Result<BuildPlan> plan_build(const VectorSource& vectors, const BuildOptions& options,
                             std::uint32_t value_bits = kValueBitsMin);

}  // namespace vecstore
