// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/merged_pages.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "compress/neighbour_list.h"

namespace vecstore {
namespace {

constexpr Pos kRankedRows = 4;  // one in so many counts for the ranking of pages, which is enough to tell them apart

}  // namespace

std::uint64_t MergedPages::predict_bytes(const GraphLayout& layout) {
  return (2 * layout.pages() + 1) * sizeof(std::uint32_t) + layout.dim * sizeof(float);
}

Result<MergedPages> MergedPages::create(const MergedRows& rows, const NewLinks& links, WindowReader& windows,
                                        MergeWindow& room, const GraphLayout& layout, MemoryBudget& budget) {
  MergedPages pages(rows, links, windows, room, layout, budget);
  VECSTORE_ASSIGN(pages.rows_near_, Buffer<std::uint32_t>::allocate(budget, layout.pages() + 1));
  VECSTORE_ASSIGN(pages.ranking_, Buffer<std::uint32_t>::allocate(budget, layout.pages()));
  VECSTORE_ASSIGN(pages.row_, Buffer<float>::allocate(budget, layout.dim));
  return pages;
}

Pos MergedPages::find_entry() const {
  const Pos before = rows_.graph().summary().entry;
  return rows_.is_gone(before) ? static_cast<Pos>(layout_.rows / 2) : rows_.places()[before];
}

Result<ManifestFile> MergedPages::write(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                        Watch& watch) {
  VECSTORE_TRY(layout_.check());
  VECSTORE_CHECK(layout_.rows == rows_.rows() && layout_.rows != 0);
  VECSTORE_CHECK(windows_.rows_each() % layout_.rows_per_page == 0);
  VECSTORE_ASSIGN(auto writer, PageFileWriter::create(file_system, path, {identity, layout_.page_bytes}, budget_));
  summary_ = {};
  summary_.layout = layout_;
  summary_.entry = find_entry();
  PagePaths paths(layout_, summary_.entry);
  std::uint64_t page = 1;
  for (std::uint32_t window = 0; window < windows_.count(); ++window) {
    VECSTORE_TRY(windows_.load(window, window_));
    first_ = static_cast<Pos>(windows_.first(window));
    order_.resize(window_.size());
    for (std::uint32_t place = 0; place < window_.size(); ++place)
      order_[rows_.places()[window_.row(place).number] - first_] = place;
    for (; page <= layout_.pages() && layout_.first_on(page) < first_ + window_.size(); ++page) {
      VECSTORE_TRY(watch.step({Phase::kWrite, layout_.first_on(page), layout_.rows}));
      VECSTORE_TRY(write_page(page, paths, writer));
    }
  }
  rank();
  VECSTORE_ASSIGN(const auto finished, writer.finish(encode_summary(summary_)));
  return manifest_entry(identity, finished);
}

Status MergedPages::write_page(std::uint64_t page, PagePaths& paths, PageFileWriter& writer) {
  const Pos first = layout_.first_on(page);
  fill_lists(first, paths);
  if (!paths.keep_paths() || !cut(first, paths))
    return Status(Code::kUnsupported, "the neighbour lists do not fit; rebuild the graph").at(Detail::kPage, page);
  PageBuilder builder(layout_, writer.page());
  for (std::uint32_t slot = 0; slot < paths.lists().size(); ++slot) {
    const std::uint32_t place = place_at(first + slot);
    const MergeWindow::Row& row = window_.row(place);
    builder.set_record(slot, {row.id, layout_.key_bytes == 0 ? 0 : row.key, row.params, window_.values(place)});
    positions_.clear();
    for (const PagePaths::Edge& edge : paths.lists()[slot]) positions_.push_back(edge.target);
    builder.append_list(slot, first + slot, positions_);
    summary_.edges += positions_.size();
    summary_.list_bytes += neighbour_list_bytes(first + slot, positions_);
    summary_.max_degree = std::max(summary_.max_degree, static_cast<std::uint32_t>(positions_.size()));
    if ((first + slot) % kRankedRows == 0) count_near(first + slot);
  }
  paths.next_page();
  return writer.append();
}

void MergedPages::fill_lists(Pos first, PagePaths& paths) {
  for (std::uint32_t slot = 0; slot < paths.lists().size(); ++slot) {
    positions_.clear();
    for (const std::uint32_t number : window_.list(place_at(first + slot)))
      positions_.push_back(rows_.places()[number]);
    std::ranges::sort(positions_);
    for (const Pos position : positions_) paths.lists()[slot].push_back({position, false});
  }
}

// ------------------------------------------------------------------------------------------------------ what must fit

bool MergedPages::cut(Pos first, PagePaths& paths) {
  const auto lists = paths.lists();
  const auto bytes_of = [&](std::uint32_t slot) {
    positions_.clear();
    for (const PagePaths::Edge& edge : lists[slot]) positions_.push_back(edge.target);
    return neighbour_list_bytes(first + slot, positions_);
  };
  std::uint64_t total = 0;
  for (std::uint32_t slot = 0; slot < lists.size(); ++slot) total += bytes_of(slot);
  const std::uint64_t room = layout_.list_bytes_of_page();
  if (total <= room) return true;
  lengths_.clear();
  for (std::uint32_t slot = 0; slot < lists.size(); ++slot) find_lengths(first, slot, lists[slot]);
  std::sort(lengths_.begin(), lengths_.end(), [](const Length& a, const Length& b) {
    if (a.distance != b.distance) return a.distance > b.distance;
    return a.slot != b.slot ? a.slot < b.slot : a.target < b.target;
  });
  for (const Length& edge : lengths_) {
    if (total <= room) break;
    total -= bytes_of(edge.slot);
    PagePaths::List& list = lists[edge.slot];
    list.erase(std::ranges::lower_bound(list, edge.target, {}, &PagePaths::Edge::target));
    total += bytes_of(edge.slot);
    ++summary_.edges_dropped;
  }
  return total <= room;
}

// To a row whose vector is not at hand: the distance to the centroid of its block, and about what rows are from theirs.
void MergedPages::find_lengths(Pos first, std::uint32_t slot, const PagePaths::List& list) {
  const std::uint32_t place = place_at(first + slot);
  window_.vectors().decode(place, row_.data());
  float sum = 0;
  float norm2 = 0;
  for (const float x : row_) {
    sum += x;
    norm2 += x * x;
  }
  const auto to_centroid = [&](std::uint32_t number) {
    float key = 0;
    rows_.graph().codes().centroids.keys(kernels(), row_.data(), sum, layout_.dim, Metric::kL2, block_of(number), 1,
                                         &key);
    return std::max(0.0f, key + norm2);
  };
  const float from_own = to_centroid(window_.row(place).number);
  for (const std::uint32_t number : window_.list(place)) {
    const Pos target = rows_.places()[number];
    const auto edge = std::ranges::lower_bound(list, target, {}, &PagePaths::Edge::target);
    if (edge == list.end() || edge->target != target || edge->must_stay) continue;
    float distance = 0;
    if (const std::uint32_t other = window_.place_of(number); other != kNoPos) {
      std::uint32_t scratch = 0;
      window_.vectors().distances(place, &other, 1, &scratch, &distance);
    } else {
      distance = to_centroid(number) + from_own;
    }
    lengths_.push_back({distance, slot, target});
  }
}

std::size_t MergedPages::block_of(std::uint32_t number) const {
  const Pos position = rows_.is_new(number) ? links_.anchor(number - rows_.before()) : number;
  return rows_.graph().codes().blocks.block_of(position);
}

// ------------------------------------------------------------------------------------------------------------ ranking

void MergedPages::count_near(Pos position) {
  std::array<std::uint64_t, kNearestKept + 1> pages{layout_.page_of(position)};
  std::size_t count = 1;
  for (const std::uint32_t place : near_.find(window_, place_at(position)))
    pages[count++] = layout_.page_of(rows_.places()[window_.row(place).number]);
  std::sort(pages.begin(), pages.begin() + count);
  const auto end = std::unique(pages.begin(), pages.begin() + count);
  for (auto page = pages.begin(); page != end; ++page) ++rows_near_[*page];
}

void MergedPages::rank() {
  std::iota(ranking_.begin(), ranking_.end(), 1u);
  std::ranges::sort(ranking_, [this](std::uint32_t a, std::uint32_t b) {
    return rows_near_[a] != rows_near_[b] ? rows_near_[a] > rows_near_[b] : a < b;
  });
}

}  // namespace vecstore
