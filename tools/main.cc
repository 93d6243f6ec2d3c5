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
  CLI::App app("vecstore: build a nearest-neighbour index on disk, and search it with few reads and little memory");
  app.name("vecstore");
  app.set_version_flag("--version", "vecstore " + std::string(version()));
  app.set_help_all_flag("--help-all", "the options of every command");
  app.require_subcommand(1);
  app.footer("Exit codes: 0 done, 1 failure, 2 usage, 3 damaged index, 4 busy, 5 newer format.");
  const std::array<Command, 15> commands = {add_build(app),   add_create(app),      add_insert(app), add_delete(app),
                                            add_get(app),     add_info(app),        add_stats(app),  add_search(app),
                                            add_query(app),   add_export(app),      add_import(app), add_verify(app),
                                            add_salvage(app), add_groundtruth(app), add_convert(app)};
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // CLI11 has codes of its own from 100 up; here all of them are wrong usage.
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  for (const Command& command : commands) {
    if (!command.app->parsed()) continue;
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
