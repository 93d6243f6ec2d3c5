// SPDX-License-Identifier: Apache-2.0
#include "compress/blocks.h"

#include <algorithm>
#include <set>

#include "tests/compress/code_cases.h"

namespace vecstore {
namespace {

using test::MemoryRows;

constexpr std::uint32_t kDim = 8;
constexpr std::uint64_t kRoom = 1u << 30;

Result<Blocks> blocks_of(std::uint64_t rows, const std::vector<std::uint32_t>& begins, MemoryBudget& budget) {
  auto buffer = Buffer<std::uint32_t>::allocate(budget, begins.size());
  REQUIRE_OK(buffer);
  std::copy(begins.begin(), begins.end(), buffer->begin());
  return Blocks::cut(rows, std::move(*buffer), budget);
}

// Rows that lie evenly in a cube, each moved along all axes by what `place` says of its position.
template <typename Place>
MemoryRows moved_rows(std::uint64_t rows, std::uint32_t dim, const Place& place) {
  Random random(1);
  std::vector<float> values(rows * dim);
  for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(random.unit() + place(i / dim));
  return {dim, std::move(values)};
}

std::vector<std::uint32_t> begins_found(const MemoryRows& rows, Executor& executor, MemoryBudget& budget,
                                        bool alone = false) {
  const auto blocks = find_blocks(rows, alone, kRoom, executor, budget);
  REQUIRE_OK(blocks);
  std::vector<std::uint32_t> begins;
  for (std::size_t block = 0; block < blocks->count(); ++block) begins.push_back(blocks->begin(block));
  return begins;
}

std::vector<std::uint32_t> begins_found(const MemoryRows& rows, bool alone = false) {
  SerialExecutor executor;
  MemoryBudget budget;
  return begins_found(rows, executor, budget, alone);
}

using Begins = std::vector<std::uint32_t>;

BOOST_AUTO_TEST_SUITE(blocks)

BOOST_AUTO_TEST_CASE(every_row_is_in_the_block_that_has_it) {
  Random random(1);
  for (const std::uint64_t rows : {1u, 255u, 256u, 257u, 1000u, 5000u}) {
    for (const bool cut : {false, true}) {
      std::set<std::uint32_t> begins;
      for (std::uint32_t at = 0; at < rows; at += kBlockRows) begins.insert(at);
      if (cut)
        for (int i = 0; i < 20; ++i) begins.insert(static_cast<std::uint32_t>(random.below(rows)));
      MemoryBudget budget;
      const Blocks blocks = cut ? *blocks_of(rows, Begins(begins.begin(), begins.end()), budget) : Blocks::even(rows);
      BOOST_TEST(blocks.is_cut() == cut);
      BOOST_REQUIRE_EQUAL(blocks.count(), begins.size());
      if (cut) BOOST_TEST(blocks.bytes() == Blocks::bytes_for(rows, blocks.count()));
      for (std::size_t first = 0; first < blocks.count(); ++first) {
        for (std::size_t count = 1; count <= blocks.count() - first && count < 10; ++count) {
          bool whole = true;
          for (std::size_t block = first; block < first + count; ++block)
            whole = whole && (blocks.rows(block) == kBlockRows ||
                              (block + 1 == blocks.count() && blocks.begin(block) % kBlockRows == 0));
          if (blocks.begin(first) % kBlockRows == 0) BOOST_REQUIRE_EQUAL(blocks.are_whole(first, count), whole);
        }
      }
      std::size_t block = 0;
      for (const std::uint32_t begin : begins) {
        BOOST_REQUIRE_EQUAL(blocks.begin(block), begin);
        for (std::size_t i = 0; i < blocks.rows(block); ++i)
          BOOST_REQUIRE_EQUAL(blocks.block_of(begin + static_cast<Pos>(i)), block);
        ++block;
      }
      BOOST_TEST(blocks.begin(block - 1) + blocks.rows(block - 1) == rows);
    }
  }
}

BOOST_AUTO_TEST_CASE(begins_that_are_none_are_damage) {
  MemoryBudget budget;
  REQUIRE_OK(blocks_of(600, {0, 7, 256, 300, 512}, budget));
  const std::vector<Begins> damaged = {{},
                                       {1, 256, 512},       // not from the first row on
                                       {0, 256, 256, 512},  // an empty block
                                       {0, 300, 256, 512},  // not rising
                                       {0, 7, 300, 512},    // a block of more than kBlockRows
                                       {0, 256},            // the same at the end
                                       {0, 256, 512, 600},  // beyond the rows
                                       {0, 256, 512, 4000000000}};
  for (const Begins& begins : damaged) BOOST_TEST((test::code_of(blocks_of(600, begins, budget)) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(blocks_are_cut_between_far_groups) {
  const auto at_300 = [](std::size_t row) { return row < 300 ? 0.0 : 1e3; };
  BOOST_TEST((begins_found(moved_rows(600, kDim, at_300)) == Begins{0, 256, 300, 512}));
  // A group may be as small as two rows, and begin or end with a block.
  const auto small = [](std::size_t row) { return row >= 40 && row < 42 ? -1e3 : row < 254 ? 0.0 : 1e3; };
  BOOST_TEST((begins_found(moved_rows(600, kDim, small)) == Begins{0, 40, 42, 254, 256, 512}));
  const auto at_block = [](std::size_t row) { return row < 256 ? 0.0 : 1e3; };
  BOOST_TEST((begins_found(moved_rows(600, kDim, at_block)) == Begins{0, 256, 512}));
}

BOOST_AUTO_TEST_CASE(nothing_is_cut_where_nothing_or_one_row_is_far) {
  const Begins even = {0, 256, 512};
  BOOST_TEST((begins_found(moved_rows(600, kDim, [](std::size_t) { return 0.0; })) == even));
  const auto one = [](std::size_t row) { return row % 100 == 50 ? 1e4 : 0.0; };
  BOOST_TEST((begins_found(moved_rows(600, kDim, one)) == even));
  // In one dimension, in order, gaps differ by chance.
  BOOST_TEST((begins_found(moved_rows(600, 1, [](std::size_t row) { return static_cast<double>(row); })) == even));
  // Among equal rows no step is usual.
  BOOST_TEST((begins_found(MemoryRows(kDim, std::vector<float>(600 * kDim, 2.0f))) == even));
  for (const std::uint64_t rows : {1u, 2u, 3u})
    BOOST_TEST(
        (begins_found(moved_rows(rows, kDim, [](std::size_t row) { return row < 2 ? 0.0 : 1e6; })) == Begins{0}));
  BOOST_TEST(begins_found(MemoryRows(kDim, {})).empty());
}

BOOST_AUTO_TEST_CASE(a_far_row_stands_alone_where_it_is_wanted) {
  const auto one = [](std::size_t row) { return row % 100 == 50 ? 1e4 : 0.0; };
  BOOST_TEST((begins_found(moved_rows(600, kDim, one), true) ==
              Begins{0, 50, 51, 150, 151, 250, 251, 256, 350, 351, 450, 451, 512, 550, 551}));
}

BOOST_AUTO_TEST_CASE(copies_hide_no_groups_and_pairs_are_none) {
  // Each row stands three times, in two groups.
  const auto group = [](std::size_t row) { return row / 3 < 100 ? 0.0 : 1e3; };
  Random random(2);
  std::vector<float> values(600 * kDim);
  for (std::size_t i = 0; i < values.size(); ++i) {
    const std::size_t row = i / kDim;
    values[i] = row % 3 == 0 ? static_cast<float>(random.unit() + group(row)) : values[i - kDim];
  }
  BOOST_TEST((begins_found(MemoryRows(kDim, values)) == Begins{0, 256, 300, 512}));
  // Each row is followed by a near copy: steps between pairs are far, and cuts would gain nothing.
  for (std::size_t i = 0; i < values.size(); ++i) {
    const bool copy = i / kDim % 2 == 1;
    values[i] = copy ? values[i - kDim] + 1e-3f : static_cast<float>(random.unit());
  }
  BOOST_TEST((begins_found(MemoryRows(kDim, values)) == Begins{0, 256, 512}));
}

BOOST_AUTO_TEST_CASE(of_equal_steps_the_first_are_cut) {
  constexpr std::uint32_t kManyDims = 512;
  std::vector<float> values(1024 * kManyDims);
  for (std::size_t row = 0; row < 1024; ++row) {
    values[row * kManyDims + row / 16] = 1000;
    values[row * kManyDims + 256 + row % 16] = 1;
  }
  const MemoryRows rows(kManyDims, values);
  const Begins begins = begins_found(rows);
  BOOST_TEST(begins.size() == blocks_max(1024, kManyDims));
  BOOST_TEST((begins[1] == 16 && begins[2] == 32));
}

BOOST_AUTO_TEST_CASE(memory_bounds_the_cuts_and_the_greatest_steps_come_first) {
  // Groups of sixteen rows in many dimensions; the steps to every fourth are greater.
  constexpr std::uint32_t kManyDims = 512;
  const auto place = [](std::size_t row) {
    const std::size_t group = row / 16;
    return group % 4 == 3 ? 5e4 + static_cast<double>(group) : static_cast<double>(group % 2) * 1e3;
  };
  const MemoryRows rows = moved_rows(1024, kManyDims, place);
  SerialExecutor executor;
  MemoryBudget budget;
  const Begins begins = begins_found(rows, executor, budget);
  BOOST_TEST(begins.size() > Blocks::even_count(1024));
  BOOST_TEST(begins.size() <= blocks_max(1024, kManyDims));
  BOOST_TEST(begins.size() < 100u);
  for (const std::uint32_t begin : begins) {
    if (begin % kBlockRows == 0) continue;
    const std::size_t group = begin / 16;
    BOOST_TEST((begin % 16 == 0 && (group % 4 == 3 || group % 4 == 0)), begin);
  }
  BOOST_TEST(budget.peak_bytes() <=
             find_blocks_bytes(1024, kManyDims, 1) + Blocks::bytes_for(1024, blocks_max(1024, kManyDims)));
  const auto few = find_blocks(rows, false, 10'000, executor, budget);  // room for blocks of 2,056 bytes, and no more
  REQUIRE_OK(few);
  BOOST_TEST(few->count() == Blocks::even_count(1024) + 4);
  test::ThreadsExecutor threads(3);
  BOOST_TEST((begins_found(rows, threads, budget) == begins));
  MemoryBudget none(100);
  BOOST_TEST((test::code_of(find_blocks(rows, false, kRoom, executor, none)) == Code::kMemoryBudget));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
