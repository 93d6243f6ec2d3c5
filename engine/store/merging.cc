// SPDX-License-Identifier: Apache-2.0
//
// A merge of an open store: the delta is cut, what was here until then is built into a graph, and that takes the place
// of the one before.
#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "engine/merge/merge.h"
#include "engine/merge/slow_files.h"
#include "engine/store/impl.h"

namespace vecstore {
namespace {

// Unless it is kept, what was begun is undone, whether by an error or by what a caller's own function throws.
template <typename Undo>
class Begun {
 public:
  explicit Begun(Undo undo) : undo_(std::move(undo)) {}
  ~Begun() {
    if (!is_kept_) undo_();
  }
  Begun(const Begun&) = delete;
  Begun& operator=(const Begun&) = delete;
  void keep() { is_kept_ = true; }

 private:
  Undo undo_;
  bool is_kept_ = false;
};

// Beyond what was known to be missing: what is written until then, and small buffers.
constexpr std::uint64_t kMarginBytes = 1u << 20;

// Or records of rows that are gone, which fill the log.
bool has_something_to_merge(const View& view, bool is_log_long) {
  if (is_log_long && view.moment().value > view.content().manifest().applied_lsn) return true;
  return view.live().tombstones().size() != 0 || (view.delta() != nullptr && view.delta()->rows() != 0);
}

// That goes once nobody reads it any more.
std::uint64_t memory_of(const Epoch& epoch) {
  return epoch.content->memory_bytes() + (epoch.searchers == nullptr ? 0 : epoch.searchers->bytes());
}

}  // namespace

Result<MergeReport> Store::Impl::compact(const CompactOptions& asked, MergeManner manner) {
  // close() ends it, too.
  CompactOptions options = asked;
  options.progress = [this, &asked](const Progress& progress) {
    throw_if_cancelled(&closing);
    merges.tell(progress);
    if (asked.progress) asked.progress(progress);
  };
  const MutexLock guard(merging);
  const bool is_log_long = writer->log().bytes() >= opened.log_bytes / 2;
  const bool is_asked_for = options.rebuild && epoch()->content->graph() != nullptr;
  if (const View now = view(); !is_asked_for && !has_something_to_merge(now, is_log_long)) {
    MergeReport report;
    report.generation = now.content().manifest().generation;
    report.rows = now.content().properties().rows;
    return report;
  }
  VECSTORE_TRY(check_old_readers());
  merges.begin();
  Begun under_way([this] { merges.end(false); });
  VECSTORE_ASSIGN(const Writer::MergeStart start, writer->begin_merge());
  Begun begun([this] {
    writer->abandon_merge();
    directory->withdraw_publish();
  });
  auto report = merge(start, options, manner);
  if (!report && report.error().code() == Code::kMemoryBudget && !is_refused_by_system(report.error()))
    return Status(Code::kMemoryBudget,
                  "the memory budget has no room for the merge; open the store with more, at least")
        .about(opened_path)
        .at(Detail::kBytes, report.error().number() + kMarginBytes);
  if (!report) return report;
  begun.keep();
  // Where that fails the next merge does it. Whoever has the files of before open goes on with them.
  static_cast<void>(writer->release_log(start));
  directory->drop_superseded();
  under_way.keep();
  merges.end(true);
  return report;
}

// What is under way is not broken off, so nothing more is replaced while it keeps so much.
Status Store::Impl::check_old_readers() const {
  if (opened.reader_bytes_max == 0) return Status::ok();
  const OldEpochs old = current.old();
  if (old.memory_bytes + old.disk_bytes < opened.reader_bytes_max) return Status::ok();
  return Status(Code::kBusy,
                "calls that began before earlier merges keep what these replaced; end them, or open the store with a "
                "reader_bytes_max beyond")
      .about(opened_path + " (" + std::to_string(old.readers) + " calls, " + std::to_string(old.epochs) +
             " generations)")
      .at(Detail::kBytes, old.memory_bytes + old.disk_bytes);
}

// Until the publish nothing has changed but that files were added.
Result<MergeReport> Store::Impl::merge(const Writer::MergeStart& start, const CompactOptions& options,
                                       MergeManner manner) {
  FileSystem& files = *environment.file_system;
  const bool in_background = manner == MergeManner::kInBackground;
  SlowFiles slow(files, std::max<std::uint64_t>(opened.merge_write_bytes, 1), options.cancel);
  // At the most: where a key is no RowId any more, a catalog comes.
  const bool may_keep_keys = opened.ram_bytes != 0 && !start.view.content().keeps_keys();
  const std::uint64_t bytes_after = may_keep_keys ? kWriterCatalogBytes : 0;
  Merge merge(in_background && opened.merge_write_bytes != 0 ? slow : files, *directory,
              {start.view, start.row_end, bytes_after, environment.merge_in_passes_rows, environment.merge_pool_bytes},
              options, budget);
  // What waits for a lock that others want is done on this thread.
  std::optional<Result<MadeGeneration>> outcome;
  const auto run = [&] { outcome.emplace(merge.run()); };
  if (in_background) {
    run_in_background(run);
  } else {
    run();
  }
  if (!*outcome) return outcome->error();
  MadeGeneration made = std::move(**outcome);
  Begun written([&] { merge.remove_files(made.manifest); });
  const auto next = std::make_shared<Epoch>();
  VECSTORE_ASSIGN(next->content, Content::open(files, *directory, made.manifest, budget, options.cancel));
  if (opened.ram_bytes != 0)
    VECSTORE_TRY(writer_memory->raise_buffers(writer_buffer_bytes(next->content->keeps_keys())));
  const std::uint64_t freed = memory_of(*start.epoch);
  if (opened.ram_bytes != 0) {
    // A graph that has grown leaves the delta less.
    const std::uint64_t before =
        budget.used_bytes() - std::min(budget.used_bytes(), freed + writer_memory->delta_bytes_max());
    writer->allow_delta_bytes(choose_delta_bytes(*next->content, start.view.dim(), before));
  }
  next->content->look_up_keys(true, writer_memory->buffers());
  VECSTORE_TRY(make_searchers(*next, start.view.dim(), freed, options.cancel));
  VECSTORE_TRY(check_cancelled(options.cancel));
  const Status finished = writer->finish_merge(start, next, made.catalog);
  // Where the very commit failed, either content may be found.
  if (finished.is_ok() || directory->has_failed()) written.keep();
  VECSTORE_TRY(finished);
  MergeReport report = merge.report();
  report.generation = made.manifest.generation;
  return report;
}

void Store::Impl::begin_merging() {
  if (!writer || opened.merge != MergePolicy::kAutomatic || !environment.merge_background) return;
  Merger::Calls calls;
  calls.load = [this] { return merge_load(); };
  calls.merge = [this](const CancelToken& cancel) -> Status {
    CompactOptions options;
    options.threads = opened.merge_threads;
    options.cancel = &cancel;
    const auto report = compact(options, MergeManner::kInBackground);
    return report ? Status::ok() : report.error();
  };
  merger = std::make_unique<Merger>(std::move(calls));
}

MergeLoad Store::Impl::merge_load() const {
  const auto now = epoch();
  MergeLoad load;
  load.graph_rows = now->content->properties().rows;
  load.dead_rows = now->live->tombstones().size();
  load.delta_rows = now->live->live_delta_rows();
  load.delta_bytes = writer_memory->delta_bytes();
  load.delta_bytes_max = writer_memory->delta_bytes_max();
  load.log_bytes = writer->log().bytes();
  load.log_bytes_max = opened.log_bytes;
  load.records = now->live->newest().value - now->content->manifest().applied_lsn;  // no less than it
  return load;
}

}  // namespace vecstore
