// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/calibrate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <memory>
#include <tuple>

#include "base/check.h"
#include "base/limits.h"
#include "graph/search.h"

namespace vecstore {
namespace {

constexpr std::array<std::uint32_t, 3> kCounts = {1, 10, 100};
constexpr std::array<double, 7> kTargets = {.80, .85, .90, .95, .97, .98, .99};
constexpr std::array<std::uint32_t, 4> kBlockChoices = {20, 40, 80, 160};
// Standard errors of the read bound. The tighter one saves reads; too tight a bound caps the highest recalls: 1.5 never
// reached .99 on csift (graph/NOTES.md).
constexpr float kBoundTight = 2.0f;
constexpr float kBoundWide = 2.5f;
// Blocks and bound are chosen twice, for k = 10: at the first of these targets for all up to it, at the second for the
// others.
constexpr double kUsualTarget = .95;
constexpr double kHighTarget = .99;
// A further block must save so many reads and rounds together. It takes some 1.5 µs of a processor; a read takes 6 of
// one and 14 of a disk, a round a disk 36 more.
constexpr double kBlockPays = .018;
// Of an index that was calibrated before, fewer blocks must take so much less: costs are often nearly equal, and what
// was chosen would change to and fro.
constexpr double kClearlyLess = .05;
// Few queries measure recall roughly: of 128, one in forty samples is off by .02. So a setting must reach the target,
// and in all likelihood (two standard errors) miss it by no more than this on queries that nobody has seen.
constexpr double kShortfall = .01;
constexpr double kStandardErrors = 2;
// Of fewer queries, two standard errors more are asked for, or many a small index would miss its target.
constexpr std::size_t kQueriesEnough = 800;
// One query in so many tells whether a setting is far from its target: by so many standard errors, and by kShortfall.
constexpr std::uint64_t kOneInSo = 4;
constexpr double kDoubt = 3;
constexpr std::uint32_t kSearchListTop = 512;
constexpr std::uint64_t kAnswersEnough = 25000;  // neighbours looked for in one trial; more queries tell nothing new

// The values of L that are tried: all up to 16, then steps of an eighth.
std::vector<std::uint32_t> list_sizes() {
  std::vector<std::uint32_t> sizes;
  for (std::uint32_t size = 2; size <= kSearchListTop; size += std::max(1u, size / 8)) sizes.push_back(size);
  return sizes;
}

struct Measured {
  double recall = 0;
  double recall_error = 0;  // the standard error of recall
  double reads = 0;
  double rounds = 0;
  bool is_rough = false;  // of few queries

  double waits() const { return reads + rounds; }
  bool reaches(double target) const {
    return recall >= target + (is_rough ? kStandardErrors * recall_error : 0.0) &&
           recall - kStandardErrors * recall_error >= target - kShortfall;
  }
};

// What one search found, for so many equal queries.
struct Outcome {
  double recall = 0;
  double reads = 0;
  std::uint64_t rounds = 0;
  double weight = 1;  // of all of these
  double queries = 1;
  std::size_t region = 0;  // the block of the nearest row found
};

// The standard error of a mean of recalls. Queries that have their answers in one region succeed or fail together where
// rows lie in groups that codes cannot tell apart; then what counts is how many regions were asked, not how many
// queries. Where regions hardly differ, their few queries each would only make the estimate rougher.
double standard_error_of(std::span<const Outcome> outcomes, double mean, double weights) {
  constexpr double kTogether = 1.5;
  std::map<std::size_t, double> regions;
  double alone = 0;
  for (const Outcome& outcome : outcomes) {
    const double off = outcome.weight * (outcome.recall - mean);
    alone += off * off / outcome.queries;
    regions[outcome.region] += off;
  }
  double together = 0;
  for (const auto& [region, off] : regions) together += off * off;
  return std::sqrt(together > kTogether * kTogether * alone ? together : alone) / weights;
}

// Summed in the order of the queries, so that the result does not depend on the threads. Recall is weighed; what a
// search takes is not.
Measured summary_of(std::span<const Outcome> outcomes, bool is_rough) {
  Measured sum;
  double weights = 0;
  double count = 0;
  for (const Outcome& outcome : outcomes) {
    sum.recall += outcome.weight * outcome.recall;
    sum.reads += outcome.queries * outcome.reads;
    sum.rounds += outcome.queries * static_cast<double>(outcome.rounds);
    weights += outcome.weight;
    count += outcome.queries;
  }
  const double mean = sum.recall / weights;
  return {mean, standard_error_of(outcomes, mean, weights), sum.reads / count, sum.rounds / count, is_rough};
}

// Searches all queries with one setting, and remembers what came out.
class Trials {
 public:
  Trials(const CalibrationSet& set, std::span<const CalibrationPoint> before, Executor& executor,
         const std::function<void(std::uint64_t)>& progress)
      : set_(&set), before_(before), executor_(&executor), progress_(&progress), sizes_(list_sizes()) {}

  Status open(const SearchIndex& index, MemoryBudget& budget) {
    blocks_of_index_ = &index.codes->blocks;
    VECSTORE_TRY(name_truth(budget));
    for (unsigned i = 0; i < executor_->thread_count(); ++i) {
      VECSTORE_ASSIGN(auto searcher, GraphSearcher::create(index, Backend::kAutomatic, kCalibrationLanes, budget));
      searchers_.push_back(std::move(searcher));
    }
    return Status::ok();
  }

  // Another k, number of blocks or bound; what was measured with the ones before stays known.
  void begin(std::uint32_t k, std::uint32_t blocks, float bound) {
    k_ = k;
    blocks_ = blocks;
    bound_ = bound;
  }

  // The place in sizes_ of the smallest L that reaches `target` in all likelihood, the last place when none does. Where
  // that is less than k, longer ones may take fewer rounds and reads; then it is the last that does. It is not before
  // `least`, that of a lower target.
  Result<std::size_t> smallest(double target, std::size_t least = 0) {
    VECSTORE_ASSIGN(std::size_t place,
                    first_place(target, [target](const Measured& measured) { return measured.reaches(target); }));
    place = std::max(place, least);
    if (sizes_[place] >= k_) return place;
    while (place + 1 < sizes_.size() && sizes_[place] < kLongest * k_) {
      VECSTORE_ASSIGN(const Measured here, at(place));
      VECSTORE_ASSIGN(const Measured longer, at(place + 1));
      if (!longer.reaches(target) || longer.waits() >= here.waits()) break;
      ++place;
    }
    return place;
  }

  Result<Measured> at(std::size_t place) {
    const auto setting = std::tuple(k_, blocks_, bound_, place);
    const auto known = known_.find(setting);
    if (known != known_.end()) return known->second;
    std::vector<Outcome> outcomes(queries_of_trial());
    const auto some = some_outcomes_.find(setting);
    Part part = Part::kAll;
    if (some != some_outcomes_.end()) {
      for (std::size_t i = 0; i < some->second.size(); ++i) outcomes[i * kOneInSo] = some->second[i];
      some_outcomes_.erase(some);
      part = Part::kOthers;
    }
    VECSTORE_TRY(run(sizes_[place], part, outcomes));
    const Measured measured = summary(outcomes);
    known_.emplace(setting, measured);
    return measured;
  }

  // Reads and rounds at which `target` would be met exactly, between the setting that meets it and the one before.
  Result<double> waits_at(double target) {
    VECSTORE_ASSIGN(const std::size_t place,
                    first_place(target, [target](const Measured& measured) { return measured.recall >= target; }));
    VECSTORE_ASSIGN(const Measured enough, at(place));
    if (place == 0 || enough.recall < target) return enough.waits();
    VECSTORE_ASSIGN(const Measured before, at(place - 1));
    if (before.recall >= target) return before.waits();
    const double share = (target - before.recall) / (enough.recall - before.recall);
    return before.waits() + share * (enough.waits() - before.waits());
  }

  // `place`, or one up to the list of before, unless the recall of a shorter one is clearly above the target: the
  // queries of now may be of a kind that is easier to answer than those of before.
  Result<std::size_t> not_much_shorter(std::size_t place, const CalibrationPoint& before) {
    const double clearly = before.recall_target + kClearlyAbove * (1 - before.recall_target);
    for (; place + 1 < sizes_.size() && sizes_[place] < before.search_list; ++place) {
      VECSTORE_ASSIGN(const Measured measured, at(place));
      if (measured.recall >= clearly) break;
    }
    return place;
  }

  std::uint32_t size(std::size_t place) const { return sizes_[place]; }

 private:
  static constexpr double kClearlyAbove = .2;   // of what the target leaves to 1
  static constexpr std::uint32_t kLongest = 8;  // times k: that far a longer list is looked for

  // The first place at which `enough` holds, the last place when it holds nowhere. Where the index was calibrated
  // before, it is looked for around what that came to.
  template <typename Enough>
  Result<std::size_t> first_place(double target, const Enough& enough) {
    std::size_t low = 0;
    std::size_t high = sizes_.size() - 1;
    std::size_t near = place_before(target);
    for (std::size_t step = 1; low <= near && near < high; step *= 2) {
      VECSTORE_ASSIGN(const bool is_enough, decide(near, target, enough));
      if (is_enough) {
        high = near;
        near -= std::min(near, step);
      } else {
        low = near + 1;
        near += step;
      }
    }
    while (low < high) {
      // Small values are cheap and likely, so the middle is taken low.
      const std::size_t middle = low + (high - low) / 3;
      VECSTORE_ASSIGN(const bool is_enough, decide(middle, target, enough));
      if (is_enough) {
        high = middle;
      } else {
        low = middle + 1;
      }
    }
    return low;
  }

  // Where some of the queries leave no doubt, the others are not asked.
  template <typename Enough>
  Result<bool> decide(std::size_t place, double target, const Enough& enough) {
    const bool is_known = known_.contains({k_, blocks_, bound_, place});
    if (!is_known && queries_of_trial() >= kQueriesEnough) {
      VECSTORE_ASSIGN(const Measured some, some_at(place));
      const double off = some.recall - target;
      if (std::abs(off) > kDoubt * some.recall_error + kShortfall) return off > 0;
    }
    VECSTORE_ASSIGN(const Measured measured, at(place));
    return enough(measured);
  }

  Result<Measured> some_at(std::size_t place) {
    const auto setting = std::tuple(k_, blocks_, bound_, place);
    const auto known = known_by_some_.find(setting);
    if (known != known_by_some_.end()) return known->second;
    std::vector<Outcome> outcomes((queries_of_trial() + kOneInSo - 1) / kOneInSo);
    VECSTORE_TRY(run(sizes_[place], Part::kSome, outcomes));
    const Measured measured = summary(outcomes);
    known_by_some_.emplace(setting, measured);
    some_outcomes_.emplace(setting, std::move(outcomes));
    return measured;
  }

  std::uint64_t queries_of_trial() const { return std::min(set_->queries.rows, kAnswersEnough / k_); }

  // Beyond the last: it was not calibrated.
  std::size_t place_before(double target) const {
    const CalibrationPoint* point = find_point(before_, k_, target);
    if (point == nullptr) return sizes_.size();
    return static_cast<std::size_t>(std::ranges::lower_bound(sizes_, point->search_list) - sizes_.begin());
  }

  // Which queries are asked: all, one in kOneInSo, or those that were not.
  enum class Part : std::uint8_t { kAll, kSome, kOthers };

  // outcomes: of the queries of the trial, or of some of them one after the other; those that are asked are set.
  Status run(std::uint32_t search_list, Part part, std::vector<Outcome>& outcomes) {
    const std::uint64_t stride = part == Part::kSome ? kOneInSo : 1;
    QueryQueue queue(outcomes.size());
    const auto next = [&]() -> std::optional<std::uint64_t> {
      auto taken = queue.take();
      while (taken && part == Part::kOthers && *taken % kOneInSo == 0) taken = queue.take();
      return taken ? std::optional(*taken * stride) : std::nullopt;
    };
    std::vector<Status> failures(searchers_.size());
    executor_->parallel_for(searchers_.size(), 1, [&](std::size_t, std::size_t, unsigned worker) {
      const Status outcome = searchers_[worker]->search_all(
          set_->queries, {k_, search_list, blocks_, bound_}, next, [&](const GraphSearcher::Answer& answer) {
            outcomes[answer.query / stride] = {
                recall_of(answer.query, answer.found),
                reads_of_4k(answer.stats.requests, answer.stats.bytes),
                answer.stats.rounds,
                set_->weight(answer.query),
                static_cast<double>(set_->times_drawn(answer.query)),
                answer.found.empty() ? 0 : blocks_of_index_->block_of(answer.found[0].position)};
            return Status::ok();
          });
      if (failures[worker].is_ok()) failures[worker] = outcome;
    });
    for (const Status& failure : failures) VECSTORE_TRY(failure);
    done_ += outcomes.size();
    if (*progress_) (*progress_)(done_);
    return Status::ok();
  }

  Measured summary(std::span<const Outcome> outcomes) const {
    return summary_of(outcomes, set_->drawn_in_all() < kQueriesEnough);
  }

  // The truth by RowId, where the build has other numbers.
  Status name_truth(MemoryBudget& budget) {
    if (set_->row_ids.empty()) return Status::ok();
    const std::vector<std::uint32_t>& rows = set_->truth.rows;
    VECSTORE_ASSIGN(truth_ids_, Buffer<std::uint64_t>::allocate(budget, rows.size()));
    for (std::size_t i = 0; i < rows.size(); ++i)
      if (rows[i] != kNoPos) truth_ids_[i] = set_->row_ids[rows[i]];
    return Status::ok();
  }

  // How many of the rows found are among the `count` places of the truth from `first` on.
  std::size_t matches(std::size_t first, std::size_t count, std::span<const FoundRow> found) const {
    const auto count_in = [&](const auto* ids) {
      return static_cast<std::size_t>(std::count_if(found.begin(), found.end(), [&](const FoundRow& row) {
        return std::find(ids, ids + count, row.row.value) != ids + count;
      }));
    };
    return truth_ids_.empty() ? count_in(set_->truth.rows.data() + first) : count_in(truth_ids_.data() + first);
  }

  // With ties: any row as near as the k-th true neighbour counts.
  double recall_of(std::size_t query, std::span<const FoundRow> found) const {
    const std::size_t columns = set_->truth.k;
    const std::uint32_t* rows = set_->truth.rows.data() + query * columns;
    const float* distances = set_->truth.distances.data() + query * columns;
    std::size_t known = 0;
    while (known < columns && rows[known] != kNoPos) ++known;
    const std::size_t wanted = std::min<std::size_t>(k_, known);
    if (wanted == 0) return 1;
    std::size_t ties = wanted;
    while (ties < known && distances[ties] <= distances[wanted - 1]) ++ties;
    const std::size_t matched = matches(query * columns, ties, found);
    return static_cast<double>(std::min(matched, wanted)) / static_cast<double>(wanted);
  }

  const CalibrationSet* set_;
  std::span<const CalibrationPoint> before_;
  Executor* executor_;
  const std::function<void(std::uint64_t)>* progress_;
  std::vector<std::uint32_t> sizes_;
  const Blocks* blocks_of_index_ = nullptr;
  Buffer<std::uint64_t> truth_ids_;  // as set_->truth.rows, where the set has row_ids
  std::vector<std::unique_ptr<GraphSearcher>> searchers_;
  std::uint32_t k_ = 0;
  std::uint32_t blocks_ = 0;
  float bound_ = 0;
  std::uint64_t done_ = 0;
  using Trial = std::tuple<std::uint32_t, std::uint32_t, float, std::size_t>;
  std::map<Trial, Measured> known_;
  std::map<Trial, Measured> known_by_some_;              // of the queries
  std::map<Trial, std::vector<Outcome>> some_outcomes_;  // theirs, until the others are asked
};

struct Setting {
  std::uint32_t blocks = 0;
  float bound = kBoundTight;
};

// The fewest blocks, from those of `least` on, for which twice as many would not pay.
Result<Setting> choose_blocks(Trials& trials, std::uint32_t k, double target, std::uint64_t blocks_total,
                              const Setting& least) {
  Setting chosen;
  double chosen_waits = 0;
  for (const std::uint32_t blocks : kBlockChoices) {
    if (blocks < least.blocks) continue;
    trials.begin(k, blocks, least.bound);
    VECSTORE_ASSIGN(const double waits, trials.waits_at(target));
    if (chosen.blocks != 0 && chosen_waits - waits < kBlockPays * (blocks - chosen.blocks)) break;
    chosen = {blocks, least.bound};
    chosen_waits = waits;
    if (blocks >= blocks_total) break;
  }
  return chosen;
}

// Those of before, or twice as many where that is better, or half down to `fewest` where that is clearly better.
Result<Setting> choose_blocks_near(Trials& trials, std::uint32_t k, double target, const Setting& before,
                                   std::uint32_t fewest) {
  const auto cost_of = [&](std::uint32_t blocks) -> Result<double> {
    trials.begin(k, blocks, before.bound);
    VECSTORE_ASSIGN(const double waits, trials.waits_at(target));
    return waits + kBlockPays * blocks;
  };
  Setting chosen{std::clamp(before.blocks, fewest, kBlockChoices.back()), before.bound};
  VECSTORE_ASSIGN(const double cost, cost_of(chosen.blocks));
  if (const std::uint32_t twice = 2 * chosen.blocks; twice <= kBlockChoices.back()) {
    VECSTORE_ASSIGN(const double other, cost_of(twice));
    if (other < cost) return Setting{twice, before.bound};
  }
  if (const std::uint32_t half = chosen.blocks / 2; half >= fewest) {
    VECSTORE_ASSIGN(const double other, cost_of(half));
    if (other < cost * (1 - kClearlyLess)) return Setting{half, before.bound};
  }
  return chosen;
}

// The tight bound, unless the target is out of its reach.
Result<float> choose_bound(Trials& trials, std::uint32_t k, double target, std::uint32_t blocks) {
  trials.begin(k, blocks, kBoundTight);
  VECSTORE_ASSIGN(const std::size_t place, trials.smallest(target));
  VECSTORE_ASSIGN(const Measured measured, trials.at(place));
  return measured.reaches(target) ? kBoundTight : kBoundWide;
}

}  // namespace

const CalibrationPoint* find_point(std::span<const CalibrationPoint> points, std::uint32_t k, double target) {
  const auto found =
      std::ranges::find_if(points, [&](const CalibrationPoint& p) { return p.k == k && p.recall_target == target; });
  return found == points.end() ? nullptr : &*found;
}

std::uint64_t calibration_searches(std::uint64_t queries) { return queries * 75; }

Result<std::vector<CalibrationPoint>> calibrate(const SearchIndex& index, const CalibrationSet& set, Executor& executor,
                                                MemoryBudget& budget,
                                                const std::function<void(std::uint64_t done)>& progress,
                                                std::span<const CalibrationPoint> before) {
  VECSTORE_CHECK(set.truth.queries == set.queries.rows);
  std::vector<CalibrationPoint> points;
  if (set.queries.rows == 0 || index.summary->layout.rows == 0 || set.truth.k == 0) return points;
  Trials trials(set, before, executor, progress);
  VECSTORE_TRY(trials.open(index, budget));
  const std::uint32_t k_usual = std::min(kCounts[1], set.truth.k);
  const std::uint64_t blocks_total = index.codes->blocks.count();
  const CalibrationPoint* usual_before = find_point(before, k_usual, kUsualTarget);
  const CalibrationPoint* high_before = find_point(before, k_usual, kHighTarget);
  VECSTORE_ASSIGN(const Setting usual, usual_before == nullptr
                                           ? choose_blocks(trials, k_usual, kUsualTarget, blocks_total, {})
                                           : choose_blocks_near(trials, k_usual, kUsualTarget, {usual_before->blocks},
                                                                kBlockChoices.front()));
  VECSTORE_ASSIGN(const float bound, choose_bound(trials, k_usual, kHighTarget, usual.blocks));
  // An index that grew may want more for a high target. Fewer are not asked about, which would take as long again.
  const std::uint32_t high_blocks = std::max(usual.blocks, high_before == nullptr ? 0u : high_before->blocks);
  VECSTORE_ASSIGN(const Setting high,
                  high_before == nullptr
                      ? choose_blocks(trials, k_usual, kHighTarget, blocks_total, {usual.blocks, bound})
                      : choose_blocks_near(trials, k_usual, kHighTarget, {high_blocks, bound}, high_blocks));
  for (const std::uint32_t k : kCounts) {
    if (k > set.truth.k) break;
    const Setting* current = nullptr;
    std::size_t place = 0;
    for (const double target : kTargets) {
      const Setting& wanted = target <= kUsualTarget ? usual : high;
      if (current != &wanted) {
        trials.begin(k, wanted.blocks, wanted.bound);
        place = 0;
      }
      current = &wanted;
      VECSTORE_ASSIGN(place, trials.smallest(target, place));
      const CalibrationPoint* same = find_point(before, k, target);
      if (same != nullptr && same->blocks == wanted.blocks && same->bound == wanted.bound) {
        VECSTORE_ASSIGN(place, trials.not_much_shorter(place, *same));
      }
      VECSTORE_ASSIGN(const Measured measured, trials.at(place));
      points.push_back(
          {k, target, measured.recall, trials.size(place), wanted.blocks, wanted.bound, measured.reads, 0});
    }
  }
  return points;
}

Result<bool> calibrate_in_memory(const SearchIndex& index, const CalibrationSet& set, Executor& executor,
                                 MemoryBudget& budget, std::vector<CalibrationPoint>& points) {
  VECSTORE_CHECK(index.cache->all_pages() != nullptr);
  const std::function<void(std::uint64_t)> no_progress;
  Trials trials(set, {}, executor, no_progress);
  VECSTORE_TRY(trials.open(index, budget));
  constexpr double kAsGood = .01;
  bool reaches = true;
  std::uint32_t k = 0;
  for (CalibrationPoint& point : points) {
    if (point.k != k) trials.begin(point.k, point.blocks, point.bound);
    k = point.k;
    VECSTORE_ASSIGN(const std::size_t place, trials.smallest(point.recall_target));
    point.memory_list = trials.size(place);
    VECSTORE_ASSIGN(const Measured measured, trials.at(place));
    if (measured.recall < std::min(point.recall, point.recall_target) - kAsGood) reaches = false;
  }
  if (reaches) return true;
  for (CalibrationPoint& point : points) point.memory_list = 0;
  return false;
}

}  // namespace vecstore
