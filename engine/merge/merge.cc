// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/merge.h"

#include <algorithm>
#include <memory>
#include <string>
#include <thread>
#include <utility>

#include "engine/generation/file_names.h"
#include "engine/merge/merge_in_passes.h"
#include "engine/merge/old_choices.h"
#include "engine/watch.h"

namespace vecstore {
namespace {

constexpr float kErrorToTrainAgain = 1.3f;    // times what it was
constexpr std::uint64_t kPagesReadBack = 16;  // with one request
constexpr std::uint32_t kWidestBits = 32;     // in which pages keep a value
constexpr std::uint64_t kNeverFits = std::uint64_t{1} << 60;

// What a build of so many rows would be planned with.
class PlannedRows final : public VectorSource {
 public:
  PlannedRows(const Content& content, std::uint32_t dim, std::uint64_t rows)
      : content_(content), dim_(dim), rows_(rows) {}
  DType dtype() const override { return content_.properties().dtype; }
  std::uint64_t rows() const override { return rows_; }
  std::uint32_t dim() const override { return dim_; }
  const std::string& name() const override { return content_.path(); }
  Status read(std::uint64_t, std::uint64_t, void*) const override {
    return Status(Code::kUnsupported, "these rows are counted only").about(name());
  }

 private:
  const Content& content_;
  const std::uint32_t dim_;
  const std::uint64_t rows_;
};

// Of files that came with it; others stay from generations before.
std::uint64_t own_bytes(const Manifest& manifest) {
  std::uint64_t bytes = 0;
  for (const ManifestFile& file : manifest.files)
    if (file.generation == manifest.generation) bytes += file.bytes;
  return bytes;
}

// That a page is damaged which the merge has just written.
Status does_not_hold(const Status& damage) {
  if (damage.code() != Code::kCorrupt) return damage;
  return Status(Code::kIo, "the disk does not hold what the merge wrote; check the disk; nothing was replaced")
      .about(damage.subject())
      .at(damage.detail(), damage.number());
}

}  // namespace

Merge::Merge(FileSystem& file_system, StoreDirectory& directory, const Input& input, const CompactOptions& options,
             MemoryBudget& budget)
    : file_system_(file_system),
      directory_(directory),
      view_(input.view),
      row_end_(input.row_end),
      options_(options),
      threads_(options.threads != 0 ? options.threads : std::max(1u, std::thread::hardware_concurrency())),
      bytes_after_(input.bytes_after),
      rows_in_passes_from_(input.rows_in_passes_from),
      pool_bytes_most_(input.pool_bytes_most),
      budget_(budget),
      choices_(choices_of(input.view.content())) {}

// What is found of the generation after a crash is known to be a leftover.
Result<MadeGeneration> Merge::run() {
  VECSTORE_TRY(directory_.begin_publish());
  bool is_made = false;
  const auto remove_unless_made = [&](Merge* merge) {
    if (!is_made) merge->remove_leftovers();
  };
  const std::unique_ptr<Merge, decltype(remove_unless_made)> removing(this, remove_unless_made);
  auto made = make();
  const Status outcome = made ? read_back(made->manifest) : made.error();
  if (!outcome.is_ok()) return is_of_new_file(outcome) ? does_not_hold(outcome) : outcome;
  is_made = true;
  return made;
}

void Merge::remove_leftovers() {
  remove_files(all_files());
  for (const char* name : StoreBuilder::kTemporaryNames)
    static_cast<void>(file_system_.unlink(directory_.temporary_path(name)));
}

bool Merge::is_of_new_file(const Status& status) const {
  return std::ranges::any_of(
      all_files().files, [&](const ManifestFile& file) { return status.subject() == directory_.file_path(file.name); });
}

// The files of before go once these take their place, so that the disk must hold what was written. Codes of a merge in
// passes are made of the graph's pages as they lie on the disk.
Status Merge::read_back(const Manifest& manifest) const {
  for (const ManifestFile& written : manifest.files) {
    const auto kind = static_cast<FileKind>(written.kind);
    if (written.generation != manifest.generation || (kind == FileKind::kGraph && has_read_graph_)) continue;
    VECSTORE_TRY(check_cancelled(options_.cancel));
    const std::string path = directory_.file_path(written.name);
    VECSTORE_ASSIGN(const PageFile file,
                    PageFile::open(file_system_, path, {manifest.store, kind, manifest.generation}));
    VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, kPagesReadBack * file.page_bytes()));
    for (std::uint64_t page = 1; page <= file.page_count(); page += kPagesReadBack) {
      const std::uint64_t count = std::min(kPagesReadBack, file.page_count() + 1 - page);
      VECSTORE_TRY(file.read_pages(page, bytes.span().first(count * file.page_bytes())));
    }
  }
  return Status::ok();
}

Manifest Merge::all_files() const {
  Manifest manifest;
  manifest.generation = directory_.manifest()->generation + 1;
  for (const FileKind kind : {FileKind::kGraph, FileKind::kCodes, FileKind::kRowMap, FileKind::kRows}) {
    ManifestFile& file = manifest.files.emplace_back();
    file.generation = manifest.generation;
    file.name = file_name(kind, manifest.generation);
  }
  return manifest;
}

void Merge::remove_files(const Manifest& manifest) {
  for (const ManifestFile& file : manifest.files)
    if (file.generation == manifest.generation) static_cast<void>(file_system_.unlink(directory_.file_path(file.name)));
}

// On fewer threads where memory is short: each has buffers of its own.
Result<MadeGeneration> Merge::make() {
  while (true) {
    auto made = make_on_threads();
    const bool is_too_large =
        !made && made.error().code() == Code::kMemoryBudget && !is_refused_by_system(made.error());
    if (!is_too_large || threads_ == 1) return made;
    threads_ /= 2;
    remove_leftovers();
  }
}

Result<MadeGeneration> Merge::make_on_threads() {
  Watch watch(options_.progress, options_.cancel, file_system_.clock());
  if (view_.dim() == 0) return make_empty();
  report_.was_needed = true;
  if (view_.content().graph() != nullptr && !options_.rebuild) {
    VECSTORE_ASSIGN(const auto rows, MergedRows::find(view_, budget_, watch));
    if (goes_on_from_graph(*rows)) {
      // What cannot be written as pages are may be built with fewer rows on each.
      auto made = go_on(*rows, watch);
      if (made || made.error().code() != Code::kUnsupported) return made;
    }
  }
  auto input = MergeInput::create(view_, budget_, watch);
  if (!input) return input.error();
  report_.rows = (*input)->rows();
  report_.rows_merged = (*input)->rows() - (*input)->graph_rows();
  report_.rows_dropped = view_.content().properties().rows - (*input)->graph_rows();
  if ((*input)->rows() == 0) return make_empty();
  BuildOptions options = options_as_built();
  const auto plan = this->plan(**input, options);
  if (plan) return build(**input, options, *plan, watch);
  // Without room for a build it goes on from a graph of which little stays, at the cost of longer searches.
  if (plan.error().code() != Code::kMemoryBudget || (*input)->graph_rows() == 0 || options_.rebuild)
    return plan.error();
  input->reset();
  VECSTORE_ASSIGN(const auto rows, MergedRows::find(view_, budget_, watch));
  auto made = go_on(*rows, watch);
  if (!made && made.error().code() == Code::kUnsupported) return plan.error();
  return made;
}

Result<MadeGeneration> Merge::build(MergeInput& input, const BuildOptions& options, const BuildPlan& plan,
                                    Watch& watch) {
  VECSTORE_TRY(input.load(watch));
  VECSTORE_ASSIGN(const Charge charge, Charge::take(budget_, options.ram_bytes));
  BuildInput build;
  build.vectors = &input;
  build.texts = &input;
  build.row_ids = input.row_ids();
  build.number_keys = input.number_keys();
  build.row_end = row_end_.value;
  build.applied_lsn = view_.moment().value;
  build.store = view_.content().manifest().store;
  build.choices = &choices_;
  StoreBuilder builder(build, options, plan, file_system_);
  VECSTORE_ASSIGN(MadeGeneration made, builder.make(directory_));
  report_.bytes_written = own_bytes(made.manifest);
  return made;
}

Result<MadeGeneration> Merge::go_on(MergedRows& rows, Watch& watch) {
  report_.rows = rows.rows();
  report_.rows_merged = rows.added();
  report_.rows_dropped = rows.before() - rows.stay();
  BuildOptions options = options_as_built();
  options.page_bytes = rows.graph().layout().page_bytes;
  options.calibrate = false;
  options.search_ram_bytes = 0;
  if (keeps_model()) options.code_bytes = 0;
  VECSTORE_ASSIGN(const BuildPlan plan, plan_build(PlannedRows(view_.content(), view_.dim(), rows.rows()), options,
                                                   rows.graph().layout().value_bits));
  MergeInPasses passes(file_system_, directory_,
                       {rows, row_end_, choices_, plan, keeps_model(), bytes_after_, pool_bytes_most_}, budget_, watch);
  VECSTORE_ASSIGN(MadeGeneration made, passes.make());
  has_read_graph_ = true;
  report_.bytes_written = own_bytes(made.manifest);
  return made;
}

// A store without live rows is as one that was made empty; its RowIds go on.
Result<MadeGeneration> Merge::make_empty() const {
  StoreProperties properties = view_.content().properties();
  properties.dim = view_.dim();
  properties.choices = choices_;
  properties.rows = 0;
  properties.row_end = row_end_.value;
  properties.rows_extents = 0;
  properties.keeps_extents = false;
  properties.has_log = true;
  properties.calibrated_on = CalibratedOn::kNothing;
  properties.calibration.clear();
  MadeGeneration made;
  made.manifest.store = view_.content().manifest().store;
  made.manifest.generation = view_.content().manifest().generation + 1;
  made.manifest.applied_lsn = view_.moment().value;
  made.manifest.properties = encode_properties(properties);
  return made;
}

// As the store was built.
BuildOptions Merge::options_as_built() const {
  const StoreProperties& properties = view_.content().properties();
  BuildOptions options = options_of(choices_);
  options.metric = properties.metric;
  options.threads = threads_;
  options.progress = options_.progress;
  options.cancel = options_.cancel;
  return options;
}

// Where most of it stays. Codes of few rows have a poor model, and pages of one made by puts a centre that says little.
bool Merge::goes_on_from_graph(const MergedRows& rows) const {
  return rows.before() >= rows_in_passes_from_ && rows.added() <= rows.stay() &&
         rows.before() - rows.stay() <= rows.stay();
}

// Codes are of the same model, until they err much more than when it was trained.
bool Merge::keeps_model() const {
  const float error = view_.content().graph()->codes().model.mean_square_error;
  const float trained = view_.content().properties().trained_error;
  return trained == 0 || error <= kErrorToTrainAgain * trained;
}

std::uint64_t Merge::predict_build_bytes(const Content& content, std::uint32_t dim, std::uint64_t rows) {
  const PlannedRows planned(content, dim, rows);
  BuildOptions options = options_of(choices_of(content));
  options.metric = content.properties().metric;
  options.search_ram_bytes = 0;
  options.threads = 1;
  options.ram_bytes = 1;  // so that the error names the least
  const Generation* graph = content.graph();
  const auto plan = plan_build(planned, options, graph == nullptr ? kWidestBits : graph->layout().value_bits);
  if (plan || plan.error().code() != Code::kMemoryBudget) return kNeverFits;
  return plan.error().number() + rows * (MergeInput::kRowBytes + dim * element_bytes(planned.dtype()));
}

// A bound of the memory for searches that the store has outgrown gives way to the least.
Result<BuildPlan> Merge::plan(const MergeInput& input, BuildOptions& options) const {
  auto plan = plan_build(input, options);
  if (!plan && plan.error().code() == Code::kMemoryBudget && options.search_ram_bytes != 0) {
    options.search_ram_bytes = plan.error().number();
    plan = plan_build(input, options);
  }
  if (!plan || budget_.limit_bytes() == MemoryBudget::kUnlimited) return plan;
  // Pages keep values in as many bits as before, or few more.
  const Generation* graph = view_.content().graph();
  const std::uint32_t value_bits = graph == nullptr ? kValueBitsMin : graph->layout().value_bits;
  const std::uint64_t others = budget_.used_bytes() + input.load_bytes() + bytes_after_;
  options.ram_bytes = budget_.limit_bytes() > others ? budget_.limit_bytes() - others : 1;
  plan = plan_build(input, options, value_bits);
  if (!plan && plan.error().code() == Code::kMemoryBudget)
    return Status(plan.error()).at(Detail::kBytes, others + plan.error().number());
  if (!plan) return plan;
  // A sample may ask for wider values, as far as there is room for them.
  const bool may_be_wider = !is_integer(input.dtype()) && options.vector_bits == 0;
  const auto wide = may_be_wider ? plan_build(input, options, kWidestBits) : plan;
  if (wide) options.ram_bytes = std::max(plan->prediction.memory_peak_bytes, wide->prediction.memory_peak_bytes);
  return plan;
}

}  // namespace vecstore
