// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "base/thrown.h"
#include "compress/kernels/kernels.h"
#include "engine/builder/store_builder.h"
#include "engine/check_options.h"
#include "engine/store/impl.h"
#include "pagestore/store_files.h"

namespace vecstore {
namespace {

// Lanes of a searcher, where they were not asked for: its share of what is under way in all, between these two
// (graph/README.md). Their frames are locked in memory, of which a user may have 8 MiB in all: a quarter for each at
// most.
constexpr std::uint32_t kLanesLeast = 8;
constexpr std::uint32_t kLanesMost = 16;
constexpr std::uint32_t kLanesFirst = 4;  // of each, or its share: come before the cache where memory is short
constexpr std::uint32_t kFrameBytesMost = 2u << 20;
constexpr std::uint64_t kReaderBytes = 2u << 20;  // the window of the replay
constexpr std::uint64_t kFindingBytes = 5u << 20;
constexpr std::uint64_t kFillBytes = 128u << 10;  // the reader that fills the cache, beside the ranking

IoBackend io_backend(Backend backend) {
  switch (backend) {
    case Backend::kIoUring:
      return IoBackend::kIoUring;
    case Backend::kPread:
      return IoBackend::kPread;
    case Backend::kAutomatic:
      break;
  }
  return IoBackend::kAutomatic;
}

Status name_file(Status status, const std::string& path) {
  return status.subject().empty() ? std::move(status).about(path) : status;
}

}  // namespace

Status Store::build(const std::string& path, const VectorSource& vectors, const BuildOptions& options) {
  return StoreFactory::build(path, vectors, options, {});
}

Status StoreFactory::build(const std::string& path, const VectorSource& vectors, const BuildOptions& options,
                           const StoreEnvironment& environment) try {
  VECSTORE_TRY(kernels_status());
  VECSTORE_ASSIGN(const BuildPlan plan, plan_build(vectors, options));
  VECSTORE_ASSIGN(StoreDirectory directory, StoreDirectory::create(*environment.file_system, path));
  if (directory.manifest() && !options.overwrite)
    return Status(Code::kExists, "a store is there already; choose another path or allow it to be overwritten")
        .about(path);
  return StoreBuilder(vectors, options, plan, *environment.file_system).run(directory);
} catch (...) {
  return status_of_exception();
}

Result<Store> Store::open(const std::string& path, const OpenOptions& options) {
  return StoreFactory::open(path, options, {});
}

Result<Store> StoreFactory::open(const std::string& path, const OpenOptions& options,
                                 const StoreEnvironment& environment) try {
  VECSTORE_TRY(kernels_status());
  VECSTORE_TRY(check_options(options));
  auto impl = std::make_unique<Store::Impl>(options, environment);
  VECSTORE_TRY(impl->open(path));
  return Store(std::move(impl));
} catch (...) {
  return status_of_exception();
}

Store::Impl::~Impl() {
  if (log) static_cast<void>(log->close());
}

Status Store::Impl::of_another_process() const {
  return Status(Code::kUnsupported, "the store was opened before fork(), by another process; open it again in this one")
      .about(opened_path + opener);
}

// In a child nothing is destroyed: there are no threads to join, and what the parent's were at work on, a table that
// grew or a lock that was held, is neither one thing nor the other. The large buffers did not come with the fork().
// The rest is kept within reach, so that whoever looks for leaks finds none.
void Store::Dispose::operator()(Impl* impl) const {
  if (impl->mark == process_mark()) {
    delete impl;
    return;
  }
  static constinit std::atomic<Impl*> disowned = nullptr;
  impl->next_disowned = disowned.load(std::memory_order_relaxed);
  while (!disowned.compare_exchange_weak(impl->next_disowned, impl)) {
  }
}

Status Store::Impl::open(const std::string& path) {
  // A writer may publish twice between reading the manifest and opening its files; then those files are gone.
  constexpr int kAttempts = 3;
  const LockMode mode = opened.access == Access::kReadWrite ? LockMode::kExclusive : LockMode::kShared;
  opened_path = path;
  Status outcome;
  for (int attempt = 0; attempt < kAttempts; ++attempt) {
    directory.reset();
    auto found = StoreDirectory::open(*environment.file_system, path, mode);
    if (!found) return found.error();
    directory.emplace(std::move(*found));
    outcome = open_content();
    if (outcome.code() == Code::kMemoryBudget && opened.ram_bytes != 0) return name_least(outcome);
    if (outcome.code() != Code::kNotFound) return outcome;
  }
  return Status(Code::kCorrupt, "a file that the manifest names is missing; restore or rebuild")
      .about(outcome.subject());
}

Status Store::Impl::open_content() {
  auto decoded = decode_properties(manifest().properties);
  if (!decoded) return name_file(decoded.error(), directory->path());
  properties = std::move(*decoded);
  VECSTORE_TRY(open_graph());
  VECSTORE_TRY(open_log());
  if (rows && rows->layout().keys)
    key_lookup = std::make_unique<KeyLookup>(
        *environment.file_system,
        KeyLookup::Options{directory->file_path("catalog"), manifest().store, manifest().applied_lsn, log != nullptr},
        *rows, catalog_budget());
  return make_searchers();
}

Status Store::Impl::open_graph() {
  key_lookup.reset();
  generation.reset();
  rows.reset();
  if (manifest().files.empty()) {
    if (properties.rows == 0) return Status::ok();
    return Status(Code::kCorrupt, "the manifest names no graph; restore or rebuild").about(directory->path());
  }
  const std::uint32_t number = manifest().generation;
  const auto path = [&](FileKind kind) { return directory->file_path(file_name(kind, number)); };
  VECSTORE_ASSIGN(generation,
                  Generation::open(*environment.file_system,
                                   {path(FileKind::kGraph), path(FileKind::kCodes), path(FileKind::kRowMap)},
                                   manifest().store, number, budget));
  const GraphLayout& layout = generation->layout();
  if (layout.rows != properties.rows || layout.dim != properties.dim || layout.metric != properties.metric ||
      layout.dtype != properties.dtype)
    return Status(Code::kCorrupt, "the graph does not fit the store's properties; restore or rebuild")
        .about(generation->graph().path());
  if (properties.has_rows_file) {
    VECSTORE_ASSIGN(RowsExtent extent, RowsExtent::open(*environment.file_system, path(FileKind::kRows),
                                                        {manifest().store, FileKind::kRows, number}, budget));
    rows.emplace(std::move(extent));
    properties.keys = rows->layout().keys ? KeyKind::kBytes : KeyKind::kNumber;
  }
  if (!rows_fit())
    return Status(Code::kCorrupt, "the rows kept do not fit the store's properties; restore or rebuild")
        .about(path(FileKind::kRows));
  return Status::ok();
}

bool Store::Impl::may_hold_delta() const { return log || live->delta() != nullptr || properties.has_log; }

Status Store::Impl::make_searchers() {
  if (generation) VECSTORE_TRY(fill_cache());
  backend = "none";  // nothing is read
  const std::uint64_t used_before = budget.used_bytes();
  SearchIndex index = generation ? generation->search_index() : SearchIndex{};
  index.walks_in_memory = properties.walks_in_memory;
  for (std::uint32_t i = 0; i < opened.searchers; ++i) {
    auto searcher = std::make_unique<StoreSearcher>();
    if (generation) {
      VECSTORE_ASSIGN(searcher->graph, GraphSearcher::create(index, io_backend(opened.backend), lanes, budget));
      backend = name_of(searcher->graph->reader().backend());
      backend_fallback = searcher->graph->reader().fallback_reason();
    }
    // Where rows may come, what scanning them takes is part of what opening takes.
    if (dim() != 0 && may_hold_delta()) {
      VECSTORE_ASSIGN(searcher->delta,
                      DeltaSearcher::create({dim(), properties.dtype, properties.metric, properties.keys}, budget));
    }
    searchers.add(std::move(searcher));
  }
  searchers_bytes = budget.used_bytes() - used_before;
  return Status::ok();
}

// Integers lie on their page as they were put; of anything else rows/ must keep the originals of every row.
bool Store::Impl::rows_fit() const {
  const bool integers = is_integer(properties.dtype);
  if (!rows) return integers || properties.rows == 0;
  const std::size_t vector_bytes = integers ? 0 : properties.dim * element_bytes(properties.dtype);
  return rows->first().value == 0 && rows->rows() == properties.rows && rows->layout().vector_bytes == vector_bytes;
}

// Fewer pages than asked for is an error, not a surprise; nullopt: what the budget leaves.
std::optional<std::uint64_t> Store::Impl::pages_asked_for(const PageFile& file) const {
  if (opened.cache_fraction)
    return static_cast<std::uint64_t>(*opened.cache_fraction * static_cast<double>(file.page_count()));
  if (opened.cache_bytes) return PageCache::pages_within(file, *opened.cache_bytes);
  if (opened.ram_bytes == 0) return 0;
  return std::nullopt;
}

// What a cache of so many pages takes, and what is in memory only while it fills: the ranking and a reader.
std::uint64_t Store::Impl::caching_bytes(const PageFile& file, std::uint64_t pages) {
  if (pages == 0) return 0;
  return PageCache::bytes_for(file, pages) + kFillBytes + pages * sizeof(std::uint32_t);
}

// Of what is left, what a reader may come to need: for looking up keys, and for what a refresh brings.
std::uint64_t Store::Impl::growing_bytes(std::uint64_t left) const {
  if (opened.access != Access::kRead || opened.ram_bytes == 0) return 0;
  const bool has_catalog = properties.keys == KeyKind::kBytes;
  const std::uint64_t finding = has_catalog ? std::min(kFindingBytes, left / 16) : 0;
  return finding + (properties.has_log ? std::max(kReaderBytes, left / 8) : 0);
}

// Fills the cache with what was asked for, or with what the searchers to come leave of the budget. Decides
// how many queries each of them has in progress.
Status Store::Impl::fill_cache() {
  const PageFile& graph = generation->graph();
  std::uint64_t left = budget.limit_bytes() - budget.used_bytes();
  if (may_hold_delta()) left -= std::min(left, opened.searchers * DeltaSearcher::predict_bytes(dim()));
  left -= std::min(left, growing_bytes(left));
  const auto needed_by = [&](std::uint32_t lanes_each) {
    return opened.searchers *
           GraphSearcher::predict_bytes(generation->layout(), generation->codes().form(), lanes_each);
  };
  std::optional<std::uint64_t> pages = pages_asked_for(graph);
  const bool walks = properties.walks_in_memory;
  if (!pages && caching_bytes(graph, graph.page_count()) + needed_by(walks ? 0 : 1) <= left) pages = graph.page_count();
  const std::uint32_t lanes_most =
      std::min(std::clamp(InFlightTarget::kMost / opened.searchers, kLanesLeast, kLanesMost),
               kFrameBytesMost / (kPagesPerRound * graph.page_bytes()));
  // The most for which `bytes` beyond those of one lane are enough.
  const auto lanes_within = [&](std::uint64_t bytes) {
    std::uint32_t most = lanes_most;
    while (most > 1 && needed_by(most) > needed_by(1) + bytes) --most;
    return most;
  };
  // Reads in flight keep the device busy; cached pages need no device. So where memory is short the first few lanes
  // come before the cache, further ones get half of what it would get, all where that half would hold no page, and
  // nothing of a cache whose size was asked for.
  const std::uint64_t cached = caching_bytes(graph, pages.value_or(0));
  const std::uint64_t spare = left - std::min(left, cached + needed_by(1));
  const std::uint32_t lanes_first =
      std::min(std::clamp(InFlightTarget::kMost / opened.searchers, 1u, kLanesFirst), lanes_within(spare));
  lanes = opened.lanes == 0 ? std::max(lanes_first, lanes_within(pages ? spare : spare / 2)) : opened.lanes;
  if (!pages) {
    const std::uint64_t taken = needed_by(lanes) + kFillBytes + graph.page_count() * sizeof(std::uint32_t);
    pages = taken >= left ? 0 : PageCache::pages_within(graph, left - taken);
    if (*pages == 0 && opened.lanes == 0) lanes = lanes_within(spare);
    // All of them would be searched in another way, for which there is no room.
    if (walks && *pages == graph.page_count() && *pages != 0) --*pages;
  }
  const CachePolicy policy = opened.fixed_cache ? CachePolicy::kFixed : CachePolicy::kAdaptive;
  return generation->fill_cache(*pages, policy, budget);
}

Status Store::Impl::name_least(const Status& refused) const {
  std::uint64_t least = opened.access == Access::kReadWrite ? opened.delta_bytes + writer_bytes() : 0;
  if (properties.has_log || opened.access == Access::kReadWrite)
    least += opened.searchers * DeltaSearcher::predict_bytes(properties.dim);
  if (!manifest().files.empty()) {
    const std::uint32_t number = manifest().generation;
    const auto path = [&](FileKind kind) { return directory->file_path(file_name(kind, number)); };
    const Generation::Paths paths{path(FileKind::kGraph), path(FileKind::kCodes), path(FileKind::kRowMap)};
    VECSTORE_ASSIGN(const Generation::Needs needs,
                    Generation::predict_open(*environment.file_system, paths, manifest().store, number,
                                             std::max(opened.lanes, 1u)));
    VECSTORE_ASSIGN(const PageFile graph, PageFile::open(*environment.file_system, paths.graph,
                                                         {manifest().store, FileKind::kGraph, number}));
    const std::uint64_t pages = pages_asked_for(graph).value_or(0);
    const std::uint64_t caching =
        pages == 0 ? 0 : PageCache::bytes_for(graph, pages) + pages * sizeof(std::uint32_t) + needs.loading_bytes;
    const bool whole = pages != 0 && pages == graph.page_count();
    const std::uint64_t searching = opened.searchers * (whole ? needs.memory_searcher_bytes : needs.searcher_bytes);
    least += needs.resident_bytes + std::max(needs.loading_bytes, searching + caching);
    if (properties.has_rows_file) {
      MemoryBudget of_rows;
      VECSTORE_ASSIGN(const RowsExtent extent, RowsExtent::open(*environment.file_system, path(FileKind::kRows),
                                                                {manifest().store, FileKind::kRows, number}, of_rows));
      least += of_rows.peak_bytes();
    }
  }
  // What the log holds beyond the graph must fit too, and how much that takes is only known when it has been replayed.
  if (properties.has_log && opened.access == Access::kRead) least += kReaderBytes + log_bytes_on_disk();
  return Status(Code::kMemoryBudget, "the memory budget is too small to open this store; --ram needs at least")
      .about(directory->path())
      .at(Detail::kBytes, std::max(least, refused.number()));
}

// Of all segments; 0 where it cannot be told.
std::uint64_t Store::Impl::log_bytes_on_disk() const {
  std::uint64_t bytes = 0;
  const std::string path = directory->file_path(kLogName);
  const auto entries = environment.file_system->list(path);
  for (std::size_t i = 0; entries && i < entries->size(); ++i) {
    const auto file = environment.file_system->open(path + "/" + (*entries)[i].name, {OpenMode::kRead, false});
    if (!file) continue;
    const auto size = (*file)->size();
    if (size) bytes += *size;
  }
  return bytes;
}

Store::Store(std::unique_ptr<Impl> impl) : impl_(impl.release()) {}
Store::Store(Store&&) noexcept = default;
Store& Store::operator=(Store&&) noexcept = default;
Store::~Store() = default;

SearchOptions Store::resolved(const SearchOptions& options) const {
  if (!impl_->check_process().is_ok()) return options;
  return resolve_options(impl_->properties, options, impl_->in_memory());
}

std::optional<CalibrationPoint> Store::calibration_for(const SearchOptions& options) const {
  if (!impl_->check_process().is_ok()) return std::nullopt;
  const CalibrationPoint* point = vecstore::calibration_for(impl_->properties, options);
  return point == nullptr ? std::nullopt : std::optional(*point);
}

std::optional<RecallExpectation> Store::recall_expected(const SearchOptions& options) const {
  const Impl& s = *impl_;
  const CalibrationPoint* point = vecstore::calibration_for(s.properties, options);
  if (point == nullptr || options.search_list != 0 || options.blocks != 0 || options.bound >= 0) return std::nullopt;
  RecallExpectation expectation{options.recall_target, point->recall, point->recall < options.recall_target, {}};
  if (expectation.missed) expectation.reason = why_missed(s.properties, s.generation->layout(), options.recall_target);
  return expectation;
}

void Store::Impl::describe_graph(StoreInfo& info) const {
  const GraphSummary& summary = generation->summary();
  const GraphLayout& layout = summary.layout;
  const BlockCodes& codes = generation->codes();
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
  info.codec = name_of(static_cast<Codec>(codes.model.kind));
  info.code_bits = codes.model.bits;
  info.code_bytes = codes.model.code_bytes;
  info.code_error = codes.model.mean_square_error;
  info.fixed_ram_bytes = codes.fixed_bytes();
  info.dictionary_bytes = rows ? rows->memory_bytes() : 0;
  info.codes_bytes = codes.bytes_per_row_total();
  info.pages_cached = generation->cache().pages();
  info.cache_bytes = generation->cache().bytes();
  info.pages_replaced = generation->cache().replaced();
}

StoreInfo Store::info() const {
  const Impl& s = *impl_;
  StoreInfo info;
  if (!s.check_process().is_ok()) return info;
  info.rows = s.live->live_rows();
  info.dim = s.dim();
  info.dtype = s.properties.dtype;
  info.metric = s.properties.metric;
  info.keys = s.properties.keys;
  info.uuid = hex_of(s.manifest().store);
  info.format_major = kFormatMajor;
  info.format_minor = s.directory->format_minor();
  info.generation = s.manifest().generation;
  if (s.generation) s.describe_graph(info);
  for (const ManifestFile& file : s.manifest().files) info.disk_bytes += file.bytes;
  if (s.rows) {
    info.has_keys = s.rows->layout().keys;
    info.has_documents = s.rows->layout().documents;
    info.has_originals = s.rows->layout().vector_bytes != 0;
  }
  constexpr const char* kCalibratedOn[] = {"none", "self", "queries"};
  info.calibrated_on = kCalibratedOn[static_cast<std::size_t>(s.properties.calibrated_on)];
  info.calibration = s.properties.calibration;
  info.ram_budget_bytes = s.budget.limit_bytes() == MemoryBudget::kUnlimited ? 0 : s.budget.limit_bytes();
  info.ram_used_bytes = s.budget.used_bytes();
  info.ram_peak_bytes = s.budget.peak_bytes();
  info.searchers = s.searchers.size();
  info.searchers_bytes = s.searchers_bytes;
  info.lanes = s.in_memory() ? 0 : s.lanes;
  info.backend = s.backend;
  info.backend_fallback = s.backend_fallback;
  return info;
}

}  // namespace vecstore
