// SPDX-License-Identifier: Apache-2.0
//
// Subcommands and their options, over CLI11. Its headers take ten seconds to compile, so that options.cc alone includes
// them. What an option is bound to must outlive the parsing. Wrong text is wrong usage, told with the option's name. So
// is an empty text, which a script has from a variable that is not set, and an option where a value should be.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace CLI {  // NOLINT(readability-identifier-naming): it is CLI11's
class App;
class Option;
}  // namespace CLI

namespace vecstore::tools {

class Option {
 public:
  explicit Option(CLI::Option* option) : option_(option) {}
  Option& required();
  Option& needs(const Option& other);
  Option& excludes(const Option& other);

 private:
  CLI::Option* option_;
};

struct WholeRange {
  std::uint64_t least = 0;
  std::uint64_t most = std::numeric_limits<std::uint64_t>::max();  // or that of the type, where it is less
};

struct RealRange {
  double least = 0;
  double most = 0;
  bool without_least = false;
};

// The options of one subcommand. A name without dashes is a positional argument. help: what it means.
class CommandOptions {
 public:
  explicit CommandOptions(CLI::App* command) : command_(command) {}
  bool were_given() const;  // after the parsing: this subcommand is the one

  Option text(const std::string& name, std::string& value, const std::string& help);
  Option texts(const std::string& name, std::vector<std::string>& values, const std::string& help);
  Option flag(const std::string& name, bool& value, const std::string& help);

  // Decimal numbers, the whole text.
  Option whole(const std::string& name, std::uint32_t& value, WholeRange range, const std::string& help);
  Option whole(const std::string& name, std::uint64_t& value, WholeRange range, const std::string& help);
  Option whole(const std::string& name, std::optional<std::uint64_t>& value, WholeRange range, const std::string& help);
  Option real(const std::string& name, double& value, RealRange range, const std::string& help);
  Option real(const std::string& name, float& value, RealRange range, const std::string& help);
  Option real(const std::string& name, std::optional<float>& value, RealRange range, const std::string& help);
  // Bytes, as "64MiB" (size_text.h), and `least` or more of them.
  Option size(const std::string& name, std::uint64_t& bytes, std::uint64_t least, const std::string& help);

  // One of some words; `take` gets its place among them.
  Option choice(const std::string& name, const std::vector<std::string>& words, const std::string& help,
                const std::function<void(std::size_t)>& take);
  // Text of a form of its own, which help shows as `form`; `take` returns what is wrong with it, or nothing.
  Option parsed(const std::string& name, const std::string& form, const std::string& help,
                const std::function<std::string(const std::string&)>& take);

 private:
  CLI::App* command_;
};

// The whole command line.
class CommandLine {
 public:
  CommandLine(const std::string& name, const std::string& version, const std::string& help, const std::string& footer);
  CommandLine(const CommandLine&) = delete;
  CommandLine& operator=(const CommandLine&) = delete;
  ~CommandLine();

  CommandOptions add(const std::string& command, const std::string& help);
  // Nothing: the options are parsed and one subcommand was given. Else what was asked for, or what was wrong, has been
  // printed, and whether it was wrong usage is returned.
  std::optional<bool> parse(int argc, char** argv);

 private:
  // What CLI11 would take for something else than its writer meant; empty: nothing.
  std::string misread(const std::vector<std::string>& arguments) const;

  std::unique_ptr<CLI::App> app_;
};

}  // namespace vecstore::tools
