// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/progress.h"

namespace vecstore::tools {

Run add_export(CommandOptions& command, const Reporting& asked) {
  struct Options {
    std::string path;
    ExportFiles files;
    ExportOptions how;
  };
  const auto options = std::make_shared<Options>();
  command.text("store", options->path, "directory of the store").required();
  command.text("--output", options->files.vectors, "file of vectors to write, of a layout told by its ending")
      .required();
  command.text("--keys", options->files.keys, "file of keys to write, one a line").required();
  command.text("--documents", options->files.documents, "file of documents to write, one a line");
  command.flag("--overwrite", options->how.overwrite, "replace the files if they are there");
  return [options, &asked]() -> Status {
    VECSTORE_ASSIGN(const Store store, open_store(options->path, {}, asked.quiet));
    const ExportFiles& files = options->files;
    ProgressPrinter progress(asked.quiet);
    options->how.cancel = interruption();
    options->how.progress = [&](const Progress& at) { progress.update(name_of(at.phase), at.done, at.total); };
    VECSTORE_TRY(store.export_to(files, options->how));
    progress.clear();
    if (asked.json) {
      print_json({{"output", files.vectors},
                  {"keys", files.keys},
                  {"documents", files.documents.empty() ? Json() : Json(files.documents)},
                  {"rows", store.size()},
                  {"dim", store.info().dim},
                  {"dtype", name_of(store.info().dtype)}});
      return {};
    }
    print_out("{}: {} vectors\n", files.vectors, store.size());
    return {};
  };
}

}  // namespace vecstore::tools
