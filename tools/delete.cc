// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "engine/files/text_lines.h"
#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/output.h"

namespace vecstore::tools {
namespace {

struct DeleteOptions {
  std::string path, keys_path;
  std::vector<std::string> keys;
  OpenOptions open;
};

constexpr std::size_t kBatch = 1000;

// Of keys that were not all erased: how many were, and which is the next.
std::string how_far(const DeleteOptions& options, std::size_t named, std::size_t done, std::uint64_t deleted) {
  std::string text = fmt::format("{} of {} keys are done, {} rows deleted; the next key is {}", done,
                                 options.keys.size(), deleted, options.keys[done]);
  if (done >= named) text += fmt::format(" (line {} of {})", done - named + 1, options.keys_path);
  return text + "; the same command may be run again, and passes over those that are gone";
}

Outcome run_delete(DeleteOptions& options, const Reporting& asked) {
  const std::size_t named = options.keys.size();  // the rest are lines of the file
  if (!options.keys_path.empty()) {
    MemoryBudget budget;
    VECSTORE_ASSIGN(TextLines lines, TextLines::open(options.keys_path, budget));
    std::string_view line;
    while (true) {
      VECSTORE_ASSIGN(const bool more, lines.next(line));
      if (!more) break;
      options.keys.emplace_back(line);
    }
  }
  if (options.keys.empty()) return Status(Code::kInvalidArgument, "name the keys, or the file that holds them");
  VECSTORE_ASSIGN(Store store, open_store(options.path, options.open, asked.quiet));
  const KeyKind kind = store.info().keys;
  std::vector<Key> keys;
  for (std::size_t i = 0; i < options.keys.size(); ++i) {
    const auto key = parse_key(options.keys[i], kind);
    if (!key && i >= named)
      return Status(key.error().code(), key.error().text()).about(options.keys_path).at(Detail::kLine, i - named + 1);
    if (!key) return key.error();
    keys.push_back(*key);
  }
  std::uint64_t deleted = 0;
  for (std::size_t begin = 0; begin < keys.size(); begin += kBatch) {
    const auto batch = std::span<const Key>(keys).subspan(begin, std::min(kBatch, keys.size() - begin));
    const Status stopped = check_cancelled(interruption());
    const Result<WriteReceipt> receipt = stopped.is_ok() ? store.erase_batch(batch) : Result<WriteReceipt>(stopped);
    if (!receipt) {
      const Status status = with_memory_options(receipt.error(), options.open);
      static_cast<void>(store.flush());  // what was deleted stays so, whatever the sync mode
      const StoreStats stats = store.stats();
      if (asked.json)
        print_json({{"error", error_text(status)},
                    {"deleted", deleted},
                    {"wanted", keys.size()},
                    {"next_key", options.keys[begin]},
                    {"rows", stats.rows},
                    {"durable_lsn", stats.durable_lsn}});
      return {status, how_far(options, named, begin, deleted)};
    }
    deleted += receipt->rows;
  }
  VECSTORE_TRY(store.close());
  const StoreStats stats = store.stats();
  if (asked.json) {
    print_json({{"deleted", deleted}, {"rows", stats.rows}, {"durable_lsn", stats.durable_lsn}});
  } else {
    print_out("{}: {} deleted, {} rows\n", options.path, deleted, stats.rows);
  }
  return {};
}

}  // namespace

Run add_delete(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<DeleteOptions>();
  command.text("store", options->path, "directory of the store").required();
  command.texts("key", options->keys, "keys");
  command.text("--keys", options->keys_path, "file of one key a line");
  add_write_options(command, options->open);
  return [options, &asked] { return run_delete(*options, asked); };
}

}  // namespace vecstore::tools
