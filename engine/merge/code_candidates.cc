// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/code_candidates.h"

#include "base/limits.h"

namespace vecstore {

std::uint64_t CodeCandidates::predict_bytes(std::uint32_t dim, const CodeForm& form) {
  return CodeScorer::predict_bytes(dim, form) + ScorerScratch::predict_bytes(dim, form.code_bytes) +
         (form.blocks + groups_of(form.blocks)) * sizeof(CodeScorer::RankedBlock) +
         kBlockRows * (sizeof(float) + sizeof(std::uint32_t));
}

Result<CodeCandidates> CodeCandidates::create(const BlockCodes& codes, MemoryBudget& budget) {
  VECSTORE_ASSIGN(auto scorer, CodeScorer::create(codes, budget));
  VECSTORE_ASSIGN(auto scratch, ScorerScratch::create(codes, budget));
  CodeCandidates candidates(codes, std::move(scorer), std::move(scratch));
  const std::uint64_t blocks = codes.blocks.count();
  VECSTORE_ASSIGN(candidates.ranked_, Buffer<CodeScorer::RankedBlock>::allocate(budget, blocks + groups_of(blocks)));
  VECSTORE_ASSIGN(candidates.estimates_, Buffer<float>::allocate(budget, kBlockRows));
  VECSTORE_ASSIGN(candidates.below_, Buffer<std::uint32_t>::allocate(budget, kBlockRows));
  return candidates;
}

void CodeCandidates::keep_best(std::size_t count) {
  if (best_.size() <= count) return;
  const auto last = best_.begin() + static_cast<std::ptrdiff_t>(count - 1);
  std::nth_element(best_.begin(), last, best_.end());
  best_.resize(count);
}

}  // namespace vecstore
