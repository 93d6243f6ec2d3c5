// SPDX-License-Identifier: Apache-2.0
//
// zstd frames for cold bytes: documents, exports, full-precision rows. Never on the path of a search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "engine/base/status.h"

namespace vecstore {

// Appends one frame holding `bytes` to `out`. Errors: kMemoryBudget.
Status compress_frame(std::span<const std::byte> bytes, int level, std::vector<std::byte>& out);

// Decodes one frame whose content must be exactly into.size() bytes. Errors: kCorrupt.
Status decompress_frame(std::span<const std::byte> frame, std::span<std::byte> into);

}  // namespace vecstore
