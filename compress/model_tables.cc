// SPDX-License-Identifier: Apache-2.0
#include "compress/model_tables.h"

#include <algorithm>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "compress/kernels/dense.h"

namespace vecstore {

static_assert(kCodewords % kColumnStep == 0);

void transpose_rotation(const CodecModel& model, float* out) {
  const std::size_t columns = padded(model.rotated_dims());
  for (std::size_t j = 0; j < model.rotated_dims(); ++j) {
    for (std::size_t k = 0; k < model.dim; ++k) out[k * columns + j] = model.rotation[j * model.dim + k];
  }
}

Result<ModelTables> ModelTables::create(const CodecModel& model, MemoryBudget& budget) {
  ModelTables tables;
  tables.model_ = &model;
  const std::size_t rotated = model.rotated_dims();
  if (model.kind == Codec::kOpq) {
    VECSTORE_ASSIGN(tables.rotation_, Buffer<float>::allocate(budget, model.dim * padded(rotated)));
    transpose_rotation(model, tables.rotation_.data());
  }
  VECSTORE_ASSIGN(tables.codewords_, Buffer<float>::allocate(budget, rotated * kCodewords));
  VECSTORE_ASSIGN(tables.norms_, Buffer<float>::allocate(budget, std::size_t{model.code_bytes} * kCodewords));
  for (std::size_t m = 0; m < model.code_bytes; ++m) {
    float* norms = tables.norms_.data() + m * kCodewords;
    std::fill_n(norms + model.codewords, kCodewords - model.codewords, std::numeric_limits<float>::infinity());
    for (std::size_t i = model.subspace_begin[m]; i < model.subspace_begin[m + 1]; ++i) {
      const float* from = model.codebook.data() + i * model.codewords;
      float* to = tables.codewords_.data() + i * kCodewords;
      const float weight2 = model.weights[i] * model.weights[i];
      for (std::size_t j = 0; j < model.codewords; ++j) {
        to[j] = weight2 * from[j];
        norms[j] += to[j] * from[j];
      }
    }
  }
  return tables;
}

std::uint64_t ModelTables::bytes(const CodecShape& shape) {
  if (shape.kind == Codec::kRabitq) return 0;
  const std::uint64_t dim = shape.dim;
  const std::uint64_t rotation = shape.kind == Codec::kOpq ? dim * padded(dim) : 0;
  return sizeof(float) * (rotation + kCodewords * (dim + shape.code_bytes));
}

void ModelTables::rotate(const float* residuals, std::size_t count, float* rotated) const {
  const std::size_t stride = padded(model_->dim);
  if (model_->kind == Codec::kPq) {
    std::memcpy(rotated, residuals, count * stride * sizeof(float));
    return;
  }
  const std::size_t columns = padded(model_->rotated_dims());
  dense().multiply({residuals, count, stride, model_->dim}, {rotation_.data(), columns, columns}, rotated, stride);
}

void ModelTables::encode(const float* rotated, std::size_t count, std::uint8_t* codes) const {
  VECSTORE_CHECK(count <= kBatch);
  std::uint32_t index[kBatch];
  for (std::size_t m = 0; m < model_->code_bytes; ++m) {
    const std::size_t begin = model_->subspace_begin[m];
    const Points points = {rotated + begin, count, padded(model_->dim), model_->subspace_begin[m + 1] - begin};
    const Table table = {codewords_.data() + begin * kCodewords, kCodewords, kCodewords};
    dense().nearest(points, table, norms_.data() + m * kCodewords, index, nullptr);
    for (std::size_t p = 0; p < count; ++p) codes[p * model_->code_bytes + m] = static_cast<std::uint8_t>(index[p]);
  }
}

}  // namespace vecstore
