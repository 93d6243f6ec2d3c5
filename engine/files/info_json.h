// SPDX-License-Identifier: Apache-2.0
//
// What a store is, as the command and the C API tell it.
#pragma once

#include "engine/files/json.h"
#include "engine/reports.h"

namespace vecstore {

Json json_of(const StoreInfo& info);

}  // namespace vecstore
