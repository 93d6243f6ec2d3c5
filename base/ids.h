// SPDX-License-Identifier: Apache-2.0
//
// The two names of a row, never mixed, and the 128-bit identity of a store.
#pragma once

#include <array>
#include <compare>
#include <cstdint>

namespace vecstore {

// Identity of a row for as long as the store lives; never reused. A bulk build numbers rows in input order.
struct RowId {
  std::uint64_t value = 0;
  auto operator<=>(const RowId&) const = default;
};

// Place of a row in one generation: page = Pos / rows_per_page, slot = Pos mod rows_per_page. Neighbour lists, codes,
// blocks and the cache speak Pos. Bulk arrays of positions are std::uint32_t and named `positions`.
using Pos = std::uint32_t;
inline constexpr Pos kNoPos = 0xFFFFFFFFu;

using Uuid = std::array<std::uint8_t, 16>;

}  // namespace vecstore
