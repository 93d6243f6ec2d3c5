// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/output.h"

namespace vecstore::tools {

Command add_export(CommandLine& line) {
  struct Options {
    std::string path;
    ExportFiles files;
    bool overwrite = false;
  };
  const auto options = std::make_shared<Options>();
  CommandOptions command =
      line.add("export", "write all vectors of a store as they were put, and their keys and documents");
  command.text("store", options->path, "directory of the store").required();
  command.text("--output", options->files.vectors, "file of vectors to write, of a layout told by its ending")
      .required();
  command.text("--keys", options->files.keys, "file of keys to write, one a line").required();
  command.text("--documents", options->files.documents, "file of documents to write, one a line");
  command.flag("--overwrite", options->overwrite, "replace the files if they are there");
  return {command, [options]() -> Status {
            VECSTORE_ASSIGN(const Store store, Store::open(options->path));
            VECSTORE_TRY(store.export_to(options->files, options->overwrite));
            print_out("{}: {} vectors\n", options->files.vectors, store.size());
            return {};
          }};
}

}  // namespace vecstore::tools
