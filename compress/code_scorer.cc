// SPDX-License-Identifier: Apache-2.0
#include "compress/code_scorer.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/limits.h"
#include "base/sums.h"
#include "compress/extremes.h"
#include "compress/kernels/dense.h"
#include "compress/mixing.h"
#include "compress/rabitq.h"

namespace vecstore {
namespace {

constexpr std::size_t kEntries = 256;  // entries of a subspace's table, whatever the number of codewords
constexpr float kEntryMax = 255.0f;
constexpr std::uint32_t kSumMax = 65535;     // greatest of the scorer's u16 sums
constexpr std::size_t kLineBytes = 64;       // bytes of a cache line
constexpr std::size_t kBlocksAllMax = 4096;  // up to here a query is compared with every block (a million rows)
constexpr std::size_t kGroupSpread = 8;      // beyond it, with so many blocks for each that is wanted

static_assert(kDimMax < kSumMax, "each subspace needs at least one step of the sum");

}  // namespace

// What turns the sum of a row's table entries into its estimate: in one place, so that a row has the same estimate in a
// run and alone.
struct CodeScorer::Terms {
  float table_offset;
  float table_scale;
  float correction_offset;
  float correction_scale;

  float estimate(float key, std::uint16_t sum, std::uint16_t correction) const {
    return key + (table_offset + correction_offset) + table_scale * static_cast<float>(sum) +
           correction_scale * static_cast<float>(correction);
  }
  float estimate(float key, std::uint16_t sum, std::uint16_t correction, std::uint16_t factor) const {
    return key + correction_offset + factor_of(factor) * (table_offset + table_scale * static_cast<float>(sum)) +
           correction_scale * static_cast<float>(correction);
  }
  // The estimate of codes of any form. Far from the mean, table and correction nearly cancel: they meet before the key.
  float estimate(float key, float sum, const BlockCodes& codes, Pos position) const {
    const float correction =
        codes.wide_corrections.empty()
            ? correction_offset + correction_scale * static_cast<float>(codes.corrections[position])
            : codes.wide_corrections[position];
    return key + (codes.error_scale(position) * (table_offset + table_scale * sum) + correction);
  }
};

CodeScorer::Terms CodeScorer::terms_of_estimates() const {
  return {table_offset_, table_scale_, codes_->model.correction_offset, codes_->model.correction_scale};
}

Result<ScorerScratch> ScorerScratch::create(const BlockCodes& codes, MemoryBudget& budget) {
  ScorerScratch scratch;
  VECSTORE_ASSIGN(scratch.rotated_, Buffer<float>::allocate(budget, codes.model.dim));
  VECSTORE_ASSIGN(scratch.centred_, Buffer<float>::allocate(budget, codes.model.dim));
  VECSTORE_ASSIGN(scratch.float_table_, Buffer<float>::allocate(budget, codes.model.code_bytes * kEntries));
  VECSTORE_ASSIGN(scratch.greatest_, Buffer<float>::allocate(budget, codes.model.code_bytes));
  return scratch;
}

std::uint64_t ScorerScratch::predict_bytes(std::uint32_t dim, std::uint32_t code_bytes) {
  return sizeof(float) * (2ull * dim + std::uint64_t{std::clamp(code_bytes, 1u, dim)} * (kEntries + 1));
}

Result<CodeScorer> CodeScorer::create(const BlockCodes& codes, MemoryBudget& budget) {
  CodeScorer scorer;
  scorer.codes_ = &codes;
  scorer.kernels_ = &kernels();
  if (codes.model.fine_tables) {
    VECSTORE_ASSIGN(scorer.fine_table_, Buffer<float>::allocate(budget, codes.model.code_bytes * kEntries));
    VECSTORE_ASSIGN(scorer.fine_sums_, Buffer<float>::allocate(budget, kBlockRows));
  } else {
    VECSTORE_ASSIGN(scorer.table_, Buffer<std::uint8_t>::allocate(budget, codes.model.code_bytes * kEntries));
    VECSTORE_ASSIGN(scorer.sums_, Buffer<std::uint16_t>::allocate(budget, kBlockRows));
  }
  VECSTORE_ASSIGN(scorer.query_, Buffer<float>::allocate(budget, codes.model.dim));
  VECSTORE_ASSIGN(scorer.block_keys_, Buffer<float>::allocate(budget, codes.blocks.count()));
  VECSTORE_ASSIGN(scorer.keys_of_, Buffer<std::uint32_t>::allocate(budget, codes.groups.count()));
  VECSTORE_ASSIGN(scorer.group_keys_, Buffer<float>::allocate(budget, codes.groups.count()));
  return scorer;
}

std::uint64_t CodeScorer::predict_bytes(std::uint32_t dim, const CodeForm& form) {
  return sizeof(float) * (form.blocks + dim + 2 * groups_of(form.blocks)) +
         std::uint64_t{std::clamp(form.code_bytes, 1u, dim)} * kEntries * (form.fine_tables ? sizeof(float) : 1) +
         (form.fine_tables ? sizeof(float) : sizeof(std::uint16_t)) * kBlockRows;
}

void CodeScorer::prepare(const float* query, ScorerScratch& scratch) {
  const CodecModel& model = codes_->model;
  for (std::size_t i = 0; i < model.dim; ++i) scratch.centred_[i] = query[i] - model.mean[i];
  rotate_query(scratch);
  fill_tables(scratch);
  take_query(query);
}

void CodeScorer::prepare_like(const CodeScorer& other) {
  std::ranges::copy(other.table_, table_.begin());
  std::ranges::copy(other.fine_table_, fine_table_.begin());
  table_scale_ = other.table_scale_;
  table_offset_ = other.table_offset_;
  take_query(other.query_.data());
}

void CodeScorer::rotate_query(ScorerScratch& scratch) const {
  const CodecModel& model = codes_->model;
  float* centred = scratch.centred_.data();
  float* rotated = scratch.rotated_.data();
  switch (model.kind) {
    case Codec::kPq:
      std::memcpy(rotated, centred, model.dim * sizeof(float));
      return;
    case Codec::kOpq:
      return kernels_->dot_f32(centred,
                               {model.rotation.data(), model.dim * sizeof(float), nullptr, model.rotated_dims()},
                               model.dim, rotated);
    case Codec::kRabitq:
      return mix(model.mixing.data(), model.dim, centred, rotated);
    case Codec::kAutomatic:
      VECSTORE_CHECK(false);
  }
}

std::size_t CodeScorer::fill_products(std::size_t subspace, const ScorerScratch& scratch, float* products) const {
  const CodecModel& model = codes_->model;
  if (model.kind == Codec::kRabitq) {
    const std::size_t width = 8 / model.bits;
    const std::size_t begin = subspace * width;
    fill_rabitq_table(scratch.rotated_.data() + begin, std::min(width, model.dim - begin), model.bits, products);
    return kEntries;
  }
  const std::size_t codewords = model.codewords;
  const std::size_t begin = model.subspace_begin[subspace];
  const std::size_t width = model.subspace_begin[subspace + 1] - begin;
  const float* codebook = model.codebook.data() + begin * codewords;
  if (codewords == kEntries) {
    dense().multiply({scratch.rotated_.data() + begin, 1, width, width}, {codebook, codewords, codewords}, products,
                     kEntries);
    return kEntries;
  }
  std::fill_n(products, codewords, 0.0f);
  for (std::size_t k = 0; k < width; ++k) {
    for (std::size_t j = 0; j < codewords; ++j)
      products[j] += scratch.rotated_[begin + k] * codebook[k * codewords + j];
  }
  return codewords;
}

// float_table_[m][j] = ⟨rotated query, codeword⟩ at first; the factor −2 turns around the order, so that the greatest
// product becomes entry 0. The step is the least that neither passes 255 in an entry nor 65535 in a sum. Rounding adds
// at most half a step for each subspace, which is set aside.
void CodeScorer::fill_tables(ScorerScratch& scratch) {
  const std::size_t subspaces = codes_->model.code_bytes;
  std::size_t codewords = 0;
  float widest = 0;
  float sum_of_ranges = 0;
  table_offset_ = 0;
  if (codes_->model.fine_tables) {
    table_scale_ = -2;
    for (std::size_t m = 0; m < subspaces; ++m) fill_products(m, scratch, fine_table_.data() + m * kEntries);
    return;
  }
  for (std::size_t m = 0; m < subspaces; ++m) {
    float* table = scratch.float_table_.data() + m * kEntries;
    codewords = fill_products(m, scratch, table);
    const Extremes products = extremes_of(table, codewords);
    scratch.greatest_[m] = products.greatest;
    table_offset_ -= 2 * products.greatest;
    const float range = 2 * (products.greatest - products.least);
    widest = std::max(widest, range);
    sum_of_ranges += range;
  }
  table_scale_ = std::max(widest / kEntryMax, sum_of_ranges / static_cast<float>(kSumMax - subspaces));
  const float steps = table_scale_ > 0 ? 2 / table_scale_ : 0.0f;
  for (std::size_t m = 0; m < subspaces; ++m) {
    const float* from = scratch.float_table_.data() + m * kEntries;
    std::uint8_t* to = table_.data() + m * kEntries;
    const float greatest = scratch.greatest_[m];
    for (std::size_t j = 0; j < codewords; ++j) {
      const float entry = (greatest - from[j]) * steps + 0.5f;
      to[j] = static_cast<std::uint8_t>(static_cast<std::int32_t>(entry < kEntryMax ? entry : kEntryMax));
    }
  }
}

// Keys are computed when they are asked for; those of the query before count no more.
void CodeScorer::take_query(const float* query) {
  std::copy_n(query, query_.size(), query_.data());
  query_sum_ = static_cast<float>(sum_of(query_.span()));
  const bool of_norms = codes_->model.metric != Metric::kInnerProduct && !codes_->model.fine_tables;
  key_shift_ = of_norms ? static_cast<float>(sum_of_squares(query_.span())) : 0.0f;
  if (++query_number_ == 0) {
    std::fill(keys_of_.begin(), keys_of_.end(), 0u);
    query_number_ = 1;
  }
}

void CodeScorer::keys_of(const Centroids& centroids, std::size_t first, std::size_t count, float* out) const {
  const Metric metric = codes_->model.metric;
  if (codes_->model.fine_tables && metric != Metric::kInnerProduct)
    return centroids.distances(query_.data(), query_.size(), first, count, out);
  centroids.keys(*kernels_, query_.data(), query_sum_, query_.size(), metric, first, count, out);
}

double CodeScorer::table_error() const {
  constexpr double kOfStep = 12;  // the variance of what lies evenly within a step, in squares of it: one in so many
  if (codes_->model.fine_tables) return 0;
  return static_cast<double>(table_scale_) * std::sqrt(static_cast<double>(codes_->model.code_bytes) / kOfStep);
}

// The entries of each row's code, added up.
void CodeScorer::sum_entries(const Rows& rows) {
  const std::size_t subspaces = codes_->model.code_bytes;
  if (fine_table_.empty()) return kernels_->pq_score(table_.data(), subspaces, rows, sums_.data());
  for (std::size_t i = 0; i < rows.count; ++i) {
    const std::size_t row = rows.ids != nullptr ? rows.ids[i] : i;
    const std::uint8_t* code = static_cast<const std::uint8_t*>(rows.base) + row * rows.stride_bytes;
    float sum = 0;
    for (std::size_t m = 0; m < subspaces; ++m) sum += fine_table_[m * kEntries + code[m]];
    fine_sums_[i] = sum;
  }
}

void CodeScorer::fill_keys(std::size_t group) {
  const std::size_t first = group * kGroupBlocks;
  const std::size_t count = std::min(kGroupBlocks, block_keys_.size() - first);
  keys_of(codes_->centroids, first, count, block_keys_.data() + first);
  keys_of_[group] = query_number_;
}

std::span<const float> CodeScorer::block_keys() {
  for (std::size_t group = 0; group < keys_of_.size(); ++group) block_key(group * kGroupBlocks);
  return block_keys_.span();
}

// group_keys_ of the query; −∞ where a group has parts of blocks, whose mean may lie between them, near none. Returns
// how many such groups there are.
std::size_t CodeScorer::rank_groups() {
  const Blocks& blocks = codes_->blocks;
  const std::size_t groups = group_keys_.size();
  keys_of(codes_->groups, 0, groups, group_keys_.data());
  std::size_t with_parts = 0;
  for (std::size_t group = 0; blocks.is_cut() && group < groups; ++group) {
    const std::size_t first = group * kGroupBlocks;
    if (blocks.are_whole(first, std::min<std::size_t>(kGroupBlocks, blocks.count() - first))) continue;
    group_keys_[group] = -std::numeric_limits<float>::infinity();
    ++with_parts;
  }
  return with_parts;
}

std::size_t CodeScorer::nearest_blocks(std::size_t count, std::span<RankedBlock> room) {
  const std::size_t blocks = block_keys_.size();
  const std::size_t groups = keys_of_.size();
  VECSTORE_CHECK(room.size() >= blocks + groups);
  count = std::min(count, blocks);
  // The groups are ranked behind where the blocks go.
  const std::span<RankedBlock> ranked = room.last(groups);
  const std::size_t enough = (count * kGroupSpread + kGroupBlocks - 1) / kGroupBlocks;
  std::size_t wanted = groups;
  if (blocks > kBlocksAllMax && enough < groups) wanted = enough + rank_groups();
  wanted = std::min(wanted, groups);
  for (std::uint32_t group = 0; group < groups; ++group) ranked[group] = {group_keys_[group], group};
  if (wanted < groups) std::nth_element(ranked.begin(), ranked.begin() + wanted, ranked.end());
  std::size_t found = 0;
  for (std::size_t i = 0; i < wanted; ++i) {
    const std::size_t first = ranked[i].block * kGroupBlocks;
    const std::size_t end = std::min(blocks, first + kGroupBlocks);
    for (std::size_t block = first; block < end; ++block)
      room[found++] = {block_key(block), static_cast<std::uint32_t>(block)};
  }
  count = std::min(count, found);
  const auto best = room.begin() + count;
  if (count < found) std::nth_element(room.begin(), best, room.begin() + found);
  std::sort(room.begin(), best);
  return count;
}

std::uint32_t CodeScorer::nearest_block(const float* query) {
  take_query(query);
  const std::size_t with_parts = rank_groups();
  RankedBlock best{std::numeric_limits<float>::infinity(), 0};
  const auto compare = [&](std::size_t group) {
    const std::size_t first = group * kGroupBlocks;
    const std::size_t end = std::min(block_keys_.size(), first + kGroupBlocks);
    for (std::size_t block = first; block < end; ++block)
      best = std::min(best, {block_key(block), static_cast<std::uint32_t>(block)});
  };
  if (with_parts != 0) {
    for (std::size_t group = 0; group < group_keys_.size(); ++group) {
      if (!std::isinf(group_keys_[group])) continue;
      compare(group);
      group_keys_[group] = std::numeric_limits<float>::infinity();
    }
  }
  const auto nearest = std::min_element(group_keys_.begin(), group_keys_.end());
  compare(static_cast<std::size_t>(nearest - group_keys_.begin()));
  return best.block;
}

void CodeScorer::score_run(Pos first, std::size_t count, float* out) {
  VECSTORE_CHECK(first + std::uint64_t{count} <= codes_->rows);
  const Terms terms = terms_of_estimates();
  const std::size_t stride = codes_->model.code_bytes;
  while (count != 0) {
    const std::size_t block = codes_->blocks.block_of(first);
    const float key = block_key(block);
    const std::size_t left = codes_->blocks.rows(block) - (first - codes_->blocks.begin(block));
    const std::size_t part = std::min(count, left);
    const Rows rows = {codes_->codes.data() + first * stride, stride, nullptr, part};
    sum_entries(rows);
    if (is_special()) {
      for (std::size_t i = 0; i < part; ++i)
        out[i] = terms.estimate(key, sum_at(i), *codes_, static_cast<Pos>(first + i));
    } else if (codes_->factors.empty()) {
      const std::uint16_t* corrections = codes_->corrections.data() + first;
      for (std::size_t i = 0; i < part; ++i) out[i] = terms.estimate(key, sums_[i], corrections[i]);
    } else {
      const std::uint16_t* corrections = codes_->corrections.data() + first;
      const std::uint16_t* factors = codes_->factors.data() + first;
      for (std::size_t i = 0; i < part; ++i) out[i] = terms.estimate(key, sums_[i], corrections[i], factors[i]);
    }
    first += static_cast<Pos>(part);
    count -= part;
    out += part;
  }
}

void CodeScorer::prefetch_run(Pos first, std::size_t count) const {
  const auto ask_for = [](const void* from, std::size_t bytes) {
    const char* at = static_cast<const char*>(from);
    for (std::size_t offset = 0; offset < bytes; offset += kLineBytes) __builtin_prefetch(at + offset, 0, 2);
  };
  const std::size_t stride = codes_->model.code_bytes;
  ask_for(codes_->codes.data() + first * stride, count * stride);
  if (!codes_->corrections.empty()) ask_for(codes_->corrections.data() + first, count * sizeof(std::uint16_t));
  if (!codes_->wide_corrections.empty()) ask_for(codes_->wide_corrections.data() + first, count * sizeof(float));
  if (!codes_->factors.empty()) ask_for(codes_->factors.data() + first, count * sizeof(std::uint16_t));
}

void CodeScorer::score_positions(const Pos* positions, std::size_t count, float* out) {
  const Terms terms = terms_of_estimates();
  const std::size_t stride = codes_->model.code_bytes;
  const std::uint16_t* corrections = codes_->corrections.data();
  const std::uint16_t* factors = codes_->factors.data();
  const bool plain = codes_->factors.empty();
  const bool special = is_special();
  while (count != 0) {
    const std::size_t part = std::min<std::size_t>(count, kBlockRows);
    sum_entries({codes_->codes.data(), stride, positions, part});
    for (std::size_t i = 0; i < part; ++i) {
      const Pos position = positions[i];
      const float key = block_key(codes_->blocks.block_of(position));
      if (special) {
        out[i] = terms.estimate(key, sum_at(i), *codes_, position);
        continue;
      }
      out[i] = plain ? terms.estimate(key, sums_[i], corrections[position])
                     : terms.estimate(key, sums_[i], corrections[position], factors[position]);
    }
    positions += part;
    count -= part;
    out += part;
  }
}

}  // namespace vecstore
