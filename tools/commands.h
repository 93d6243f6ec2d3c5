// SPDX-License-Identifier: Apache-2.0
//
// The subcommands, one file each, and the options they share. A command registers its options and hands back what runs
// once they are parsed; the objects behind the options live as long as the function.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/vecstore.hpp"
#include "tools/options.h"

namespace vecstore::tools {

struct Command {
  CommandOptions options;
  std::function<Status()> run;
};

Command add_build(CommandLine& line);
Command add_create(CommandLine& line);
Command add_insert(CommandLine& line);
Command add_delete(CommandLine& line);
Command add_import(CommandLine& line);
Command add_get(CommandLine& line);
Command add_export(CommandLine& line);
Command add_stats(CommandLine& line);
Command add_info(CommandLine& line);
Command add_search(CommandLine& line);
Command add_query(CommandLine& line);
Command add_verify(CommandLine& line);
Command add_salvage(CommandLine& line);
Command add_groundtruth(CommandLine& line);
Command add_convert(CommandLine& line);

// The least of a bound on memory. Nothing fits so little; but 0, for the library, is no bound at all.
inline constexpr std::uint64_t kBoundMinBytes = 1;

// Options of one meaning everywhere.
void add_metric(CommandOptions& options, Metric& metric);
void add_key_type(CommandOptions& options, KeyKind& keys);
void add_recall_target(CommandOptions& options, double& target);
void add_json(CommandOptions& options, bool& json);
void add_threads(CommandOptions& options, std::uint32_t& threads);
void add_quiet(CommandOptions& options, bool& quiet);

// One of `values`, by name_of().
template <typename T>
void add_named(CommandOptions& options, const std::string& name, std::vector<T> values, T& value,
               const std::string& help) {
  std::vector<std::string> words;
  for (const T each : values) words.emplace_back(name_of(each));
  options.choice(name, words, help, [values, &value](std::size_t i) { value = values[i]; });
}

// Options of an open store: --ram --cache --backend.
void add_open_options(CommandOptions& options, OpenOptions& open);
// Options of a writer, which it is made: --ram --delta --log; and --sync --sync-interval.
void add_writer_memory(CommandOptions& options, OpenOptions& open);
void add_write_options(CommandOptions& options, OpenOptions& open);

// The key that `text` names in a store of such keys; borrows the text. Errors: kInvalidArgument.
Result<Key> parse_key(const std::string& text, KeyKind kind);

// What was said of a row of a batch, said of the file whose row `first_row` began it; anything else as it is.
Status in_file(const Status& status, const std::string& path, std::uint64_t first_row);

}  // namespace vecstore::tools
