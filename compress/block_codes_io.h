// SPDX-License-Identifier: Apache-2.0
//
// BlockCodes as a stream of bytes, little-endian, and back. Byte-exact format: compress/README.md.
#pragma once

#include "base/byte_stream.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/block_codes.h"

namespace vecstore {

// Errors: those of the sink.
Status save_block_codes(const BlockCodes& codes, ByteSink& sink);
// Checks every size against that of the source before it allocates. Errors: kCorrupt, kMemoryBudget, those of the
// source.
Result<BlockCodes> load_block_codes(ByteSource& source, MemoryBudget& budget);
// What the head says before any of it is loaded. `source` stands at its start and is read from. Errors: kCorrupt, those
// of the source.
Result<CodeForm> read_code_form(ByteSource& source);

}  // namespace vecstore
