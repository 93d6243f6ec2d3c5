// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "tools/commands.h"
#include "tools/output.h"
#include "tools/size_text.h"

namespace vecstore::tools {

Run add_stats(CommandOptions& command, const Reporting& asked) {
  struct Options {
    std::string path;
    bool prometheus = false;
  };
  const auto options = std::make_shared<Options>();
  command.text("store", options->path, "directory of the store").required();
  command.flag("--prometheus", options->prometheus,
               "print the metrics as text for Prometheus; gauges are the store's, counts this process's");
  return [options, &asked]() -> Status {
    if (options->prometheus && asked.json)
      return Status(Code::kInvalidArgument, "--json prints one object and --prometheus its own text; give one of them");
    VECSTORE_ASSIGN(const Store store, Store::open(options->path));
    if (options->prometheus) {
      write_out(to_prometheus(store.metrics()));
      return {};
    }
    const StoreStats stats = store.stats();
    if (asked.json) {
      print_json({{"rows", stats.rows},
                  {"delta_rows", stats.delta_rows},
                  {"deleted_rows", stats.deleted_rows},
                  {"document_bytes", stats.document_bytes},
                  {"kept_document_bytes", stats.kept_document_bytes},
                  {"has_dictionary", stats.has_dictionary},
                  {"wal_bytes", stats.wal_bytes},
                  {"old_generations", stats.old_generations},
                  {"old_readers", stats.old_readers},
                  {"old_memory_bytes", stats.old_memory_bytes},
                  {"old_disk_bytes", stats.old_disk_bytes},
                  {"durable_lsn", stats.durable_lsn}});
      return {};
    }
    Table table;
    table.add("rows", std::to_string(stats.rows));
    table.add("of these in memory", fmt::format("{}, put since the graph was built", stats.delta_rows));
    table.add("deleted of the graph", std::to_string(stats.deleted_rows));
    if (stats.document_bytes != 0)
      table.add("documents in memory",
                fmt::format("{} in {}{}", format_size(stats.document_bytes), format_size(stats.kept_document_bytes),
                            stats.has_dictionary ? ", with a dictionary" : ""));
    table.add("log", fmt::format("{}; {} records so far", format_size(stats.wal_bytes), stats.durable_lsn));
    table.add("kept for readers", fmt::format("{} generations before, {} of memory, {} of disk", stats.old_generations,
                                              format_size(stats.old_memory_bytes), format_size(stats.old_disk_bytes)));
    table.print();
    return {};
  };
}

}  // namespace vecstore::tools
