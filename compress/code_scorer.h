// SPDX-License-Identifier: Apache-2.0
//
// What a query needs to score the codes of rows (compress/block_codes.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/block_codes.h"
#include "compress/kernels/kernels.h"

namespace vecstore {

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
  // For the query that `other` is prepared for, whose model has the same tables (have_same_tables()).
  void prepare_like(const CodeScorer& other);

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

}  // namespace vecstore
