// SPDX-License-Identifier: Apache-2.0
//
// What simulations of merges share: writes whose outcome a history notes, and merges beside which there are more.
#pragma once

#include <string>

#include "tests/sim/store_model.h"

namespace vecstore::test {

// Writes, and notes what was promised. False: one failed, so that only opening the store again tells what it holds.
inline bool write(Store& store, History& history, Random& random, int writes, const WriteShape& shape = {}) {
  for (int i = 0; i < writes; ++i) {
    const ModelWrite one = random_write(random, shape);
    history.add(one);
    if (write_to(store, one, shape)) {
      history.least = history.writes.size();
    } else if (store.flush().is_ok()) {  // nothing of it is in
      history.writes.pop_back();
      history.states.pop_back();
    } else {
      return false;
    }
  }
  return true;
}

inline CompactOptions one_thread() {
  CompactOptions options;
  options.threads = 1;
  return options;
}

struct Done {
  std::uint64_t merges = 0;
  std::uint64_t writes_beside = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t with_extents = 0;  // of the merges, those after which there are several
  std::uint64_t in_passes = 0;     // of the merges that were begun, those that link new rows to a graph that stays
};

// Merges, while now and then something is written. Some may be cancelled, which leaves all as it was.
enum class Cancels : std::uint8_t { kSome, kNone };
inline Status merge(Store& store, History& history, Random& random, Done& done, const WriteShape& shape = {},
                    Cancels cancels = Cancels::kSome) {
  bool goes_on = true;
  CancelToken cancel;
  std::uint64_t steps_left = cancels == Cancels::kSome && random.below(3) == 0 ? random.below(8) : ~std::uint64_t{0};
  CompactOptions options = one_thread();
  options.cancel = &cancel;
  options.progress = [&](const Progress& progress) {
    // One that builds anew links every row.
    const bool is_linking = progress.phase == Phase::kGraph && progress.done == 0;
    if (is_linking && progress.total < history.states.back().size() / 2) ++done.in_passes;
    if (steps_left-- == 0) cancel.cancel();
    if (!goes_on || random.below(3) != 0) return;
    goes_on = write(store, history, random, 1, shape);
    ++done.writes_beside;
  };
  const auto merged = store.compact(options);
  if (merged) ++done.merges;
  if (merged && store.info().extents > 1) ++done.with_extents;
  if (!goes_on) return {Code::kIo, "a write beside it failed"};
  if (code_of(merged) != Code::kCancelled) return merged ? Status::ok() : merged.error();
  ++done.cancelled;
  return Status::ok();
}

inline std::string label(std::uint64_t seed, std::uint64_t cut, int round) {
  return "seed " + std::to_string(seed) + " cut " + std::to_string(cut) + " round " + std::to_string(round) + ": ";
}

}  // namespace vecstore::test
