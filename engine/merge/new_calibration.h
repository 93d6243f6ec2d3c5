// SPDX-License-Identifier: Apache-2.0
//
// The calibration of a graph whose rows have changed. The rows that were put since serve as queries of the graph as it
// was before: none of them is in it, and nothing has to be built for that.
#pragma once

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/generation/properties.h"
#include "engine/merge/merged_rows.h"
#include "engine/watch.h"

namespace vecstore {

// Whether enough rows have changed since the last one, and there are new ones to search for.
bool is_calibration_due(const MergedRows& rows, const StoreProperties& before);

// Replaces what `properties` say of the calibration. Where the budget has no room for it they stay as they are, and so
// they do with RowIds of more than 32 bits. Errors: kIo, kCorrupt, kCancelled.
Status calibrate_on_new_rows(const MergedRows& rows, Executor& executor, MemoryBudget& budget, Watch& watch,
                             StoreProperties& properties);

}  // namespace vecstore
