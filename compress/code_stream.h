// SPDX-License-Identifier: Apache-2.0
//
// What the head of a stream of codes says before any of it is loaded.
#pragma once

#include <cstdint>

#include "compress/block_codes.h"
#include "engine/base/status.h"

namespace vecstore {

// The bytes of a code: all that must be known beside the layout to predict what a search takes. `source` stands at its
// start and is read from. Errors: kCorrupt, those of the source.
Result<std::uint32_t> read_code_bytes(ByteSource& source);

}  // namespace vecstore
