// SPDX-License-Identifier: Apache-2.0
//
// The neighbour lists of a page of a graph file, decoded.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/limits.h"
#include "compress/neighbour_list.h"
#include "graph/format.h"

namespace vecstore {

// Calls visit(position, RowId, neighbours) for every row of a page whose checksum holds; false when a list is damaged.
template <typename Visit>
bool for_each_list(const GraphLayout& layout, std::uint64_t page, const std::byte* bytes, const Visit& visit) {
  const PageView view(layout, bytes);
  std::array<Pos, kDegreeMax> neighbours;
  for (std::uint32_t slot = 0; slot < layout.rows_on(page); ++slot) {
    const Pos self = layout.first_on(page) + slot;
    const auto list = view.list(slot);
    const std::size_t degree = is_damaged(list) ? kDamagedList
                                                : decode_neighbours(self, list, static_cast<Pos>(layout.rows),
                                                                    neighbours.data(), neighbours.size());
    if (degree == kDamagedList) return false;
    visit(self, view.row_id(slot), std::span<const Pos>(neighbours.data(), degree));
  }
  return true;
}

}  // namespace vecstore
