// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <array>
#include <cstdio>
#include <exception>

#include "tools/commands.h"
#include "tools/exit_codes.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

int report(const Status& status) {
  if (!status.is_ok()) fmt::print(stderr, "vecstore: {}\n", status.message());
  return exit_code_of(status.code());
}

int run(int argc, char** argv) {
  CommandLine line("vecstore", std::string(version()),
                   "vecstore: build a nearest-neighbour index on disk, and search it with few reads and little memory",
                   "Exit codes: 0 done, 1 failure, 2 usage, 3 damaged index, 4 busy, 5 newer format.");
  const std::array<Command, 15> commands = {
      add_build(line),  add_create(line), add_insert(line),  add_delete(line),      add_get(line),
      add_info(line),   add_stats(line),  add_search(line),  add_query(line),       add_export(line),
      add_import(line), add_verify(line), add_salvage(line), add_groundtruth(line), add_convert(line)};
  if (const auto wrong = line.parse(argc, argv)) return *wrong ? kExitUsage : kExitOk;
  for (const Command& command : commands) {
    if (!command.options.were_given()) continue;
    const Status status = command.run();
    const Status printed = finish_output();
    return report(status.is_ok() ? printed : status);
  }
  return kExitUsage;
}

}  // namespace
}  // namespace vecstore::tools

int main(int argc, char** argv) {
  try {
    return vecstore::tools::run(argc, argv);
  } catch (const std::bad_alloc&) {
    fmt::print(stderr, "vecstore: the system has no memory left; free some or give a smaller --ram\n");
  } catch (const std::exception& error) {
    fmt::print(stderr, "vecstore: {}\n", error.what());
  }
  return vecstore::tools::kExitFailure;
}
