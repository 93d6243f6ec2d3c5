// SPDX-License-Identifier: Apache-2.0
//
// Checks what is on disk: every page and list of the graph, every row's place; deep: reachability, file hashes, rows/
// and the catalog.
#pragma once

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/content/content.h"
#include "engine/options.h"
#include "engine/reports.h"
#include "pagestore/publish.h"

namespace vecstore {

// Damage is reported, not returned. Errors: kMemoryBudget, kIo.
Result<VerifyReport> verify_content(FileSystem& file_system, const Content& content, const VerifyOptions& options,
                                    MemoryBudget& budget);

}  // namespace vecstore
