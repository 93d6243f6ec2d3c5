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

}  // namespace vecstore::tools
