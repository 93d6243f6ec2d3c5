// SPDX-License-Identifier: Apache-2.0
//
// The graph that a merge goes on from: its lists, without rows that are gone.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <unordered_map>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "engine/builder/build_input.h"
#include "engine/content/content.h"
#include "engine/merge/merge_input.h"
#include "engine/watch.h"

namespace vecstore {

class OldGraph final : public KnownGraph {
 public:
  // Of a content with a graph, of which the input has rows. Both outlive it. Errors: kIo, kCorrupt, kMemoryBudget,
  // kCancelled.
  static Result<std::unique_ptr<OldGraph>> read(const Content& content, const MergeInput& input, MemoryBudget& budget,
                                                Watch& watch);

  const Generation& generation() const override { return *content_.graph(); }
  const StoreProperties& properties() const override { return content_.properties(); }
  std::span<const std::uint32_t> order() const override { return order_.span(); }
  Status adopt_into(GraphBuilder& graph, const QuantizedRows& rows, Executor& executor) const override;

 private:
  OldGraph(const Content& content, const MergeInput& input, MemoryBudget& budget, Watch& watch)
      : content_(content), input_(input), budget_(budget), watch_(watch) {}
  class Adopter;
  Status find_rows();
  Status read_lists_of_the_dead();

  const Content& content_;
  const MergeInput& input_;
  MemoryBudget& budget_;
  Watch& watch_;
  Buffer<std::uint32_t> row_at_;  // [positions] the row of the merge; kNoPos: it is gone
  Buffer<std::uint32_t> order_;   // of those that stay
  Charge dead_charge_;            // of what follows
  // By position: the rows that a row which is gone led to, and that stay.
  std::unordered_map<Pos, std::vector<std::uint32_t>> dead_lists_;
};

}  // namespace vecstore
