// SPDX-License-Identifier: Apache-2.0
//
// The codes of rows that are kept in memory.
#pragma once

#include <cstdint>
#include <string_view>

namespace vecstore {

// kPq and kOpq (with a rotation) are trained on the vectors; kRabitq has 1, 2 or 4 bits for each dimension and nothing
// to train. kAutomatic leaves the choice to a build; no codes are of that kind.
enum class Codec : std::uint8_t { kPq = 0, kOpq = 1, kRabitq = 2, kAutomatic = 3 };
std::string_view name_of(Codec codec);  // "pq" "opq" "rabitq" "automatic"

}  // namespace vecstore
