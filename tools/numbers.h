// SPDX-License-Identifier: Apache-2.0
//
// Numbers as options and input have them: decimal, the whole text, within what the number means. CLI11's own conversion
// takes -5 for 2^64 - 5, 010 for eight and "nan" for a bound. Thread-safe.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>

namespace vecstore::tools {

// Digits alone. nullopt: something else, or beyond 64 bits.
std::optional<std::uint64_t> parse_whole(std::string_view text);
// A finite number, as "1.5", "-2" or "1e-3". nullopt: something else, or beyond a double.
std::optional<double> parse_real(std::string_view text);

// Options; each refuses as wrong usage what is no number or out of range, and names the range.
CLI::Option* add_whole(CLI::App& app, const std::string& name, std::uint32_t& value, const std::string& help,
                       std::uint32_t most = std::numeric_limits<std::uint32_t>::max());
CLI::Option* add_whole(CLI::App& app, const std::string& name, std::uint64_t& value, const std::string& help);
CLI::Option* add_whole(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& value,
                       const std::string& help);

struct RealRange {
  double least = 0;
  double most = 0;
};
CLI::Option* add_real(CLI::App& app, const std::string& name, double& value, RealRange range, const std::string& help);
CLI::Option* add_real(CLI::App& app, const std::string& name, float& value, RealRange range, const std::string& help);

}  // namespace vecstore::tools
