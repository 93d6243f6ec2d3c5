// SPDX-License-Identifier: Apache-2.0
//
// Rows of a source as exact search takes them: validated, f16 widened to f32. Under cosine floats are also at length
// one, because no product of floats is right at every scale. Lengths are in double where a distance needs them.
#pragma once

#include <array>
#include <cstdint>
#include <type_traits>

#include "base/executor.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/vector_source.h"

namespace vecstore {

class PreparedRows {
 public:
  // Errors: kMemoryBudget.
  static Result<PreparedRows> allocate(MemoryBudget& budget, const VectorSource& source, Metric metric,
                                       std::uint64_t rows);
  // What a row takes here.
  static std::uint64_t row_bytes(const VectorSource& source, Metric metric);

  // Errors: as of VectorSource::read, kInvalidInput of check_vectors.
  Status load(Executor& executor, std::uint64_t first, std::uint64_t count);

  // Row i as it was given, but f16 widened: float, std::uint8_t or std::int8_t.
  template <typename T>
  const T* row(std::uint64_t i) const {
    return reinterpret_cast<const T*>(rows_.data()) + i * source_->dim();
  }
  // What kernels multiply: of floats under cosine the row at length one, each element rounded to float; else row().
  template <typename T>
  const T* kernel_row(std::uint64_t i) const {
    if constexpr (std::is_same_v<T, float>)
      if (!units_.empty()) return units_.data() + i * source_->dim();
    return row<T>(i);
  }
  double norm(std::uint64_t i) const { return norms_[i]; }          // under cosine, and of floats under ip
  const float* norms_above() const { return norms_above_.data(); }  // no less than norm(); of floats under ip
  std::uint64_t first() const { return first_; }
  std::uint64_t count() const { return count_; }

 private:
  PreparedRows(const VectorSource& source, Metric metric) : source_(&source), metric_(metric) {}

  Status prepare(const std::byte* raw, std::size_t begin, std::size_t end);
  double norm_of(std::size_t row_number) const;

  const VectorSource* source_;
  Metric metric_;
  std::uint64_t first_ = 0, count_ = 0;
  Buffer<std::byte> rows_, halves_;
  Buffer<float> units_, norms_above_;
  Buffer<double> norms_;
};

// Σ term(a[i], b[i]) in double. Independent partial sums, so that the compiler may vectorise without changing the
// result from machine to machine.
template <typename T, typename Term>
double sum_of(const T* a, const T* b, std::size_t dim, Term term) {
  std::array<double, 8> part{};
  std::size_t i = 0;
  for (; i + part.size() <= dim; i += part.size())
    for (std::size_t j = 0; j < part.size(); ++j)
      part[j] += term(static_cast<double>(a[i + j]), static_cast<double>(b[i + j]));
  for (; i < dim; ++i) part[i % part.size()] += term(static_cast<double>(a[i]), static_cast<double>(b[i]));
  return ((part[0] + part[4]) + (part[1] + part[5])) + ((part[2] + part[6]) + (part[3] + part[7]));
}
template <typename T>
double dot_in_double(const T* a, const T* b, std::size_t dim) {
  return sum_of(a, b, dim, [](double x, double y) { return x * y; });
}

}  // namespace vecstore
