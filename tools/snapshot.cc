// SPDX-License-Identifier: Apache-2.0
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>

#include "tools/commands.h"
#include "tools/interrupt.h"
#include "tools/output.h"
#include "tools/progress.h"
#include "tools/size_text.h"

namespace vecstore::tools {
namespace {

struct SnapshotCommandOptions {
  std::string path, name, remove, to, since;
  bool list = false;
  OpenOptions open;
  SnapshotOptions snapshot;
};

std::string time_text(std::int64_t seconds) {
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

Json to_json(const SnapshotInfo& info) {
  return {{"name", info.name},
          {"path", info.path},
          {"made_at", time_text(info.made_at)},
          {"rows", info.rows},
          {"lsn", info.lsn},
          {"own_bytes", info.own_bytes},
          {"shared_bytes", info.shared_bytes},
          {"problem", info.problem.is_ok() ? "" : info.problem.message()}};
}

void print_info(const SnapshotInfo& info) {
  if (!info.problem.is_ok()) {
    print_out("{}: {}\n", info.name, info.problem.message());
    return;
  }
  print_out("{}: {}, {} rows; {} of its own, {} shared; {}\n", info.name, time_text(info.made_at), info.rows,
            format_size(info.own_bytes), format_size(info.shared_bytes), info.path);
}

Status list_snapshots(const std::string& path, bool json) {
  VECSTORE_ASSIGN(const std::vector<SnapshotInfo> found, Store::snapshots(path));
  if (json) {
    std::vector<Json> all;
    all.reserve(found.size());
    for (const SnapshotInfo& info : found) all.push_back(to_json(info));
    print_json({{"snapshots", Json(std::move(all))}});
    return {};
  }
  if (found.empty()) print_out("{}: no snapshots\n", path);
  for (const SnapshotInfo& info : found) print_info(info);
  return {};
}

Status remove_snapshot(const std::string& path, const std::string& name, bool json) {
  VECSTORE_TRY(Store::remove_snapshot(path, name));
  if (json) {
    print_json({{"removed", name}});
  } else {
    print_out("{}: snapshot {} removed\n", path, name);
  }
  return {};
}

Status make_snapshot(SnapshotCommandOptions& options, const Reporting& asked) {
  VECSTORE_ASSIGN(Store store, open_store(options.path, options.open, asked.quiet));
  options.snapshot.cancel = interruption();
  const auto made = store.snapshot(options.name, options.snapshot);
  if (!made) return with_memory_options(made.error(), options.open);
  VECSTORE_TRY(store.close());
  if (asked.json) {
    print_json(to_json(*made));
  } else {
    print_info(*made);
  }
  return {};
}

Status copy_store(const std::string& from, const std::string& to, const std::string& since, const Reporting& asked) {
  ProgressPrinter progress(asked.quiet);
  CopyOptions copy;
  copy.since = since;
  copy.cancel = interruption();
  copy.progress = [&](const Progress& at) { progress.update(name_of(at.phase), at.done, at.total); };
  const auto made = Store::copy(from, to, copy);
  progress.clear();
  if (!made) return made.error();
  if (asked.json) {
    print_json({{"output", to},
                {"rows", made->rows},
                {"lsn", made->lsn},
                {"bytes_copied", made->bytes_copied},
                {"bytes_linked", made->bytes_linked},
                {"pages_checked", made->pages_checked}});
  } else {
    print_out("{}: {} rows, verified; {} copied, {} linked\n", to, made->rows, format_size(made->bytes_copied),
              format_size(made->bytes_linked));
  }
  return {};
}

Status run_snapshot(SnapshotCommandOptions& options, const Reporting& asked) {
  const int wishes = (options.list ? 1 : 0) + (options.name.empty() ? 0 : 1) + (options.remove.empty() ? 0 : 1) +
                     (options.to.empty() ? 0 : 1);
  if (wishes != 1)
    return Status(Code::kInvalidArgument, "give one of: the name of a snapshot to make, --to, --list, --remove")
        .about(options.path);
  if (options.list) return list_snapshots(options.path, asked.json);
  if (!options.remove.empty()) return remove_snapshot(options.path, options.remove, asked.json);
  if (!options.to.empty()) return copy_store(options.path, options.to, options.since, asked);
  return make_snapshot(options, asked);
}

}  // namespace

Run add_snapshot(CommandOptions& command, const Reporting& asked) {
  const auto options = std::make_shared<SnapshotCommandOptions>();
  command.text("store", options->path, "directory of the store").required();
  command.text("name", options->name, "make a snapshot of this name inside the store");
  Option to = command.text("--to", options->to, "make a copy in this directory instead, a store of its own");
  command.text("--since", options->since, "directory of an older copy; files that are the same are linked, not copied")
      .needs(to);
  command.flag("--list", options->list, "show the snapshots that there are");
  command.text("--remove", options->remove, "remove the snapshot of this name");
  command.flag("--copy", options->snapshot.copy, "copy files where the file system takes no second names of them");
  add_writer_memory(command, options->open);
  return [options, &asked] { return run_snapshot(*options, asked); };
}

Run add_restore(CommandOptions& command, const Reporting& asked) {
  struct Options {
    std::string path, to, since;
  };
  const auto options = std::make_shared<Options>();
  command.text("store", options->path, "directory of a snapshot, a copy or a store").required();
  command.text("--to", options->to, "directory of the store to make; nothing may be there").required();
  command.text("--since", options->since, "directory of an older copy; files that are the same are linked, not copied");
  return [options, &asked] { return copy_store(options->path, options->to, options->since, asked); };
}

}  // namespace vecstore::tools
