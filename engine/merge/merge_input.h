// SPDX-License-Identifier: Apache-2.0
//
// What a merge builds of: the live rows of a view, of graph and delta, under the RowIds that they have.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/memory.h"
#include "base/status.h"
#include "engine/builder/build_input.h"
#include "engine/content/view.h"
#include "engine/watch.h"

namespace vecstore {

// Holds vectors and RowIds of all rows in memory; keys and documents it reads as they are asked for. View and
// budget outlive it. As a VectorSource thread-safe.
class MergeInput final : public VectorSource, public RowTexts {
 public:
  static constexpr std::uint64_t kRowBytes = 16;  // that a row takes beside its vector, at the most

  // Of view.dim() ≠ 0. Finds out which rows there are. Errors: kCorrupt, kIo, kMemoryBudget, kCancelled.
  static Result<std::unique_ptr<MergeInput>> create(const View& view, MemoryBudget& budget, Watch& watch);
  // Before anything else is asked of it: reads vectors and number keys. Errors: as of create(), naming the page.
  Status load(Watch& watch);
  std::uint64_t load_bytes() const { return rows() * row_bytes(); }  // that load() will take

  // Ascending; empty where they are 0, 1, 2, … and keys are no other numbers.
  std::span<const std::uint64_t> row_ids() const {
    return is_numbered_from_0_ && number_keys_.empty() ? std::span<const std::uint64_t>() : row_ids_.span();
  }
  // Empty where keys are byte strings, or every key is its row's RowId.
  std::span<const std::uint64_t> number_keys() const { return number_keys_.span(); }
  std::uint64_t graph_rows() const { return graph_rows_; }     // that stay, and come first; the others are of the delta
  std::optional<std::size_t> place_in_graph(RowId row) const;  // among these

  DType dtype() const override { return view_.content().properties().dtype; }
  std::uint64_t rows() const override { return row_ids_.size(); }
  std::uint32_t dim() const override { return view_.dim(); }
  const std::string& name() const override { return view_.content().path(); }
  Status read(std::uint64_t first, std::uint64_t count, void* out) const override;

  bool has_keys() const override { return view_.content().properties().keys == KeyKind::kBytes; }
  bool has_documents() const override;
  Status rewind() override;
  Status next(std::string_view& key, std::string_view& document) override;

 private:
  MergeInput(const View& view, MemoryBudget& budget) : view_(view), budget_(budget) {}
  Status gather_ids(Watch& watch);
  Status read_graph(Watch& watch);
  Status read_originals(Watch& watch);
  Status read_pages(Watch& watch);
  void read_delta();
  void drop_names_that_say_nothing();
  Status next_of_graph(std::string_view& key, std::string_view& document);
  std::size_t row_bytes() const { return dim() * element_bytes(dtype()); }
  std::byte* vector_at(std::size_t place) { return vectors_.data() + place * row_bytes(); }

  const View& view_;
  MemoryBudget& budget_;
  Buffer<std::uint64_t> row_ids_;
  Buffer<std::uint64_t> number_keys_;
  Buffer<std::byte> vectors_;
  std::uint64_t graph_rows_ = 0;
  bool is_numbered_from_0_ = false;

  std::uint64_t at_ = 0;                // the row whose texts come next
  std::optional<StoredRowsPass> pass_;  // over rows/, where there is one
  std::vector<NumberedRow> group_;      // rows that were read together
  std::size_t group_at_ = 0;
  std::string document_;
};

}  // namespace vecstore
