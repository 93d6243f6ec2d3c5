// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/store_builder.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/random.h"
#include "base/thrown.h"
#include "engine/builder/value_width.h"
#include "engine/cancellable_executor.h"
#include "engine/files/validate.h"
#include "engine/thread_pool.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kRowIdsOfFourBytes = std::uint64_t{1} << 32;
constexpr std::uint32_t kOrderAttempts = 3;     // orders that are computed before the rows per page are settled
constexpr std::uint64_t kSampledQueries = 100;  // that tell the width of values, where no rows are held out

}  // namespace

StoreBuilder::StoreBuilder(const BuildInput& input, const BuildOptions& options, const BuildPlan& plan,
                           FileSystem& file_system)
    : input_(input),
      vectors_(input.vectors),
      options_(&options),
      file_system_(file_system),
      plan_(plan),
      budget_(options.ram_bytes != 0 ? options.ram_bytes : MemoryBudget::kUnlimited),
      executor_(std::make_unique<CancellableExecutor>(make_executor(plan.threads), options.cancel)),
      key_bytes_(bytes_of_number_keys(input.number_keys)),
      watch_(options.progress, options.cancel, file_system.clock()) {}

Status StoreBuilder::run(StoreDirectory& directory) {
  VECSTORE_ASSIGN(MadeGeneration made, make(directory));
  return publish(directory, std::move(made));
}

Result<MadeGeneration> StoreBuilder::make(StoreDirectory& directory) {
  VECSTORE_TRY(check_room(directory));
  if (directory.manifest()) generation_ = directory.manifest()->generation + 1;
  properties_.metric = plan_.metric;
  properties_.dtype = plan_.dtype;
  properties_.dim = plan_.dim;
  properties_.rows = plan_.rows;
  properties_.row_end = std::max(input_.row_end, plan_.rows);
  properties_.choices = input_.choices != nullptr ? *input_.choices : choices_of(*options_);
  properties_.has_log = input_.store.has_value();
  if (input_.texts != nullptr) {
    VECSTORE_ASSIGN(survey_, survey_texts(*input_.texts, plan_.rows, budget_, options_->cancel));
  } else {
    VECSTORE_ASSIGN(survey_,
                    survey_input(file_system_, *options_, plan_.rows, directory.temporary_path("sort"), budget_));
  }
  VECSTORE_TRY(check_room(directory));
  VECSTORE_TRY(hold_out_rows());
  finish_step("hold_out");
  VECSTORE_TRY(choose_values(directory));
  finish_step("values");
  VECSTORE_TRY(read_rows());
  finish_step("read");
  VECSTORE_TRY(link_rows());
  finish_step("link");
  VECSTORE_TRY(order_all());
  finish_step("order");
  if (!held_out_.empty()) {
    VECSTORE_TRY(calibrate_without_held_out(directory));
    finish_step("calibrate");
    VECSTORE_TRY(link_held_out());
    finish_step("link_held_out");
  }
  VECSTORE_TRY(write_generation(directory));
  finish_step("write");
  if (options_->calibration_queries != nullptr && options_->calibrate) {
    VECSTORE_TRY(calibrate_on_given(directory));
    finish_step("calibrate");
  }
  VECSTORE_TRY(write_rows(directory));
  finish_step("rows");
  MadeGeneration made;
  made.manifest.store = uuid_;
  made.manifest.generation = generation_;
  made.manifest.applied_lsn = input_.applied_lsn;
  made.manifest.files = files_;
  made.manifest.properties = encode_properties(properties_);
  made.catalog = std::move(catalog_);
  return made;
}

Status StoreBuilder::publish(StoreDirectory& directory, MadeGeneration made) {
  report(Phase::kPublish, 0, 1);
  VECSTORE_TRY(directory.publish(std::move(made.manifest)));
  is_published_ = true;
  // The store is complete without its catalog and its report: a disk that has no room left for these does not make the
  // build a failure. Until here the catalog of the content before lies in its place.
  if (made.catalog) static_cast<void>(without_throwing([&] { return made.catalog->swap_in(); }));
  static_cast<void>(without_throwing([&] {
    finish_step("publish");
    const BuildReport::Subject subject{vectors_->name(), hex_of(uuid_), generation_, options_->ram_bytes};
    return BuildReport::write(file_system_, directory.file_path(kBuildReportName),
                              directory.temporary_path(kBuildReportName), report_.to_json(subject, plan_));
  }));
  // The store is there, whatever the caller's function throws now.
  try {
    report(Phase::kPublish, 1, 1);
  } catch (...) {  // NOLINT(bugprone-empty-catch)
  }
  return Status::ok();
}

// Quantises every row; the store's uuid is a hash of what was read and of the options that shape the result.
Status StoreBuilder::read_rows() {
  VECSTORE_ASSIGN(rows_, QuantizedRows::create(plan_.rows, row_shape(), budget_));
  const std::size_t row_bytes = plan_.dim * element_bytes(plan_.dtype);
  VECSTORE_ASSIGN(auto chunk, Buffer<std::byte>::allocate(budget_, std::min(plan_.chunk_rows, plan_.rows) * row_bytes));
  const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> owner(XXH3_createState(), XXH3_freeState);
  if (!owner)
    return Status(Code::kMemoryBudget, "the system has no memory left for a checksum; free some").with_errno(ENOMEM);
  XXH3_state_t* state = owner.get();
  XXH3_128bits_reset_withSeed(state, plan_.graph.seed);
  for (std::uint64_t first = 0; first < plan_.rows; first += plan_.chunk_rows) {
    const std::uint64_t count = std::min(plan_.chunk_rows, plan_.rows - first);
    VECSTORE_TRY(vectors_->read(first, count, chunk.data()));
    const VectorView view{chunk.data(), plan_.dtype, count, plan_.dim, 0};
    VECSTORE_TRY(check_vectors(view, plan_.metric, vectors_->name(), first));
    XXH3_128bits_update(state, chunk.data(), count * row_bytes);
    constexpr std::size_t kGrain = 1024;
    executor_->parallel_for(count, kGrain, [&](std::size_t begin, std::size_t end, unsigned) {
      rows_->fill(first + begin, VectorView{view.row(begin), plan_.dtype, end - begin, plan_.dim, 0});
    });
    report(Phase::kRead, first + count, plan_.rows);
  }
  rows_->finish();
  if (input_.store) {
    uuid_ = *input_.store;
    return Status::ok();
  }
  ByteWriter shape;
  shape.write(plan_.codec.sample_rows);  // a small --ram halves it
  shape.write(static_cast<std::uint8_t>(plan_.metric));
  shape.write(static_cast<std::uint8_t>(plan_.dtype));
  shape.write(static_cast<std::uint8_t>(plan_.codec.kind));
  shape.write(static_cast<std::uint8_t>(key_bytes_ != 0 ? 2 : has_keys() ? 1 : 0));
  shape.write(static_cast<std::uint8_t>(has_documents()));
  for (const std::uint32_t value : {plan_.dim, plan_.page_bytes, plan_.graph.max_degree, plan_.graph.build_list,
                                    plan_.codec.code_bytes, static_cast<std::uint32_t>(plan_.held_out)})
    shape.write(value);
  shape.write(plan_.graph.alpha);
  for (const std::uint64_t hash : survey_.text_hash) shape.write(hash);
  if (plan_.value_bits != kValueBitsMin) shape.write(plan_.value_bits);
  XXH3_128bits_update(state, shape.bytes().data(), shape.size());
  const XXH128_hash_t hash = XXH3_128bits_digest(state);
  static_assert(sizeof(hash) == sizeof(uuid_));
  std::memcpy(uuid_.data(), &hash, sizeof(hash));
  return Status::ok();
}

Status StoreBuilder::hold_out_rows() {
  VECSTORE_ASSIGN(held_out_, draw_held_out(plan_.held_out, plan_.rows, plan_.graph.seed, budget_));
  if (held_out_.empty()) return Status::ok();
  VECSTORE_ASSIGN(CalibrationSet set, set_of_held_out(truth_search(), held_out_));
  keep_calibration_set(std::move(set));
  return Status::ok();
}

void StoreBuilder::keep_calibration_set(CalibrationSet set) {
  calibration_set_ = std::move(set);
  calibration_set_.row_ids = input_.row_ids;
  properties_.copies_share = calibration_set_.copies_share;
}

RowShape StoreBuilder::row_shape() const {
  return {plan_.dim, plan_.dtype, plan_.metric, plan_.value_bits, centre_.span()};
}

// What pages keep of floats: less which centre, and in how many bits.
Status StoreBuilder::choose_values(StoreDirectory& directory) {
  if (is_integer(plan_.dtype) || plan_.rows == 0) return Status::ok();
  VECSTORE_ASSIGN(centre_, find_centre(*vectors_, plan_.metric, budget_));
  if (held_out_.empty()) {  // the rows then find themselves too
    const VectorSource* given = options_->calibration_queries;
    VECSTORE_ASSIGN(CalibrationSet set,
                    set_of_queries(truth_search(), given != nullptr ? *given : *vectors_, kSampledQueries));
    keep_calibration_set(std::move(set));
  }
  ValueWidth width{plan_.value_bits, {}};
  if (options_->vector_bits == 0) {
    VECSTORE_ASSIGN(width, choose_width(*vectors_, calibration_set_, row_shape(), budget_));
  } else if (plan_.value_bits != 32) {
    double& recall = plan_.value_bits == 8 ? width.recall.bits8 : width.recall.bits16;
    VECSTORE_ASSIGN(recall, measure_width(*vectors_, calibration_set_, row_shape(), budget_));
  }
  if (held_out_.empty()) calibration_set_ = {};
  properties_.width_recall = width.recall;
  if (width.bits == plan_.value_bits) return Status::ok();
  auto plan = plan_build(*vectors_, *options_, width.bits);
  // Where no page is large enough for values as they are, half of them are better than a quarter.
  if (!plan && plan.error().code() == Code::kUnsupported && width.bits == 32)
    plan = plan_build(*vectors_, *options_, 16);
  if (!plan) return plan.error();
  plan_ = *plan;
  return check_room(directory);
}

Status StoreBuilder::check_room(StoreDirectory& directory) const {
  VECSTORE_ASSIGN(const std::uint64_t free, directory.free_bytes());
  const std::uint64_t needed = plan_.prediction.disk_bytes + survey_.key_disk_bytes;
  if (free >= needed) return Status::ok();
  return Status(Code::kNoSpace, "the file system has too little room for this build, which needs about")
      .about(directory.path())
      .at(Detail::kBytes, needed);
}

Status StoreBuilder::link_rows() {
  VECSTORE_ASSIGN(graph_, GraphBuilder::create(*rows_, plan_.graph, *executor_, budget_));
  VECSTORE_ASSIGN(auto sequence, graph_->insertion_order(budget_));
  std::uint32_t* end =
      std::remove_if(sequence.begin(), sequence.end(), [&](std::uint32_t row) { return held_out_.contains(row); });
  graph_->insert({sequence.begin(), end}, reporter(Phase::kGraph, plan_.rows));
  graph_->find_nearest(held_out_.rows);
  graph_->trim();
  graph_->connect();
  return Status::ok();
}

GraphLayout StoreBuilder::layout_for(std::uint64_t rows) const {
  GraphLayout layout;
  layout.rows = rows;
  layout.dim = plan_.dim;
  layout.page_bytes = plan_.page_bytes;
  layout.rows_per_page = rows_per_page_;
  layout.row_id_bytes = properties_.row_end <= kRowIdsOfFourBytes ? 4 : 8;
  layout.key_bytes = key_bytes_;
  layout.value_bits = plan_.value_bits;
  layout.row_params = plan_.row_params;
  layout.metric = plan_.metric;
  layout.dtype = plan_.dtype;
  return layout;
}

// Order and rows per page depend on one another: the order is cut at pages, and how many rows fit one depends on how
// short the order makes the lists. A second order is rarely needed, a third hardly ever.
Status StoreBuilder::order_all() {
  VECSTORE_ASSIGN(order_, Buffer<std::uint32_t>::allocate(budget_, plan_.rows));
  VECSTORE_ASSIGN(place_, Buffer<Pos>::allocate(budget_, plan_.rows));
  VECSTORE_ASSIGN(const AffinityGraph affinity, affinity_graph(graph_->nearest(), budget_));
  const double mean_degree = plan_.rows == 0 ? 0 : static_cast<double>(edges()) / static_cast<double>(plan_.rows);
  rows_per_page_ = std::max(1u, guess_rows_per_page(layout_for(plan_.rows), mean_degree));
  for (std::uint32_t attempt = 0; attempt < kOrderAttempts; ++attempt) {
    VECSTORE_TRY(order_rows(*rows_, affinity, {rows_per_page_, plan_.graph.seed}, *executor_, budget_, order_.span(),
                            reporter(Phase::kOrder, plan_.rows)));
    VECSTORE_ASSIGN(const bool is_settled, settle_rows_per_page());
    if (is_settled) break;
  }
  return Status::ok();
}

Result<bool> StoreBuilder::settle_rows_per_page() {
  VECSTORE_TRY(gather_groups(*rows_, rows_per_page_, *executor_, budget_, order_.span()));
  VECSTORE_TRY(keep_order_without_held_out());
  const std::size_t rows = partial_order_.size();
  VECSTORE_ASSIGN(auto list_bytes, Buffer<std::uint16_t>::allocate(budget_, rows));
  invert_order(partial_order_.span(), place_.span());
  measure_lists({&*rows_, &*graph_, partial_order_.span()}, place_.span(), *executor_, list_bytes.span());
  const std::uint32_t best = choose_rows_per_page(layout_for(rows), list_bytes.span(), edges());
  return std::exchange(rows_per_page_, best) == best;
}

std::uint64_t StoreBuilder::edges() const {
  std::uint64_t edges = 0;
  for (std::uint32_t row = 0; row < plan_.rows; ++row) edges += graph_->neighbours(row).size();
  return edges;
}

Status StoreBuilder::keep_order_without_held_out() {
  partial_order_.reset();
  VECSTORE_ASSIGN(partial_order_, Buffer<std::uint32_t>::allocate(budget_, plan_.rows - held_out_.rows.size()));
  std::copy_if(order_.begin(), order_.end(), partial_order_.begin(),
               [this](std::uint32_t row) { return !held_out_.contains(row); });
  return Status::ok();
}

Status StoreBuilder::link_held_out() {
  graph_->insert(held_out_.rows, {});
  graph_->trim();
  graph_->connect();
  return Status::ok();
}

// Everything but the plan: what is left to write comes from the input again.
void StoreBuilder::release_build_memory() {
  graph_.reset();
  rows_.reset();
  model_.reset();
  order_.reset();
  place_.reset();
  calibration_set_ = {};
}

// Comes up in every loop that runs long on the building thread, so that it ends a build that was cancelled too.
void StoreBuilder::report(Phase phase, std::uint64_t done, std::uint64_t total) {
  if (!is_published_) throw_if_cancelled(watch_.cancel());
  watch_.tell({phase, done, total, budget_.used_bytes()});
}

RowProgress StoreBuilder::reporter(Phase phase, std::uint64_t total) {
  return [this, phase, total](std::uint64_t done) { report(phase, done, total); };
}

}  // namespace vecstore
