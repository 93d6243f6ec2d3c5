// SPDX-License-Identifier: Apache-2.0
//
// Calibration: which L, blocks and bound reach a recall target with the fewest reads, found by searching for queries
// whose true neighbours are known. A user asks for recall; this is where the numbers behind it come from.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/builder/calibration_set.h"
#include "engine/reports.h"
#include "graph/search_types.h"

namespace vecstore {

inline constexpr std::uint32_t kCalibrationLanes = 4;  // of each thread's searcher

// One point per k of {1, 10, 100} (as far as the truth reaches) and recall target from .80 to .99; a target that is out
// of reach gets the point of the best recall found. `progress` counts searches. before: points of an index much like
// this one, where there are any; around them fewer searches find the new, and blocks stay unless others are clearly
// better. Errors: kMemoryBudget, kIo, kCorrupt.
Result<std::vector<CalibrationPoint>> calibrate(const SearchIndex& index, const CalibrationSet& set, Executor& executor,
                                                MemoryBudget& budget,
                                                const std::function<void(std::uint64_t done)>& progress,
                                                std::span<const CalibrationPoint> before = {});

// Adds to the points of calibrate() the L that reaches each target where every page is cached, as in `index`. Returns
// whether a walk over the graph reaches what codes reach: where rows lie in groups far from one another, or answers at
// far ends, it may not get there. Errors: kMemoryBudget, kCorrupt.
Result<bool> calibrate_in_memory(const SearchIndex& index, const CalibrationSet& set, Executor& executor,
                                 MemoryBudget& budget, std::vector<CalibrationPoint>& points);

// Of so many answers and that target; nullptr: there is none.
const CalibrationPoint* find_point(std::span<const CalibrationPoint> points, std::uint32_t k, double target);

// Searches that calibrate() will make, as a rule fewer; for a progress bar.
std::uint64_t calibration_searches(std::uint64_t queries);

}  // namespace vecstore
