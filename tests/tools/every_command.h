// SPDX-License-Identifier: Apache-2.0
//
// Each command of the program with arguments that it takes, so that one test can hold all of them to one rule. The list
// of commands is the program's own.
#pragma once

#include <cstdint>
#include <cstring>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tools/command.h"

namespace vecstore::test {

// The commands that the program's own help lists.
inline std::vector<std::string> commands_in_help() {
  std::vector<std::string> commands;
  bool inside = false;
  std::istringstream lines(run("--help").out);
  for (std::string line; std::getline(lines, line);) {
    const std::size_t start = line.find_first_not_of(' ');
    if (inside && start == 2) commands.push_back(line.substr(start, line.find(' ', start) - start));
    inside = inside ? start != std::string::npos : line == "Subcommands:";
  }
  return commands;
}

// f32 vectors; each value of row i is i + 0.25.
inline std::string write_fbin(const std::string& path, std::uint32_t rows, std::uint32_t dim) {
  std::vector<float> values(std::size_t{rows} * dim);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i / dim) + 0.25f;
  std::vector<char> bytes(8 + values.size() * 4);
  const std::uint32_t header[2] = {rows, dim};
  std::memcpy(bytes.data(), header, 8);
  std::memcpy(bytes.data() + 8, values.data(), values.size() * 4);
  write_file(path, bytes);
  return path;
}

class EveryCommand {
 public:
  EveryCommand() {
    write_fbin(vectors_, 20, 4);
    std::string keys, documents;
    for (int i = 0; i < 20; ++i) {
      keys += std::to_string(i) + "\n";
      documents += "{\"n\": " + std::to_string(i) + "}\n";
    }
    write_file(directory_.path("keys"), {keys.begin(), keys.end()});
    write_file(directory_.path("documents"), {documents.begin(), documents.end()});
    must("build" + arguments_of("build", "index"));
    must("create " + store_);
    must("insert " + store_ + " --quiet --input " + vectors_);
  }

  // What stands behind the name of the command, which then succeeds; what it writes is new.
  std::string arguments_of(const std::string& command) {
    return arguments_of(command, "new" + std::to_string(++made_));
  }

 private:
  std::string arguments_of(const std::string& command, const std::string& name) const {
    const std::string made = directory_.path(name),
                      sides = " --keys " + directory_.path("keys") + " --documents " + directory_.path("documents");
    const std::string index = " " + directory_.path("index"), queries = " --queries " + vectors_;
    const std::map<std::string, std::string> all = {
        {"build", " --no-calibration --input " + vectors_ + sides + " --output " + made},
        {"create", " " + made},
        {"insert", " " + store_ + " --input " + vectors_},
        {"delete", " " + store_ + " 3 4"},
        {"get", index + " 7"},
        {"info", index},
        {"stats", " " + store_},
        {"search", index + queries},
        {"query", index + queries},
        {"export", index + " --output " + made + ".fbin --keys " + made + ".keys"},
        {"import", " " + made + " --input " + vectors_ + sides},
        {"compact", " " + store_},
        {"snapshot", " " + store_ + " " + name},
        {"restore", " " + store_ + " --to " + made},
        {"verify", index},
        {"salvage", " " + store_ + " --output " + made},
        {"groundtruth", " --base " + vectors_ + queries + " --output " + made},
        {"convert", " " + vectors_ + " " + made + ".npy"}};
    const auto found = all.find(command);
    BOOST_REQUIRE_MESSAGE(found != all.end(), command << " has no arguments in every_command.h");
    return found->second;
  }
  static void must(const std::string& arguments) {
    const Ran ran = run(arguments);
    BOOST_REQUIRE_MESSAGE(ran.exit_code == 0, arguments << ": " << ran.err);
  }

  TemporaryDirectory directory_;
  std::string vectors_ = directory_.path("vectors.fbin"), store_ = directory_.path("store");
  int made_ = 0;
};

}  // namespace vecstore::test
