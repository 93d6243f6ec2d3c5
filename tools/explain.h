// SPDX-License-Identifier: Apache-2.0
//
// Where the memory of a search goes, and why it searches as it does.
#pragma once

#include "engine/vecstore.hpp"
#include "tools/output.h"

namespace vecstore::tools {

// Bytes of each part. `left_bytes` is null without a budget.
Json budget_of(const StoreInfo& info);

void print_explanation(const Store& store, const OpenOptions& opened, const SearchOptions& asked);

// One line on stderr where a recall target is out of reach, whether quiet was asked for or not: an answer poorer than
// what was asked for is no progress report.
void warn_of_missed_target(const RecallExpectation& expectation);

}  // namespace vecstore::tools
