// SPDX-License-Identifier: Apache-2.0
//
// The subcommands, one file each, and the options they share. An add_ function registers the options of its command and
// hands back what runs once they are parsed; the objects behind the options live as long as that. main.cc lists all.
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

// What every command is asked in the same way.
struct Reporting {
  bool json = false;   // the result is one JSON object on stdout
  bool quiet = false;  // no progress and no notes on stderr; errors and warnings all the same
};

// How a command ended.
struct Outcome {
  Outcome(const Status& ended = {}, std::string how_far = {})  // NOLINT(google-explicit-constructor)
      : status(ended), done(std::move(how_far)) {}
  Status status;
  std::string done;  // what had been done when it failed midway, said in the line of the error; empty: nothing
};

using Run = std::function<Outcome()>;

// `asked` is filled by the parsing and outlives what runs.
Run add_build(CommandOptions& command, const Reporting& asked);
Run add_create(CommandOptions& command, const Reporting& asked);
Run add_insert(CommandOptions& command, const Reporting& asked);
Run add_delete(CommandOptions& command, const Reporting& asked);
Run add_get(CommandOptions& command, const Reporting& asked);
Run add_info(CommandOptions& command, const Reporting& asked);
Run add_stats(CommandOptions& command, const Reporting& asked);
Run add_search(CommandOptions& command, const Reporting& asked);
Run add_query(CommandOptions& command, const Reporting& asked);
Run add_export(CommandOptions& command, const Reporting& asked);
Run add_import(CommandOptions& command, const Reporting& asked);
Run add_verify(CommandOptions& command, const Reporting& asked);
Run add_compact(CommandOptions& command, const Reporting& asked);
Run add_snapshot(CommandOptions& command, const Reporting& asked);
Run add_restore(CommandOptions& command, const Reporting& asked);
Run add_salvage(CommandOptions& command, const Reporting& asked);
Run add_groundtruth(CommandOptions& command, const Reporting& asked);
Run add_convert(CommandOptions& command, const Reporting& asked);

// The least of a bound on memory. Nothing fits so little; but 0, for the library, is no bound at all.
inline constexpr std::uint64_t kBoundMinBytes = 1;

// Options of one meaning everywhere.
void add_metric(CommandOptions& options, Metric& metric);
void add_key_type(CommandOptions& options, KeyKind& keys);
void add_recall_target(CommandOptions& options, double& target);
void add_threads(CommandOptions& options, std::uint32_t& threads);
void add_reporting(CommandOptions& options, Reporting& asked);

// One of `values`, by name_of().
template <typename T>
void add_named(CommandOptions& options, const std::string& name, const std::vector<T>& values, T& value,
               const std::string& help) {
  std::vector<std::string> words;
  words.reserve(values.size());
  for (const T each : values) words.emplace_back(name_of(each));
  options.choice(name, words, help, [values, &value](std::size_t i) { value = values[i]; });
}

// Options of an open store: --ram --cache --backend.
void add_open_options(CommandOptions& options, OpenOptions& open);
// Options of a writer, which it is made: --ram --delta --log; and --sync --sync-interval.
void add_writer_memory(CommandOptions& options, OpenOptions& open);
void add_write_options(CommandOptions& options, OpenOptions& open);
// --merge. Until it is added, a command does not merge in the background.
void add_merge_policy(CommandOptions& options, OpenOptions& open);

// An error of a writer that has too little memory, with the options that would give it more; anything else as it is.
Status with_memory_options(const Status& status, const OpenOptions& open);

// As Store::open(). A signal ends it, and it tells how far it is unless `quiet`.
Result<Store> open_store(const std::string& path, OpenOptions options, bool quiet);

// The key that `text` names in a store of such keys; borrows the text. Errors: kInvalidArgument.
Result<Key> parse_key(const std::string& text, KeyKind kind);

// What was said of a row of a batch, said of the file whose row `first_row` began it; anything else as it is.
Status in_file(const Status& status, const std::string& path, std::uint64_t first_row);

}  // namespace vecstore::tools
