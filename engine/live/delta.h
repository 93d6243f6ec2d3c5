// SPDX-License-Identifier: Apache-2.0
//
// The rows that were put since the graph on disk was written, in memory and searched flat. Every row knows the log
// record that made it and the one that ended it, so that a reader sees the rows of one moment whatever is added
// meanwhile.
//
// One thread at a time writes: reserve(), append(), end(). Any number of threads read without locks; rows never move.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "compress/kernels/kernels.h"
#include "engine/key.h"
#include "engine/live/log_records.h"
#include "graph/prepared_query.h"
#include "graph/quantized_rows.h"
#include "graph/search_types.h"

namespace vecstore {

struct KeyHash {
  std::size_t operator()(const Key& key) const;
};

struct DeltaShape {
  std::uint32_t dim = 0;
  DType dtype = DType::kF32;
  Metric metric = Metric::kL2;
  KeyKind keys = KeyKind::kNumber;
  Centre centre = {};  // of the graph beside it; borrowed
};

class Delta {
 public:
  static constexpr std::uint32_t kStripeRows = 256;

  // The first row that is appended is `first`. Errors: kMemoryBudget.
  static Result<std::unique_ptr<Delta>> create(const DeltaShape& shape, RowId first, MemoryBudget& budget);
  Delta(const Delta&) = delete;
  Delta& operator=(const Delta&) = delete;

  const DeltaShape& shape() const { return shape_; }
  // What its rows are kept relative to, once there are any: the graph's centre or, where there is none, its first row.
  Centre centre() const { return row_shape_.centre; }
  RowId first() const { return first_; }
  RowId next() const { return {first_.value + rows()}; }
  std::uint64_t rows() const { return rows_.load(std::memory_order_acquire); }  // those that ended included
  bool has(RowId row) const { return row >= first_ && row.value - first_.value < rows(); }

  // What is allocated from now on comes from this budget.
  void charge_to(MemoryBudget& budget) { budget_ = &budget; }
  // Afterwards appending so many rows with so many bytes of keys and documents cannot fail. Errors: kMemoryBudget.
  Status reserve(std::uint64_t rows, std::uint64_t text_bytes);
  // record.row must be next(); its vector has the shape's dimension and type.
  void append(const PutRecord& record, Lsn born);
  void end(RowId row, Lsn died);

  // Of the documents of all rows, those that ended included: as they were put, and as they are kept.
  std::uint64_t document_bytes() const { return document_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t kept_document_bytes() const { return kept_document_bytes_.load(std::memory_order_relaxed); }

  // The row that had the key at `snapshot`; nullopt: none of these rows.
  std::optional<RowId> find(const Key& key, Lsn snapshot) const;
  bool is_live(RowId row, Lsn snapshot) const;
  Key key(RowId row) const;
  // As it is kept: a frame, where that has fewer bytes than the document.
  struct KeptDocument {
    std::string_view kept;
    std::uint32_t bytes = 0;
  };
  KeptDocument document(RowId row) const;
  void copy_vector(RowId row, std::byte* out) const;  // as it was put

 private:
  friend class DeltaSearcher;

  struct Row {
    std::uint64_t born = 0;
    std::uint64_t died = 0;  // written by atomic_ref; kNeverDied
    std::uint64_t number = 0;
    const char* text = nullptr;  // key, if it is bytes, then the document as it is kept
    std::uint32_t document_bytes = 0;
    std::uint32_t kept_bytes = 0;  // of the document
    std::uint16_t key_bytes = 0;
    std::uint32_t older = 0;  // 1 + the index of the row that had the key before
  };
  struct Stripe {
    // In tiles, with the sums of their squares, where distances are integers. Elsewhere in rows of 8 bits a value,
    // which tell which originals are worth a look.
    Buffer<std::uint8_t> tiles;
    Buffer<std::uint32_t> norms2;  // [kStripeRows]
    std::optional<QuantizedRows> vectors;
    Buffer<std::byte> originals;  // [kStripeRows × dim], where that loses something
    Buffer<Row> rows;             // [kStripeRows]
  };
  struct StripePlace {
    Stripe* stripe = nullptr;
  };
  // From key to the newest row that has it: open addressing, replaced by a larger one when half full. Those it replaced
  // stay for readers that are still in them.
  struct KeyTable {
    std::unique_ptr<std::atomic<std::uint32_t>[]> slots;  // 1 + index; 0: free
    std::size_t mask = 0;
    Charge charge;
  };

  Delta(const DeltaShape& shape, RowId first, MemoryBudget& budget) : shape_(shape), first_(first), budget_(&budget) {}
  Status add_stripe();
  void put_integers(Stripe& stripe, std::uint64_t within, std::span<const std::byte> vector);
  Status reserve_text(std::uint64_t bytes);
  Status reserve_keys(std::uint64_t more);
  void index_key(KeyTable& table, std::uint32_t index);
  bool has_key(const Row& row, const Key& key) const;
  const Row& row_at(std::uint64_t index) const { return stripe_of(index).rows[index % kStripeRows]; }
  Row& row_at(std::uint64_t index) { return stripe_of(index).rows[index % kStripeRows]; }
  const Stripe& stripe_of(std::uint64_t index) const { return *stripes_[index / kStripeRows].stripe; }
  Stripe& stripe_of(std::uint64_t index) { return *stripes_[index / kStripeRows].stripe; }
  bool is_visible(const Row& row, Lsn snapshot) const;
  // A row as it was put, where that is not what is scanned.
  VectorView as_put(const Stripe& stripe, std::size_t within) const {
    return {stripe.originals.data() + within * row_bytes(), shape_.dtype, 1, shape_.dim, 0};
  }
  // Of an integer row, in the tiles; its groups of four dimensions are Tiles::kGroupBytes apart.
  static std::size_t tile_place(std::uint64_t within, std::size_t groups);
  std::size_t groups() const { return Tiles::groups_of(shape_.dim); }
  std::uint32_t row_bytes() const { return shape_.dim * static_cast<std::uint32_t>(element_bytes(shape_.dtype)); }

  const DeltaShape shape_;
  const RowId first_;
  MemoryBudget* budget_;
  RowShape row_shape_;           // of floats, of 8 bits a value
  Buffer<float> own_centre_;     // [dim] where the shape has none
  Buffer<float> widened_;        // [dim] the row that is being appended
  Buffer<StripePlace> stripes_;  // of fixed size, filled from the front
  std::uint64_t stripe_count_ = 0;
  std::vector<std::unique_ptr<Stripe>> owned_;
  std::vector<Buffer<char>> texts_;
  std::uint64_t text_used_ = 0;  // of the last of texts_
  std::atomic<std::uint64_t> document_bytes_{0};
  std::atomic<std::uint64_t> kept_document_bytes_{0};
  std::vector<std::unique_ptr<KeyTable>> key_tables_;
  std::atomic<const KeyTable*> keys_{nullptr};
  std::uint64_t keys_count_ = 0;
  std::atomic<std::uint64_t> rows_{0};
};

// Scans a delta for several queries at once, so that a row is brought into the cache once for all of them. For one
// thread at a time.
class DeltaSearcher {
 public:
  static constexpr std::size_t kQueriesMax = 16;

  // Errors: kMemoryBudget.
  static Result<std::unique_ptr<DeltaSearcher>> create(const DeltaShape& shape, MemoryBudget& budget);
  static std::uint64_t predict_bytes(std::uint32_t dim);

  // The `k` nearest of the rows that are live at `snapshot`, sorted, for each of at most kQueriesMax queries
  // [first, first + count) of `queries`: found[i] is replaced. They are ranked by the vectors as they were put.
  // FoundRow::position means nothing.
  void search(const Delta& delta, const VectorView& queries, std::uint64_t first, std::size_t count, std::uint32_t k,
              Lsn snapshot, std::vector<FoundRow>* found);

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
  void prepare(const Delta& delta, const VectorView& queries, std::uint64_t query, std::size_t place);
  void score_tiles(const Delta::Stripe& stripe, std::size_t queries, std::size_t rows);
  void take_integers(const Delta& delta, std::uint64_t begin, std::size_t rows, std::size_t query, std::uint32_t k,
                     Lsn snapshot);
  void take_floats(const Delta& delta, std::uint64_t begin, std::size_t rows, std::size_t query, std::uint32_t k,
                   Lsn snapshot);
  double distance_to(const Delta& delta, const Delta::Stripe& stripe, std::size_t within, std::size_t query);
  void offer(const Near& near, std::size_t query, std::uint32_t k);

  const Kernels* kernels_ = nullptr;
  bool integral_ = false;  // distances are of integers
  std::vector<PreparedQuery> queries_;
  std::vector<std::uint32_t> norms2_;  // of the queries' codes
  std::size_t groups_ = 0;             // of four dimensions
  Buffer<std::uint8_t> codes_;         // [kQueriesMax × 4 · groups] of the queries, where distances are integers
  Buffer<std::uint8_t> last_tile_;     // the rows that count of a tile that is being filled
  Buffer<float> as_put_;               // [kQueriesMax × dim] the queries, where they are not
  Buffer<float> original_;             // [dim]
  Buffer<float> distances_;            // [kStripeRows]
  Buffer<std::uint32_t> integers_;     // [kQueriesMax × kStripeRows]
  std::array<Best, kQueriesMax> best_;
};

}  // namespace vecstore
