// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"

namespace vecstore::tools {

Command add_export(CLI::App& app) {
  struct Options {
    std::string path, output, keys;
    bool overwrite = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command = app.add_subcommand("export", "write all vectors of a store as they were put, and their keys");
  command->add_option("store", options->path, "directory of the store")->required();
  command->add_option("--output", options->output, "file of vectors to write, of a layout told by its ending")
      ->required();
  command->add_option("--keys", options->keys, "file of keys to write, one a line")->required();
  command->add_flag("--overwrite", options->overwrite, "replace the files if they are there");
  return {command, [options]() -> Status {
            VECSTORE_ASSIGN(const Store store, Store::open(options->path));
            VECSTORE_TRY(store.export_to(options->output, options->keys, options->overwrite));
            fmt::print("{}: {} vectors\n", options->output, store.size());
            return {};
          }};
}

}  // namespace vecstore::tools
