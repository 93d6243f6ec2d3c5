// SPDX-License-Identifier: Apache-2.0
#include "engine/builder/generation_writer.h"

#include "graph/ordered_rows.h"

namespace vecstore {
Result<WrittenGeneration> GenerationWriter::write(const Generation::Paths& paths, std::uint32_t generation,
                                                  const GenerationSource& source, std::span<Pos> place) {
  GraphLayout layout = source.layout;
  VECSTORE_ASSIGN(const ManifestFile graph,
                  write_graph(paths.graph, identity(FileKind::kGraph, generation), source, place, layout));
  VECSTORE_ASSIGN(BlockCodes codes, encode(source));
  VECSTORE_ASSIGN(const auto ranking, rank_pages(source.pack_input(), place, layout, budget_));
  VECSTORE_ASSIGN(const ManifestFile coded,
                  write_codes_file(file_system_, paths.codes, identity(FileKind::kCodes, generation), codes,
                                   source.centre, ranking.span(), budget_));
  VECSTORE_ASSIGN(const ManifestFile mapped,
                  write_row_map(file_system_, paths.row_map, identity(FileKind::kRowMap, generation), place, budget_,
                                source.row_ids));
  return WrittenGeneration{{graph, coded, mapped}, layout.rows_per_page, codes.blocks.count(), std::move(codes.model)};
}

Result<ManifestFile> GenerationWriter::write_graph(const std::string& path, const FileIdentity& identity,
                                                   const GenerationSource& source, std::span<Pos> place,
                                                   GraphLayout& layout) {
  invert_order(source.order, place);
  const PackInput input = source.pack_input();
  for (;; --layout.rows_per_page) {
    VECSTORE_ASSIGN(auto writer, PageFileWriter::create(file_system_, path, {identity, layout.page_bytes}, budget_));
    const auto summary = pack_graph(input, place, layout, budget_, writer,
                                    [&](std::uint64_t done) { progress_(Phase::kWrite, done, source.rows.rows()); });
    if (summary) {
      VECSTORE_ASSIGN(const auto finished, writer.finish(encode_summary(*summary)));
      return manifest_entry(identity, finished);
    }
    // The rare page whose lists cannot be cut any further: one row less a page makes room.
    if (summary.error().code() != Code::kUnsupported || layout.rows_per_page == 1) return summary.error();
  }
}

Result<BlockCodes> GenerationWriter::encode(const GenerationSource& source) {
  const std::uint64_t rows = source.order.size();
  progress_(Phase::kCodes, 0, rows);
  auto codes = encode_blocks(OrderedRows(source.rows, source.order), source.codec, source.model, executor_, budget_);
  progress_(Phase::kCodes, rows, rows);
  return codes;
}

}  // namespace vecstore
