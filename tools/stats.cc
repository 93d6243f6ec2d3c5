// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/output.h"
#include "tools/size_text.h"

namespace vecstore::tools {

Command add_stats(CommandLine& line) {
  struct Options {
    std::string path;
    bool json = false;
  };
  const auto options = std::make_shared<Options>();
  CommandOptions command = line.add("stats", "what was written to a store: rows, log, what is durable");
  command.text("store", options->path, "directory of the store").required();
  add_json(command, options->json);
  return {command, [options]() -> Status {
            VECSTORE_ASSIGN(const Store store, Store::open(options->path));
            const StoreStats stats = store.stats();
            if (options->json) {
              print_json({{"rows", stats.rows},
                          {"delta_rows", stats.delta_rows},
                          {"deleted_rows", stats.deleted_rows},
                          {"document_bytes", stats.document_bytes},
                          {"kept_document_bytes", stats.kept_document_bytes},
                          {"has_dictionary", stats.has_dictionary},
                          {"wal_bytes", stats.wal_bytes},
                          {"durable_lsn", stats.durable_lsn}});
              return {};
            }
            Table table;
            table.add("rows", std::to_string(stats.rows));
            table.add("of these in memory", fmt::format("{}, put since the graph was built", stats.delta_rows));
            table.add("deleted of the graph", std::to_string(stats.deleted_rows));
            if (stats.document_bytes != 0)
              table.add("documents in memory", fmt::format("{} in {}{}", format_size(stats.document_bytes),
                                                           format_size(stats.kept_document_bytes),
                                                           stats.has_dictionary ? ", with a dictionary" : ""));
            table.add("log", fmt::format("{}, {} records", format_size(stats.wal_bytes), stats.durable_lsn));
            table.print();
            return {};
          }};
}

}  // namespace vecstore::tools
