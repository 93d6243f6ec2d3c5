// SPDX-License-Identifier: Apache-2.0
//
// Sums over a vector in double precision, in parts side by side so that no addition waits for the one before. The order
// of the additions is fixed: every machine gets the same sum.
#pragma once

#include <array>
#include <cstddef>
#include <span>

namespace vecstore {

template <typename Term>
double sum_of_terms(std::span<const float> values, const Term& term) {
  constexpr std::size_t kParts = 8;
  std::array<double, kParts> parts{};
  std::size_t i = 0;
  for (; i + kParts <= values.size(); i += kParts)
    for (std::size_t part = 0; part < kParts; ++part) parts[part] += term(double{values[i + part]});
  double sum = 0;
  for (; i < values.size(); ++i) sum += term(double{values[i]});
  for (const double part : parts) sum += part;
  return sum;
}

inline double sum_of(std::span<const float> values) {
  return sum_of_terms(values, [](double x) { return x; });
}
inline double sum_of_squares(std::span<const float> values) {
  return sum_of_terms(values, [](double x) { return x * x; });
}

}  // namespace vecstore
