// SPDX-License-Identifier: Apache-2.0
#include "tools/size_text.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>

namespace vecstore::tools {
namespace {

struct Unit {
  std::string_view name;
  double bytes;
};
constexpr double kKibi = 1024.0;
constexpr std::array<Unit, 12> kUnits = {{{"", 1.0},
                                          {"B", 1.0},
                                          {"KiB", kKibi},
                                          {"MiB", kKibi* kKibi},
                                          {"GiB", kKibi* kKibi* kKibi},
                                          {"TiB", kKibi* kKibi* kKibi* kKibi},
                                          {"kB", 1e3},
                                          {"KB", 1e3},
                                          {"MB", 1e6},
                                          {"GB", 1e9},
                                          {"TB", 1e12},
                                          {"%", 0.01}}};

// The number and the unit after it; false when there is no plain decimal number ("inf", "0x10" and "-1" are none).
bool split(std::string_view text, double& number, std::string_view& unit) {
  if (text.empty() || text.front() < '0' || text.front() > '9') return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  if (error != std::errc()) return false;
  unit = text.substr(static_cast<std::size_t>(end - text.data()));
  while (!unit.empty() && unit.front() == ' ') unit.remove_prefix(1);
  return true;
}

Status refuse(std::string_view text, const char* why) { return Status(Code::kInvalidArgument, why).about(text); }

}  // namespace

Result<std::uint64_t> parse_size(std::string_view text) {
  constexpr const char* kHow = "this is not a size; write bytes, or a number and KiB, MiB, GiB, TiB, kB, MB, GB or TB";
  double number = 0;
  std::string_view name;
  if (!split(text, number, name) || name == "%") return refuse(text, kHow);
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    const double bytes = number * unit.bytes;
    // Above 2^53 a double no longer counts single bytes, and no machine has the memory.
    if (bytes > 9007199254740992.0) return refuse(text, "this size is beyond 8 PiB; write a smaller one");
    return static_cast<std::uint64_t>(std::llround(bytes));
  }
  return refuse(text, kHow);
}

Result<CacheSize> parse_cache_size(std::string_view text) {
  double number = 0;
  std::string_view unit;
  if (split(text, number, unit) && unit == "%") {
    if (number > 100) return refuse(text, "a share of the pages is at most 100%");
    return CacheSize{number / 100, std::nullopt};
  }
  VECSTORE_ASSIGN(const std::uint64_t bytes, parse_size(text));
  return CacheSize{std::nullopt, bytes};
}

std::string format_size(std::uint64_t bytes) {
  constexpr std::array<std::string_view, 5> kNames = {"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  // 1023.95 would print as 1024.0 of the smaller unit.
  while (unit + 1 < kNames.size() && value >= 1023.95) {
    value /= kKibi;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kNames[unit]);
}

}  // namespace vecstore::tools
