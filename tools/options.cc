// SPDX-License-Identifier: Apache-2.0
#include "tools/options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>
#include <utility>

#include "tools/numbers.h"
#include "tools/output.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

// A check that takes whole numbers within the range.
template <typename Take>
std::function<std::string(const std::string&)> whole_within(WholeRange range, const Take& take) {
  return [range, take](const std::string& text) -> std::string {
    const auto number = parse_whole(text);
    if (!number || *number < range.least || *number > range.most)
      return fmt::format("'{}' is not a whole number from {} to {}", text, range.least, range.most);
    take(*number);
    return {};
  };
}

template <typename Take>
std::function<std::string(const std::string&)> real_within(RealRange range, const Take& take) {
  return [range, take](const std::string& text) -> std::string {
    const auto number = parse_real(text);
    const bool is_above = number && (range.without_least ? *number > range.least : *number >= range.least);
    if (!is_above || *number > range.most)
      return fmt::format("'{}' is not a number {} {} {} {}", text, range.without_least ? "above" : "from", range.least,
                         range.without_least ? "and up to" : "to", range.most);
    take(*number);
    return {};
  };
}

constexpr const char* kEmpty = "its value is empty";

}  // namespace

Option& Option::required() {
  option_->required();
  return *this;
}

Option& Option::needs(const Option& other) {
  option_->needs(other.option_);
  return *this;
}

Option& Option::excludes(const Option& other) {
  option_->excludes(other.option_);
  return *this;
}

bool CommandOptions::were_given() const { return command_->parsed(); }

Option CommandOptions::text(const std::string& name, std::string& value, const std::string& help) {
  return parsed(name, "TEXT", help, [&value](const std::string& text) {
    value = text;
    return std::string();
  });
}

Option CommandOptions::texts(const std::string& name, std::vector<std::string>& values, const std::string& help) {
  const auto parse = [name, &values](const std::vector<std::string>& texts) {
    for (const std::string& text : texts)
      if (text.empty()) throw CLI::ValidationError(name, kEmpty);
    values = texts;
  };
  return Option(command_->add_option_function<std::vector<std::string>>(name, parse, help)->type_name("TEXT"));
}

Option CommandOptions::flag(const std::string& name, bool& value, const std::string& help) {
  return Option(command_->add_flag(name, value, help));
}

Option CommandOptions::whole(const std::string& name, std::uint32_t& value, WholeRange range, const std::string& help) {
  range.most = std::min<std::uint64_t>(range.most, std::numeric_limits<std::uint32_t>::max());
  return parsed(name, "UINT", help,
                whole_within(range, [&value](std::uint64_t number) { value = static_cast<std::uint32_t>(number); }));
}

Option CommandOptions::whole(const std::string& name, std::uint64_t& value, WholeRange range, const std::string& help) {
  return parsed(name, "UINT", help, whole_within(range, [&value](std::uint64_t number) { value = number; }));
}

Option CommandOptions::whole(const std::string& name, std::optional<std::uint64_t>& value, WholeRange range,
                             const std::string& help) {
  return parsed(name, "UINT", help, whole_within(range, [&value](std::uint64_t number) { value = number; }));
}

Option CommandOptions::real(const std::string& name, double& value, RealRange range, const std::string& help) {
  return parsed(name, "FLOAT", help, real_within(range, [&value](double number) { value = number; }));
}

Option CommandOptions::real(const std::string& name, float& value, RealRange range, const std::string& help) {
  return parsed(name, "FLOAT", help,
                real_within(range, [&value](double number) { value = static_cast<float>(number); }));
}

Option CommandOptions::real(const std::string& name, std::optional<float>& value, RealRange range,
                            const std::string& help) {
  return parsed(name, "FLOAT", help,
                real_within(range, [&value](double number) { value = static_cast<float>(number); }));
}

Option CommandOptions::size(const std::string& name, std::uint64_t& bytes, std::uint64_t least,
                            const std::string& help) {
  return parsed(name, "SIZE", help, [&bytes, least](const std::string& text) -> std::string {
    const auto size = parse_size(text);
    if (!size) return size.error().message();
    if (*size < least) return fmt::format("'{}' is less than {}, the least", text, format_size(least));
    bytes = *size;
    return {};
  });
}

Option CommandOptions::choice(const std::string& name, const std::vector<std::string>& words, const std::string& help,
                              const std::function<void(std::size_t)>& take) {
  return parsed(name, fmt::format("{}", fmt::join(words, "|")), help, [words, take](const std::string& text) {
    const auto found = std::find(words.begin(), words.end(), text);
    if (found == words.end()) return fmt::format("'{}' is none of {}", text, fmt::join(words, ", "));
    take(static_cast<std::size_t>(found - words.begin()));
    return std::string();
  });
}

Option CommandOptions::parsed(const std::string& name, const std::string& form, const std::string& help,
                              const std::function<std::string(const std::string&)>& take) {
  const auto parse = [name, take](const std::string& text) {
    const std::string wrong = text.empty() ? kEmpty : take(text);
    if (!wrong.empty()) throw CLI::ValidationError(name, wrong);
  };
  return Option(command_->add_option_function<std::string>(name, parse, help)->type_name(form));
}

CommandLine::CommandLine(const std::string& name, const std::string& version, const std::string& help,
                         const std::string& footer)
    : app_(std::make_unique<CLI::App>(help)) {
  app_->name(name);
  app_->set_version_flag("--version", name + " " + version);
  app_->set_help_all_flag("--help-all", "the options of every command");
  app_->require_subcommand(1);
  app_->footer(footer);
}

CommandLine::~CommandLine() = default;

CommandOptions CommandLine::add(const std::string& command, const std::string& help) {
  return CommandOptions(app_->add_subcommand(command, help));
}

// CLI11 passes over the empty value of "--output=" and takes the next argument for it, whatever that is.
std::string CommandLine::misread(const std::vector<std::string>& arguments) const {
  std::size_t at = 0;
  while (at < arguments.size() && arguments[at].starts_with('-')) ++at;
  if (at == arguments.size()) return {};
  const std::string& named = arguments[at];
  const auto found =
      std::as_const(*app_).get_subcommands([&named](const CLI::App* each) { return each->get_name() == named; });
  if (found.empty()) return fmt::format("there is no command '{}'", named);
  const CLI::App* command = found[0];
  for (++at; at < arguments.size() && arguments[at] != "--"; ++at) {
    const std::string& argument = arguments[at];
    if (!argument.starts_with("--")) continue;
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    if (equals + 1 == argument.size()) return fmt::format("{}: {}", name, kEmpty);
    const CLI::Option* option = command->get_option_no_throw(name);
    if (equals != std::string::npos || option == nullptr || option->get_items_expected_min() == 0) continue;
    if (++at == arguments.size()) return {};
    const std::string& value = arguments[at];
    if (value.empty()) return fmt::format("{}: {}", name, kEmpty);
    if (value.starts_with('-') && command->get_option_no_throw(value.substr(0, value.find('='))) != nullptr)
      return fmt::format("{}: its value is missing before {}; write {}={} if that is the value", name, value, name,
                         value);
  }
  return {};
}

std::optional<bool> CommandLine::parse(int argc, char** argv) {
  if (const std::string wrong = misread({argv + std::min(argc, 1), argv + argc}); !wrong.empty()) {
    print_error("vecstore: {}; see vecstore --help\n", wrong);
    return true;
  }
  try {
    app_->parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) {
      std::ostringstream out;
      app_->exit(error, out);
      write_out(out.str());
      return false;
    }
    const auto commands = app_->get_subcommands();
    print_error("vecstore: {}; see vecstore {}--help\n", error.what(),
                commands.empty() ? "" : commands[0]->get_name() + " ");
    return true;
  }
  return std::nullopt;
}

}  // namespace vecstore::tools
