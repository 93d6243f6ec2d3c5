// SPDX-License-Identifier: Apache-2.0
//
// Sums over vectors, in double precision unless said otherwise. The order of the additions is fixed: every machine gets
// the same sum. In parts side by side no addition waits for the one before.
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

// Σ term(k) for k < count, in kParts sums side by side.
template <std::size_t kParts, typename Sum = double, typename Term>
Sum sum_in_parts(std::size_t count, const Term& term) {
  static_assert(kParts != 0 && (kParts & (kParts - 1)) == 0, "parts are added in halves");
  std::array<Sum, kParts> parts{};
  std::size_t k = 0;
  for (; k + kParts <= count; k += kParts)
    for (std::size_t part = 0; part < kParts; ++part) parts[part] += term(k + part);
  for (; k < count; ++k) parts[k % kParts] += term(k);
  for (std::size_t half = kParts / 2; half != 0; half /= 2)
    for (std::size_t part = 0; part < half; ++part) parts[part] += parts[part + half];
  return parts[0];
}

// Σ (a[k] − b[k])² for k < count. One addition follows the other unless kParts says otherwise: what a build writes
// depends on it.
template <std::size_t kParts = 1, typename A, typename B>
double squared_distance(const A& a, const B& b, std::size_t count) {
  return sum_in_parts<kParts>(count, [&](std::size_t k) {
    const double difference = static_cast<double>(a[k]) - static_cast<double>(b[k]);
    return difference * difference;
  });
}

}  // namespace vecstore
