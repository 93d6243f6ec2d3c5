// SPDX-License-Identifier: Apache-2.0
//
// Rows that are linked already, to be written as a generation under any RowIds and keys.
#pragma once

#include <numeric>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/builder/generation_writer.h"
#include "engine/thread_pool.h"
#include "tests/engine/stores.h"

namespace vecstore::test {

// By place in the build; as GenerationSource has them.
struct RowNumbers {
  std::vector<std::uint64_t> row_ids;
  std::vector<std::uint64_t> keys;
  std::uint32_t key_bytes = 0;
};

// In squared l2, values of 8 bits.
class LinkedRows {
 public:
  // left_out: rows that are not linked, and not written.
  explicit LinkedRows(const Matrix& base, const std::vector<std::uint32_t>& left_out = {}) {
    auto rows = QuantizedRows::create(base.rows(), {base.dim, base.dtype, Metric::kL2}, budget_);
    REQUIRE_OK(rows);
    rows_.emplace(std::move(*rows));
    rows_->fill(0, base.view());
    rows_->finish();
    auto graph = GraphBuilder::create(*rows_, {}, executor_, budget_);
    REQUIRE_OK(graph);
    graph_.emplace(std::move(*graph));
    const auto insertion = graph_->insertion_order(budget_);
    REQUIRE_OK(insertion);
    const auto is_in = [&](std::uint32_t row) { return std::ranges::count(left_out, row) == 0; };
    std::ranges::copy_if(*insertion, std::back_inserter(order_), is_in);
    graph_->insert(order_, {});
    graph_->trim();
    graph_->connect();
    std::ranges::sort(order_);
  }

  // `paths` must not exist. Pages hold RowIds of 8 bytes. Afterwards place() tells where each row stands.
  std::vector<ManifestFile> write(const Generation::Paths& paths, const Uuid& store, std::uint32_t generation,
                                  const RowNumbers& numbers) {
    GraphLayout layout;
    layout.rows = order_.size();
    layout.dim = rows_->dim();
    layout.rows_per_page = 12;
    layout.row_id_bytes = 8;
    layout.key_bytes = numbers.key_bytes;
    layout.row_params = rows_->shape().has_params();
    layout.dtype = rows_->shape().dtype;
    CodecOptions codec;
    codec.code_bytes = 16;
    GenerationWriter writer(FileSystem::posix(), store, executor_, budget_, [](Phase, std::uint64_t, std::uint64_t) {});
    place_.resize(rows_->rows());
    const GenerationSource source{*rows_, *graph_, order_, layout, codec, nullptr, {}, numbers.row_ids, numbers.keys};
    auto written = writer.write(paths, generation, source, place_);
    REQUIRE_OK(written);
    return std::move(written->files);
  }

  std::span<const Pos> place() const { return place_; }  // kNoPos: left out

 private:
  MemoryBudget budget_;
  SerialExecutor executor_;
  std::optional<QuantizedRows> rows_;
  std::optional<GraphBuilder> graph_;
  std::vector<std::uint32_t> order_;
  std::vector<Pos> place_;
};

}  // namespace vecstore::test
