// SPDX-License-Identifier: Apache-2.0
#include "tools/commands.h"

#include <fmt/format.h>

#include <cerrno>

#include "base/limits.h"
#include "tools/interrupt.h"
#include "tools/numbers.h"
#include "tools/progress.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

constexpr std::uint32_t kMergeWaitMs = 3'600'000;  // a signal ends the waiting

}  // namespace

void add_metric(CommandOptions& options, Metric& metric) {
  add_named(options, "--metric", {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}, metric,
            "how far apart two vectors are (default l2)");
}

void add_key_type(CommandOptions& options, KeyKind& keys) {
  options.choice("--key-type", {"number", "bytes"}, "what names a vector (default number)",
                 [&keys](std::size_t i) { keys = i == 1 ? KeyKind::kBytes : KeyKind::kNumber; });
}

void add_threads(CommandOptions& options, std::uint32_t& threads) {
  options.whole("--threads", threads, {0, kThreadsMax}, "threads, at most 256; 0: all processors (default 0)");
}

void add_reporting(CommandOptions& options, Reporting& asked) {
  options.flag("-q,--quiet", asked.quiet, "no progress and no notes on stderr");
  options.flag("--json", asked.json, "print the result as one JSON object");
}

void add_recall_target(CommandOptions& options, double& target) {
  options.real("--recall-target", target, {0.0, 1.0, true}, "recall to reach by calibration (default 0.95)");
}

void add_open_options(CommandOptions& options, OpenOptions& open) {
  options.size("--ram", open.ram_bytes, kBoundMinBytes, "bound of codes, cache, buffers and scratch (default: none)");
  options.parsed("--cache", "SIZE|PERCENT", "page cache: 0, 10% of the pages, 64MiB (default: what --ram leaves)",
                 [&open](const std::string& text) -> std::string {
                   const auto size = parse_cache_size(text);
                   if (!size) return size.error().message();
                   open.cache_fraction = size->fraction;
                   open.cache_bytes = size->bytes;
                   return {};
                 });
  options.flag("--fixed-cache", open.fixed_cache, "keep the cache as it was filled, whatever is asked for");
  options.choice("--backend", {"io_uring", "pread"}, "how pages are read (default: the best that works)",
                 [&open](std::size_t i) { open.backend = i == 0 ? Backend::kIoUring : Backend::kPread; });
}

void add_writer_memory(CommandOptions& options, OpenOptions& open) {
  open.access = Access::kReadWrite;
  open.merge = MergePolicy::kManual;
  options.size("--ram", open.ram_bytes, kBoundMinBytes, "bound of all memory (default: none)");
  options.size("--delta", open.delta_bytes, kDeltaBytesMin, "memory of what is not merged yet (default 64 MiB)");
  options.size("--log", open.log_bytes, kLogBytesMin, "bound of the log's files (default 256 MiB)");
}

void add_write_options(CommandOptions& options, OpenOptions& open) {
  options.choice("--sync", {"always", "interval", "none"}, "when a write is on the disk (default always)",
                 [&open](std::size_t i) {
                   constexpr SyncMode kModes[] = {SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNone};
                   open.sync = kModes[i];
                 });
  options.whole("--sync-interval", open.interval_ms, {1}, "milliseconds, of --sync interval (default 100)");
  add_writer_memory(options, open);
}

void add_merge_policy(CommandOptions& options, OpenOptions& open) {
  open.merge = MergePolicy::kAutomatic;
  open.merge_wait_ms = kMergeWaitMs;
  options.choice("--merge", {"auto", "manual"}, "who merges rows into the graph as they come (default auto)",
                 [&open](std::size_t i) { open.merge = i == 0 ? MergePolicy::kAutomatic : MergePolicy::kManual; });
}

Status with_memory_options(const Status& status, const OpenOptions& open) {
  if (status.code() != Code::kMemoryBudget || status.error_number() == ENOMEM) return status;
  std::string options = fmt::format("--delta {}", format_size(open.delta_bytes));
  if (open.ram_bytes != 0) options += fmt::format(", --ram {}", format_size(open.ram_bytes));
  return Status(status.code(), status.text())
      .about(fmt::format("{} ({})", status.subject(), options))
      .at(status.detail(), status.number())
      .with_errno(status.error_number());
}

Result<Key> parse_key(const std::string& text, KeyKind kind) {
  if (kind == KeyKind::kBytes) return Key(text);
  const auto number = parse_whole(text);
  if (!number)
    return Status(Code::kInvalidArgument, "the keys of this store are numbers from 0 to 2^64 - 1; this is none")
        .about(text);
  // Two texts that differ must not be one key: a caller whose keys are "007" and "7" would lose a row.
  if (text != std::to_string(*number))
    return Status(Code::kInvalidArgument,
                  "write the key without zeros in front; keys of --key-type bytes may have them")
        .about(text);
  return Key(*number);
}

Result<Store> open_store(const std::string& path, OpenOptions options, bool quiet) {
  ProgressPrinter progress(quiet);
  options.cancel = interruption();
  options.progress = [&](const Progress& at) { progress.update(name_of(at.phase), at.done, at.total); };
  return Store::open(path, options);
}

Status in_file(const Status& status, const std::string& path, std::uint64_t first_row) {
  if (status.code() != Code::kInvalidInput || status.detail() != Detail::kRow) return status;
  return Status(status.code(), status.text()).about(path).at(Detail::kRow, first_row + status.number());
}

}  // namespace vecstore::tools
