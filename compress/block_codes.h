// SPDX-License-Identifier: Apache-2.0
//
// The code cache: a small code per row in RAM, centred on the row's block.
//
// A block is kBlockRows consecutive positions, or fewer (compress/blocks.h); its centroid ĉ, their mean, is kept once
// (compress/centroids.h). A row is coded as its residual: r = R·(x − ĉ), R the rotation of the model, r ≈ r̂ = f · one
// codeword (8 bits) per subspace, and one 16-bit correction. With key(x) = |x|² − 2⟨q,x⟩ (squared L2 less |q|²; under
// inner product −2⟨q,x⟩):
//
//   estimate = key(ĉ) + f · Σ_m table_m[code_m] + correction,    table_m[j] = −2⟨(R(q−μ))_m, codeword_mj⟩
//   L2, cosine: correction = 2⟨R(ĉ−μ), r̂⟩ + |r̂|² + |r − r̂|² − bias
//   inner product: correction = 0 and μ = 0
//
// The term |r − r̂|² makes estimates right in the mean over all rows. Rows near the query lie on its side of their
// codeword, so that theirs come out too great. That excess, measured, is
// bias = bias_offset + bias_per_error2 · |r − r̂|².
//
// The tables do not depend on the block, so one u8 table per query serves every row. Blocks may lie so far from the
// mean that steps of u8 would be more than what codes leave untold. Then tables are of floats (`fine_tables`): slower,
// and as right wherever the rows lie. There are two families:
//  - kPq, kOpq: the codewords are trained. f = 1, unless the lengths of residuals differ by far (`scaled`): then f is
//    that length, kept for each row, and the codewords are trained on residuals of length 1. Product Quantization
//    (Jégou, Douze, Schmid, TPAMI 2011) with a PCA rotation and eigenvalue allocation (Ge, He, Ke, Sun, OPQ, CVPR
//    2013).
//  - kRabitq: R is random, and the codewords are all points of a grid of 1, 2 or 4 bits a dimension. f is kept for each
//    row (16 bits). Nothing is trained (compress/rabitq.h). Here r − r̂ ⟂ r, so |r|² takes the place of
//    |r̂|² + |r − r̂|².
#pragma once

#include <cstdint>

#include "base/executor.h"
#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/blocks.h"
#include "compress/centroids.h"
#include "compress/codec_model.h"
#include "compress/float_rows.h"

namespace vecstore {

// All that must be known beside the layout to predict what a search takes.
struct CodeForm {
  std::uint32_t code_bytes = 0;
  std::uint64_t blocks = 0;
  bool fine_tables = false;
  bool wide_centroids = false;
  bool cut_blocks = false;

  // The form of data that is not hard.
  static CodeForm ordinary(std::uint64_t rows, std::uint32_t code_bytes) {
    return {code_bytes, Blocks::even_count(rows)};
  }
};

// The code cache of one generation; arrays are owned. RAM per row is code_bytes + 2 (with factors + 4; with corrections
// of 32 bits 2 more). RAM per block is (dim + 12) · (1 + 1/kGroupBlocks), where centroids are wide 4 · (dim + 1).
struct BlockCodes {
  CodecModel model;
  std::uint64_t rows = 0;
  Blocks blocks;
  Buffer<std::uint8_t> codes;     // [rows × code_bytes] row-major in position order
  Buffer<std::uint16_t> factors;  // [rows] f as store_factor() of compress/rabitq.h gives it; kRabitq and scaled
  // [rows] in 16 bits, or as they are where 16 bits would blur what codes tell of near rows.
  Buffer<std::uint16_t> corrections;
  Buffer<float> wide_corrections;
  Centroids centroids;  // [blocks.count()]
  Centroids groups;     // [groups_of(blocks.count())], computed at load; not stored

  std::uint64_t bytes_per_row_total() const;  // all arrays that grow with rows, in bytes in all
  std::uint64_t fixed_bytes() const;          // the model
  CodeForm form() const {
    return {model.code_bytes, blocks.count(), model.fine_tables, centroids.is_wide(), blocks.is_cut()};
  }
  // What the error of a row's estimate is proportional to beside |q − x|: f, as |r − r̂| nearly is; else 1.
  float error_scale(Pos position) const;
};

// Computes centroids, trains the model on a sample and encodes every row. Same bytes for any thread count, unless a
// budget that is nearly used up bounds the cuts of blocks.
// `reuse`: a model trained before on the same data; then only centroids and codes are computed, and what describes the
// codes (correction scale and offset, errors). code_bytes above dim counts as dim. The rotation is left out (kPq) where
// it would not pay: rows < 4 · dim or dim > 2048. Errors: kMemoryBudget, kInvalidInput (squares of values overflow).
Result<BlockCodes> encode_blocks(const FloatRows& rows, const CodecOptions& options, const CodecModel* reuse,
                                 Executor& executor, MemoryBudget& budget);

// What encode_blocks will hold at its peak beyond `rows` with an executor of `threads`, and what stays resident (codes
// + model), in bytes.
std::uint64_t predict_encode_bytes(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options,
                                   unsigned threads = 16);
std::uint64_t predict_resident_bytes(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options);
// What more of it data may need, which is not known before: factors, wide corrections and centroids, cut blocks.
std::uint64_t predict_hard_bytes(std::uint64_t rows, std::uint32_t dim);
std::uint64_t predict_fixed_bytes(std::uint64_t rows, std::uint32_t dim,
                                  const CodecOptions& options);  // the model's part of it

}  // namespace vecstore
