// SPDX-License-Identifier: Apache-2.0
#include "tools/commands.h"

#include "tools/numbers.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

[[noreturn]] void refuse(const std::string& option, const Status& status) {
  throw CLI::ValidationError(option, status.message());
}

}  // namespace

CLI::Option* add_size(CLI::App& app, const std::string& name, std::uint64_t& bytes, const std::string& help) {
  const auto parse = [name, &bytes](const std::string& text) {
    const auto size = parse_size(text);
    if (!size) refuse(name, size.error());
    bytes = *size;
  };
  return app.add_option_function<std::string>(name, parse, help)->type_name("SIZE");
}

CLI::Option* add_metric(CLI::App& app, Metric& metric) {
  const auto parse = [&metric](const std::string& text) {
    for (const Metric known : {Metric::kL2, Metric::kInnerProduct, Metric::kCosine}) {
      if (text != name_of(known)) continue;
      metric = known;
      return;
    }
    throw CLI::ValidationError("--metric", "'" + text + "' is none of l2, ip, cosine");
  };
  return app.add_option_function<std::string>("--metric", parse, "how far apart two vectors are (default l2)")
      ->type_name("l2|ip|cosine");
}

CLI::Option* add_key_type(CLI::App& app, KeyKind& keys) {
  const auto parse = [&keys](const std::string& text) {
    if (text != "number" && text != "bytes")
      throw CLI::ValidationError("--key-type", "'" + text + "' is none of number, bytes");
    keys = text == "bytes" ? KeyKind::kBytes : KeyKind::kNumber;
  };
  return app.add_option_function<std::string>("--key-type", parse, "what names a vector (default number)")
      ->type_name("number|bytes");
}

void add_json(CLI::App& app, bool& json) { app.add_flag("--json", json, "print one JSON object"); }
void add_quiet(CLI::App& app, bool& quiet) { app.add_flag("-q,--quiet", quiet, "no progress on stderr"); }

void add_recall_target(CLI::App& app, double& target) {
  add_real(app, "--recall-target", target, {0.0, 1.0}, "recall to reach by calibration (default 0.95)");
}

void add_open_options(CLI::App& app, OpenOptions& options) {
  add_size(app, "--ram", options.ram_bytes, "bound of codes, cache, buffers and scratch (default: none)");
  const auto parse_cache = [&options](const std::string& text) {
    const auto size = parse_cache_size(text);
    if (!size) refuse("--cache", size.error());
    options.cache_fraction = size->fraction;
    options.cache_bytes = size->bytes;
  };
  app.add_option_function<std::string>("--cache", parse_cache,
                                       "page cache: 0, 10% of the pages, 64MiB (default: what --ram leaves)")
      ->type_name("SIZE|PERCENT");
  app.add_flag("--fixed-cache", options.fixed_cache, "keep the cache as it was filled, whatever is asked for");
  const auto parse_backend = [&options](const std::string& text) {
    if (text == "io_uring") {
      options.backend = Backend::kIoUring;
    } else if (text == "pread") {
      options.backend = Backend::kPread;
    } else {
      throw CLI::ValidationError("--backend", "'" + text + "' is none of io_uring, pread");
    }
  };
  app.add_option_function<std::string>("--backend", parse_backend, "how pages are read (default: the best that works)")
      ->type_name("io_uring|pread");
}

void add_writer_memory(CLI::App& app, OpenOptions& options) {
  options.access = Access::kReadWrite;
  add_size(app, "--ram", options.ram_bytes, "bound of all memory (default: none)");
  add_size(app, "--delta", options.delta_bytes, "memory of what is not merged yet (default 64 MiB)");
  add_size(app, "--log", options.log_bytes, "bound of the log's files (default 256 MiB)");
}

void add_write_options(CLI::App& app, OpenOptions& options) {
  const auto parse_sync = [&options](const std::string& text) {
    if (text == "always") {
      options.sync = SyncMode::kAlways;
    } else if (text == "interval") {
      options.sync = SyncMode::kInterval;
    } else if (text == "none") {
      options.sync = SyncMode::kNone;
    } else {
      throw CLI::ValidationError("--sync", "'" + text + "' is none of always, interval, none");
    }
  };
  app.add_option_function<std::string>("--sync", parse_sync, "when a write is on the disk (default always)")
      ->type_name("always|interval|none");
  add_whole(app, "--sync-interval", options.interval_ms, "milliseconds, of --sync interval (default 100)");
  add_writer_memory(app, options);
}

Result<Key> parse_key(const std::string& text, KeyKind kind) {
  if (kind == KeyKind::kBytes) return Key(text);
  const auto number = parse_whole(text);
  if (!number)
    return Status(Code::kInvalidArgument, "the keys of this store are numbers from 0 to 2^64 - 1; this is none")
        .about(text);
  return Key(*number);
}

Status in_file(const Status& status, const std::string& path, std::uint64_t first_row) {
  if (status.code() != Code::kInvalidInput || status.detail() != Detail::kRow) return status;
  return Status(status.code(), status.text()).about(path).at(Detail::kRow, first_row + status.number());
}

}  // namespace vecstore::tools
