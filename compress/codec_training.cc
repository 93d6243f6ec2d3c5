// SPDX-License-Identifier: Apache-2.0
#include "compress/codec_training.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>
#include <span>
#include <vector>

#include "compress/kernels/dense.h"
#include "compress/kmeans.h"
#include "compress/kmeans_memory.h"
#include "compress/model_tables.h"
#include "compress/rotation.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kTrainIterations = 12;
constexpr double kWeightPower = 0.5;     // a weight's square is the variance to this power (NOTES)
constexpr double kVarianceFloor = 1e-9;  // share of the greatest
constexpr double kCodeBits = 8;          // bits of a subspace
constexpr double kDroppedShare = .005;   // share of the weight of coding errors that dimensions left out may have
constexpr std::size_t kRotateGrain = ModelTables::kBatch;

Status rotate_sample(const CodecModel& model, std::size_t rows, float* sample, Executor& executor,
                     MemoryBudget& budget) {
  const std::size_t dim = model.dim;
  const std::size_t stride = padded(dim);
  VECSTORE_ASSIGN(auto table, Buffer<float>::allocate(budget, dim * stride));
  const std::size_t batch_floats = kRotateGrain * stride;
  VECSTORE_ASSIGN(auto scratch, Buffer<float>::allocate(budget, batch_floats * executor.thread_count()));
  transpose_rotation(model, table.data());
  executor.parallel_for(rows, kRotateGrain, [&](std::size_t begin, std::size_t end, unsigned worker) {
    float* rotated = scratch.data() + worker * batch_floats;
    const Points points = {sample + begin * stride, end - begin, stride, dim};
    dense().multiply(points, {table.data(), stride, stride}, rotated, stride);
    std::memcpy(sample + begin * stride, rotated, (end - begin) * stride * sizeof(float));
  });
  return Status::ok();
}

std::vector<double> variances_of(const Points& rotated) {
  std::vector<double> variance(rotated.depth);
  for (std::size_t p = 0; p < rotated.count; ++p) {
    const float* row = rotated.data + p * rotated.stride;
    for (std::size_t i = 0; i < rotated.depth; ++i) variance[i] += double{row[i]} * row[i];
  }
  for (double& one : variance) one /= static_cast<double>(rotated.count);
  return variance;
}

// A dimension in which rows differ much is one in which a query differs much from its neighbours, and there an error of
// coding weighs: the error of an estimate is −2⟨R(q − x̂), δ⟩. README and NOTES of this folder have the reasoning and
// the figures.
void weigh_dimensions(const std::vector<double>& variance, float* weights) {
  const double greatest = *std::max_element(variance.begin(), variance.end());
  for (std::size_t i = 0; i < variance.size(); ++i) {
    const double share = greatest > 0 ? std::max(variance[i] / greatest, kVarianceFloor) : 1.0;
    weights[i] = static_cast<float>(std::pow(share, kWeightPower / 2));
  }
}

void scale_dimensions(float* sample, std::size_t rows, std::size_t dim, const float* weights, Executor& executor) {
  executor.parallel_for(rows, kRotateGrain, [&](std::size_t begin, std::size_t end, unsigned) {
    for (std::size_t p = begin; p < end; ++p) {
      float* row = sample + p * padded(dim);
      for (std::size_t i = 0; i < dim; ++i) row[i] *= weights[i];
    }
  });
}

Status train_codebooks(const CodecShape& shape, std::uint64_t seed, const float* rotated, Executor& executor,
                       MemoryBudget& budget, CodecModel& model) {
  const std::size_t codewords = shape.codewords;
  const std::size_t stride = padded(shape.dim);
  const std::uint32_t widest = (shape.dim + shape.code_bytes - 1) / shape.code_bytes;
  VECSTORE_ASSIGN(auto centroids, Buffer<float>::allocate(budget, codewords * widest));
  for (std::uint32_t m = 0; m < shape.code_bytes; ++m) {
    const std::uint32_t begin = model.subspace_begin[m];
    const std::size_t width = model.subspace_begin[m + 1] - begin;
    const KMeansOptions options = {shape.codewords, kTrainIterations, seed + m};
    VECSTORE_TRY(
        kmeans(rotated + begin, shape.sample_rows, width, stride, options, executor, budget, centroids.data()));
    for (std::size_t j = 0; j < codewords; ++j) {
      for (std::size_t k = 0; k < width; ++k)
        model.codebook[(begin + k) * codewords + j] = centroids[j * width + k] / model.weights[begin + k];
    }
  }
  return Status::ok();
}

// The mean square error in each of some independent normal dimensions that 8 bits leave in all, at best: dimensions of
// less variance get no bit (reverse water-filling: Cover, Thomas, Elements of Information Theory, 10.3.3).
double error_level(std::span<const double> variance) {
  double low = 0;
  double high = *std::max_element(variance.begin(), variance.end());
  for (int step = 0; step < 60; ++step) {
    const double level = (low + high) / 2;
    double bits = 0;
    for (const double one : variance) bits += one > level ? 0.5 * std::log2(one / level) : 0.0;
    (bits > kCodeBits ? low : high) = level;
  }
  return high;
}

// The mean square of a rotated dimension over the codewords of its subspace.
double square_of_codewords(const CodecModel& model, std::size_t dimension) {
  double square = 0;
  for (std::size_t j = 0; j < model.codewords; ++j) {
    const double x = model.codebook[dimension * model.codewords + j];
    square += x * x;
  }
  return square / static_cast<double>(model.codewords);
}

// The rotated dimensions worth keeping. Where the variance of a dimension lies below what the bits of its subspace
// reach, its codewords hardly differ. Leaving them out costs next to nothing. An estimate errs by 2⟨q, δ⟩, so what is
// told of a dimension weighs as much as its variance. Of that weight in all errors of the code kDroppedShare is given
// up.
std::vector<bool> dimensions_to_keep(const CodecModel& model, const std::vector<double>& variance) {
  const std::size_t dims = variance.size();
  std::vector<double> told(dims);
  double errors = 0;
  for (std::size_t m = 0; m < model.code_bytes; ++m) {
    const std::size_t begin = model.subspace_begin[m];
    const std::size_t width = model.subspace_begin[m + 1] - begin;
    const double level = error_level(std::span(variance).subspan(begin, width));
    for (std::size_t i = begin; i < begin + width; ++i) {
      const double error = std::min(variance[i], level);
      told[i] = (variance[i] - error) * variance[i];
      errors += error * variance[i];
    }
  }
  std::vector<std::uint32_t> rising(dims);
  std::iota(rising.begin(), rising.end(), 0u);
  std::sort(rising.begin(), rising.end(),
            [&](std::uint32_t a, std::uint32_t b) { return told[a] != told[b] ? told[a] < told[b] : a < b; });
  std::vector<std::uint32_t> left(model.code_bytes);
  std::vector<std::size_t> subspace(dims);
  for (std::size_t m = 0; m < model.code_bytes; ++m) {
    left[m] = model.subspace_begin[m + 1] - model.subspace_begin[m];
    std::fill(subspace.begin() + model.subspace_begin[m], subspace.begin() + model.subspace_begin[m + 1], m);
  }
  std::vector<bool> keep(dims, true);
  double given_up = 0;
  for (const std::uint32_t i : rising) {
    given_up += told[i];
    if (given_up > kDroppedShare * errors) break;
    // Rows that are nearly alike are told better than by that theory.
    if (left[subspace[i]] == 1 || square_of_codewords(model, i) > variance[i] / 2) continue;
    --left[subspace[i]];
    keep[i] = false;
  }
  return keep;
}

Status drop_dimensions(const std::vector<bool>& keep, MemoryBudget& budget, CodecModel& model) {
  const auto kept = static_cast<std::size_t>(std::count(keep.begin(), keep.end(), true));
  if (kept == keep.size()) return Status::ok();
  VECSTORE_ASSIGN(auto rotation, Buffer<float>::allocate(budget, kept * model.dim));
  VECSTORE_ASSIGN(auto weights, Buffer<float>::allocate(budget, kept));
  VECSTORE_ASSIGN(auto codebook, Buffer<float>::allocate(budget, kept * model.codewords));
  std::vector<std::uint32_t> begin(1, 0);
  std::uint32_t to = 0;
  for (std::size_t m = 0; m < model.code_bytes; ++m) {
    for (std::size_t i = model.subspace_begin[m]; i < model.subspace_begin[m + 1]; ++i) {
      if (!keep[i]) continue;
      std::copy_n(model.rotation.data() + i * model.dim, model.dim, rotation.data() + to * model.dim);
      std::copy_n(model.codebook.data() + i * model.codewords, model.codewords, codebook.data() + to * model.codewords);
      weights[to++] = model.weights[i];
    }
    begin.push_back(to);
  }
  model.rotation = std::move(rotation);
  model.weights = std::move(weights);
  model.codebook = std::move(codebook);
  model.subspace_begin = std::move(begin);
  return Status::ok();
}

}  // namespace

Status train_model(const CodecShape& shape, std::uint64_t seed, float* sample, Executor& executor, MemoryBudget& budget,
                   CodecModel& model) {
  if (shape.sample_rows == 0) return Status::ok();
  if (shape.kind == Codec::kOpq) {
    const Points points = {sample, shape.sample_rows, padded(shape.dim), shape.dim};
    VECSTORE_TRY(
        principal_rotation(points, shape.code_bytes, executor, budget, model.rotation.data(), model.subspace_begin));
    VECSTORE_TRY(rotate_sample(model, shape.sample_rows, sample, executor, budget));
  }
  const std::vector<double> variance = variances_of({sample, shape.sample_rows, padded(shape.dim), shape.dim});
  weigh_dimensions(variance, model.weights.data());
  scale_dimensions(sample, shape.sample_rows, shape.dim, model.weights.data(), executor);
  VECSTORE_TRY(train_codebooks(shape, seed, sample, executor, budget, model));
  if (shape.kind != Codec::kOpq) return Status::ok();
  return drop_dimensions(dimensions_to_keep(model, variance), budget, model);
}

std::uint64_t train_bytes(const CodecShape& shape, std::uint64_t threads) {
  if (shape.sample_rows == 0) return 0;
  const std::uint64_t dim = shape.dim;
  const std::uint64_t widest = (dim + shape.code_bytes - 1) / shape.code_bytes;
  std::uint64_t peak =
      sizeof(float) * shape.codewords * widest + kmeans_bytes(shape.sample_rows, widest, padded(dim), shape.codewords);
  if (shape.kind == Codec::kOpq) {
    peak = std::max(
        {peak, principal_rotation_bytes(dim, threads), sizeof(float) * padded(dim) * (dim + kRotateGrain * threads),
         sizeof(float) * dim * (dim + 1 + shape.codewords)});  // the last: the model anew, less some dimensions
  }
  return peak;
}

}  // namespace vecstore
