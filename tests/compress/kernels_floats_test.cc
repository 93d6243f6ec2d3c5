// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <cstring>

#include "base/half.h"
#include "tests/compress/kernel_cases.h"
#include "tests/test_util.h"

namespace vecstore::test {
namespace {

constexpr std::size_t kCounts[] = {0, 1, 3, 4, 6};

enum class Kind { kDot, kL2, kDotU8 };

// The value in double, and the sum of the terms' magnitudes, to which rounding errors are relative.
struct Exact {
  double value = 0;
  double magnitude = 0;
};

Exact exact_of(Kind kind, const float* query, const std::uint8_t* row, std::size_t dim) {
  Exact exact;
  for (std::size_t d = 0; d < dim; ++d) {
    float element = row[d];
    if (kind != Kind::kDotU8) std::memcpy(&element, row + d * sizeof(float), sizeof(float));
    const double factor = kind == Kind::kL2 ? double{query[d]} - element : double{query[d]};
    const double term = factor * (kind == Kind::kL2 ? factor : double{element});
    exact.value += term;
    exact.magnitude += std::abs(term);
  }
  return exact;
}

using FloatKernel = void (*Kernels::*)(const float*, const Rows&, std::size_t, float*);

FloatKernel member_of(Kind kind) {
  return kind == Kind::kDot ? &Kernels::dot_f32 : kind == Kind::kL2 ? &Kernels::l2_f32 : &Kernels::dot_f32_u8;
}

void compare(Kind kind, const float* query, const RowsCase& cases, std::size_t dim) {
  const std::size_t count = cases.rows().count;
  for (const Kernels* level : levels()) {
    std::vector<float> out(count + 1, 12345.0F);
    (level->*member_of(kind))(query, cases.rows(), dim, out.data());
    BOOST_REQUIRE_EQUAL(out.back(), 12345.0F);
    for (std::size_t i = 0; i < count; ++i) {
      const Exact exact = exact_of(kind, query, cases.row(i), dim);
      // Each of the dim additions rounds once, by at most half a unit in the last place of a partial sum.
      const double allowed = exact.magnitude * (static_cast<double>(dim) + 3) * 0x1p-24;
      if (!(std::abs(exact.value - double{out[i]}) <= allowed)) {
        BOOST_FAIL(level->name << " kind " << static_cast<int>(kind) << " dim " << dim << " row " << i << ": " << out[i]
                               << ", not " << exact.value);
      }
      float alone = 0;
      const Rows one = {cases.row(i), 0, nullptr, 1};
      (level->*member_of(kind))(query, one, dim, &alone);
      BOOST_REQUIRE_EQUAL(alone, out[i]);
    }
  }
}

void run(Kind kind, std::size_t dim, std::size_t count, const Layout& layout, Random& random) {
  FencedBytes query(dim * sizeof(float), layout.against);
  std::vector<float> values(dim);
  for (float& value : values) value = static_cast<float>(random.unit() * 2 - 1);
  std::memcpy(query.data(), values.data(), dim * sizeof(float));
  RowsCase cases(layout, kind == Kind::kDotU8 ? dim : dim * sizeof(float), count, random);
  for (std::size_t i = 0; kind != Kind::kDotU8 && i < cases.stored(); ++i) {
    for (float& value : values) value = static_cast<float>(random.unit() * 2 - 1);
    std::memcpy(cases.stored_row(i), values.data(), dim * sizeof(float));
  }
  compare(kind, reinterpret_cast<const float*>(query.data()), cases, dim);
}

}  // namespace

BOOST_AUTO_TEST_SUITE(kernels_floats)

BOOST_AUTO_TEST_CASE(every_level_is_within_rounding_of_double_on_every_size_and_layout) {
  Random random(1);
  for (const Kind kind : {Kind::kDot, Kind::kL2, Kind::kDotU8}) {
    for (const std::size_t dim : dimensions()) {
      for (const Layout& layout : kLayouts) {
        for (const std::size_t count : kCounts) run(kind, dim, count, layout, random);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(large_batches_are_within_rounding_of_double) {
  Random random(2);
  for (const Kind kind : {Kind::kDot, Kind::kL2, Kind::kDotU8}) {
    for (const std::size_t count : {63, 64, 65, 200}) {
      for (const Layout& layout : kLayouts) run(kind, 100, count, layout, random);
    }
  }
}

BOOST_AUTO_TEST_CASE(every_half_widens_to_the_float_it_means) {
  for (const Kernels* level : levels()) {
    std::vector<std::uint16_t> halves(65536);
    for (std::size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<std::uint16_t>(i);
    std::vector<float> floats(halves.size());
    level->widen_f16(halves.data(), floats.data(), halves.size());
    for (std::size_t i = 0; i < halves.size(); ++i) {
      const float expected = half_to_float(halves[i]);
      const bool same = std::isnan(expected)
                            ? std::isnan(floats[i])
                            : std::bit_cast<std::uint32_t>(expected) == std::bit_cast<std::uint32_t>(floats[i]);
      if (!same) BOOST_FAIL(level->name << " half " << i << ": " << floats[i] << ", not " << expected);
    }
  }
}

BOOST_AUTO_TEST_CASE(widening_touches_nothing_outside_its_buffers) {
  Random random(3);
  for (const auto against : {FencedBytes::Against::kEnd, FencedBytes::Against::kStart}) {
    for (const std::size_t count : dimensions()) {
      FencedBytes from(count * 2, against);
      FencedBytes to(count * 4, against);
      auto* halves = reinterpret_cast<std::uint16_t*>(from.data());
      auto* floats = reinterpret_cast<float*>(to.data());
      for (std::size_t i = 0; i < count; ++i) halves[i] = static_cast<std::uint16_t>(random.below(0x7C00));
      for (const Kernels* level : levels()) {
        std::memset(to.data(), 0xEE, count * 4);
        level->widen_f16(halves, floats, count);
        for (std::size_t i = 0; i < count; ++i) BOOST_REQUIRE_EQUAL(floats[i], half_to_float(halves[i]));
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace vecstore::test
