// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "tests/compress/kernel_cases.h"
#include "tests/test_util.h"

namespace vecstore::test {
namespace {

constexpr std::size_t kCounts[] = {0, 1, 7, 8, 31, 32, 33, 63, 64, 65, 127, 128, 129, 200, 255, 256, 257, 300};

// A table as prepare() of a codec makes it: 64-byte aligned, its largest sum within 16 bits, and fenced after its end.
class Table {
 public:
  Table(std::size_t subspaces, unsigned entry_max, Random& random)
      : bytes_(subspaces * 256, FencedBytes::Against::kEnd) {
    for (std::size_t e = 0; e < subspaces * 256; ++e) {
      bytes_.data()[e] = static_cast<std::uint8_t>(random.below(entry_max + 1));
    }
  }
  std::uint8_t* data() { return bytes_.data(); }

 private:
  FencedBytes bytes_;
};

unsigned entry_max_of(std::size_t subspaces) {
  return static_cast<unsigned>(std::min<std::size_t>(255, 65535 / subspaces));
}

void compare(Table& table, std::size_t subspaces, const RowsCase& cases) {
  const std::size_t count = cases.rows().count;
  for (const Kernels* level : levels()) {
    std::vector<std::uint16_t> out(count + 1, 0x5A5A);
    level->pq_score(table.data(), subspaces, cases.rows(), out.data());
    for (std::size_t i = 0; i < count; ++i) {
      std::uint64_t expected = 0;
      for (std::size_t m = 0; m < subspaces; ++m) expected += table.data()[m * 256 + cases.row(i)[m]];
      if (expected != out[i]) {
        BOOST_FAIL(level->name << " subspaces " << subspaces << " row " << i << " of " << count << ": " << out[i]
                               << ", not " << expected);
      }
    }
    BOOST_REQUIRE_EQUAL(out.back(), 0x5A5A);
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_pq)

BOOST_AUTO_TEST_CASE(every_level_scores_every_number_of_subspaces_and_layout_exactly) {
  Random random(1);
  for (const std::size_t subspaces : dimensions()) {
    Table table(subspaces, entry_max_of(subspaces), random);
    for (const Layout& layout : kLayouts) {
      for (const std::size_t count : {1, 40, 65}) compare(table, subspaces, RowsCase(layout, subspaces, count, random));
    }
  }
}

BOOST_AUTO_TEST_CASE(every_number_of_rows_is_scored_exactly) {
  Random random(2);
  for (const std::size_t subspaces : {1, 4, 15, 16, 17, 32, 48, 98}) {
    Table table(subspaces, 255, random);
    for (const Layout& layout : kLayouts) {
      for (const std::size_t count : kCounts) compare(table, subspaces, RowsCase(layout, subspaces, count, random));
    }
  }
}

BOOST_AUTO_TEST_CASE(the_largest_sum_of_16_bits_is_reached_without_wrapping) {
  Random random(3);
  const std::size_t subspaces = 257;  // 257 · 255 = 65535
  Table table(subspaces, 255, random);
  std::memset(table.data(), 255, subspaces * 256);
  RowsCase cases(kLayouts[0], subspaces, 130, random);
  for (const Kernels* level : levels()) {
    std::vector<std::uint16_t> out(130);
    level->pq_score(table.data(), subspaces, cases.rows(), out.data());
    for (const std::uint16_t score : out) BOOST_REQUIRE_EQUAL(score, 65535);
  }
}

BOOST_AUTO_TEST_CASE(each_code_finds_its_own_entry) {
  Random random(4);
  Table table(1, 255, random);
  for (std::size_t e = 0; e < 256; ++e) table.data()[e] = static_cast<std::uint8_t>(e * 167 + 13);
  RowsCase cases(kLayouts[0], 1, 256, random);
  for (std::size_t i = 0; i < 256; ++i) cases.data()[i] = static_cast<std::uint8_t>(i);
  compare(table, 1, cases);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vecstore::test
