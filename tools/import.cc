// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/insert_rows.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

constexpr std::uint64_t kBatchRows = 1000;

struct ImportOptions {
  std::string path;
  RowFiles files;
  CreateOptions create;
  OpenOptions open;
};

Outcome run_import(ImportOptions& options, const Reporting& asked) {
  VECSTORE_ASSIGN(const auto source, open_vector_file(options.files.vectors));
  options.create.dim = source->dim();
  options.create.dtype = source->dtype();
  options.files.batch = kBatchRows;
  options.files.quiet = asked.quiet;
  auto found = open_store(options.path, options.open, asked.quiet);
  const bool is_new = !found && found.error().code() == Code::kNotFound;
  if (!found && !is_new) return found.error();
  if (is_new) {
    VECSTORE_TRY(check_row_files(*source, options.files, options.create.keys));  // before a store that they do not fit
    VECSTORE_TRY(Store::create(options.path, options.create));
    found = open_store(options.path, options.open, asked.quiet);
  } else {
    VECSTORE_TRY(check_row_files(*source, options.files, *found));
  }
  if (!found) return found.error();
  Store& store = *found;
  RowsPut put = insert_rows(store, *source, options.files);
  put.status = with_memory_options(put.status, options.open);
  const StoreStats stats = store.stats();
  if (!put.status.is_ok()) {
    if (asked.json) {
      Json json = json_of(put, options.files, "imported");
      json.add("rows", stats.rows);
      json.add("durable_lsn", stats.durable_lsn);
      print_json(json);
    }
    return {put.status, how_far(put, options.files) + "; the same import may be run again, and puts all of them"};
  }
  VECSTORE_TRY(store.close());
  if (asked.json) {
    print_json({{"imported", put.put}, {"rows", stats.rows}, {"durable_lsn", stats.durable_lsn}});
  } else {
    print_out("{}: {} imported, {} rows\n", options.path, put.put, stats.rows);
  }
  return {};
}

}  // namespace

Run add_import(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<ImportOptions>();
  command.text("store", options->path, "directory of the store").required();
  command.text("--input", options->files.vectors, "file of vectors").required();
  command.text("--keys", options->files.keys, "file of one key a line").required();
  command.text("--documents", options->files.documents, "file of one document a line");
  add_metric(command, options->create.metric);
  add_key_type(command, options->create.keys);
  options->open.sync = SyncMode::kNone;  // one sync at the end
  add_writer_memory(command, options->open);
  add_merge_policy(command, options->open);
  return [options, &asked] { return run_import(*options, asked); };
}

}  // namespace vecstore::tools
