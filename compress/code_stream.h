// SPDX-License-Identifier: Apache-2.0
//
// What the head of a stream of codes says before any of it is loaded.
#pragma once

#include <cstdint>

#include "compress/block_codes.h"
#include "engine/base/status.h"

namespace vecstore {

// All that must be known beside the layout to predict what a search takes.
struct CodeForm {
  std::uint32_t code_bytes = 0;
  bool fine_tables = false;
};
// `source` stands at its start and is read from. Errors: kCorrupt, those of the source.
Result<CodeForm> read_code_form(ByteSource& source);

}  // namespace vecstore
