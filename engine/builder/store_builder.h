// SPDX-License-Identifier: Apache-2.0
//
// The offline pipeline behind Store::build: read, link, order, encode, calibrate, write, publish.
//
// Calibration must not search for rows that are indexed, and no row may be lost to it. So the rows held out as queries
// are searched for but not linked at first: they take part in the order, which is computed once; a generation without
// them is written to tmp/ and calibrated on; then they are linked and the final generation is written.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "engine/builder/build_input.h"
#include "engine/builder/build_plan.h"
#include "engine/builder/build_report.h"
#include "engine/builder/calibrate.h"
#include "engine/builder/calibration_set.h"
#include "engine/builder/generation_writer.h"
#include "engine/builder/input_survey.h"
#include "engine/builder/input_texts.h"
#include "engine/generation/generation.h"
#include "engine/generation/properties.h"
#include "engine/rows/catalog.h"
#include "engine/watch.h"
#include "graph/order.h"
#include "graph/pack.h"
#include "graph/page_groups.h"
#include "pagestore/publish.h"

namespace vecstore {

// A generation whose files are finished and synced. Nobody knows of it yet.
struct MadeGeneration {
  Manifest manifest;
  std::optional<NewCatalog> catalog = std::nullopt;  // goes to its place once the store is published
};

// Used once, by one thread; works through its executor.
class StoreBuilder {
 public:
  // What a build that failed may leave under tmp/.
  static constexpr std::array kTemporaryNames = {"graph", "codes", "rowmap"};

  StoreBuilder(const BuildInput& input, const BuildOptions& options, const BuildPlan& plan, FileSystem& file_system);
  // `directory` is locked, and lies on this file system. Errors: as of Store::build.
  Status run(StoreDirectory& directory);
  // run() without its last step. What it wrote stays where it fails. Errors: as of Store::build.
  Result<MadeGeneration> make(StoreDirectory& directory);

 private:
  Status hold_out_rows();
  Status choose_values(StoreDirectory& directory);
  TruthSearch truth_search() { return {*vectors_, plan_.metric, *executor_, budget_}; }
  void keep_calibration_set(CalibrationSet set);
  Status check_room(StoreDirectory& directory) const;
  Status read_rows();
  Status link_rows();
  Status order_all();
  std::uint64_t edges() const;
  // Of the order that is there: whether as many rows fit a page as it was made for. Else rows_per_page_ says how many.
  Result<bool> settle_rows_per_page();
  Status keep_order_without_held_out();
  Status calibrate_without_held_out(StoreDirectory& directory);
  Status link_held_out();
  Status write_generation(StoreDirectory& directory);
  Status calibrate_on_given(StoreDirectory& directory);
  Status write_rows(StoreDirectory& directory);
  Status write_extent(const std::string& path, const FileIdentity& identity);
  Status write_catalog(StoreDirectory& directory, const std::string& path, const FileIdentity& identity);
  void release_build_memory();
  Status publish(StoreDirectory& directory, MadeGeneration made);
  bool has_keys() const { return input_.texts != nullptr ? input_.texts->has_keys() : has_key_texts(*options_); }
  bool has_documents() const {
    return input_.texts != nullptr ? input_.texts->has_documents() : vecstore::has_documents(*options_);
  }
  void finish_step(const char* step) { report_.finish_step(step, budget_.peak_bytes()); }

  // The three files of a generation of the rows in `order`; place_ is theirs afterwards.
  Result<WrittenGeneration> write_files(const Generation::Paths& paths, std::uint32_t generation,
                                        std::span<const std::uint32_t> order);
  void keep_model(CodecModel model, std::uint64_t rows);
  Generation::Paths final_paths(const StoreDirectory& directory) const;
  Status calibrate_files(const Generation::Paths& paths, std::uint32_t generation);
  GraphLayout layout_for(std::uint64_t rows) const;
  RowShape row_shape() const;
  void report(Phase phase, std::uint64_t done, std::uint64_t total);
  RowProgress reporter(Phase phase, std::uint64_t total);

  const BuildInput input_;
  const VectorSource* vectors_;
  const BuildOptions* options_;
  FileSystem& file_system_;
  BuildPlan plan_;
  MemoryBudget budget_;
  std::unique_ptr<Executor> executor_;

  Uuid uuid_{};
  InputSurvey survey_;
  std::uint32_t generation_ = 1;
  std::uint32_t rows_per_page_ = 1;
  const std::uint32_t key_bytes_;  // of a number key on its page
  Buffer<float> centre_;           // [dim] or empty
  std::optional<QuantizedRows> rows_;
  std::optional<GraphBuilder> graph_;
  std::uint64_t calibrated_blocks_ = 0;  // of the codes that calibration searched, without held_out_
  HeldOutRows held_out_;                 // at most 1,000
  CalibrationSet calibration_set_;
  Buffer<std::uint32_t> order_;          // [rows] of all rows
  Buffer<std::uint32_t> partial_order_;  // without held_out_
  Buffer<Pos> place_;                    // [rows]
  std::optional<CodecModel> model_;
  StoreProperties properties_;
  std::vector<ManifestFile> files_;
  bool is_published_ = false;
  std::optional<NewCatalog> catalog_;  // goes to its place once the store is published
  BuildReport report_;
  Watch watch_;
};

}  // namespace vecstore
