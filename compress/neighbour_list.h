// SPDX-License-Identifier: Apache-2.0
//
// A node's neighbours as bytes: positions sorted ascending, the first as a zigzag difference to the node's own
// position, the others as gaps − 1, each in LEB128. About 1.6 bytes an edge once rows stand in affinity order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.h"

namespace vecstore {

// Bytes that encode_neighbours will write. `sorted`: strictly ascending, without `self`.
std::size_t neighbour_list_bytes(Pos self, std::span<const Pos> sorted);

// Writes exactly neighbour_list_bytes(self, sorted) bytes to `out` and returns that number.
std::size_t encode_neighbours(Pos self, std::span<const Pos> sorted, std::byte* out);

inline constexpr std::size_t kDamagedList = static_cast<std::size_t>(-1);

// Decodes all of `bytes` into out[0 .. capacity) and returns the degree. Returns kDamagedList when the bytes are not a
// list of at most `capacity` strictly ascending positions below `rows_total`, none of them `self`. Never reads or
// writes out of bounds, whatever the bytes.
std::size_t decode_neighbours(Pos self, std::span<const std::byte> bytes, Pos rows_total, Pos* out,
                              std::size_t capacity);

}  // namespace vecstore
