// SPDX-License-Identifier: Apache-2.0
//
// The rows that were put since the graph on disk was written, in memory and searched flat. Every row knows the log
// record that made it and the one that ended it. So a reader sees the rows of one moment, whatever is added meanwhile.
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
#include "engine/live/reader_table.h"
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
  Centre centre = {};  // centre of the graph beside it; borrowed
};

// In which pages would keep such rows, 8 bits a value: what their distances are computed by.
GraphLayout layout_of(const DeltaShape& shape);

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

  // Bytes of the documents of all rows, those that ended included: as they were put, and as they are kept.
  std::uint64_t document_bytes() const { return document_bytes_.load(std::memory_order_relaxed); }
  std::uint64_t kept_document_bytes() const { return kept_document_bytes_.load(std::memory_order_relaxed); }

  // The row that had the key at `snapshot`; nullopt: none of these rows.
  std::optional<RowId> find(const Key& key, Lsn snapshot) const;
  bool is_live(RowId row, Lsn snapshot) const;
  Key key(RowId row) const;
  // A document as it is kept: a frame, where that has fewer bytes than the document.
  struct KeptDocument {
    std::string_view kept;
    std::uint32_t bytes = 0;
  };
  KeptDocument document(RowId row) const;
  void copy_vector(RowId row, std::byte* out) const;  // vector as it was put

 private:
  friend class DeltaSearcher;

  struct Row {
    std::uint64_t born = 0;
    std::uint64_t died = 0;  // written by atomic_ref; kNeverDied
    std::uint64_t number = 0;
    const char* text = nullptr;  // key, if it is bytes, then the document as it is kept
    std::uint32_t document_bytes = 0;
    std::uint32_t kept_bytes = 0;  // bytes of the document as it is kept
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
  // From key to the newest row that has it: 1 + its index; 0: free.
  using KeySlot = std::atomic<std::uint32_t>;
  using KeyTable = ReaderTable<KeySlot>;

  Delta(const DeltaShape& shape, RowId first, MemoryBudget& budget) : shape_(shape), first_(first), budget_(&budget) {}
  Status add_stripe();
  void put_integers(Stripe& stripe, std::uint64_t within, std::span<const std::byte> vector);
  Status reserve_text(std::uint64_t bytes);
  Status reserve_keys(std::uint64_t more);
  // Whether the key was not there yet.
  bool index_key(KeyTable::Slots& table, std::uint32_t index);
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
  // Place of an integer row in the tiles; its groups of four dimensions are Tiles::kGroupBytes apart.
  static std::size_t tile_place(std::uint64_t within, std::size_t groups);
  std::size_t groups() const { return Tiles::groups_of(shape_.dim); }
  std::uint32_t row_bytes() const { return shape_.dim * static_cast<std::uint32_t>(element_bytes(shape_.dtype)); }

  const DeltaShape shape_;
  const RowId first_;
  MemoryBudget* budget_;
  RowShape row_shape_;           // shape of float rows, of 8 bits a value
  Buffer<float> own_centre_;     // [dim] where the shape has none
  Buffer<float> widened_;        // [dim] the row that is being appended
  Buffer<StripePlace> stripes_;  // table of fixed size, filled from the front
  std::uint64_t stripe_count_ = 0;
  std::vector<std::unique_ptr<Stripe>> owned_;
  std::vector<Buffer<char>> texts_;
  std::uint64_t text_used_ = 0;  // bytes used of the last of texts_
  std::atomic<std::uint64_t> document_bytes_{0};
  std::atomic<std::uint64_t> kept_document_bytes_{0};
  KeyTable keys_;
  std::uint64_t keys_count_ = 0;
  std::atomic<std::uint64_t> rows_{0};
};

}  // namespace vecstore
