// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/new_calibration.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "engine/builder/calibrate.h"
#include "engine/builder/calibration_set.h"
#include "engine/rows/stored_rows.h"
#include "graph/format.h"
#include "pagestore/page_cache.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kShare = 4;      // of the rows: once a quarter of them have changed
constexpr std::uint64_t kQueries = 800;  // with fewer a setting would have to be better than its target

// The rows of a graph, live or not, as they were put, in the order in which the store reads them: integers as pages
// have them, others as rows/ has them. Front to back, as often as need be, by one thread.
class GraphVectors final : public VectorSource {
 public:
  GraphVectors(const MergedRows& rows, MemoryBudget& budget) : rows_(rows), budget_(budget) {}
  DType dtype() const override { return layout().dtype; }
  std::uint64_t rows() const override { return layout().rows; }
  std::uint32_t dim() const override { return layout().dim; }
  const std::string& name() const override { return rows_.graph().graph().path(); }
  Status read(std::uint64_t first, std::uint64_t count, void* out) const override {
    auto* to = static_cast<std::byte*>(out);
    return is_integer(dtype()) ? read_pages(first, count, to) : read_originals(first, count, to);
  }
  // RowIds in place of the numbers that these rows have here. Errors: kIo, kCorrupt, kMemoryBudget.
  Status name_rows(std::vector<std::uint32_t>& numbers) const;

 private:
  const GraphLayout& layout() const { return rows_.graph().layout(); }
  std::size_t row_bytes() const { return dim() * element_bytes(dtype()); }
  Status read_pages(std::uint64_t first, std::uint64_t count, std::byte* out) const;
  Status read_originals(std::uint64_t first, std::uint64_t count, std::byte* out) const;

  const MergedRows& rows_;
  MemoryBudget& budget_;
  mutable std::optional<StoredRowsPass> pass_;
  mutable std::vector<NumberedRow> group_;
  mutable std::size_t group_at_ = 0;
  mutable std::uint64_t next_ = 0;
};

Status GraphVectors::read_pages(std::uint64_t first, std::uint64_t count, std::byte* out) const {
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, layout().page_bytes));
  for (std::uint64_t position = first; position < first + count;) {
    const std::uint64_t page = layout().page_of(static_cast<Pos>(position));
    VECSTORE_TRY(rows_.graph().graph().read_page(page, bytes.span()));
    const PageView view(layout(), bytes.data());
    const std::uint64_t end = std::min<std::uint64_t>(first + count, layout().first_on(page) + layout().rows_on(page));
    for (; position < end; ++position, out += row_bytes())
      view.copy_integers(layout().slot_of(static_cast<Pos>(position)), out);
  }
  return Status::ok();
}

Status GraphVectors::read_originals(std::uint64_t first, std::uint64_t count, std::byte* out) const {
  if (first == 0) {
    VECSTORE_ASSIGN(StoredRowsPass pass, StoredRowsPass::begin(*rows_.view().content().rows(), budget_));
    pass_.emplace(std::move(pass));
    group_.clear();
    group_at_ = 0;
    next_ = 0;
  }
  if (first != next_) return Status(Code::kUnsupported, "rows are read front to back only").about(name());
  for (; next_ < first + count; ++next_) {
    if (group_at_ == group_.size()) {
      VECSTORE_TRY(pass_->next(group_));
      group_at_ = 0;
    }
    if (group_.empty() || group_[group_at_].row.vector.size() != row_bytes())
      return Status(Code::kCorrupt, "rows/ lacks a row that the graph has; restore or rebuild").about(name());
    std::memcpy(out, group_[group_at_++].row.vector.data(), row_bytes());
    out += row_bytes();
  }
  return Status::ok();
}

Status GraphVectors::name_rows(std::vector<std::uint32_t>& numbers) const {
  std::vector<std::pair<std::uint32_t, std::uint32_t>> wanted;  // number here, RowId
  for (const std::uint32_t number : numbers)
    if (number != kNoPos) wanted.emplace_back(number, kNoPos);
  std::ranges::sort(wanted);
  wanted.erase(std::unique(wanted.begin(), wanted.end()), wanted.end());
  const auto place_of = [&](std::uint32_t number) {
    return std::ranges::lower_bound(wanted, number, {}, &std::pair<std::uint32_t, std::uint32_t>::first);
  };
  std::uint32_t nth = 0;
  const auto note = [&](RowId row, Pos position) {
    const std::uint32_t number = is_integer(dtype()) ? position : nth++;
    if (const auto place = place_of(number); place != wanted.end() && place->first == number)
      place->second = static_cast<std::uint32_t>(row.value);
    return Status::ok();
  };
  VECSTORE_TRY(rows_.graph().row_map().for_each(budget_, note));
  for (std::uint32_t& number : numbers)
    if (number != kNoPos) number = place_of(number)->second;
  return Status::ok();
}

// The new rows as they were put.
class NewVectors final : public VectorSource {
 public:
  explicit NewVectors(const MergedRows& rows) : rows_(rows) {}
  DType dtype() const override { return rows_.graph().layout().dtype; }
  std::uint64_t rows() const override { return rows_.added(); }
  std::uint32_t dim() const override { return rows_.graph().layout().dim; }
  const std::string& name() const override { return rows_.view().content().path(); }
  Status read(std::uint64_t first, std::uint64_t count, void* out) const override {
    auto* to = static_cast<std::byte*>(out);
    for (std::uint64_t nth = first; nth < first + count; ++nth, to += dim() * element_bytes(dtype()))
      rows_.view().delta()->copy_vector(rows_.new_id(static_cast<std::uint32_t>(nth)), to);
    return Status::ok();
  }

 private:
  const MergedRows& rows_;
};

std::uint64_t changed(const MergedRows& rows, const StoreProperties& before) {
  return before.rows_changed + rows.added() + (rows.before() - rows.stay());
}

// Of rows that may have come since the calibration before; 1 where there are no more of them than before.
double growth(const MergedRows& rows, std::uint64_t changed) {
  if (rows.rows() <= rows.before()) return 1;
  return static_cast<double>(rows.rows()) / static_cast<double>(rows.rows() - std::min(changed, rows.rows() / 2));
}

constexpr double kLonger = .3;  // a walk takes a list longer by this power of the growth (NOTES.md)

std::uint32_t longer(double list, double growth) {
  return static_cast<std::uint32_t>(
      std::clamp(std::ceil(std::pow(growth, kLonger) * list), 1.0, double{kSearchListMax}));
}

// L in memory keeps its proportion to L on disk. Where it is not measured, it is longer for more rows.
void keep_memory_lists(const std::vector<CalibrationPoint>& before, double growth,
                       std::vector<CalibrationPoint>& points) {
  for (CalibrationPoint& point : points) {
    const CalibrationPoint* old = find_point(before, point.k, point.recall_target);
    if (old == nullptr || old->memory_list == 0) continue;
    point.memory_list =
        longer(double{1} * old->memory_list * point.search_list / std::max(1u, old->search_list), growth);
  }
}

// Where every page is there, and `budget` has room for searchers. New rows of one kind may be easier to find than what
// is asked for, so that no list becomes shorter than its proportion says. It serves a store that goes on growing, too,
// until it is calibrated again.
Status measure_memory_lists(const SearchIndex& index, const CalibrationSet& set, double growth, Executor& executor,
                            MemoryBudget& budget, const std::vector<CalibrationPoint>& before,
                            StoreProperties& properties) {
  auto points = properties.calibration;
  const auto walks = calibrate_in_memory(index, set, executor, budget, points);
  if (!walks) return walks.error().code() == Code::kMemoryBudget ? Status::ok() : walks.error();
  properties.walks_in_memory = *walks;
  keep_memory_lists(before, 1, properties.calibration);
  for (CalibrationPoint& point : points)
    if (const CalibrationPoint* kept = find_point(properties.calibration, point.k, point.recall_target); *walks)
      point.memory_list = std::max(longer(point.memory_list, growth), kept->memory_list);
  properties.calibration = std::move(points);
  return Status::ok();
}

}  // namespace

bool is_calibration_due(const MergedRows& rows, const StoreProperties& before) {
  return before.choices.calibrate && before.calibrated_on != CalibratedOn::kGivenQueries && rows.added() >= kQueries &&
         changed(rows, before) >= rows.rows() / kShare && before.row_end <= std::numeric_limits<std::uint32_t>::max();
}

Status calibrate_on_new_rows(const MergedRows& rows, Executor& executor, MemoryBudget& budget, Watch& watch,
                             StoreProperties& properties) {
  const GraphVectors base(rows, budget);
  auto set = set_of_queries({base, properties.metric, executor, budget}, NewVectors(rows), kQueries);
  if (!set && set.error().code() == Code::kMemoryBudget) return Status::ok();
  if (!set) return set.error();
  VECSTORE_TRY(base.name_rows(set->truth.rows));
  const PageCache none;
  SearchIndex index = rows.graph().search_index();
  index.cache = &none;
  const std::uint64_t total = calibration_searches(set->queries.rows);
  const auto tell = [&](std::uint64_t done) {
    throw_if_cancelled(watch.cancel());
    watch.tell({Phase::kCalibrate, std::min(done, total), total});
  };
  auto points = calibrate(index, *set, executor, budget, tell, properties.calibration);
  if (!points && points.error().code() == Code::kMemoryBudget) return Status::ok();
  if (!points) return points.error();
  const double grown = growth(rows, properties.rows_changed);
  keep_memory_lists(properties.calibration, grown, *points);
  properties.calibration.swap(*points);
  properties.calibrated_on = CalibratedOn::kOwnRows;
  properties.copies_share = set->copies_share;
  properties.rows_changed = 0;
  if (rows.graph().cache().all_pages() == nullptr) return Status::ok();
  return measure_memory_lists(rows.graph().search_index(), *set, grown, executor, budget, *points, properties);
}

}  // namespace vecstore
