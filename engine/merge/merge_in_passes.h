// SPDX-License-Identifier: Apache-2.0
//
// The next generation of a store whose graph mostly stays. The graph before is gone through front to back, a window at
// a time, so that memory depends on what was put, and hardly on what was there.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "base/executor.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/block_codes.h"
#include "engine/builder/build_plan.h"
#include "engine/builder/store_builder.h"
#include "engine/merge/merged_rows.h"
#include "engine/merge/row_pool.h"
#include "engine/watch.h"
#include "pagestore/publish.h"

namespace vecstore {

class MergeInPasses {
 public:
  struct Input {
    MergedRows& rows;
    RowId row_end;                // RowIds from it on are put later
    const BuildChoices& choices;  // that the store was built by,
    BuildPlan plan;               // which come to this
    bool keeps_model = true;
    std::uint64_t bytes_after = 0;      // of memory that will be wanted once the files are there
    std::uint64_t pool_bytes_most = 0;  // of pages that are in memory
  };

  // Everything outlives it.
  MergeInPasses(FileSystem& file_system, StoreDirectory& directory, const Input& input, MemoryBudget& budget,
                Watch& watch);
  // What the memory of a merge depends on of the graph before.
  struct GraphFacts {
    GraphLayout layout;
    CodeForm form;
    Codec kind = Codec::kOpq;
    std::uint32_t max_degree = kDegreeMax;
  };
  static GraphFacts facts_of(const Generation& graph);
  // Memory that one of so many new rows, and as many that go, takes at the least beside what is there.
  static std::uint64_t predict_bytes(const GraphFacts& before, std::uint64_t added, bool has_texts);

  // Once. Errors: as of Merge::run().
  Result<MadeGeneration> make();

 private:
  const Generation& before() const { return input_.rows.graph(); }
  const StoreProperties& properties_before() const { return input_.rows.view().content().properties(); }
  FileIdentity identity(FileKind kind) const { return {store_, kind, generation_}; }
  std::string path(FileKind kind) const { return directory_.file_path(file_name(kind, generation_)); }
  GraphLayout layout_after() const;
  std::uint32_t rows_per_page() const;
  std::uint32_t key_bytes() const;
  std::uint64_t turns() const;
  std::vector<bool> windows_due(std::uint32_t count) const;
  std::uint64_t lists_bytes_most() const;
  // Memory that it may choose.
  struct Room {
    std::uint32_t window_pages = 0;
    std::uint64_t pool_bytes = 0;
    std::uint64_t lists_bytes = 0;  // of pruned lists that are wanted once more; what is left for them
  };
  // What it may charge to the budget at its peak.
  std::uint64_t predict_bytes(const Room& room) const;
  Status choose_memory();
  Status fill_properties();
  Status write_pages();
  Status write_codes();
  Status write_row_map();
  Status write_rows();

  FileSystem& file_system_;
  StoreDirectory& directory_;
  Input input_;
  MemoryBudget& budget_;
  Watch& watch_;
  const Uuid store_;
  const std::uint32_t generation_;
  GraphBuildOptions graph_options_;
  std::unique_ptr<Executor> executor_;
  GraphLayout layout_;
  Room room_;
  Buffer<std::uint32_t> ranking_;
  StoreProperties properties_;
  std::vector<ManifestFile> files_;
  std::optional<NewCatalog> catalog_;
};

}  // namespace vecstore
