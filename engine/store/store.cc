// SPDX-License-Identifier: Apache-2.0
//
// The calls of the public API that make, open, write and tell: each looks at the process it is in, takes a view, and
// hands on to whoever does the work. Those that read are in reading.cc.
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "base/thrown.h"
#include "compress/kernels/kernels.h"
#include "engine/builder/store_builder.h"
#include "engine/check_options.h"
#include "engine/merge/merge_in_passes.h"
#include "engine/rows/catalog.h"
#include "engine/store/export.h"
#include "engine/store/impl.h"
#include "engine/store/verify.h"
#include "engine/watch.h"
#include "pagestore/store_files.h"

namespace vecstore {
namespace {

Uuid new_uuid(std::uint64_t seed) {
  Random random = seed != 0 ? Random(seed) : Random::of_system();
  Uuid uuid;
  for (std::uint8_t& byte : uuid) byte = static_cast<std::uint8_t>(random.next());
  return uuid;
}

void describe_graph(const Content& content, StoreInfo& info) {
  const Generation& generation = *content.graph();
  const StoreProperties& properties = content.properties();
  const GraphSummary& summary = generation.summary();
  const GraphLayout& layout = summary.layout;
  const BlockCodes& codes = generation.codes();
  info.page_bytes = layout.page_bytes;
  info.rows_per_page = layout.rows_per_page;
  info.pages = layout.pages();
  info.vector_bits = layout.value_bits;
  info.recall_of_8_bits = properties.width_recall.bits8;
  info.recall_of_16_bits = properties.width_recall.bits16;
  info.copies_share = static_cast<double>(properties.copies_share);
  info.max_degree = summary.max_degree;
  if (layout.rows != 0) {
    const auto used = static_cast<double>(layout.rows * layout.fixed_bytes() + summary.list_bytes);
    info.page_fill = used / static_cast<double>(layout.pages() * page_payload_bytes(layout.page_bytes));
    info.mean_degree = static_cast<double>(summary.edges) / static_cast<double>(layout.rows);
    info.ram_bytes_per_row = static_cast<double>(codes.bytes_per_row_total()) / static_cast<double>(layout.rows);
  }
  if (summary.edges != 0)
    info.edges_dropped =
        static_cast<double>(summary.edges_dropped) / static_cast<double>(summary.edges + summary.edges_dropped);
  info.codec = name_of(codes.model.kind);
  info.code_bits = codes.model.bits;
  info.code_bytes = codes.model.code_bytes;
  info.code_error = codes.model.mean_square_error;
  info.fixed_ram_bytes = codes.fixed_bytes();
  info.dictionary_bytes = content.rows() != nullptr ? content.rows()->memory_bytes() : 0;
  info.codes_bytes = codes.bytes_per_row_total();
  info.pages_cached = generation.cache().pages();
  info.cache_bytes = generation.cache().bytes();
  info.pages_replaced = generation.cache().replaced();
}

// What failed leaves nothing behind, whether by an error or by what a caller's own function throws.
class Undoing {
 public:
  Undoing(FileSystem& file_system, StoreDirectory& directory) : file_system_(file_system), directory_(directory) {}
  ~Undoing() {
    if (is_kept_) return;
    // Without memory for a path the files stay until the next create() or build().
    static_cast<void>(without_throwing([this] {
      Catalog::remove_unfinished(file_system_, directory_.file_path(kCatalogName));
      directory_.abandon();
      return Status::ok();
    }));
  }
  Undoing(const Undoing&) = delete;
  Undoing& operator=(const Undoing&) = delete;
  Status unless_ok(const Status& outcome) {
    is_kept_ = outcome.is_ok();
    return directory_.about_store(outcome);
  }

 private:
  FileSystem& file_system_;
  StoreDirectory& directory_;
  bool is_kept_ = false;
};

}  // namespace

// ----------------------------------------------------------------------------------------------------- making, opening

Status Store::create(const std::string& path, const CreateOptions& options) {
  return StoreFactory::create(path, options, {});
}

Status StoreFactory::create(const std::string& path, const CreateOptions& options,
                            const StoreEnvironment& environment) try {
  if (options.dim > kDimMax) return Status(Code::kInvalidArgument, "the dimension is too large; the most is 4096");
  VECSTORE_ASSIGN(StoreDirectory directory, StoreDirectory::create(*environment.file_system, kStoreNames, path));
  Undoing undoing(*environment.file_system, directory);
  if (directory.manifest()) return Status(Code::kExists, "a store is there already; choose another path").about(path);
  StoreProperties properties;
  properties.dim = options.dim;
  properties.dtype = options.dtype;
  properties.metric = options.metric;
  properties.keys = options.keys;
  Manifest manifest;
  manifest.store = new_uuid(environment.seed);
  manifest.properties = encode_properties(properties);
  return undoing.unless_ok(directory.publish(std::move(manifest)));
} catch (...) {
  return status_of_exception();
}

Status Store::build(const std::string& path, const VectorSource& vectors, const BuildOptions& options) {
  return StoreFactory::build(path, vectors, options, {});
}

Status StoreFactory::build(const std::string& path, const VectorSource& vectors, const BuildOptions& options,
                           const StoreEnvironment& environment) try {
  VECSTORE_TRY(kernels_status());
  VECSTORE_ASSIGN(const BuildPlan plan, plan_build(vectors, options));
  VECSTORE_ASSIGN(StoreDirectory directory, StoreDirectory::create(*environment.file_system, kStoreNames, path));
  Undoing undoing(*environment.file_system, directory);
  if (directory.manifest() && !options.overwrite)
    return Status(Code::kExists, "a store is there already; choose another path or allow it to be overwritten")
        .about(path);
  BuildInput input;
  input.vectors = &vectors;
  input.number_keys = options.number_keys;
  return undoing.unless_ok(StoreBuilder(input, options, plan, *environment.file_system).run(directory));
} catch (...) {
  return status_of_exception();
}

namespace {

// Nothing is there, or a directory that has yet to become one.
bool is_no_store(FileSystem& files, const std::string& path, const Status& opened) {
  if (opened.code() == Code::kInvalidInput) {
    const auto superblock = files.kind_of(path + "/" + kSuperblockName);
    return superblock && *superblock == EntryKind::kNone;
  }
  if (opened.code() != Code::kNotFound) return false;
  const auto kind = files.kind_of(path);
  return kind && *kind == EntryKind::kNone;
}

Status made_otherwise(const std::string& path, const char* what, std::string_view there, std::string_view asked) {
  std::string subject = path + " (" + what + " " + std::string(there) + ", asked for " + std::string(asked) + ")";
  return Status(Code::kInvalidArgument,
                "the store that is there is another than the one to be made; open it without, or choose another path")
      .about(subject);
}

}  // namespace

Status Store::Impl::check_made_as(const CreateOptions& asked) const {
  const View now = view();
  const StoreProperties& there = now.content().properties();
  if (asked.dim != 0 && now.dim() != 0 && asked.dim != now.dim())
    return made_otherwise(opened_path, "dimension", std::to_string(now.dim()), std::to_string(asked.dim));
  if (asked.dtype != there.dtype)
    return made_otherwise(opened_path, "element type", name_of(there.dtype), name_of(asked.dtype));
  if (asked.metric != there.metric)
    return made_otherwise(opened_path, "metric", name_of(there.metric), name_of(asked.metric));
  if (asked.keys != there.keys)
    return made_otherwise(opened_path, "keys", there.keys == KeyKind::kNumber ? "numbers" : "byte strings",
                          asked.keys == KeyKind::kNumber ? "numbers" : "byte strings");
  return Status::ok();
}

Result<Store> Store::open(const std::string& path, const OpenOptions& options) {
  return StoreFactory::open(path, options, {});
}

Result<Store> StoreFactory::open(const std::string& path, const OpenOptions& options,
                                 const StoreEnvironment& environment) try {
  VECSTORE_TRY(kernels_status());
  VECSTORE_TRY(check_options(options));
  OpenOptions kept = options;
  kept.progress = {};
  kept.cancel = nullptr;
  auto impl = std::make_unique<Store::Impl>(kept, environment);
  Watch watch(options.progress, options.cancel, environment.file_system->clock());
  Status opened = impl->open(path, watch);
  if (options.create && is_no_store(*environment.file_system, path, opened)) {
    const Status made = create(path, *options.create, environment);
    if (made.code() != Code::kExists) VECSTORE_TRY(made);
    opened = impl->open(path, watch);
    // Where others were faster it is their store, else what is there is none.
    if (opened.code() == Code::kInvalidInput && !made.is_ok()) return made;
  }
  VECSTORE_TRY(opened);
  if (options.create) VECSTORE_TRY(impl->check_made_as(*options.create));
  return Store(std::move(impl));
} catch (...) {
  return status_of_exception();
}

Status Store::Impl::of_another_process() const {
  return Status(Code::kUnsupported, "the store was opened before fork(), by another process; open it again in this one")
      .about(opened_path + opener);
}

Status Store::Impl::check_writable() const {
  VECSTORE_TRY(check_process());
  if (writer) return Status::ok();
  return Status(Code::kPermission, "the store was opened for reading; open it for writing").about(opened_path);
}

void Store::Dispose::operator()(Impl* impl) const { dispose_of(impl); }

namespace {

Status check_no_snapshot(FileSystem& files, const std::string& path) {
  const auto note = files.kind_of(path + "/" + kSnapshotNoteName);
  if (!note && note.error().error_number() == ENOTDIR) return Status::ok();  // whoever opens it says what it is
  if (!note) return note.error();
  if (*note == EntryKind::kNone) return Status::ok();
  return Status(Code::kPermission, "a snapshot is only read; make a store of its own of it (vecstore restore)")
      .about(path);
}

}  // namespace

// Between reading the manifest and opening its files a writer may publish twice, or merge: then files of it are gone,
// or the log has no longer what comes behind it.
Status Store::Impl::open(const std::string& path, Watch& watch) {
  constexpr int kAttempts = 5;
  const LockMode mode = opened.access == Access::kReadWrite ? LockMode::kExclusive : LockMode::kShared;
  opened_path = path;
  if (opened.access == Access::kReadWrite) VECSTORE_TRY(check_no_snapshot(*environment.file_system, path));
  const MutexLock guard(refreshing);
  Status outcome;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    directory.reset();
    auto found = StoreDirectory::open(*environment.file_system, kStoreNames, path, mode);
    if (!found) return found.error();
    directory.emplace(std::move(*found));
    outcome = open_content(watch);
    const bool is_too_small = outcome.code() == Code::kMemoryBudget && !is_refused_by_system(outcome);
    if (is_too_small && opened.ram_bytes != 0) return name_least(outcome, watch);
    if (outcome.is_ok() || mode == LockMode::kExclusive || !was_published_since(directory->manifest()->sequence)) break;
  }
  if (outcome.code() != Code::kNotFound) return outcome;
  return Status(Code::kCorrupt, "a file that the manifest names is missing; restore or rebuild")
      .about(outcome.subject());
}

bool Store::Impl::was_published_since(std::uint64_t sequence) const {
  const auto now = StoreDirectory::open(*environment.file_system, kStoreNames, opened_path, LockMode::kShared);
  return now && now->manifest()->sequence != sequence;
}

void Store::Impl::drop_content() {
  merger.reset();
  writer.reset();
  follower.reset();
  current.set(nullptr);
  writer_memory.reset();
}

Status Store::Impl::open_content(Watch& watch) {
  drop_content();
  format_minor = directory->format_minor();
  delta_budget.emplace(budget, Inheritance::kNone);
  LogTail tail;
  const auto epoch = std::make_shared<Epoch>();
  VECSTORE_TRY(open_generation(*directory, *epoch, follower, tail, &watch));
  current.set(epoch);
  if (opened.access == Access::kReadWrite) VECSTORE_TRY(open_writer(tail));
  epoch->content->look_up_keys(writer != nullptr, writer_memory ? writer_memory->buffers() : budget);
  VECSTORE_TRY(make_searchers(*epoch, view().dim(), 0, watch.cancel()));
  begin_merging();
  return Status::ok();
}

Status Store::Impl::open_generation(const StoreDirectory& of, Epoch& epoch, std::unique_ptr<Follower>& its,
                                    LogTail& tail, Watch* watch) {
  FileSystem& files = *environment.file_system;
  VECSTORE_ASSIGN(epoch.content, Content::open(files, of, budget, watch == nullptr ? nullptr : watch->cancel()));
  const Manifest& manifest = epoch.content->manifest();
  epoch.live = std::make_shared<LiveState>(epoch.content->live_base(), *delta_budget);
  tail.last_lsn = Lsn{manifest.applied_lsn};
  its = std::make_unique<Follower>(files, of.file_path(kLogName), manifest.store, tail.last_lsn, *epoch.live, budget);
  has_log = epoch.content->properties().has_log;
  if (!has_log) return Status::ok();
  VECSTORE_ASSIGN(tail, its->replay(watch));
  read_log_bytes = its->log_bytes();
  return Status::ok();
}

Status Store::Impl::open_writer(const LogTail& tail) {
  const Content& content = *epoch()->content;
  const std::uint64_t buffers = opened.ram_bytes != 0 ? writer_buffer_bytes(content.keeps_keys()) : 0;
  const std::uint64_t others = budget.used_bytes() - delta_budget->used_bytes() + buffers;
  Catalog::remove_unfinished(*environment.file_system, directory->file_path(kCatalogName));
  static_cast<void>(without_throwing([this] { return remove_unfinished_snapshots(); }));
  VECSTORE_ASSIGN(writer_memory,
                  WriterMemory::take(budget, *delta_budget,
                                     choose_delta_bytes(content, content.delta_shape().dim, others), buffers));
  VECSTORE_ASSIGN(
      writer,
      Writer::open(
          {*directory, current, *writer_memory, opened, environment, [this] { return merger && merger->want_room(); },
           [this] { return merger ? merger->last_outcome() : Status::ok(); },
           [this, others](std::uint32_t dim) { return choose_delta_bytes(*epoch()->content, dim, others); }},
          tail));
  return Status::ok();
}

Status Store::Impl::make_searchers(Epoch& epoch, std::uint32_t dim, std::uint64_t freed, const CancelToken* cancel) {
  Content& content = *epoch.content;
  const bool may_hold_delta = writer || has_log;  // now or after a refresh()
  OpenPlan plan;
  if (content.graph() != nullptr) {
    OpenFacts facts = content.open_facts();
    facts.delta_searcher_bytes = may_hold_delta ? DeltaSearcher::predict_bytes(dim) : 0;
    if (rows_merged_most != 0) facts.merge_bytes = merge_bytes(content, dim, rows_merged_most);
    // What the one before it takes goes soon; until then there is what merges will want.
    const std::uint64_t left = budget.limit_bytes() - budget.used_bytes();
    plan = plan_open(facts, opened, left > MemoryBudget::kUnlimited - freed ? left : left + freed);
    const FileShape pages = content.graph()->graph().shape();
    while (freed != 0 && plan.pages != 0 && caching_bytes(pages, plan.pages) > left / 2) plan.pages /= 2;
    const std::uint64_t searching =
        opened.searchers *
        (GraphSearcher::predict_bytes(facts.layout, facts.form, plan.lanes) + facts.delta_searcher_bytes);
    if (freed != 0 && caching_bytes(pages, plan.pages) + searching > left) {
      // Beside what is there until then. Nor may it take what merges will want afterwards.
      const std::uint64_t most = plan.pages;
      facts.merge_bytes = 0;
      plan = plan_open(facts, opened, left);
      plan.pages = std::min(plan.pages, most);
    }
    const CachePolicy policy = opened.fixed_cache ? CachePolicy::kFixed : CachePolicy::kAdaptive;
    VECSTORE_TRY(content.fill_cache(plan.pages, policy, cancel));
  }
  std::optional<DeltaShape> delta;
  if (dim != 0 && may_hold_delta) {
    delta = content.delta_shape();
    delta->dim = dim;
    delta->centre = {};
  }
  VECSTORE_ASSIGN(epoch.searchers, Searchers::create(content, delta, opened, plan.lanes, budget));
  return Status::ok();
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(impl.release()) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

// ------------------------------------------------------------------------------------------------------------- writing

Result<WriteReceipt> Store::put(const Key& key, const VectorView& vector, std::string_view document,
                                const PutOptions& options) {
  return put_batch({&key, 1}, vector, {&document, 1}, options);
}

template <typename Write>
Result<WriteReceipt> Store::Impl::counted(WriteCounters& kind, const Write& write) {
  VECSTORE_TRY(check_process());
  const auto started = std::chrono::steady_clock::now();
  Result<WriteReceipt> outcome = [&]() -> Result<WriteReceipt> {
    try {
      VECSTORE_TRY(check_writable());
      return write();
    } catch (...) {
      return status_of_exception();
    }
  }();
  if (!outcome) {
    add_to(kind.refused, 1);
    return outcome;
  }
  counters.write_latency.record(std::chrono::steady_clock::now() - started);
  add_to(kind.batches, 1);
  add_to(kind.rows, outcome->rows);
  if (merger) merger->wrote();
  return outcome;
}

Result<WriteReceipt> Store::put_batch(std::span<const Key> keys, const VectorView& vectors,
                                      std::span<const std::string_view> documents, const PutOptions& options) try {
  return impl_->counted(impl_->counters.puts, [&] { return impl_->writer->put(keys, vectors, documents, options); });
} catch (...) {
  return status_of_exception();
}

Result<WriteReceipt> Store::erase(const Key& key) { return erase_batch({&key, 1}); }

Result<WriteReceipt> Store::erase_batch(std::span<const Key> keys) try {
  return impl_->counted(impl_->counters.erasures, [&] { return impl_->writer->erase(keys); });
} catch (...) {
  return status_of_exception();
}

Status Store::raise_delta_bytes(std::uint64_t bytes) try {
  VECSTORE_TRY(impl_->check_writable());
  return impl_->writer->raise_delta_bytes(bytes);
} catch (...) {
  return status_of_exception();
}

Status Store::flush() try {
  VECSTORE_TRY(impl_->check_writable());
  return impl_->writer->flush();
} catch (...) {
  return status_of_exception();
}

Result<MergeReport> Store::compact(const CompactOptions& options) try {
  VECSTORE_TRY(impl_->check_writable());
  return impl_->compact(options, Impl::MergeManner::kAtOnce);
} catch (...) {
  return status_of_exception();
}

Status Store::close() try {
  VECSTORE_TRY(impl_->check_process());
  if (!impl_->writer) return Status::ok();
  impl_->closing.cancel();
  if (impl_->merger) impl_->merger->stop();
  const MutexLock guard(impl_->merging);  // what is under way there needs the lock of writers
  return impl_->writer->close();
} catch (...) {
  return status_of_exception();
}

Status Store::refresh() try {
  VECSTORE_TRY(impl_->check_process());
  return impl_->writer ? Status::ok() : impl_->refresh();  // a writer is always up to date
} catch (...) {
  return status_of_exception();
}

Status Store::Impl::refresh() {
  constexpr int kAttempts = 5;  // as of open()
  const MutexLock guard(refreshing);
  Status outcome;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    VECSTORE_ASSIGN(const StoreDirectory now,
                    StoreDirectory::open(*environment.file_system, kStoreNames, opened_path, LockMode::kShared));
    const std::uint64_t sequence = now.manifest()->sequence;
    outcome = follow(now);
    if (outcome.is_ok() || outcome.code() == Code::kMemoryBudget || !was_published_since(sequence)) return outcome;
  }
  return outcome;
}

Status Store::Impl::follow(const StoreDirectory& now) {
  const Manifest& newest = *now.manifest();
  const Manifest& seen = epoch()->content->manifest();
  if (newest.store != seen.store)
    return Status(Code::kUnsupported, "the store was built anew; open it again").about(opened_path);
  if (newest.generation != seen.generation) return follow_generation(now);
  VECSTORE_ASSIGN(const StoreProperties properties, decode_properties(newest.properties));
  has_log = properties.has_log;
  if (!has_log) return Status::ok();
  const auto replayed = follower->replay(nullptr);
  if (!replayed) return replayed.error();
  read_log_bytes = follower->log_bytes();
  return Status::ok();
}

// What is read of the old generation stays for as long as somebody looks at it.
Status Store::Impl::follow_generation(const StoreDirectory& now) {
  const auto next = std::make_shared<Epoch>();
  std::unique_ptr<Follower> its;
  LogTail tail;
  VECSTORE_TRY(open_generation(now, *next, its, tail, nullptr));
  next->content->look_up_keys(false, budget);
  VECSTORE_TRY(make_searchers(*next, View(next->content, next->live, next->live->pin()).dim(), 0, nullptr));
  follower = std::move(its);
  current.set(next);
  return Status::ok();
}

// ------------------------------------------------------------------------------------------------------------- reports

Status Store::export_to(const ExportFiles& files, const ExportOptions& options) const try {
  VECSTORE_TRY(impl_->check_process());
  // One view for all files: what is written meanwhile is in none of them.
  return export_view(*impl_->environment.file_system, impl_->view(), files, options);
} catch (...) {
  return status_of_exception();
}

Status Store::export_to(const ExportFiles& files, bool overwrite) const {
  ExportOptions options;
  options.overwrite = overwrite;
  return export_to(files, options);
}

Result<VerifyReport> Store::verify(const VerifyOptions& options) const try {
  const Impl& s = *impl_;
  VECSTORE_TRY(s.check_process());
  const auto epoch = s.epoch();
  return verify_content(*s.environment.file_system, *epoch->content, options, s.budget);
} catch (...) {
  return status_of_exception();
}

StoreStats Store::stats() const {
  const Impl& s = *impl_;
  StoreStats stats;
  if (!s.check_process().is_ok()) return stats;
  const auto epoch = s.epoch();
  const LiveState& live = *epoch->live;
  stats.rows = live.live_rows();
  stats.delta_rows = live.live_delta_rows();
  stats.deleted_rows = live.tombstones().size();
  stats.delta_bytes = s.delta_bytes();
  if (const auto delta = live.delta(); delta != nullptr) {
    stats.document_bytes = delta->document_bytes();
    stats.kept_document_bytes = delta->kept_document_bytes();
  }
  stats.has_dictionary = live.dictionary() != nullptr;
  stats.wal_bytes = s.log_bytes();
  stats.last_lsn = live.newest().value;
  stats.durable_lsn = s.durable_lsn().value;
  stats.syncs = s.writer ? s.writer->log().syncs() : 0;
  const OldEpochs old = s.current.old();
  stats.old_generations = old.epochs;
  stats.old_readers = old.readers;
  stats.old_memory_bytes = old.memory_bytes;
  stats.old_disk_bytes = old.disk_bytes;
  stats.merges = s.merges.made();
  stats.is_merging = s.merges.is_merging();
  if (stats.is_merging) stats.merge_progress = s.merges.progress();
  if (s.merger)
    if (const Status outcome = s.merger->last_outcome(); !outcome.is_ok()) stats.merge_failure = outcome.message();
  return stats;
}

Metrics Store::metrics() const {
  const Impl& s = *impl_;
  Metrics metrics;
  if (!s.check_process().is_ok()) return metrics;
  const auto epoch = s.epoch();
  const LiveState& live = *epoch->live;
  s.counters.snapshot(metrics);
  if (const Generation* graph = epoch->content->graph(); graph != nullptr) {
    metrics.pages_cached = graph->cache().pages();
    metrics.pages_replaced = graph->cache().replaced();
  }
  if (s.writer) {
    metrics.log_sync_latency = s.writer->log().sync_latencies();
    metrics.log_syncs = metrics.log_sync_latency.count();
  }
  metrics.log_bytes = s.log_bytes();
  metrics.durable_lsn = s.durable_lsn().value;
  // Another thread may have synced what its writer is about to apply.
  metrics.last_lsn = std::max(live.newest().value, metrics.durable_lsn);
  metrics.rows = live.live_rows();
  metrics.delta_rows = live.live_delta_rows();
  metrics.delta_bytes = s.delta_bytes();
  const OldEpochs old = s.current.old();
  metrics.old_generations = old.epochs;
  metrics.old_readers = old.readers;
  metrics.old_memory_bytes = old.memory_bytes;
  metrics.old_disk_bytes = old.disk_bytes;
  metrics.merges = s.merges.made();
  metrics.merges_failed = s.merges.failed();
  metrics.merging = s.merges.is_merging() ? 1 : 0;
  metrics.memory_used_bytes = s.budget.used_bytes();
  metrics.memory_peak_bytes = s.budget.peak_bytes();
  metrics.memory_limit_bytes = s.limit_bytes();
  return metrics;
}

StoreInfo Store::info() const {
  const Impl& s = *impl_;
  StoreInfo info;
  if (!s.check_process().is_ok()) return info;
  const auto epoch = s.epoch();
  const Content& content = *epoch->content;
  info.rows = epoch->live->live_rows();
  info.dim = s.view().dim();
  info.dtype = content.properties().dtype;
  info.metric = content.properties().metric;
  info.keys = content.properties().keys;
  info.uuid = hex_of(content.manifest().store);
  info.format_major = kFormatMajor;
  info.format_minor = s.format_minor;
  info.generation = content.manifest().generation;
  if (content.graph() != nullptr) describe_graph(content, info);
  info.disk_bytes = content.disk_bytes();
  if (const StoredRows* rows = content.rows(); rows != nullptr) {
    info.has_keys = rows->layout().keys;
    info.has_documents = rows->layout().documents;
    info.has_originals = rows->layout().vector_bytes != 0;
    info.extents = static_cast<std::uint32_t>(rows->extents().size());
  }
  constexpr const char* kCalibratedOn[] = {"none", "self", "queries"};
  info.calibrated_on = kCalibratedOn[static_cast<std::size_t>(content.properties().calibrated_on)];
  info.calibration = content.properties().calibration;
  info.ram_budget_bytes = s.limit_bytes();
  info.ram_used_bytes = s.budget.used_bytes();
  info.ram_peak_bytes = s.budget.peak_bytes();
  info.searchers = epoch->searchers->pool().size();
  info.searchers_bytes = epoch->searchers->bytes();
  info.lanes = epoch->searchers->lanes();
  info.backend = epoch->searchers->backend();
  info.backend_fallback = epoch->searchers->fallback();
  return info;
}

}  // namespace vecstore
