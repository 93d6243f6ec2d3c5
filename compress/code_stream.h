// SPDX-License-Identifier: Apache-2.0
//
// What the head of a stream of codes says before any of it is loaded.
#pragma once

#include <cstdint>

#include "base/status.h"
#include "compress/block_codes.h"

namespace vecstore {

// `source` stands at its start and is read from. Errors: kCorrupt, those of the source.
Result<CodeForm> read_code_form(ByteSource& source);

}  // namespace vecstore
