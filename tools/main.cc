// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <exception>

#include "tools/commands.h"
#include "tools/exit_codes.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

int report(const Status& status) {
  if (!status.is_ok()) print_error("vecstore: {}\n", status.message());
  return exit_code_of(status.code());
}

// What was printed counts as much as what was done.
int finish(const Status& status) {
  const Status printed = finish_output();
  return report(status.is_ok() ? printed : status);
}

int run(int argc, char** argv) {
  CommandLine line("vecstore", std::string(version()),
                   "vecstore: build a nearest-neighbour index on disk, and search it with few reads and little memory",
                   "Exit codes: 0 done, 1 failure, 2 usage, 3 damaged index, 4 busy, 5 newer format.");
  const std::array<Command, 15> commands = {
      add_build(line),  add_create(line), add_insert(line),  add_delete(line),      add_get(line),
      add_info(line),   add_stats(line),  add_search(line),  add_query(line),       add_export(line),
      add_import(line), add_verify(line), add_salvage(line), add_groundtruth(line), add_convert(line)};
  if (const auto wrong = line.parse(argc, argv)) return *wrong ? kExitUsage : finish({});
  for (const Command& command : commands) {
    if (!command.options.were_given()) continue;
    return finish(command.run());
  }
  return kExitUsage;
}

}  // namespace
}  // namespace vecstore::tools

int main(int argc, char** argv) {
  using namespace vecstore::tools;
  hold_standard_streams();
  try {
    return run(argc, argv);
  } catch (const std::bad_alloc&) {
    write_error("vecstore: the system has no memory left; free some or give a smaller --ram\n");
  } catch (const std::exception& error) {
    write_error("vecstore: ");
    write_error(error.what());
    write_error("\n");
  }
  return kExitFailure;
}
