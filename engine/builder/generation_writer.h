// SPDX-License-Identifier: Apache-2.0
//
// Writes a generation: linked rows in an order become pages, codes and a row map. A build writes two, one of them to
// calibrate on.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/executor.h"
#include "base/io.h"
#include "base/memory.h"
#include "base/status.h"
#include "compress/block_codes.h"
#include "engine/generation/generation.h"
#include "engine/reports.h"
#include "graph/build.h"
#include "graph/format.h"
#include "graph/pack.h"
#include "graph/quantized_rows.h"
#include "pagestore/manifest.h"

namespace vecstore {

// What a generation is made of. All of it outlives the writing.
struct GenerationSource {
  const QuantizedRows& rows;
  const GraphBuilder& graph;
  std::span<const std::uint32_t> order;  // the rows that are written, by position
  GraphLayout layout;                    // of these; with as many rows a page as may fit
  CodecOptions codec;
  const CodecModel* model = nullptr;  // nullptr: one is trained on the rows
  Centre centre;                      // what codes and pages are relative to, or empty
  // [all rows] RowIds, ascending; empty: a row's number is its RowId. Number keys, where the layout has key_bytes.
  std::span<const std::uint64_t> row_ids = {};
  std::span<const std::uint64_t> keys = {};

  PackInput pack_input() const { return {&rows, &graph, order, row_ids, keys}; }
};

struct WrittenGeneration {
  std::vector<ManifestFile> files;  // graph, codes, row map
  std::uint32_t rows_per_page = 1;  // that did fit
  std::uint64_t blocks = 0;         // of the codes
  CodecModel model;                 // that the codes are of
};

// Used for one generation after the other, by one thread; works through the executor.
class GenerationWriter {
 public:
  using Progress = std::function<void(Phase phase, std::uint64_t done, std::uint64_t total)>;

  // Everything outlives it.
  GenerationWriter(FileSystem& file_system, const Uuid& store, Executor& executor, MemoryBudget& budget,
                   Progress progress)
      : file_system_(file_system),
        store_(store),
        executor_(executor),
        budget_(budget),
        progress_(std::move(progress)) {}

  // Finishes and syncs the three files. `place`: [all rows], where each row stands afterwards. Errors: kIo, kNoSpace,
  // kMemoryBudget, kUnsupported (no page is large enough for a row).
  Result<WrittenGeneration> write(const Generation::Paths& paths, std::uint32_t generation,
                                  const GenerationSource& source, std::span<Pos> place);

 private:
  FileIdentity identity(FileKind kind, std::uint32_t generation) const { return {store_, kind, generation}; }
  // Lowers the rows per page of `layout` until every page holds its lists.
  Result<ManifestFile> write_graph(const std::string& path, const FileIdentity& identity,
                                   const GenerationSource& source, std::span<Pos> place, GraphLayout& layout);
  Result<BlockCodes> encode(const GenerationSource& source);

  FileSystem& file_system_;
  const Uuid store_;
  Executor& executor_;
  MemoryBudget& budget_;
  const Progress progress_;
};

}  // namespace vecstore
