// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/merge.h"

#include <algorithm>
#include <memory>
#include <string>
#include <utility>

#include "engine/generation/file_names.h"
#include "engine/merge/old_choices.h"
#include "engine/merge/old_graph.h"
#include "engine/watch.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kRowsToGoOnFrom = 5000;
constexpr std::uint64_t kCalibratedAgainShare = 10;  // once a tenth of the rows have changed
constexpr float kErrorToTrainAgain = 1.3f;           // times what it was
constexpr std::uint64_t kRowsToCalibrateOn = 400;    // that are new: half of them serve as queries first,
constexpr std::uint64_t kQueriesMost = 400;  // and no more than these, which are enough to tell a point of recall

}  // namespace

Merge::Merge(FileSystem& file_system, StoreDirectory& directory, const View& view, RowId row_end,
             const CompactOptions& options, std::uint64_t bytes_after, MemoryBudget& budget)
    : file_system_(file_system),
      directory_(directory),
      view_(view),
      row_end_(row_end),
      options_(options),
      bytes_after_(bytes_after),
      budget_(budget),
      choices_(choices_of(view.content())) {}

// What is found of the generation after a crash is known to be a leftover.
Result<MadeGeneration> Merge::run() {
  VECSTORE_TRY(directory_.begin_publish());
  bool is_made = false;
  const auto remove_unless_made = [&](Merge* merge) {
    if (is_made) return;
    merge->remove_files(merge->all_files());
    for (const char* name : StoreBuilder::kTemporaryNames)
      static_cast<void>(merge->file_system_.unlink(merge->directory_.temporary_path(name)));
  };
  const std::unique_ptr<Merge, decltype(remove_unless_made)> removing(this, remove_unless_made);
  VECSTORE_ASSIGN(MadeGeneration made, make());
  is_made = true;
  return made;
}

Manifest Merge::all_files() const {
  Manifest manifest;
  for (const FileKind kind : {FileKind::kGraph, FileKind::kCodes, FileKind::kRowMap, FileKind::kRows})
    manifest.files.emplace_back().name = file_name(kind, directory_.manifest()->generation + 1);
  return manifest;
}

void Merge::remove_files(const Manifest& manifest) {
  for (const ManifestFile& file : manifest.files)
    static_cast<void>(file_system_.unlink(directory_.file_path(file.name)));
}

Result<MadeGeneration> Merge::make() {
  Watch watch(options_.progress, options_.cancel, file_system_.clock());
  if (view_.dim() == 0) return make_empty();
  VECSTORE_ASSIGN(const auto input, MergeInput::create(view_, budget_, watch));
  report_.was_needed = true;
  report_.rows = input->rows();
  report_.rows_merged = input->rows() - input->graph_rows();
  report_.rows_dropped = view_.content().properties().rows - input->graph_rows();
  if (input->rows() == 0) return make_empty();
  BuildOptions options = options_as_built();
  const bool goes_on = goes_on_from_graph(*input);
  if (goes_on) keep_what_the_graph_has(*input, options);
  VECSTORE_ASSIGN(BuildPlan plan, this->plan(*input, options));
  VECSTORE_TRY(input->load(watch));
  std::unique_ptr<OldGraph> old_graph;
  if (goes_on) {
    plan.held_out = std::min({plan.held_out, (input->rows() - input->graph_rows()) / 2, kQueriesMost});
    VECSTORE_ASSIGN(old_graph, OldGraph::read(view_.content(), *input, budget_, watch));
  }
  VECSTORE_ASSIGN(const Charge charge, Charge::take(budget_, options.ram_bytes));
  BuildInput build;
  build.vectors = input.get();
  build.texts = input.get();
  build.row_ids = input->row_ids();
  build.number_keys = input->number_keys();
  build.row_end = row_end_.value;
  build.applied_lsn = view_.moment().value;
  build.store = view_.content().manifest().store;
  build.choices = &choices_;
  build.known = old_graph.get();
  build.keeps_model = goes_on && keeps_model();
  StoreBuilder builder(build, options, plan, file_system_);
  VECSTORE_ASSIGN(MadeGeneration made, builder.make(directory_));
  for (const ManifestFile& file : made.manifest.files) report_.bytes_written += file.bytes;
  return made;
}

// A store without live rows is as one that was made empty; its RowIds go on.
Result<MadeGeneration> Merge::make_empty() const {
  StoreProperties properties = view_.content().properties();
  properties.dim = view_.dim();
  properties.choices = choices_;
  properties.rows = 0;
  properties.row_end = row_end_.value;
  properties.has_rows_file = false;
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
  options.threads = options_.threads;
  options.progress = options_.progress;
  options.cancel = options_.cancel;
  return options;
}

// Where most of it stays. Codes of few rows have a poor model, and pages of one made by puts a centre that says little.
bool Merge::goes_on_from_graph(const MergeInput& input) const {
  const std::uint64_t before = view_.content().properties().rows;
  const std::uint64_t stay = input.graph_rows();
  return !options_.rebuild && before >= kRowsToGoOnFrom && input.rows() - stay <= stay && before - stay <= stay;
}

// The model of the codes stays until they err much more than when it was trained.
void Merge::keep_what_the_graph_has(const MergeInput& input, BuildOptions& options) const {
  const Content& content = view_.content();
  const StoreProperties& properties = content.properties();
  const GraphLayout& layout = content.graph()->layout();
  options.page_bytes = layout.page_bytes;
  if (!is_integer(properties.dtype)) options.vector_bits = layout.value_bits;
  const std::uint64_t added = input.rows() - input.graph_rows();
  const std::uint64_t changed = properties.rows_changed + added + (properties.rows - input.graph_rows());
  const bool is_due = changed >= input.rows() / kCalibratedAgainShare && added >= kRowsToCalibrateOn;
  options.calibrate = options.calibrate && is_due && properties.calibrated_on != CalibratedOn::kGivenQueries;
  if (!keeps_model()) return;
  const CodecModel& model = content.graph()->codes().model;
  options.codec = model.kind;
  options.code_bytes = model.code_bytes;
  options.search_ram_bytes = 0;
}

bool Merge::keeps_model() const {
  const float error = view_.content().graph()->codes().model.mean_square_error;
  const float trained = view_.content().properties().trained_error;
  return trained == 0 || error <= kErrorToTrainAgain * trained;
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
  if (plan) options.ram_bytes = plan->prediction.memory_peak_bytes;
  return plan;
}

}  // namespace vecstore
