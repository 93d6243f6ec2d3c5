// SPDX-License-Identifier: Apache-2.0
//
// Flat search over a delta.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <vector>

#include "base/cancel_token.h"
#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "compress/kernels/kernels.h"
#include "engine/live/delta_rows.h"
#include "graph/prepared_query.h"
#include "graph/search_types.h"
#include "wal/format.h"

namespace vecstore {

// Scans a delta for several queries at once, so that a row is brought into the cache once for all of them. For one
// thread at a time.
class DeltaSearcher {
 public:
  static constexpr std::size_t kQueriesMax = 16;

  // Errors: kMemoryBudget.
  static Result<std::unique_ptr<DeltaSearcher>> create(const DeltaShape& shape, MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint32_t dim);

  struct Wanted {
    std::uint32_t k = 0;
    Lsn snapshot;                                             // of the rows that are live then
    const RowFilter* filter = nullptr;                        // that it admits; nullptr: all
    double radius = std::numeric_limits<double>::infinity();  // that are no farther; as SearchParams::radius
  };
  // The k nearest of the rows that are wanted, sorted, for each of at most kQueriesMax queries [first, first + count)
  // of `queries`: found[i] is replaced. They are ranked by the vectors as they were put. FoundRow::position means
  // nothing. False once `cancel` (or nullptr) was cancelled: then what is found means nothing.
  bool search(const DeltaRows& delta, const VectorView& queries, std::uint64_t first, std::size_t count,
              const Wanted& wanted, const CancelToken* cancel, std::vector<FoundRow>* found);
  // What the distances found last for the query in that place lack (graph/prepared_query.h).
  double constant(std::size_t place) const { return queries_[place].constant(); }

 private:
  // The nearest so far.
  struct Near {
    double distance = 0;
    RowId row;
    friend bool operator<(const Near& a, const Near& b) {
      return a.distance != b.distance ? a.distance < b.distance : a.row < b.row;
    }
  };
  // A heap of at most k, the farthest on top.
  struct Best {
    std::vector<Near> heap;
    double limit = 0;  // what is not nearer is not taken
  };

  DeltaSearcher() = default;
  void prepare(const DeltaRows& delta, const VectorView& queries, std::uint64_t query, std::size_t place);
  void score_tiles(const DeltaStripe& stripe, std::size_t queries, std::size_t rows);
  void take_integers(const DeltaRows& delta, const DeltaStripe& stripe, std::size_t rows, std::size_t query,
                     const Wanted& wanted);
  void take_floats(const DeltaRows& delta, const DeltaStripe& stripe, std::size_t rows, std::size_t query,
                   const Wanted& wanted);
  static bool is_wanted(const DeltaRows& delta, const DeltaStripe& stripe, std::size_t within, const Wanted& wanted);
  double distance_to(const DeltaRows& delta, const DeltaStripe& stripe, std::size_t within, std::size_t query);
  void offer(const Near& near, std::size_t query, std::uint32_t k);

  const Kernels* kernels_ = nullptr;
  bool integral_ = false;  // distances are of integers
  std::vector<PreparedQuery> queries_;
  std::vector<std::uint32_t> norms2_;  // squared norms of the queries' codes
  std::size_t groups_ = 0;             // groups of four dimensions
  Buffer<std::uint8_t> codes_;         // [kQueriesMax × 4 · groups] of the queries, where distances are integers
  Buffer<std::uint8_t> last_tile_;     // the rows that count of a tile that is being filled
  Buffer<float> as_put_;               // [kQueriesMax × dim] the queries, where they are not
  Buffer<float> original_;             // [dim]
  Buffer<float> distances_;            // [kStripeRows]
  Buffer<std::uint32_t> integers_;     // [kQueriesMax × kStripeRows]
  std::array<Best, kQueriesMax> best_;
};

}  // namespace vecstore
