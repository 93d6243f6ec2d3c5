// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"

namespace vecstore::tools {

Command add_export(CLI::App& app) {
  struct Options {
    std::string path;
    ExportFiles files;
    bool overwrite = false;
  };
  const auto options = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("export", "write all vectors of a store as they were put, and their keys and documents");
  command->add_option("store", options->path, "directory of the store")->required();
  command->add_option("--output", options->files.vectors, "file of vectors to write, of a layout told by its ending")
      ->required();
  command->add_option("--keys", options->files.keys, "file of keys to write, one a line")->required();
  command->add_option("--documents", options->files.documents, "file of documents to write, one a line");
  command->add_flag("--overwrite", options->overwrite, "replace the files if they are there");
  return {command, [options]() -> Status {
            VECSTORE_ASSIGN(const Store store, Store::open(options->path));
            VECSTORE_TRY(store.export_to(options->files, options->overwrite));
            fmt::print("{}: {} vectors\n", options->files.vectors, store.size());
            return {};
          }};
}

}  // namespace vecstore::tools
