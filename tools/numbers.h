// SPDX-License-Identifier: Apache-2.0
//
// Numbers as options and input have them: decimal, the whole text, within what the number means. CLI11's own conversion
// takes -5 for 2^64 - 5, 010 for eight and "nan" for a bound. Thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace vecstore::tools {

// Digits alone. nullopt: something else, or beyond 64 bits.
std::optional<std::uint64_t> parse_whole(std::string_view text);
// A finite number, as "1.5", "-2" or "1e-3". nullopt: something else, or beyond a double.
std::optional<double> parse_real(std::string_view text);

}  // namespace vecstore::tools
