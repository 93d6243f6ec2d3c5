// SPDX-License-Identifier: Apache-2.0
//
// The rows that were put since the graph on disk was written, as readers have them: in memory, searched flat. Every row
// knows the log record that made it and the one that ended it, so that a reader sees the rows of one moment whatever is
// added meanwhile.
//
// Rows lie in stripes, in the order of their RowIds. A stripe never moves; where few of its rows are still needed, it
// is replaced (engine/live/delta.h). A DeltaRows is the stripes of one moment and keeps them for as long as it lives.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/memory.h"
#include "base/vector_view.h"
#include "compress/kernels/kernels.h"
#include "engine/key.h"
#include "engine/live/reader_table.h"
#include "graph/format.h"
#include "graph/quantized_rows.h"
#include "graph/search_types.h"
#include "wal/format.h"

namespace vecstore {

struct KeyHash {
  std::size_t operator()(const Key& key) const;
};

struct DeltaShape {
  std::uint32_t dim = 0;
  DType dtype = DType::kF32;
  Metric metric = Metric::kL2;
  KeyKind keys = KeyKind::kNumber;
  Centre centre = {};  // of the graph beside it, which is copied

  std::uint32_t row_bytes() const { return dim * static_cast<std::uint32_t>(element_bytes(dtype)); }
};

// In which pages would keep such rows, 8 bits a value: what their distances are computed by.
GraphLayout layout_of(const DeltaShape& shape);

struct DeltaStripe {
  static constexpr std::uint32_t kRowsMax = 256;

  struct Row {
    std::uint64_t born = 0;
    std::uint64_t died = 0;  // written by atomic_ref; kNeverDied
    std::uint64_t number = 0;
    const char* text = nullptr;  // key, if it is bytes, then the document as it is kept
    std::uint32_t document_bytes = 0;
    std::uint32_t kept_bytes = 0;  // of the document
    std::uint16_t key_bytes = 0;
    std::uint32_t offset = 0;      // RowId, less the delta's first
    std::uint32_t older = 0;       // 1 + the offset of the row that had the key before
    std::uint32_t ended_next = 0;  // 1 + the offset of the row that ended next; the writer's
  };
  static constexpr std::uint64_t kNeverDied = ~std::uint64_t{0};
  static bool is_visible(const Row& row, Lsn snapshot);

  Charge overhead;  // of this, beside its buffers
  // In tiles, with the sums of their squares, where distances are integers. Elsewhere in rows of 8 bits a value, which
  // tell which originals are worth a look.
  Buffer<std::uint8_t> tiles;
  Buffer<std::uint32_t> norms2;  // [capacity]
  std::optional<QuantizedRows> vectors;
  Buffer<std::byte> originals;                       // [capacity × row bytes], where that loses something
  Buffer<Row> rows;                                  // [capacity], by offset
  std::vector<std::shared_ptr<Buffer<char>>> texts;  // that rows point into, and maybe others
  std::atomic<std::uint32_t> filled{0};
  std::uint32_t unneeded = 0;  // rows that nobody will ask for; the writer's
  bool is_closed = false;      // takes no more rows; the writer's

  std::size_t capacity() const { return rows.size(); }
};

class DeltaRows {
 public:
  const DeltaShape& shape() const { return form_->shape; }
  // What rows are kept relative to, once there are any: the graph's centre or, where there is none, the first row put.
  Centre centre() const { return form_->centre.span(); }
  bool had_rows() const { return form_->had_rows.load(std::memory_order_acquire); }
  std::uint64_t rows() const;  // that are kept, those that ended included
  bool has(RowId row) const { return find_place(row).row != nullptr; }
  // Of the documents that are kept, those of rows that ended included: as they were put, and as they are kept.
  std::uint64_t document_bytes() const { return form_->document_bytes.load(std::memory_order_relaxed); }
  std::uint64_t kept_document_bytes() const { return form_->kept_document_bytes.load(std::memory_order_relaxed); }
  // Memory that goes with these where `later`, which may end in the same stripes, stays; nullptr: nothing else does.
  std::uint64_t bytes_beside(const DeltaRows* later) const;

  // The row that had the key at `snapshot`; nullopt: none of these rows. Only of the newest rows: in others a key may
  // lead to a row that they do not have.
  std::optional<RowId> find(const Key& key, Lsn snapshot) const;
  bool is_live(RowId row, Lsn snapshot) const;
  // Those live at `snapshot`, in order, until visit(RowId) returns an error, which is then returned.
  template <typename Visit>
  Status for_each_live(Lsn snapshot, const Visit& visit) const {
    for (const auto& stripe : stripes_) {
      const std::uint32_t filled = stripe->filled.load(std::memory_order_acquire);
      for (std::uint32_t i = 0; i < filled; ++i)
        if (DeltaStripe::is_visible(stripe->rows[i], snapshot)) VECSTORE_TRY(visit(row_id(stripe->rows[i])));
    }
    return Status::ok();
  }

  // The next of those, from `place` on, which becomes the place behind it. nullopt: there is none.
  struct ScanPlace {
    std::size_t stripe = 0;
    std::uint32_t within = 0;
  };
  std::optional<RowId> next_live(Lsn snapshot, ScanPlace& place) const {
    for (; place.stripe < stripes_.size(); ++place.stripe, place.within = 0) {
      const DeltaStripe& stripe = *stripes_[place.stripe];
      const std::uint32_t filled = stripe.filled.load(std::memory_order_acquire);
      while (place.within < filled) {
        const auto& row = stripe.rows[place.within++];
        if (DeltaStripe::is_visible(row, snapshot)) return row_id(row);
      }
    }
    return std::nullopt;
  }

  // The writer: visit(DeltaStripe::Row) for all of them, those that ended included.
  template <typename Visit>
  void for_each_row(const Visit& visit) const {
    for (const auto& stripe : stripes_)
      for (const auto& row : stripe->rows.span().first(stripe->filled.load(std::memory_order_relaxed))) visit(row);
  }
  RowId row_id(const DeltaStripe::Row& row) const { return {form_->first.value + row.offset}; }

  // All of a row that has() says is there. What they return is valid while this lives.
  Key key(RowId row) const;
  // As it is kept: a frame, where that has fewer bytes than the document.
  struct KeptDocument {
    std::string_view kept;
    std::uint32_t bytes = 0;
  };
  KeptDocument document(RowId row) const;
  void copy_vector(RowId row, std::byte* out) const;  // as it was put

 private:
  friend class Delta;
  friend class DeltaSearcher;

  // What all versions share.
  struct Form {
    DeltaShape shape;
    RowId first;
    RowShape row_shape;    // of floats, of 8 bits a value
    Buffer<float> centre;  // [dim], or empty where there is none
    bool is_first_row_centre = false;
    std::atomic<bool> had_rows{false};
    std::atomic<std::uint64_t> document_bytes{0};
    std::atomic<std::uint64_t> kept_document_bytes{0};
  };
  // From key to the newest row that has it: 1 + its offset; 0: free.
  using KeySlot = std::atomic<std::uint32_t>;
  using KeySlots = ReaderTable<KeySlot>::Slots;
  struct Place {
    DeltaStripe* stripe = nullptr;
    DeltaStripe::Row* row = nullptr;  // nullptr: it is not here
    std::size_t within = 0;
  };

  Place find_place(RowId row) const;
  Place place_of(std::uint32_t offset) const;
  bool has_key(const DeltaStripe::Row& row, const Key& key) const;
  Key key_of(const DeltaStripe::Row& row) const;
  void copy_vector(const DeltaStripe& stripe, std::size_t within, std::byte* out) const;
  // Of an integer row, in the tiles; its groups of four dimensions are Tiles::kGroupBytes apart.
  static std::size_t tile_place(std::size_t within, std::size_t groups);
  std::uint64_t bytes_of(const DeltaStripe& stripe) const;  // but for its texts
  std::size_t groups() const { return Tiles::groups_of(form_->shape.dim); }

  void add_stripe(std::shared_ptr<DeltaStripe> stripe, std::uint32_t first) {
    stripes_.push_back(std::move(stripe));
    firsts_.push_back(first);
  }

  std::shared_ptr<Form> form_;
  std::vector<std::shared_ptr<DeltaStripe>> stripes_;  // by offset; those at the end may be empty
  std::vector<std::uint32_t> firsts_;                  // offset of the first row that each has or will have
  std::shared_ptr<KeySlots> keys_;
};

}  // namespace vecstore
