// SPDX-License-Identifier: Apache-2.0
#include "graph/pack.h"

#include <set>

#include "tests/graph/fixture.h"

namespace vecstore {
namespace {

using test::Matrix;

// A graph in memory with an order, to be packed in several ways.
class Packing {
 public:
  explicit Packing(const Matrix& matrix, std::uint32_t max_degree = 32)
      : rows_(test::quantized(matrix, Metric::kL2, budget_)),
        graph_(test::built_graph(rows_, {max_degree, 50, 1.2f, 1}, executor_, budget_)),
        place_(rows_.rows()) {
    const auto affinity = affinity_graph(graph_.nearest(), budget_);
    REQUIRE_OK(affinity);
    order_ = test::ordered(rows_, *affinity, 16, executor_, budget_);
    invert_order(order_, place_);
  }

  GraphLayout layout(std::uint32_t rows_per_page) const {
    GraphLayout layout = test::layout_for(rows_);
    layout.rows_per_page = rows_per_page;
    return layout;
  }
  PackInput input() const { return {&rows_, &graph_, order_}; }
  // Writes a file of the name and packs into it.
  Result<GraphSummary> pack(const GraphLayout& layout, const std::string& name) {
    auto writer =
        PageFileWriter::create(FileSystem::posix(), path(name), {test::graph_identity(), layout.page_bytes}, budget_);
    REQUIRE_OK(writer);
    auto summary = pack_graph(input(), place_, layout, budget_, *writer, {});
    if (summary.has_value()) REQUIRE_OK(writer->finish(encode_summary(*summary)));
    return summary;
  }
  // The list of every position in the file, by decoding; checks the records on the way.
  std::vector<std::vector<Pos>> lists(const GraphSummary& summary, const std::string& name) const {
    const auto file = PageFile::open(FileSystem::posix(), path(name), test::graph_identity());
    REQUIRE_OK(file);
    const GraphLayout& layout = summary.layout;
    BOOST_REQUIRE(file->page_count() == layout.pages());
    MemoryBudget budget;
    auto page = Buffer<std::byte>::allocate(budget, layout.page_bytes);
    REQUIRE_OK(page);
    std::vector<std::vector<Pos>> lists;
    for (Pos position = 0; position < layout.rows; ++position) {
      if (layout.slot_of(position) == 0) REQUIRE_OK(file->read_page(layout.page_of(position), page->span()));
      const PageView view(layout, page->data());
      const std::uint32_t slot = layout.slot_of(position);
      BOOST_REQUIRE(view.row_id(slot).value == order_[position]);
      BOOST_REQUIRE(std::memcmp(view.values() + slot * layout.dim, rows_.codes(order_[position]), layout.dim) == 0);
      auto& list = lists.emplace_back(kDegreeMax);
      const std::size_t degree =
          decode_neighbours(position, view.list(slot), static_cast<Pos>(layout.rows), list.data(), list.size());
      BOOST_REQUIRE(degree != kDamagedList);
      list.resize(degree);
    }
    return lists;
  }
  // What the graph in memory says, as positions.
  std::vector<Pos> expected_list(Pos position) const {
    std::vector<Pos> list;
    for (const std::uint32_t neighbour : graph_.neighbours(order_[position])) list.push_back(place_[neighbour]);
    std::sort(list.begin(), list.end());
    return list;
  }
  std::uint64_t edges() const {
    std::uint64_t edges = 0;
    for (std::uint32_t row = 0; row < rows_.rows(); ++row) edges += graph_.neighbours(row).size();
    return edges;
  }
  float distance(Pos from, Pos to) const {
    std::uint32_t scratch = 0;
    float distance = 0;
    rows_.distances(order_[from], &order_[to], 1, &scratch, &distance);
    return distance;
  }
  std::span<const std::uint32_t> nearest(Pos position) const { return graph_.nearest(order_[position]); }
  std::span<const Pos> place() const { return place_; }
  MemoryBudget& budget() { return budget_; }
  Executor& executor() { return executor_; }

 private:
  std::string path(const std::string& name) const { return directory_.path(name); }

  test::TemporaryDirectory directory_;
  MemoryBudget budget_;
  SerialExecutor executor_;
  QuantizedRows rows_;
  GraphBuilder graph_;
  std::vector<std::uint32_t> order_;
  std::vector<Pos> place_;
};

std::uint64_t reachable(const std::vector<std::vector<Pos>>& lists, Pos entry) {
  std::vector<bool> met(lists.size());
  std::vector<Pos> frontier{entry};
  met[entry] = true;
  std::uint64_t count = 1;
  while (!frontier.empty()) {
    const Pos at = frontier.back();
    frontier.pop_back();
    for (const Pos next : lists[at]) {
      if (met[next]) continue;
      met[next] = true;
      ++count;
      frontier.push_back(next);
    }
  }
  return count;
}

void require_counts(const Packing& packing, const GraphSummary& summary, const std::vector<std::vector<Pos>>& lists) {
  std::uint64_t edges = 0;
  std::uint64_t bytes = 0;
  std::uint32_t longest = 0;
  for (Pos position = 0; position < lists.size(); ++position) {
    edges += lists[position].size();
    bytes += neighbour_list_bytes(position, lists[position]);
    longest = std::max(longest, static_cast<std::uint32_t>(lists[position].size()));
  }
  BOOST_TEST(summary.edges == edges);
  BOOST_TEST(summary.list_bytes == bytes);
  BOOST_TEST(summary.max_degree == longest);
  BOOST_TEST(summary.edges + summary.edges_dropped == packing.edges());
}

BOOST_AUTO_TEST_SUITE(pack)

BOOST_AUTO_TEST_CASE(with_room_every_edge_is_packed) {
  Packing packing(test::csift_rows(1501));
  const auto summary = packing.pack(packing.layout(10), "roomy");
  REQUIRE_OK(summary);
  BOOST_TEST(summary->edges_dropped == 0u);
  const auto lists = packing.lists(*summary, "roomy");
  require_counts(packing, *summary, lists);
  for (Pos position = 0; position < lists.size(); ++position)
    BOOST_REQUIRE((lists[position] == packing.expected_list(position)));
  BOOST_TEST(summary->layout.rows_on(summary->layout.pages()) == 1u, "the last page holds a single row");
}

BOOST_AUTO_TEST_CASE(without_room_the_longest_edges_go_and_every_row_stays_reachable) {
  Packing packing(test::csift_rows(1500));
  const auto summary = packing.pack(packing.layout(26), "tight");
  REQUIRE_OK(summary);
  BOOST_TEST_MESSAGE("26 rows a page: " << summary->edges_dropped << " of " << packing.edges() << " edges dropped");
  BOOST_TEST(summary->edges_dropped > packing.edges() / 20);
  const auto lists = packing.lists(*summary, "tight");
  require_counts(packing, *summary, lists);
  BOOST_TEST(reachable(lists, summary->entry) == 1500u);
  const GraphLayout& layout = summary->layout;
  std::size_t kept_for_the_tree = 0;
  for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
    // An edge that is kept though a shorter one of its page was dropped can only be one that some row needs.
    float shortest_dropped = std::numeric_limits<float>::infinity();
    for (Pos p = layout.first_on(page); p < layout.first_on(page) + layout.rows_on(page); ++p) {
      const std::vector<Pos> whole = packing.expected_list(p);
      BOOST_REQUIRE(std::includes(whole.begin(), whole.end(), lists[p].begin(), lists[p].end()));
      for (const Pos target : whole)
        if (!std::binary_search(lists[p].begin(), lists[p].end(), target))
          shortest_dropped = std::min(shortest_dropped, packing.distance(p, target));
    }
    for (Pos p = layout.first_on(page); p < layout.first_on(page) + layout.rows_on(page); ++p)
      for (const Pos target : lists[p]) kept_for_the_tree += packing.distance(p, target) > shortest_dropped ? 1 : 0;
  }
  BOOST_TEST(kept_for_the_tree < 1500u, "a tree over 1,500 rows has 1,499 edges");
  BOOST_TEST(kept_for_the_tree > 0u);
}

BOOST_AUTO_TEST_CASE(pages_too_small_for_the_tree_are_refused) {
  Packing packing(test::csift_rows(1000));
  GraphLayout layout = packing.layout(1);
  layout.rows_per_page = static_cast<std::uint32_t>(page_payload_bytes(4096) / layout.fixed_bytes());
  const auto summary = packing.pack(layout, "impossible");
  BOOST_TEST((test::code_of(summary) == Code::kUnsupported));
}

BOOST_AUTO_TEST_CASE(one_row_and_none_are_packed_too) {
  Packing one(test::csift_rows(1));
  const auto single = one.pack(one.layout(7), "one");
  REQUIRE_OK(single);
  BOOST_TEST(single->entry == 0u);
  BOOST_TEST(one.lists(*single, "one")[0].empty());
  Packing none(Matrix{DType::kU8, 16, {}});
  const auto empty = none.pack(none.layout(7), "none");
  REQUIRE_OK(empty);
  BOOST_TEST(empty->entry == kNoPos);
  BOOST_TEST(none.lists(*empty, "none").empty());
}

BOOST_AUTO_TEST_CASE(list_bytes_are_measured_as_they_are_packed) {
  Packing packing(test::csift_rows(1200));
  std::vector<std::uint16_t> bytes(1200);
  measure_lists(packing.input(), packing.place(), packing.executor(), bytes);
  for (Pos position = 0; position < 1200; ++position)
    BOOST_REQUIRE(bytes[position] == neighbour_list_bytes(position, packing.expected_list(position)));
}

BOOST_AUTO_TEST_CASE(the_chosen_rows_per_page_drop_no_more_edges_than_a_row_is_worth) {
  Packing packing(test::csift_rows(2000), 40);
  std::vector<std::uint16_t> bytes(2000);
  measure_lists(packing.input(), packing.place(), packing.executor(), bytes);
  const std::uint32_t chosen = choose_rows_per_page(packing.layout(1), bytes, packing.edges());
  const auto summary = packing.pack(packing.layout(chosen), "chosen");
  REQUIRE_OK(summary);
  BOOST_TEST_MESSAGE("csift 2k: " << chosen << " rows a page, " << summary->edges_dropped << " of " << packing.edges()
                                  << " edges dropped");
  const auto allowed = static_cast<std::uint64_t>(kEdgesDroppedPerRow / chosen * static_cast<double>(packing.edges()));
  BOOST_TEST(summary->edges_dropped <= allowed);
  // One more row to a page overflows by more bytes than it is worth.
  GraphLayout denser = packing.layout(chosen + 1);
  std::uint64_t over = 0;
  std::uint64_t total = 0;
  for (Pos first = 0; first < 2000; first += chosen + 1) {
    std::uint64_t page = 0;
    for (Pos p = first; p < std::min<Pos>(2000, first + chosen + 1); ++p) page += bytes[p];
    over += page > denser.list_bytes_of_page() ? page - denser.list_bytes_of_page() : 0;
    total += page;
  }
  BOOST_TEST(static_cast<double>(over) * (chosen + 1) > kEdgesDroppedPerRow * static_cast<double>(total));
}

BOOST_AUTO_TEST_CASE(rows_per_page_are_bounded_by_the_records_alone_when_there_are_no_edges) {
  GraphLayout layout;
  layout.dim = 128;
  const std::vector<std::uint16_t> empty_lists(100, 0);
  BOOST_TEST(choose_rows_per_page(layout, empty_lists, 0) == (4096 - 8) / layout.fixed_bytes());
  layout.dim = 4080;
  BOOST_TEST(choose_rows_per_page(layout, empty_lists, 0) == 1u);
  BOOST_TEST(guess_rows_per_page(layout, 0) == 1u);
  layout.dim = kDimMax;
  BOOST_TEST(choose_rows_per_page(layout, empty_lists, 0) == 0u, "the record does not fit the page");
  BOOST_TEST(guess_rows_per_page(layout, 30) == 0u);
  layout.page_bytes = 8192;
  BOOST_TEST(guess_rows_per_page(layout, 30) == 1u);
  layout.dim = 128;
  layout.page_bytes = 4096;
  BOOST_TEST(guess_rows_per_page(layout, 38.3) == 20u);
}

BOOST_AUTO_TEST_CASE(rows_left_out_of_the_order_have_no_place) {
  const std::vector<std::uint32_t> order = {4, 0, 2};
  std::vector<Pos> place(6);
  invert_order(order, place);
  const std::vector<Pos> expected = {1, kNoPos, 2, kNoPos, 0, kNoPos};
  BOOST_TEST(place == expected, boost::test_tools::per_element());
}

BOOST_AUTO_TEST_CASE(rows_that_were_never_linked_can_be_left_out) {
  MemoryBudget budget;
  SerialExecutor executor;
  const QuantizedRows rows = test::quantized(test::csift_rows(400), Metric::kL2, budget);
  GraphBuilder graph = test::empty_builder(rows, {16, 30, 1.2f, 1}, executor, budget);
  std::vector<std::uint32_t> even;
  for (std::uint32_t row = 0; row < 400; row += 2) even.push_back(row);
  graph.insert(even, {});
  graph.trim();
  graph.connect();
  std::vector<Pos> place(400);
  invert_order(even, place);
  GraphLayout layout = test::layout_for(rows);
  layout.rows = even.size();
  layout.rows_per_page = 12;
  const test::TemporaryDirectory directory;
  auto writer =
      PageFileWriter::create(FileSystem::posix(), directory.path("half"), {test::graph_identity(), 4096}, budget);
  REQUIRE_OK(writer);
  const auto summary = pack_graph({&rows, &graph, even}, place, layout, budget, *writer, {});
  REQUIRE_OK(summary);
  BOOST_TEST(summary->layout.rows == 200u);
  BOOST_TEST(writer->pages_written() == layout.pages());
}

BOOST_AUTO_TEST_CASE(pages_are_ranked_by_the_rows_that_have_neighbours_on_them) {
  Packing packing(test::csift_rows(900));
  const GraphLayout layout = packing.layout(16);
  std::vector<std::set<Pos>> near(layout.pages() + 1);
  for (Pos position = 0; position < layout.rows; ++position) {
    near[layout.page_of(position)].insert(position);
    for (const std::uint32_t row : packing.nearest(position))
      near[layout.page_of(packing.place()[row])].insert(position);
  }
  const auto ranking = rank_pages(packing.input(), packing.place(), layout, packing.budget());
  REQUIRE_OK(ranking);
  BOOST_REQUIRE(ranking->size() == layout.pages());
  std::set<std::uint32_t> named(ranking->begin(), ranking->end());
  BOOST_TEST(named.size() == layout.pages());
  for (std::size_t i = 1; i < ranking->size(); ++i) {
    const std::uint32_t before = (*ranking)[i - 1];
    const std::uint32_t page = (*ranking)[i];
    BOOST_TEST(
        (near[before].size() > near[page].size() || (near[before].size() == near[page].size() && before < page)));
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
