// SPDX-License-Identifier: Apache-2.0
//
// The scorers of PQ on RaBitQ's tables: Σ u[i] · q[i] over the dimensions, exactly, at every level. A query of small
// integers has tables of bytes without rounding, so that the truth is a sum over dimensions that knows of no bytes.
#include <algorithm>
#include <cmath>
#include <vector>

#include "compress/rabitq.h"
#include "tests/compress/kernel_cases.h"
#include "tests/test_util.h"

namespace vecstore::test {
namespace {

constexpr std::uint32_t kDims[] = {1, 3, 7, 100, 128, 384, 1000, 4096};

// Integers in [0, greatest], as many as there are dimensions.
std::vector<float> integer_query(std::uint32_t dim, std::uint64_t greatest, Random& random) {
  std::vector<float> query(dim);
  for (float& value : query) value = static_cast<float>(random.below(greatest + 1));
  return query;
}

// table[j] = Σ u[i] · q[i] of the dimensions of each byte: what fill_rabitq_table gives, moved so that 0 is the least.
void fill_table(const std::vector<float>& query, std::uint32_t bits, std::uint8_t* table) {
  const std::size_t width = 8 / bits;
  std::vector<float> products(256);
  for (std::size_t begin = 0; begin < query.size(); begin += width, table += 256) {
    const std::size_t count = std::min(width, query.size() - begin);
    fill_rabitq_table(query.data() + begin, count, bits, products.data());
    for (std::size_t j = 0; j < 256; ++j) table[j] = static_cast<std::uint8_t>(std::lround(products[j] - products[0]));
  }
}

void compare(std::uint32_t dim, std::uint32_t bits, const Layout& layout, Random& random) {
  const std::uint32_t code_bytes = rabitq_code_bytes(dim, bits);
  const std::uint64_t entry_max = std::min<std::uint64_t>(255, 65535 / code_bytes);
  const std::uint64_t levels_max = (1u << bits) - 1;
  const std::vector<float> query = integer_query(dim, entry_max / (levels_max * 8 / bits), random);
  FencedBytes table(code_bytes * std::size_t{256}, FencedBytes::Against::kEnd);
  fill_table(query, bits, table.data());
  const RowsCase cases(layout, code_bytes, 70, random);
  for (const Kernels* level : levels()) {
    std::vector<std::uint16_t> out(70);
    level->pq_score(table.data(), code_bytes, cases.rows(), out.data());
    for (std::size_t row = 0; row < out.size(); ++row) {
      std::uint64_t expected = 0;
      for (std::uint32_t i = 0; i < dim; ++i) {
        const std::uint64_t u = (cases.row(row)[i * bits / 8] >> (i * bits % 8)) & levels_max;
        expected += u * static_cast<std::uint64_t>(query[i]);
      }
      if (expected != out[row])
        BOOST_FAIL(level->name << " dim " << dim << " bits " << bits << " row " << row << ": " << out[row] << ", not "
                               << expected);
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_rabitq)

BOOST_AUTO_TEST_CASE(every_level_sums_the_levels_of_a_code_exactly) {
  Random random(1);
  for (const std::uint32_t dim : kDims) {
    for (const std::uint32_t bits : {1u, 2u, 4u}) {
      for (const Layout& layout : kLayouts) compare(dim, bits, layout, random);
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vecstore::test
