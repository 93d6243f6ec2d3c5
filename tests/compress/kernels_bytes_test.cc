// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>

#include "tests/compress/kernel_cases.h"
#include "tests/test_util.h"

namespace vecstore::test {
namespace {

constexpr std::size_t kCounts[] = {0, 1, 2, 3, 4, 5, 9};

template <typename Element>
std::int64_t exact_dot(const Element* query, const std::uint8_t* row, std::size_t dim) {
  std::int64_t sum = 0;
  for (std::size_t d = 0; d < dim; ++d) sum += std::int64_t{query[d]} * static_cast<Element>(row[d]);
  return sum;
}

template <typename Element>
std::int64_t exact_l2(const Element* query, const std::uint8_t* row, std::size_t dim) {
  std::int64_t sum = 0;
  for (std::size_t d = 0; d < dim; ++d) {
    const std::int64_t difference = std::int64_t{query[d]} - static_cast<Element>(row[d]);
    sum += difference * difference;
  }
  return sum;
}

template <typename Element, typename Out>
struct Kernel {
  void (*Kernels::*member)(const Element*, const Rows&, std::size_t, Out*);
  std::int64_t (*exact)(const Element*, const std::uint8_t*, std::size_t);
  const char* name;
};

constexpr Kernel<std::uint8_t, std::uint32_t> kUnsigned[] = {{&Kernels::dot_u8, exact_dot<std::uint8_t>, "dot_u8"},
                                                             {&Kernels::l2_u8, exact_l2<std::uint8_t>, "l2_u8"}};
constexpr Kernel<std::int8_t, std::int32_t> kSignedDot = {&Kernels::dot_i8, exact_dot<std::int8_t>, "dot_i8"};
constexpr Kernel<std::int8_t, std::uint32_t> kSignedL2 = {&Kernels::l2_i8, exact_l2<std::int8_t>, "l2_i8"};

// Every level against 64-bit arithmetic; one more than `count` results are watched.
template <typename Element, typename Out>
void compare(const Kernel<Element, Out>& kernel, const Element* query, const RowsCase& cases, std::size_t dim) {
  const Out untouched = static_cast<Out>(0x5A5A5A5A);
  for (const Kernels* level : levels()) {
    std::vector<Out> out(cases.rows().count + 1, untouched);
    (level->*kernel.member)(query, cases.rows(), dim, out.data());
    for (std::size_t i = 0; i < cases.rows().count; ++i) {
      const std::int64_t expected = kernel.exact(query, cases.row(i), dim);
      if (expected != static_cast<std::int64_t>(out[i])) {
        BOOST_FAIL(kernel.name << " " << level->name << " dim " << dim << " row " << i << " of " << cases.rows().count
                               << ": " << out[i] << ", not " << expected);
      }
    }
    BOOST_REQUIRE_EQUAL(out.back(), untouched);
  }
}

void compare_all(FencedBytes& query, const RowsCase& cases, std::size_t dim) {
  const auto* as_signed = reinterpret_cast<const std::int8_t*>(query.data());
  for (const auto& kernel : kUnsigned) compare<std::uint8_t, std::uint32_t>(kernel, query.data(), cases, dim);
  compare(kSignedDot, as_signed, cases, dim);
  compare(kSignedL2, as_signed, cases, dim);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_bytes)

BOOST_AUTO_TEST_CASE(every_level_is_exact_on_every_size_and_layout_and_reads_no_byte_outside_its_rows) {
  Random random(1);
  for (const std::size_t dim : dimensions()) {
    for (const Layout& layout : kLayouts) {
      FencedBytes query(dim, layout.against);
      for (std::size_t d = 0; d < dim; ++d) query.data()[d] = static_cast<std::uint8_t>(random.next());
      for (const std::size_t count : kCounts) compare_all(query, RowsCase(layout, dim, count, random), dim);
    }
  }
}

BOOST_AUTO_TEST_CASE(large_batches_are_exact) {
  Random random(2);
  for (const std::size_t count : {63, 64, 65, 200}) {
    for (const Layout& layout : kLayouts) {
      for (const std::size_t dim : {31, 96, 128}) {
        FencedBytes query(dim, layout.against);
        for (std::size_t d = 0; d < dim; ++d) query.data()[d] = static_cast<std::uint8_t>(random.next());
        compare_all(query, RowsCase(layout, dim, count, random), dim);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(sums_of_extreme_values_at_the_largest_dimension_do_not_overflow) {
  Random random(3);
  for (const std::size_t dim : {std::size_t{4095}, std::size_t{4096}}) {
    for (const int query_byte : {0x00, 0x7F, 0x80, 0xFF}) {
      for (const int row_byte : {0x00, 0x7F, 0x80, 0xFF}) {
        FencedBytes query(dim, FencedBytes::Against::kEnd);
        std::memset(query.data(), query_byte, dim);
        RowsCase cases(kLayouts[0], dim, 5, random);
        std::memset(cases.data(), row_byte, 5 * dim);
        compare_all(query, cases, dim);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(tiles_are_exact_for_any_number_of_queries_and_no_byte_outside_is_used) {
  Random random(4);
  for (const std::size_t dim : {1u, 3u, 4u, 5u, 64u, 127u, 128u, 784u, 4096u}) {
    for (const std::size_t count : {0u, 1u, 2u, 3u, 5u, 16u}) {
      if (dim > 128 && count > 3) continue;
      const std::size_t groups = (dim + 3) / 4;
      FencedBytes tiles(count * groups * 64, FencedBytes::Against::kEnd);
      std::vector<std::vector<std::uint8_t>> rows(count * Tiles::kRows, std::vector<std::uint8_t>(dim));
      const bool extreme = dim == 4096;
      for (std::size_t r = 0; r < rows.size(); ++r) {
        std::uint8_t* tile = tiles.data() + r / 16 * groups * 64;
        for (std::size_t d = 0; d < dim; ++d) {
          rows[r][d] = extreme ? 255 : static_cast<std::uint8_t>(random.next());
          tile[64 * (d / 4) + 4 * (r % 16) + d % 4] = rows[r][d];
        }
      }
      for (std::size_t queries = 0; queries <= Tiles::kQueriesMax; ++queries) {
        FencedBytes query(std::max<std::size_t>(queries, 1) * groups * 4, FencedBytes::Against::kEnd);
        std::vector<const std::uint8_t*> each;
        for (std::size_t q = 0; q < queries; ++q) {
          std::uint8_t* at = query.data() + q * groups * 4;
          for (std::size_t d = 0; d < dim; ++d) at[d] = extreme ? 255 : static_cast<std::uint8_t>(random.next());
          each.push_back(at);
        }
        for (const Kernels* level : levels()) {
          std::vector<std::vector<std::uint32_t>> out(queries, std::vector<std::uint32_t>(rows.size() + 1, 7));
          std::vector<std::uint32_t*> to;
          for (auto& one : out) to.push_back(one.data());
          level->dot_u8_tiles(each.data(), queries, {tiles.data(), groups, count}, to.data());
          for (std::size_t q = 0; q < queries; ++q) {
            for (std::size_t r = 0; r < rows.size(); ++r) {
              const std::int64_t expected = exact_dot(each[q], rows[r].data(), dim);
              BOOST_REQUIRE_MESSAGE(expected == std::int64_t{out[q][r]}, level->name << " dim " << dim << " row " << r
                                                                                     << " query " << q << " of "
                                                                                     << queries << ": " << out[q][r]);
            }
            BOOST_REQUIRE(out[q].back() == 7u);
          }
        }
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vecstore::test
