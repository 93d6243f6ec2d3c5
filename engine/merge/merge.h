// SPDX-License-Identifier: Apache-2.0
//
// Makes the next generation of a store of the live rows of a view. Nothing is published: who calls this does that, and
// lets go of what it replaces.
#pragma once

#include <cstdint>
#include <optional>

#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "engine/builder/store_builder.h"
#include "engine/content/view.h"
#include "engine/generation/properties.h"
#include "engine/merge/merge_input.h"
#include "engine/merge/merged_rows.h"
#include "engine/options.h"
#include "engine/reports.h"
#include "pagestore/publish.h"

namespace vecstore {

class Merge {
 public:
  struct Input {
    const View& view;
    RowId row_end;                      // RowIds from it on are put later than the view
    std::uint64_t bytes_after = 0;      // of memory that the caller will want once the files are there
    std::uint64_t rows_in_passes_from;  // a graph of as many rows is gone through in passes
    std::uint64_t pool_bytes_most;      // of pages that are then in memory
  };
  // View and directory, which is locked, outlive it; so do the options. What it holds is charged to `budget`.
  Merge(FileSystem& file_system, StoreDirectory& directory, const Input& input, const CompactOptions& options,
        MemoryBudget& budget);
  // Once. What was written has been read back whole. Errors: kMemoryBudget (the detail is what it would take),
  // kNoSpace, kIo, kCorrupt naming what is damaged, kCancelled. Then nothing is left of what was written.
  Result<MadeGeneration> run();
  const MergeReport& report() const { return report_; }
  // Of memory, that building anew takes where so many rows live; values are as wide as those of the graph, or 32 bits.
  // More than there is where no build of that shape can be.
  static std::uint64_t predict_build_bytes(const Content& content, std::uint32_t dim, std::uint64_t rows);

  // Those of the generation that run() wrote, where it is not wanted after all.
  void remove_files(const Manifest& manifest);

 private:
  Manifest all_files() const;  // that it may have written
  Result<MadeGeneration> make();
  Result<MadeGeneration> make_on_threads();
  void remove_leftovers();
  Status read_back(const Manifest& manifest) const;
  bool is_of_new_file(const Status& status) const;
  Result<MadeGeneration> go_on(MergedRows& rows, Watch& watch);
  Result<MadeGeneration> build(MergeInput& input, const BuildOptions& options, const BuildPlan& plan, Watch& watch);
  bool goes_on_from_graph(const MergedRows& rows) const;
  Result<MadeGeneration> make_empty() const;
  BuildOptions options_as_built() const;
  bool keeps_model() const;
  Result<BuildPlan> plan(const MergeInput& input, BuildOptions& options) const;

  FileSystem& file_system_;
  StoreDirectory& directory_;
  const View& view_;
  const RowId row_end_;
  const CompactOptions& options_;
  std::uint32_t threads_;
  const std::uint64_t bytes_after_;
  const std::uint64_t rows_in_passes_from_;
  const std::uint64_t pool_bytes_most_;
  MemoryBudget& budget_;
  const BuildChoices choices_;
  MergeReport report_;
  bool has_read_graph_ = false;  // back, page by page
};

}  // namespace vecstore
