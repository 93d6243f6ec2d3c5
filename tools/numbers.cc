// SPDX-License-Identifier: Apache-2.0
#include "tools/numbers.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <functional>

namespace vecstore::tools {
namespace {

CLI::Option* add_whole_within(CLI::App& app, const std::string& name, std::uint64_t most, const std::string& help,
                              const std::function<void(std::uint64_t)>& take) {
  const auto parse = [name, most, take](const std::string& text) {
    const auto number = parse_whole(text);
    if (!number || *number > most)
      throw CLI::ValidationError(name, fmt::format("'{}' is not a whole number from 0 to {}", text, most));
    take(*number);
  };
  return app.add_option_function<std::string>(name, parse, help)->type_name("UINT");
}

CLI::Option* add_real_within(CLI::App& app, const std::string& name, RealRange range, const std::string& help,
                             const std::function<void(double)>& take) {
  const auto parse = [name, range, take](const std::string& text) {
    const auto number = parse_real(text);
    if (!number || *number < range.least || *number > range.most)
      throw CLI::ValidationError(name,
                                 fmt::format("'{}' is not a number from {} to {}", text, range.least, range.most));
    take(*number);
  };
  return app.add_option_function<std::string>(name, parse, help)->type_name("FLOAT");
}

}  // namespace

std::optional<std::uint64_t> parse_whole(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

std::optional<double> parse_real(std::string_view text) {
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(number)) return std::nullopt;
  return number;
}

CLI::Option* add_whole(CLI::App& app, const std::string& name, std::uint32_t& value, const std::string& help,
                       std::uint32_t most) {
  return add_whole_within(app, name, most, help,
                          [&value](std::uint64_t number) { value = static_cast<std::uint32_t>(number); });
}

CLI::Option* add_whole(CLI::App& app, const std::string& name, std::uint64_t& value, const std::string& help) {
  return add_whole_within(app, name, std::numeric_limits<std::uint64_t>::max(), help,
                          [&value](std::uint64_t number) { value = number; });
}

CLI::Option* add_whole(CLI::App& app, const std::string& name, std::optional<std::uint64_t>& value,
                       const std::string& help) {
  return add_whole_within(app, name, std::numeric_limits<std::uint64_t>::max(), help,
                          [&value](std::uint64_t number) { value = number; });
}

CLI::Option* add_real(CLI::App& app, const std::string& name, double& value, RealRange range, const std::string& help) {
  return add_real_within(app, name, range, help, [&value](double number) { value = number; });
}

CLI::Option* add_real(CLI::App& app, const std::string& name, float& value, RealRange range, const std::string& help) {
  return add_real_within(app, name, range, help, [&value](double number) { value = static_cast<float>(number); });
}

}  // namespace vecstore::tools
