// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/merge_in_passes.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "base/check.h"
#include "engine/cancellable_executor.h"
#include "engine/generation/file_names.h"
#include "engine/merge/merge_window.h"
#include "engine/merge/merged_pages.h"
#include "engine/merge/merged_texts.h"
#include "engine/merge/new_calibration.h"
#include "engine/merge/new_links.h"
#include "engine/merge/page_rows.h"
#include "engine/merge/window_order.h"
#include "engine/thread_pool.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kRowIdsOfFourBytes = std::uint64_t{1} << 32;
// Of pages that new rows are compared with, at least, unless less is asked for.
constexpr std::uint64_t kPoolBytesLeast = 8u << 20;
constexpr std::uint64_t kPageRowsBytes = 1u << 20;  // of pages that codes are made of
constexpr std::uint64_t kTextBytes = 24u << 20;     // zstd, training on documents, groups of them, sorting of keys
constexpr std::uint64_t kSmallBytes = 1u << 20;     // file buffers, small tables
constexpr std::uint64_t kWindowShare = 6;
constexpr std::uint64_t kTurnsMost = 8;  // merges until every window had its turn
constexpr double kFuller = 1.5;          // times the share of edges that may be dropped: a page holds a row less

}  // namespace

MergeInPasses::MergeInPasses(FileSystem& file_system, StoreDirectory& directory, const Input& input,
                             MemoryBudget& budget, Watch& watch)
    : file_system_(file_system),
      directory_(directory),
      input_(input),
      budget_(budget),
      watch_(watch),
      store_(input_.rows.view().content().manifest().store),
      generation_(directory.manifest()->generation + 1),
      graph_options_(input_.plan.graph),
      executor_(std::make_unique<CancellableExecutor>(make_executor(input_.plan.threads), watch.cancel())) {
  graph_options_.max_degree = std::min(graph_options_.max_degree, kDegreeBuilt);
  layout_ = layout_after();
}

Result<MadeGeneration> MergeInPasses::make() {
  VECSTORE_TRY(choose_memory());
  VECSTORE_TRY(fill_properties());
  VECSTORE_TRY(write_pages());
  VECSTORE_TRY(write_codes());
  VECSTORE_TRY(write_row_map());
  VECSTORE_TRY(write_rows());
  MadeGeneration made;
  made.manifest.store = store_;
  made.manifest.generation = generation_;
  made.manifest.applied_lsn = input_.rows.view().moment().value;
  made.manifest.files = files_;
  made.manifest.properties = encode_properties(properties_);
  made.catalog = std::move(catalog_);
  return made;
}

// ------------------------------------------------------------------------------------------------------------- memory

namespace {

// What a merge depends on in what it takes.
struct MergeSize {
  MergeInPasses::GraphFacts before;
  std::uint64_t rows = 0;
  std::uint64_t added = 0;
  std::uint64_t gone = 0;
  std::uint32_t rows_per_page = 1;
  GraphBuildOptions graph;
  std::uint32_t window_pages = 0;
  std::uint64_t pool_bytes = 0;
  unsigned threads = 1;
  bool has_texts = false;
  std::uint32_t sample_rows = 0;  // that a model is trained on; 0: the model stays
  std::uint64_t bytes_after = 0;  // wanted beside the new codes, once what the merge took is gone
};

// Where it does not hold all pages, a small pool does for codes, which are made front to back.
std::uint64_t codes_pool_bytes(const GraphLayout& layout, std::uint64_t pool_bytes) {
  return RowPool::would_hold_all(layout, pool_bytes) ? pool_bytes : kPageRowsBytes;
}

// Beside the rows of the merge, which are known by then. The codes are not there yet while pages are written, and what
// that took is gone when codes are made.
std::uint64_t predict_bytes(const MergeSize& size) {
  GraphLayout layout = size.before.layout;
  const auto added = static_cast<std::uint32_t>(size.added);
  CodecOptions codec;
  codec.kind = size.before.kind;
  codec.code_bytes = size.before.form.code_bytes;
  codec.metric = layout.metric;
  codec.sample_rows = size.sample_rows;
  const std::uint64_t window_rows = std::uint64_t{size.window_pages} * size.rows_per_page;
  const std::uint64_t ordering = predict_order_bytes(std::max<std::uint64_t>(added, window_rows)) +
                                 predict_affinity_bytes(window_rows) + window_rows * (kNearestKept + 1) * 4;
  const std::uint64_t pages = RowPool::predict_bytes(layout, added, size.pool_bytes) +
                              NewLinks::predict_bytes(added, size.graph) +
                              MergeWindow::predict_bytes(window_rows, layout) +
                              WindowReader::predict_bytes(layout, size.gone, size.before.max_degree) +
                              predict_encode_bytes(added, layout.dim, codec, size.threads) +
                              2 * CodeCandidates::predict_bytes(layout.dim, size.before.form) + ordering;
  layout.rows = size.rows;
  layout.rows_per_page = size.rows_per_page;
  const std::uint64_t codes = predict_encode_bytes(size.rows, layout.dim, codec, size.threads) +
                              RowPool::predict_bytes(layout, 0, codes_pool_bytes(layout, size.pool_bytes)) +
                              layout.pages() * 4;
  const std::uint64_t merging =
      std::max({pages + MergedPages::predict_bytes(layout), codes, size.has_texts ? kTextBytes : 0}) + kSmallBytes;
  const std::uint64_t after = predict_resident_bytes(size.rows, layout.dim, codec) +
                              predict_hard_bytes(size.rows, layout.dim) + size.bytes_after;
  return std::max(merging, size.bytes_after == 0 ? 0 : after);
}

}  // namespace

MergeInPasses::GraphFacts MergeInPasses::facts_of(const Generation& graph) {
  return {graph.layout(), graph.codes().form(), graph.codes().model.kind, graph.summary().max_degree};
}

std::uint64_t MergeInPasses::predict_bytes(const GraphFacts& before, std::uint64_t added, bool has_texts) {
  GraphBuildOptions options;
  options.max_degree = std::clamp(before.max_degree, options.max_degree, kDegreeBuilt);
  return MergedRows::predict_bytes(before.layout.rows, added) +
         vecstore::predict_bytes({before, before.layout.rows + added, added, added, before.layout.rows_per_page,
                                  options, kWindowPagesLeast, kPoolBytesLeast, 1, has_texts});
}

std::uint64_t MergeInPasses::predict_bytes(const Room& room) const {
  const MergedTexts texts(input_.rows, layout_.key_bytes != 0, budget_, watch_);
  return vecstore::predict_bytes({facts_of(before()), input_.rows.rows(), input_.rows.added(),
                                  input_.rows.before() - input_.rows.stay(), layout_.rows_per_page, graph_options_,
                                  room.window_pages, room.pool_bytes, executor_->thread_count(), texts.is_needed(),
                                  input_.keeps_model ? 0 : input_.plan.codec.sample_rows,
                                  texts.layout().keys ? input_.bytes_after : 0});
}

// A wider window is ordered better, and a larger pool spares reads: one grows after the other. Half of what is left
// then spares pruning lists twice.
Status MergeInPasses::choose_memory() {
  const std::uint64_t left = budget_.limit_bytes() - budget_.used_bytes();
  room_ = {kWindowPagesLeast, std::min(kPoolBytesLeast, input_.pool_bytes_most)};
  // Codes are trained on fewer rows where memory is short, or not at all.
  std::uint32_t& sample_rows = input_.plan.codec.sample_rows;
  while (!input_.keeps_model && predict_bytes(room_) > left) {
    input_.keeps_model = sample_rows <= kSampleRowsMin;
    sample_rows /= 2;
  }
  const std::uint64_t needed = predict_bytes(room_);
  if (needed > left)
    return Status(Code::kMemoryBudget, "the memory budget is too small for the merge, which needs")
        .at(Detail::kBytes, budget_.used_bytes() + needed);
  const std::uint64_t window_most = std::min<std::uint64_t>(kWindowPagesMost, std::bit_ceil(layout_.pages()));
  const auto takes = [&](const Room& wider) {
    if (wider.window_pages > window_most || wider.pool_bytes > input_.pool_bytes_most || predict_bytes(wider) > left)
      return false;
    room_ = wider;
    return true;
  };
  bool grows = true;
  while (grows) {
    grows = takes({room_.window_pages * 2, room_.pool_bytes});
    grows = takes({room_.window_pages, room_.pool_bytes * 2}) || grows;
  }
  room_.lists_bytes = std::min((left - predict_bytes(room_)) / 2, lists_bytes_most());
  return Status::ok();
}

// ------------------------------------------------------------------------------------------------------------- layout

GraphLayout MergeInPasses::layout_after() const {
  GraphLayout layout = before().layout();
  layout.rows = input_.rows.rows();
  layout.rows_per_page = rows_per_page();
  if (input_.row_end.value > kRowIdsOfFourBytes) layout.row_id_bytes = 8;
  layout.key_bytes = key_bytes();
  return layout;
}

// As before, until lists have become so long that too many edges do not fit.
std::uint32_t MergeInPasses::rows_per_page() const {
  const GraphSummary& summary = before().summary();
  const std::uint32_t rows = summary.layout.rows_per_page;
  const auto edges = static_cast<double>(summary.edges + summary.edges_dropped);
  const bool is_full = static_cast<double>(summary.edges_dropped) * rows > kFuller * kEdgesDroppedPerRow * edges;
  return is_full && rows > 1 ? rows - 1 : rows;
}

// None until the first key that is not its row's RowId.
std::uint32_t MergeInPasses::key_bytes() const {
  const View& view = input_.rows.view();
  if (properties_before().keys != KeyKind::kNumber) return 0;
  std::uint32_t bytes = before().layout().key_bytes;
  for (std::uint32_t nth = 0; nth < input_.rows.added(); ++nth) {
    const RowId row = input_.rows.new_id(nth);
    const std::uint64_t key = view.delta()->key(row).number();
    if (bytes == 0 && key == row.value) continue;
    bytes = std::max(bytes, key < kRowIdsOfFourBytes ? 4u : 8u);
  }
  return bytes == 4 && before().row_end() > kRowIdsOfFourBytes ? 8 : bytes;
}

// Every window comes up once a sixth of its rows have changed, if rows change everywhere alike: with each merge one in
// so many, in turn. Where pages hold another number of rows, all of them do.
std::uint64_t MergeInPasses::turns() const {
  const MergedRows& rows = input_.rows;
  const std::uint64_t changed = rows.added() + (rows.before() - rows.stay());
  if (layout_.rows_per_page != before().layout().rows_per_page) return 1;
  return std::clamp<std::uint64_t>(rows.rows() / (kWindowShare * std::max<std::uint64_t>(changed, 1)), 1, kTurnsMost);
}

std::vector<bool> MergeInPasses::windows_due(std::uint32_t count) const {
  std::vector<bool> due(count);
  for (std::uint32_t window = 0; window < count; ++window) due[window] = window % turns() == generation_ % turns();
  return due;
}

// Hardly more than half of the lists of a window are pruned.
std::uint64_t MergeInPasses::lists_bytes_most() const {
  return layout_.rows / turns() / 2 * NewLinks::pruned_degree(graph_options_) * sizeof(std::uint32_t);
}

// -------------------------------------------------------------------------------------------------------------- files

Status MergeInPasses::write_pages() {
  MergedRows& rows = input_.rows;
  VECSTORE_ASSIGN(RowPool pool, RowPool::create(before().graph(), before().layout(), before().centre(), rows.added(),
                                                room_.pool_bytes, budget_));
  VECSTORE_ASSIGN(NewLinks links, NewLinks::create(rows, pool, graph_options_, budget_));
  VECSTORE_TRY(links.link(*executor_, watch_));
  const std::uint32_t window_rows = room_.window_pages * layout_.rows_per_page;
  VECSTORE_ASSIGN(WindowReader windows, WindowReader::create(rows, links, pool, graph_options_, window_rows,
                                                             room_.lists_bytes, budget_, watch_));
  VECSTORE_ASSIGN(MergeWindow room, MergeWindow::create(window_rows, before().layout(), before().centre(),
                                                        pool.rows().largest_norm2(), budget_));
  VECSTORE_TRY(place_rows(rows, windows, room, layout_.rows_per_page, graph_options_.seed, windows_due(windows.count()),
                          *executor_, budget_, watch_));
  VECSTORE_ASSIGN(MergedPages pages, MergedPages::create(rows, links, windows, room, layout_, budget_));
  VECSTORE_ASSIGN(const ManifestFile file,
                  pages.write(file_system_, path(FileKind::kGraph), identity(FileKind::kGraph), watch_));
  files_.push_back(file);
  ranking_ = pages.take_ranking();
  return Status::ok();
}

Status MergeInPasses::write_codes() {
  VECSTORE_TRY(watch_.step({Phase::kCodes, 0, layout_.rows}));
  VECSTORE_ASSIGN(const PageFile file,
                  PageFile::open(file_system_, path(FileKind::kGraph), identity(FileKind::kGraph)));
  VECSTORE_ASSIGN(RowPool pool, RowPool::create(file, layout_, before().centre(), 0,
                                                codes_pool_bytes(layout_, room_.pool_bytes), budget_));
  if (pool.holds_all()) VECSTORE_TRY(pool.bring_all());
  const PageRows vectors(layout_, pool);
  const CodecModel& model = before().codes().model;
  CodecOptions codec = input_.plan.codec;
  if (input_.keeps_model) {
    codec.kind = model.kind;
    codec.code_bytes = model.code_bytes;
    if (properties_.trained_error == 0) properties_.trained_error = model.mean_square_error;
  } else {
    properties_.trained_error = 0;
  }
  auto codes = encode_blocks(vectors, codec, input_.keeps_model ? &model : nullptr, *executor_, budget_);
  VECSTORE_TRY(vectors.outcome());
  if (!codes) return codes.error();
  VECSTORE_ASSIGN(const ManifestFile coded,
                  write_codes_file(file_system_, path(FileKind::kCodes), identity(FileKind::kCodes), *codes,
                                   before().centre(), ranking_.span(), budget_));
  files_.push_back(coded);
  ranking_.reset();
  return watch_.step({Phase::kCodes, layout_.rows, layout_.rows});
}

Status MergeInPasses::write_row_map() {
  const MergedRows& rows = input_.rows;
  VECSTORE_ASSIGN(RowMapWriter writer,
                  RowMapWriter::create(file_system_, path(FileKind::kRowMap), identity(FileKind::kRowMap), rows.rows(),
                                       rows.greatest_id(), budget_));
  VECSTORE_TRY(before().row_map().for_each(budget_, [&](RowId row, Pos position) {
    return rows.is_gone(position) ? Status::ok() : writer.add(row, rows.places()[position]);
  }));
  for (std::uint32_t nth = 0; nth < rows.added(); ++nth)
    VECSTORE_TRY(writer.add(rows.new_id(nth), rows.places()[rows.before() + nth]));
  VECSTORE_ASSIGN(const ManifestFile file, writer.finish());
  files_.push_back(file);
  return Status::ok();
}

Status MergeInPasses::write_rows() {
  MergedTexts texts(input_.rows, layout_.key_bytes != 0, budget_, watch_);
  properties_.rows_extents = 0;
  properties_.keeps_extents = false;
  if (!texts.is_needed()) return Status::ok();
  VECSTORE_TRY(texts.choose());
  std::vector<StoredRows::File> extents;
  const auto take = [&](const ManifestFile& file) {
    files_.push_back(file);
    extents.push_back({directory_.file_path(file.name), {store_, FileKind::kRows, file.generation}});
    ++properties_.rows_extents;
  };
  const Content& content = input_.rows.view().content();
  for (std::size_t extent = 0; extent < texts.extents_that_stay(); ++extent)
    for (const ManifestFile& file : content.manifest().files)
      if (directory_.file_path(file.name) == content.rows()->extents()[extent].path()) take(file);
  properties_.keeps_extents = !extents.empty();
  const Status made = file_system_.make_directory(directory_.file_path(kRowsName));
  if (!made.is_ok() && made.code() != Code::kExists) return made;
  VECSTORE_ASSIGN(const auto file, texts.write(file_system_, path(FileKind::kRows), identity(FileKind::kRows)));
  if (file) take(*file);
  if (!texts.layout().keys) return Status::ok();
  VECSTORE_ASSIGN(PageFile map_file,
                  PageFile::open(file_system_, path(FileKind::kRowMap), identity(FileKind::kRowMap)));
  VECSTORE_ASSIGN(const RowMap map, RowMap::open(std::move(map_file), layout_.rows, budget_));
  VECSTORE_ASSIGN(const StoredRows rows, StoredRows::open(file_system_, extents, &map, budget_));
  VECSTORE_ASSIGN(catalog_,
                  Catalog::write(file_system_, directory_.file_path(kCatalogName), store_,
                                 input_.rows.view().moment().value, keys_of(rows, budget_), budget_, watch_.cancel()));
  return Status::ok();
}

// What was calibrated stays until it is calibrated again.
Status MergeInPasses::fill_properties() {
  const MergedRows& rows = input_.rows;
  properties_ = properties_before();
  properties_.choices = input_.choices;
  properties_.rows = rows.rows();
  properties_.row_end = input_.row_end.value;
  properties_.has_log = true;
  properties_.rows_changed += rows.added() + (rows.before() - rows.stay());
  if (!is_calibration_due(rows, properties_before())) return Status::ok();
  return calibrate_on_new_rows(rows, *executor_, budget_, watch_, properties_);
}

}  // namespace vecstore
