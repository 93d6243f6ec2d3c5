// SPDX-License-Identifier: Apache-2.0
#include "engine/truth/prepared_rows.h"

#include <cmath>
#include <limits>
#include <vector>

#include "compress/kernels/kernels.h"
#include "engine/files/validate.h"

namespace vecstore {
namespace {

constexpr std::size_t kRowsPerRange = 2048;

bool has_units(const VectorSource& source, Metric metric) {
  return metric == Metric::kCosine && !is_integer(source.dtype());
}
bool has_norms(const VectorSource& source, Metric metric) {
  return metric == Metric::kCosine || (metric == Metric::kInnerProduct && !is_integer(source.dtype()));
}
bool has_norms_above(const VectorSource& source, Metric metric) {
  return metric == Metric::kInnerProduct && !is_integer(source.dtype());
}
bool widens(const VectorSource& source) { return source.dtype() == DType::kF16; }

std::size_t element_bytes_here(const VectorSource& source) {
  return widens(source) ? sizeof(float) : element_bytes(source.dtype());
}

float float_above(double value) {
  return std::nextafter(static_cast<float>(value), std::numeric_limits<float>::infinity());
}

}  // namespace

std::uint64_t PreparedRows::row_bytes(const VectorSource& source, Metric metric) {
  const std::size_t element = element_bytes_here(source) + (widens(source) ? element_bytes(source.dtype()) : 0) +
                              (has_units(source, metric) ? sizeof(float) : 0);
  return source.dim() * std::uint64_t{element} + (has_norms(source, metric) ? sizeof(double) : 0) +
         (has_norms_above(source, metric) ? sizeof(float) : 0);
}

Result<PreparedRows> PreparedRows::allocate(MemoryBudget& budget, const VectorSource& source, Metric metric,
                                            std::uint64_t rows) {
  PreparedRows prepared(source, metric);
  const std::size_t values = static_cast<std::size_t>(rows) * source.dim();
  VECSTORE_ASSIGN(prepared.rows_, Buffer<std::byte>::allocate(budget, values * element_bytes_here(source)));
  VECSTORE_ASSIGN(prepared.halves_,
                  Buffer<std::byte>::allocate(budget, widens(source) ? values * element_bytes(source.dtype()) : 0));
  VECSTORE_ASSIGN(prepared.units_, Buffer<float>::allocate(budget, has_units(source, metric) ? values : 0));
  VECSTORE_ASSIGN(prepared.norms_, Buffer<double>::allocate(budget, has_norms(source, metric) ? rows : 0));
  VECSTORE_ASSIGN(prepared.norms_above_, Buffer<float>::allocate(budget, has_norms_above(source, metric) ? rows : 0));
  return prepared;
}

Status PreparedRows::load(Executor& executor, std::uint64_t first, std::uint64_t count) {
  std::byte* raw = halves_.empty() ? rows_.data() : halves_.data();
  VECSTORE_TRY(source_->read(first, count, raw));
  first_ = first;
  count_ = count;
  std::vector<Status> faults((count + kRowsPerRange - 1) / kRowsPerRange);
  executor.parallel_for(count, kRowsPerRange, [&](std::size_t begin, std::size_t end, unsigned) {
    faults[begin / kRowsPerRange] = prepare(raw, begin, end);
  });
  for (const Status& fault : faults) VECSTORE_TRY(fault);
  return {};
}

Status PreparedRows::prepare(const std::byte* raw, std::size_t begin, std::size_t end) {
  const std::size_t dim = source_->dim();
  const DType dtype = source_->dtype();
  const VectorView view{raw + begin * dim * element_bytes(dtype), dtype, end - begin, source_->dim()};
  VECSTORE_TRY(check_vectors(view, metric_, source_->name(), first_ + begin));
  if (dtype == DType::kF16)
    kernels().widen_f16(reinterpret_cast<const std::uint16_t*>(raw) + begin * dim,
                        reinterpret_cast<float*>(rows_.data()) + begin * dim, (end - begin) * dim);
  for (std::size_t i = begin; i < end && !norms_.empty(); ++i) {
    norms_[i] = norm_of(i);
    if (!norms_above_.empty()) norms_above_[i] = float_above(norms_[i]);
    if (units_.empty()) continue;
    const double shrink = 1.0 / norms_[i];
    const float* from = row<float>(i);
    float* to = units_.data() + i * dim;
    for (std::size_t d = 0; d < dim; ++d) to[d] = static_cast<float>(from[d] * shrink);
  }
  return {};
}

double PreparedRows::norm_of(std::size_t row_number) const {
  const std::size_t dim = source_->dim();
  const auto norm = [&](const auto* values) { return std::sqrt(dot_in_double(values, values, dim)); };
  switch (source_->dtype()) {
    case DType::kU8:
      return norm(row<std::uint8_t>(row_number));
    case DType::kI8:
      return norm(row<std::int8_t>(row_number));
    default:
      return norm(row<float>(row_number));
  }
}

}  // namespace vecstore
