// SPDX-License-Identifier: Apache-2.0
#include "engine/generation.h"

#include <algorithm>

#include "compress/code_stream.h"
#include "engine/base/bytes.h"
#include "engine/page_stream.h"

namespace vecstore {
namespace {

constexpr std::uint32_t kStreamPageBytes = 16384;
constexpr std::uint16_t kStreamVersion = 1;

Status newer_format(const std::string& path) {
  return Status(Code::kNewerFormat, "written by a newer VecStore; upgrade to read it").about(path);
}

// Attributes of codes-<n>: version, bytes of the code stream, number of ranked pages, which follow it as u32.
struct CodesAttributes {
  std::uint64_t code_bytes = 0;
  std::uint64_t ranked_pages = 0;
};

Result<CodesAttributes> read_codes_attributes(const PageFile& file) {
  ByteReader in(file.attributes());
  CodesAttributes attributes;
  if (in.read<std::uint16_t>() > kStreamVersion) return newer_format(file.path());
  attributes.code_bytes = in.read<std::uint64_t>();
  attributes.ranked_pages = in.read<std::uint64_t>();
  const std::uint64_t room = file.page_count() * page_payload_bytes(file.page_bytes());
  if (!in.done() || attributes.code_bytes > room || attributes.ranked_pages > (room - attributes.code_bytes) / 4)
    return Status(Code::kCorrupt, "the header names more bytes than the file has; restore or rebuild")
        .about(file.path());
  return attributes;
}

}  // namespace

std::string file_name(FileKind kind, std::uint32_t generation) {
  const std::string number = std::to_string(generation);
  switch (kind) {
    case FileKind::kGraph:
      return "graph-" + number;
    case FileKind::kCodes:
      return "codes-" + number;
    case FileKind::kRowMap:
      return "rowmap-" + number;
    case FileKind::kRows:
      return "rows/" + number + "-0";
  }
  return {};
}

ManifestFile manifest_entry(const FileIdentity& identity, const PageFileWriter::Finished& finished) {
  ManifestFile file;
  file.kind = static_cast<std::uint16_t>(identity.kind);
  file.generation = identity.generation;
  file.name = file_name(identity.kind, identity.generation);
  file.bytes = finished.bytes;
  file.hash_low = finished.hash_low;
  file.hash_high = finished.hash_high;
  return file;
}

Result<ManifestFile> write_codes_file(const std::string& path, const FileIdentity& identity, const BlockCodes& codes,
                                      std::span<const std::uint32_t> page_ranking, MemoryBudget& budget) {
  VECSTORE_ASSIGN(auto writer, PageFileWriter::create(path, {identity, kStreamPageBytes}, budget));
  PageStreamWriter stream(writer);
  VECSTORE_TRY(save_block_codes(codes, stream));
  ByteWriter attributes;
  attributes.write(kStreamVersion);
  attributes.write(stream.written());
  attributes.write(static_cast<std::uint64_t>(page_ranking.size()));
  VECSTORE_TRY(stream.write(std::as_bytes(page_ranking)));
  VECSTORE_TRY(stream.flush());
  VECSTORE_ASSIGN(const auto finished, writer.finish(attributes.bytes()));
  return manifest_entry(identity, finished);
}

Result<ManifestFile> write_row_map(const std::string& path, const FileIdentity& identity,
                                   std::span<const Pos> positions, MemoryBudget& budget) {
  VECSTORE_ASSIGN(auto writer, PageFileWriter::create(path, {identity, kStreamPageBytes}, budget));
  PageStreamWriter stream(writer);
  VECSTORE_TRY(stream.write(std::as_bytes(positions)));
  VECSTORE_TRY(stream.flush());
  ByteWriter attributes;
  attributes.write(kStreamVersion);
  attributes.write(static_cast<std::uint64_t>(positions.size()));
  VECSTORE_ASSIGN(const auto finished, writer.finish(attributes.bytes()));
  return manifest_entry(identity, finished);
}

Result<std::unique_ptr<Generation>> Generation::open(const Paths& paths, const Uuid& store, std::uint32_t generation,
                                                     MemoryBudget& budget) {
  std::unique_ptr<Generation> opened(new Generation);
  const auto open_file = [&](const std::string& path, FileKind kind) -> Result<std::unique_ptr<PageFile>> {
    VECSTORE_ASSIGN(PageFile file, PageFile::open(path, {store, kind, generation}));
    return std::make_unique<PageFile>(std::move(file));
  };
  VECSTORE_ASSIGN(opened->graph_, open_file(paths.graph, FileKind::kGraph));
  VECSTORE_ASSIGN(opened->codes_file_, open_file(paths.codes, FileKind::kCodes));
  VECSTORE_ASSIGN(opened->row_map_, open_file(paths.row_map, FileKind::kRowMap));
  auto summary = decode_summary(opened->graph_->attributes());
  if (!summary) return Status(summary.error()).about(paths.graph);
  opened->summary_ = *summary;
  const GraphLayout& layout = opened->layout();
  if (layout.pages() != opened->graph_->page_count() || layout.page_bytes != opened->graph_->page_bytes())
    return Status(Code::kCorrupt, "the header does not fit the file; restore or rebuild").about(paths.graph);
  if (ByteReader(opened->row_map_->attributes()).read<std::uint16_t>() > kStreamVersion)
    return newer_format(paths.row_map);
  VECSTORE_ASSIGN(const CodesAttributes attributes, read_codes_attributes(*opened->codes_file_));
  VECSTORE_ASSIGN(PageStreamReader stream,
                  PageStreamReader::create(*opened->codes_file_, attributes.code_bytes, budget));
  auto codes = load_block_codes(stream, budget);
  if (!codes) return codes.error().subject().empty() ? Status(codes.error()).about(paths.codes) : codes.error();
  opened->codes_ = std::move(*codes);
  if (opened->codes_.rows != layout.rows || opened->codes_.model.dim != layout.dim ||
      opened->codes_.model.metric != layout.metric || attributes.ranked_pages != layout.pages())
    return Status(Code::kCorrupt, "the codes do not belong to this graph; restore or rebuild").about(paths.codes);
  return opened;
}

Result<Generation::Needs> Generation::predict_open(const Paths& paths, const Uuid& store, std::uint32_t generation,
                                                   std::uint32_t lanes) {
  VECSTORE_ASSIGN(const PageFile graph, PageFile::open(paths.graph, {store, FileKind::kGraph, generation}));
  VECSTORE_ASSIGN(const PageFile codes, PageFile::open(paths.codes, {store, FileKind::kCodes, generation}));
  VECSTORE_ASSIGN(const GraphSummary summary, decode_summary(graph.attributes()));
  VECSTORE_ASSIGN(const CodesAttributes attributes, read_codes_attributes(codes));
  MemoryBudget one_page;
  VECSTORE_ASSIGN(PageStreamReader stream, PageStreamReader::create(codes, attributes.code_bytes, one_page));
  VECSTORE_ASSIGN(const std::uint32_t code_bytes, read_code_bytes(stream));
  const std::uint64_t blocks = (summary.layout.rows + kBlockRows - 1) / kBlockRows;
  Needs needs;
  // And what is not stored: |ĉ|² of each block, and the groups.
  needs.resident_bytes =
      attributes.code_bytes + blocks * sizeof(float) + Centroids::bytes_for(groups_of(blocks), summary.layout.dim);
  needs.loading_bytes = kStreamPageBytes + 2ull * summary.layout.dim * sizeof(float);
  needs.searcher_bytes = GraphSearcher::predict_bytes(summary.layout, code_bytes, lanes);
  needs.memory_searcher_bytes = GraphSearcher::predict_bytes(summary.layout, code_bytes, 0);
  return needs;
}

Result<Pos> Generation::position_of(RowId row, MemoryBudget& budget) const {
  VECSTORE_ASSIGN(PageStreamReader stream, PageStreamReader::create(*row_map_, layout().rows * sizeof(Pos), budget));
  VECSTORE_TRY(stream.skip(row.value * sizeof(Pos)));
  Pos position = kNoPos;
  VECSTORE_TRY(stream.read(std::as_writable_bytes(std::span(&position, 1))));
  if (position >= layout().rows)
    return Status(Code::kCorrupt, "the row map names a position that is not there; restore or rebuild")
        .about(row_map_->path())
        .at(Detail::kRow, row.value);
  return position;
}

Status Generation::fill_cache(std::uint64_t pages, CachePolicy policy, MemoryBudget& budget) {
  cache_ = PageCache();
  if (pages == 0) return Status::ok();
  VECSTORE_ASSIGN(const CodesAttributes attributes, read_codes_attributes(*codes_file_));
  VECSTORE_ASSIGN(PageStreamReader stream,
                  PageStreamReader::create(*codes_file_, attributes.code_bytes + attributes.ranked_pages * 4, budget));
  VECSTORE_TRY(stream.skip(attributes.code_bytes));
  VECSTORE_ASSIGN(auto ranking, Buffer<std::uint32_t>::allocate(budget, std::min(pages, attributes.ranked_pages)));
  VECSTORE_TRY(stream.read(std::as_writable_bytes(ranking.span())));
  for (const std::uint32_t page : ranking)
    if (page == 0 || page > layout().pages())
      return Status(Code::kCorrupt, "the page ranking names a page that is not there; restore or rebuild")
          .about(codes_file_->path())
          .at(Detail::kPage, page);
  VECSTORE_ASSIGN(cache_, PageCache::fill(*graph_, ranking.span(), ranking.size(), policy, budget));
  return Status::ok();
}

}  // namespace vecstore
