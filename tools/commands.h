// SPDX-License-Identifier: Apache-2.0
//
// The subcommands, one file each, and the options they share. A command registers its options and hands back what runs
// once they are parsed; the objects behind the options live as long as the function.
#pragma once

#include <CLI/CLI.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/status.h"
#include "engine/vecstore.hpp"

namespace vecstore::tools {

struct Command {
  CLI::App* app = nullptr;
  std::function<Status()> run;
};

Command add_build(CLI::App& app);
Command add_create(CLI::App& app);
Command add_insert(CLI::App& app);
Command add_delete(CLI::App& app);
Command add_import(CLI::App& app);
Command add_get(CLI::App& app);
Command add_export(CLI::App& app);
Command add_stats(CLI::App& app);
Command add_info(CLI::App& app);
Command add_search(CLI::App& app);
Command add_query(CLI::App& app);
Command add_verify(CLI::App& app);
Command add_salvage(CLI::App& app);
Command add_groundtruth(CLI::App& app);
Command add_convert(CLI::App& app);

// Options of one meaning everywhere. Each throws what CLI11 turns into a usage error.
CLI::Option* add_size(CLI::App& app, const std::string& name, std::uint64_t& bytes, const std::string& help);
CLI::Option* add_metric(CLI::App& app, Metric& metric);
CLI::Option* add_key_type(CLI::App& app, KeyKind& keys);
void add_recall_target(CLI::App& app, double& target);
void add_json(CLI::App& app, bool& json);
void add_quiet(CLI::App& app, bool& quiet);

// Options of an open store: --ram --cache --backend.
void add_open_options(CLI::App& app, OpenOptions& options);
// Options of a writer, which it is made: --ram --delta --log; and --sync --sync-interval.
void add_writer_memory(CLI::App& app, OpenOptions& options);
void add_write_options(CLI::App& app, OpenOptions& options);

// The key that `text` names in a store of such keys; borrows the text. Errors: kInvalidArgument.
Result<Key> parse_key(const std::string& text, KeyKind kind);

// What was said of a row of a batch, said of the file whose row `first_row` began it; anything else as it is.
Status in_file(const Status& status, const std::string& path, std::uint64_t first_row);

}  // namespace vecstore::tools
