// SPDX-License-Identifier: Apache-2.0
//
// The code cache: a small code per row in RAM, centred on the row's block, and what a query needs to score it.
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
// codeword, so that theirs come out too great; bias = bias_offset + bias_per_error2 · |r − r̂|² is that excess,
// measured.
//
// The tables do not depend on the block, so one u8 table per query serves every row. Where blocks lie so far from the
// mean that steps of u8 would be more than what codes leave untold, tables are of floats (`fine_tables`): slower, and
// as right wherever the rows lie. There are two families:
//  - kPq, kOpq: the codewords are trained. f = 1, unless the lengths of residuals differ by far (`scaled`): then f is
//    that length, kept for each row, and the codewords are trained on residuals of length 1. Product Quantization
//    (Jégou, Douze, Schmid, TPAMI 2011) with a PCA rotation and eigenvalue allocation (Ge, He, Ke, Sun, OPQ, CVPR
//    2013).
//  - kRabitq: R is random, the codewords are all points of a grid of 1, 2 or 4 bits a dimension, and f is kept for each
//    row (16 bits): nothing is trained (compress/rabitq.h). Here r − r̂ ⟂ r, so |r|² takes the place of |r̂|² + |r − r̂|².
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/executor.h"
#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "compress/blocks.h"
#include "compress/centroids.h"
#include "compress/kernels/kernels.h"

namespace vecstore {

// Reads rows of the generation in position order as floats (cosine: normalised). Thread-safe.
class FloatRows {
 public:
  virtual ~FloatRows() = default;
  virtual std::uint64_t rows() const = 0;
  virtual std::uint32_t dim() const = 0;
  virtual void read(Pos position, float* out) const = 0;
};

enum class CodecKind : std::uint8_t { kPq = 0, kOpq = 1, kRabitq = 2 };  // kPq: R is the identity

struct CodecOptions {
  CodecKind kind = CodecKind::kOpq;
  std::uint32_t code_bytes = 32;  // subspaces; 1 … dim. kRabitq: room for the widest of 1, 2 and 4 bits a dimension
  Metric metric = Metric::kL2;
  std::uint64_t seed = 1;
  std::uint32_t sample_rows = 65536;  // rows that rotation and codebooks are trained on; kRabitq: none
};

// What all rows share. Fixed size, D the rotated dimensions that codewords differ in: (D·dim if rotated) + codewords·D
// + D + dim floats; kRabitq: dim floats and a mixing.
struct CodecModel {
  CodecKind kind = CodecKind::kOpq;
  Metric metric = Metric::kL2;
  std::uint32_t dim = 0;
  std::uint32_t code_bytes = 0;
  std::uint32_t codewords = 0;  // per subspace, ≤ 256; fewer when there are fewer rows; kRabitq: 0
  std::uint32_t bits = 0;       // a dimension, of kRabitq
  bool scaled = false;          // of kPq and kOpq: rows have factors
  bool fine_tables = false;     // queries have tables of floats
  float correction_scale = 0;   // correction = correction_offset + correction_scale · u16
  float correction_offset = 0;
  float error_slope = 0;        // standard error of an estimate ≈ error_slope · error_scale · |q − x| (ip: · |q|)
  float mean_square_error = 0;  // of coding, mean over rows of |r − r̂|²
  float bias_offset = 0;        // zero where rows have factors and under inner product
  float bias_per_error2 = 0;
  std::vector<std::uint32_t> subspace_begin;  // [code_bytes + 1] into the rotated dimensions; empty for kRabitq
  // Rotated dimensions that are kept, at most dim; in the others every codeword is zero.
  std::size_t rotated_dims() const { return subspace_begin.empty() ? dim : subspace_begin.back(); }
  Buffer<float> mean;            // [dim]; zero under inner product
  Buffer<float> rotation;        // [rotated_dims() × dim] row-major, rotated = rotation · x; kOpq only
  Buffer<float> weights;         // [rotated_dims()] by which encoding multiplies errors in a dimension; not kRabitq
  Buffer<float> codebook;        // [rotated_dims() × codewords]: row i is dimension i of the codewords of its subspace
  Buffer<std::uint16_t> mixing;  // [kMixingRounds × dim] the rotation of kRabitq (compress/mixing.h)
};

// All that must be known beside the layout to predict what a search takes.
struct CodeForm {
  std::uint32_t code_bytes = 0;
  std::uint64_t blocks = 0;
  bool fine_tables = false;
  bool wide_centroids = false;
  bool cut_blocks = false;

  // Of data that is not hard.
  static CodeForm ordinary(std::uint64_t rows, std::uint32_t code_bytes) {
    return {code_bytes, Blocks::even_count(rows)};
  }
};

// The code cache of one generation; arrays are owned. RAM per row: code_bytes + 2 (with factors + 4; with corrections
// of 32 bits 2 more); and per block (dim + 12) · (1 + 1/kGroupBlocks), where centroids are wide 4 · (dim + 1).
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

// A copy of the model charged to `budget`.
Result<CodecModel> copy_model(const CodecModel& model, MemoryBudget& budget);

// What encode_blocks will hold at its peak beyond `rows` with an executor of `threads`, and what stays resident (codes
// + model), in bytes.
std::uint64_t predict_encode_bytes(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options,
                                   unsigned threads = 16);
std::uint64_t predict_resident_bytes(std::uint64_t rows, std::uint32_t dim, const CodecOptions& options);
// What more of it data may need, which is not known before: factors, wide corrections and centroids, cut blocks.
std::uint64_t predict_hard_bytes(std::uint64_t rows, std::uint32_t dim);
std::uint64_t predict_fixed_bytes(std::uint64_t rows, std::uint32_t dim,
                                  const CodecOptions& options);  // of these, model

// What preparing a query needs and no query keeps; the scorers of one thread share it.
class ScorerScratch {
 public:
  // Errors: kMemoryBudget.
  static Result<ScorerScratch> create(const BlockCodes& codes, MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint32_t dim, std::uint32_t code_bytes);

 private:
  friend class CodeScorer;
  Buffer<float> rotated_;      // [dim] the query less μ, then rotated
  Buffer<float> centred_;      // [dim]
  Buffer<float> float_table_;  // [code_bytes × 256] ⟨R(q−μ), codeword⟩
  Buffer<float> greatest_;     // [code_bytes] the greatest of each, which stands for the least entry
};

// One query's view of the codes. Made once, prepared for query after query.
class CodeScorer {
 public:
  // `codes` must outlive the scorer. Errors: kMemoryBudget.
  static Result<CodeScorer> create(const BlockCodes& codes, MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint32_t dim, const CodeForm& form);

  // query: [dim] floats (cosine: normalised).
  void prepare(const float* query, ScorerScratch& scratch);

  struct RankedBlock {
    float key = 0;
    std::uint32_t block = 0;
    friend bool operator<(const RankedBlock& a, const RankedBlock& b) {
      return a.key != b.key ? a.key < b.key : a.block < b.block;
    }
  };
  // The nearest `count` blocks, or all, nearest first, among those of the nearest groups, and of groups with parts of
  // blocks, where there are many. room:
  // [blocks + groups], where the answer begins. Returns how many there are.
  std::size_t nearest_blocks(std::size_t count, std::span<RankedBlock> room);
  // The nearest block of the nearest group and of groups with parts of blocks, without prepare(). There is at least
  // one.
  std::uint32_t nearest_block(const float* query);

  const Blocks& blocks() const { return codes_->blocks; }
  // [blocks] key(ĉ) of every block after prepare().
  std::span<const float> block_keys();
  // What makes squared distances of keys: |q|², but with fine tables, whose keys are squared distances, and under inner
  // product 0. After prepare().
  float key_shift() const { return key_shift_; }
  // The standard error of an estimate that the steps of the tables cause, before f. After prepare().
  double table_error() const;

  // Estimated keys of `count` consecutive rows from `first`; of the rows `positions`. out: [count].
  void score_run(Pos first, std::size_t count, float* out);
  void score_positions(const Pos* positions, std::size_t count, float* out);
  // Asks the processor for what score_run() will read.
  void prefetch_run(Pos first, std::size_t count) const;

 private:
  CodeScorer() = default;
  void rotate_query(ScorerScratch& scratch) const;
  // The products of a subspace's codewords with the query. Returns how many there are.
  std::size_t fill_products(std::size_t subspace, const ScorerScratch& scratch, float* products) const;
  void fill_tables(ScorerScratch& scratch);
  void take_query(const float* query);
  void sum_entries(const Rows& rows);
  float sum_at(std::size_t i) const { return fine_sums_.empty() ? static_cast<float>(sums_[i]) : fine_sums_[i]; }
  void keys_of(const Centroids& centroids, std::size_t first, std::size_t count, float* out) const;
  // Fine tables or corrections of 32 bits.
  bool is_special() const { return codes_->model.fine_tables || !codes_->wide_corrections.empty(); }
  void fill_keys(std::size_t group);
  std::size_t rank_groups();
  float block_key(std::size_t block) {
    if (keys_of_[block / kGroupBlocks] != query_number_) fill_keys(block / kGroupBlocks);
    return block_keys_[block];
  }
  struct Terms;
  Terms terms_of_estimates() const;

  const BlockCodes* codes_ = nullptr;
  const Kernels* kernels_ = nullptr;
  Buffer<std::uint8_t> table_;  // [code_bytes × 256]
  Buffer<float> fine_table_;    // [code_bytes × 256] instead, where tables are fine
  Buffer<float> query_;         // [dim]
  float query_sum_ = 0;
  std::uint32_t query_number_ = 0;
  Buffer<float> block_keys_;       // [blocks] computed group by group, when one is asked for
  Buffer<std::uint32_t> keys_of_;  // [groups] the number of the query whose keys those are
  Buffer<float> group_keys_;       // [groups]
  Buffer<std::uint16_t> sums_;     // [kBlockRows] one batch
  Buffer<float> fine_sums_;        // [kBlockRows] instead
  float key_shift_ = 0;
  float table_scale_ = 0;
  float table_offset_ = 0;  // Σ of the per-subspace minima; with factors before f, as is the scale
};

// The bytes of BlockCodes in a codes file, and back. Byte-exact format: compress/README.md.
// Model and arrays are written as one little-endian stream; the reader checks every size against `size` before it
// allocates. Errors: kCorrupt, kMemoryBudget.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status write(std::span<const std::byte> bytes) = 0;
};
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::uint64_t size() const = 0;              // bytes in all
  virtual Status read(std::span<std::byte> into) = 0;  // exactly that many, or an error
};
Status save_block_codes(const BlockCodes& codes, ByteSink& sink);
Result<BlockCodes> load_block_codes(ByteSource& source, MemoryBudget& budget);

}  // namespace vecstore
