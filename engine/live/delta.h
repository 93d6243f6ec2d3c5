// SPDX-License-Identifier: Apache-2.0
//
// The writer's side of the delta (engine/live/delta_rows.h): takes rows, ends them, and gives the memory of those back
// that nobody needs any more.
//
// One thread at a time writes. Readers hold a DeltaRows, from which nothing is ever taken.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>

#include "base/ids.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/live/delta_rows.h"
#include "engine/live/log_records.h"

namespace vecstore {

class Delta {
 public:
  // The first row that is appended is `first`. Errors: kMemoryBudget.
  static Result<std::unique_ptr<Delta>> create(const DeltaShape& shape, RowId first, MemoryBudget& budget);
  Delta(const Delta&) = delete;
  Delta& operator=(const Delta&) = delete;

  const DeltaShape& shape() const { return form_->shape; }
  RowId next() const { return {form_->first.value + appended_}; }
  std::uint64_t document_bytes_put() const { return document_bytes_put_; }  // of all rows ever appended

  // What is allocated from now on comes from this budget.
  void charge_to(MemoryBudget& budget) { budget_ = &budget; }
  // The newest rows. Those that are appended later are in it as far as they were reserved when it was taken.
  const std::shared_ptr<const DeltaRows>& rows() const { return rows_; }

  // Whether reserve() has nothing to do.
  bool has_room(std::uint64_t rows, std::uint64_t text_bytes) const;
  // Afterwards appending so many rows with so many bytes of keys and documents cannot fail. rows() may be others then.
  // floor: of forget(). Errors: kMemoryBudget.
  Status reserve(std::uint64_t rows, std::uint64_t text_bytes, Lsn floor);
  // What that takes at the most, beside what is there.
  std::uint64_t bytes_for(std::uint64_t rows, std::uint64_t text_bytes) const;
  // All that a delta takes whose only rows these are.
  static std::uint64_t bytes_alone(const DeltaShape& shape, std::uint64_t rows, std::uint64_t text_bytes);
  // Gives back what rows that ended at `floor` or before took: nobody looks at a moment before it, nor will. Only where
  // that is worth the copying, or in any case. rows() may be others then.
  void forget(Lsn floor, bool in_any_case);

  // Rows that are appended from now on share no stripe with those that are there, so that these can be dropped. Until
  // mend() is called, forgetting keeps them apart.
  void cut();
  void mend() { cut_ = 0; }
  RowId cut_at() const { return {form_->first.value + cut_}; }  // the first row behind the cut
  // What stays when the rows before the cut go; what that takes is charged to `budget`. Errors: kMemoryBudget.
  struct Rest {
    std::shared_ptr<DeltaRows> rows;
    std::uint64_t keys = 0;
  };
  Result<Rest> behind_cut(MemoryBudget& budget) const;
  // Nothing else was done in between. Who holds an older version finds all of its rows as before, also by key.
  void keep(Rest rest);

  // record.row must be next(); its vector has the shape's dimension and type.
  void append(const PutRecord& record, Lsn born);
  // A row that has not ended; later rows end at later records.
  void end(RowId row, Lsn died);

 private:
  using Stripe = DeltaStripe;
  using Row = DeltaStripe::Row;
  using KeySlots = DeltaRows::KeySlots;

  Delta(std::shared_ptr<DeltaRows::Form> form, MemoryBudget& budget);
  Result<std::shared_ptr<Stripe>> make_stripe() const;
  Status reserve_all(std::uint64_t rows, std::uint64_t text_bytes);
  Status reserve_stripes(std::uint64_t rows, DeltaRows& next) const;
  Status reserve_text(std::uint64_t bytes);
  Status reserve_keys(std::uint64_t more, DeltaRows& next);
  static Status make_keys(std::uint64_t more, DeltaRows& next, std::uint64_t& used, MemoryBudget& budget);
  bool is_before_cut(const Stripe& stripe) const;
  void keep_ended_from(std::uint32_t offset);
  void put_vector(Stripe& stripe, std::size_t within, std::span<const std::byte> vector);
  void put_integers(Stripe& stripe, std::size_t within, std::span<const std::byte> vector) const;
  // Whether the key was not there yet.
  static bool index_key(const DeltaRows& rows, KeySlots& table, Row& row);
  void count_unneeded(Lsn floor);
  // One stripe of the rows that are needed of `stripes`. Errors: kMemoryBudget.
  Result<std::shared_ptr<Stripe>> merge(std::span<const std::shared_ptr<Stripe>> stripes);
  void copy_row(const Stripe& from, std::size_t within, Stripe& to, char*& text);
  bool is_needed(const Row& row) const { return row.died > forgotten_.value; }
  void discount_documents(const Row& row) const;

  const std::shared_ptr<DeltaRows::Form> form_;
  MemoryBudget* budget_;
  const std::size_t stripe_rows_;
  Buffer<float> widened_;     // [dim] the row that is being appended
  Buffer<std::byte> as_put_;  // [row bytes] the row that is being moved
  std::shared_ptr<const DeltaRows> rows_;
  std::size_t filling_ = 0;  // the stripe that is; those behind it are empty
  std::uint64_t room_ = 0;   // rows that fit into these
  std::uint64_t appended_ = 0;
  std::uint64_t document_bytes_put_ = 0;
  std::shared_ptr<Buffer<char>> text_;  // that is being filled
  bool is_text_kept_ = false;           // by every stripe whose rows may point into it
  std::uint64_t text_used_ = 0;
  std::uint64_t keys_used_ = 0;  // slots
  // Rows that ended and may still be needed, in the order in which they did: 1 + their offsets; 0: none.
  std::uint32_t ended_first_ = 0;
  std::uint32_t ended_last_ = 0;
  Lsn forgotten_;                    // rows that ended up to here are not needed
  std::uint64_t since_merging_ = 0;  // rows that came to be unneeded
  std::uint64_t cut_ = 0;            // offset of the first row behind the cut; 0: there is none
};

}  // namespace vecstore
