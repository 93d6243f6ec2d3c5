// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <exception>
#include <utility>
#include <vector>

#include "tools/commands.h"
#include "tools/exit_codes.h"
#include "tools/interrupt.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

struct Command {
  const char* name;
  const char* help;
  Run (*add)(CommandOptions&, const Reporting&);
};

// The one list of the commands. Help is made of it, and tests compare manual, completion and README with help.
constexpr auto kCommands = std::to_array<Command>(
    {{"build", "build an index from a file of vectors", add_build},
     {"create", "make an empty store that vectors can be inserted into", add_create},
     {"insert", "put the vectors of a file into a store, searchable at once", add_insert},
     {"delete", "delete vectors by key; those that are not there are passed over", add_delete},
     {"get", "show the vector of a key as it was put, and its document", add_get},
     {"info", "describe an index: sizes, parameters, degrees, calibration", add_info},
     {"stats", "what was written to a store: rows, log, what is durable", add_stats},
     {"search", "search an index with a file of queries, and measure it", add_search},
     {"query", "search for one vector and show what is found, documents included", add_query},
     {"export", "write all vectors of a store as they were put, and their keys and documents", add_export},
     {"import", "put what was exported into a store, which is made if need be", add_import},
     {"compact", "take what was written to a store into its graph; the log and erased rows give back their space",
      add_compact},
     {"snapshot", "keep what a store holds now inside it, or copy it while others write; list and remove what was kept",
      add_snapshot},
     {"restore", "make a store of a snapshot or a copy", add_restore},
     {"verify", "check every page and list of an index; exit code 3 when it is damaged", add_verify},
     {"salvage", "make a store of what can be read of a damaged one", add_salvage},
     {"groundtruth", "find the exact neighbours of queries by brute force", add_groundtruth},
     {"convert",
      "write a vector file in another layout: fvecs bvecs ivecs fbin f16bin u8bin i8bin ibin i32bin npy, by the ending",
      add_convert}});

int report(const Outcome& outcome) {
  const Status& status = outcome.status;
  const bool is_interrupted = status.code() == Code::kCancelled;
  const std::string done = outcome.done.empty() ? "" : "; " + outcome.done;
  if (!status.is_ok()) print_error("vecstore: {}{}\n", is_interrupted ? "interrupted" : error_text(status), done);
  if (is_interrupted) end_by_signal();
  return exit_code_of(status.code());
}

// What was printed counts as much as what was done.
int finish(const Outcome& outcome) {
  const Status printed = finish_output();
  return report(outcome.status.is_ok() ? printed : outcome);
}

int run(int argc, char** argv) {
  CommandLine line("vecstore", std::string(version()),
                   "vecstore: build a nearest-neighbour index on disk, and search it with few reads and little memory",
                   "Exit codes: 0 done, 1 failure, 2 usage, 3 damaged index, 4 busy, 5 newer format.");
  Reporting asked;
  std::vector<std::pair<CommandOptions, Run>> commands;
  for (const Command& each : kCommands) {
    CommandOptions command = line.add(each.name, each.help);
    Run run = each.add(command, asked);
    add_reporting(command, asked);
    commands.emplace_back(command, std::move(run));
  }
  if (const auto wrong = line.parse(argc, argv)) return *wrong ? kExitUsage : finish({});
  for (const auto& [command, run] : commands)
    if (command.were_given()) return finish(run());
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
