// SPDX-License-Identifier: Apache-2.0
//
// The head of a row group: which rows it has and where their parts lie.
#pragma once

#include <array>
#include <cstdint>

#include "base/ids.h"
#include "base/status.h"
#include "engine/rows/rows_directory.h"
#include "engine/rows/rows_format.h"
#include "engine/rows/rows_header.h"
#include "engine/rows/rows_stream.h"

namespace vecstore::rows {

// Where everything of a group lies in the stream; nothing in it was believed unchecked.
struct Group {
  std::uint64_t offset = 0;
  std::uint64_t bytes = 0;
  std::uint32_t rows = 0;
  std::uint32_t frames = 0;
  std::uint64_t keys_at = 0;
  std::uint64_t frames_at = 0;
  std::uint64_t vectors_at = 0;
  std::array<std::uint64_t, kGroupRowsMax> ids{};  // RowIds, ascending
  std::array<std::uint16_t, kGroupRowsMax> key_bytes{};
  std::array<std::uint32_t, kGroupRowsMax> document_bytes{};
  std::array<std::uint32_t, kGroupRowsMax> frame_bytes{};
  std::array<std::uint16_t, kGroupRowsMax> frame_rows{};

  // The first row from `row` on; `rows` where there is none.
  std::uint32_t slot_from(RowId row) const;
};

// Reads the group that lies there. Errors: kIo; kCorrupt where it contradicts the directory, a limit or itself.
Status read_group(Stream& stream, const Header& header, const GroupPlace& place, Group& group);

}  // namespace vecstore::rows
