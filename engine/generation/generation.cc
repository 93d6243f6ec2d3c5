// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/generation.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/bytes.h"
#include "base/limits.h"
#include "compress/block_codes_io.h"
#include "engine/generation/page_stream.h"
#include "graph/search.h"

namespace vecstore {
namespace {

constexpr std::uint16_t kStreamVersion = 2;  // version of codes-<n> with a centre
constexpr std::uint16_t kStreamVersionPlain = 1;

Status newer_format(const std::string& path) {
  return Status(Code::kNewerFormat, "written by a newer VecStore; upgrade to read it").about(path);
}

// Attributes of codes-<n>: version, bytes of the code stream, number of ranked pages and, in version 2, elements of the
// centre. The centre follows the codes as f32, then the ranking as u32.
struct CodesAttributes {
  std::uint64_t code_bytes = 0;
  std::uint64_t ranked_pages = 0;
  std::uint32_t centre_elements = 0;

  std::uint64_t centre_bytes() const { return std::uint64_t{centre_elements} * sizeof(float); }
  std::uint64_t ranking_at() const { return code_bytes + centre_bytes(); }
};

Result<CodesAttributes> read_codes_attributes(const PageFile& file) {
  ByteReader in(file.attributes());
  CodesAttributes attributes;
  const auto version = in.read<std::uint16_t>();
  if (version > kStreamVersion) return newer_format(file.path());
  attributes.code_bytes = in.read<std::uint64_t>();
  attributes.ranked_pages = in.read<std::uint64_t>();
  if (version >= 2) attributes.centre_elements = in.read<std::uint32_t>();
  const std::uint64_t room = file.page_count() * page_payload_bytes(file.page_bytes());
  if (!in.done() || attributes.centre_elements > kDimMax || attributes.code_bytes > room ||
      attributes.ranking_at() > room || attributes.ranked_pages > (room - attributes.ranking_at()) / 4)
    return Status(Code::kCorrupt, "the header names more bytes than the file has; restore or rebuild")
        .about(file.path());
  return attributes;
}

}  // namespace

Result<ManifestFile> write_codes_file(FileSystem& file_system, const std::string& path, const FileIdentity& identity,
                                      const BlockCodes& codes, Centre centre,
                                      std::span<const std::uint32_t> page_ranking, MemoryBudget& budget) {
  VECSTORE_ASSIGN(auto writer, PageFileWriter::create(file_system, path, {identity, kStreamPageBytes}, budget));
  PageStreamWriter stream(writer);
  VECSTORE_TRY(save_block_codes(codes, stream));
  std::array<std::byte, 22> attributes{};
  SpanWriter out(attributes);
  out.write(centre.empty() ? kStreamVersionPlain : kStreamVersion);
  out.write(stream.written());
  out.write(static_cast<std::uint64_t>(page_ranking.size()));
  if (!centre.empty()) {
    out.write(static_cast<std::uint32_t>(centre.size()));
    VECSTORE_TRY(stream.write(std::as_bytes(centre)));
  }
  VECSTORE_TRY(stream.write(std::as_bytes(page_ranking)));
  VECSTORE_TRY(stream.flush());
  VECSTORE_ASSIGN(const auto finished, writer.finish(std::span(attributes).first(centre.empty() ? 18 : 22)));
  return manifest_entry(identity, finished);
}

Result<std::unique_ptr<Generation>> Generation::open(FileSystem& file_system, const Paths& paths, const Uuid& store,
                                                     std::uint32_t generation, MemoryBudget& budget,
                                                     const CancelToken* cancel) {
  std::unique_ptr<Generation> opened(new Generation);
  const auto open_file = [&](const std::string& path, FileKind kind) -> Result<std::unique_ptr<PageFile>> {
    VECSTORE_ASSIGN(PageFile file, PageFile::open(file_system, path, {store, kind, generation}));
    return std::make_unique<PageFile>(std::move(file));
  };
  VECSTORE_ASSIGN(opened->graph_, open_file(paths.graph, FileKind::kGraph));
  VECSTORE_ASSIGN(opened->codes_file_, open_file(paths.codes, FileKind::kCodes));
  VECSTORE_ASSIGN(auto row_map, open_file(paths.row_map, FileKind::kRowMap));
  auto summary = decode_summary(opened->graph_->attributes());
  if (!summary) return Status(summary.error()).about(paths.graph);
  opened->summary_ = *summary;
  const GraphLayout& layout = opened->layout();
  if (layout.pages() != opened->graph_->page_count() || layout.page_bytes != opened->graph_->page_bytes())
    return Status(Code::kCorrupt, "the header does not fit the file; restore or rebuild").about(paths.graph);
  VECSTORE_ASSIGN(opened->row_map_, RowMap::open(std::move(*row_map), layout.rows, budget));
  VECSTORE_ASSIGN(const CodesAttributes attributes, read_codes_attributes(*opened->codes_file_));
  VECSTORE_ASSIGN(PageStreamReader stream,
                  PageStreamReader::create(*opened->codes_file_, attributes.code_bytes, budget, cancel));
  auto codes = load_block_codes(stream, budget);
  if (!codes) return codes.error().subject().empty() ? Status(codes.error()).about(paths.codes) : codes.error();
  opened->codes_ = std::move(*codes);
  if (opened->codes_.rows != layout.rows || opened->codes_.model.dim != layout.dim ||
      opened->codes_.model.metric != layout.metric || attributes.ranked_pages != layout.pages())
    return Status(Code::kCorrupt, "the codes do not belong to this graph; restore or rebuild").about(paths.codes);
  VECSTORE_TRY(opened->load_centre(budget));
  return opened;
}

Status Generation::load_centre(MemoryBudget& budget) {
  VECSTORE_ASSIGN(const CodesAttributes attributes, read_codes_attributes(*codes_file_));
  if (attributes.centre_elements == 0) return Status::ok();
  VECSTORE_ASSIGN(PageStreamReader stream, PageStreamReader::create(*codes_file_, attributes.ranking_at(), budget));
  VECSTORE_TRY(stream.skip(attributes.code_bytes));
  VECSTORE_ASSIGN(centre_, Buffer<float>::allocate(budget, attributes.centre_elements));
  VECSTORE_TRY(stream.read(std::as_writable_bytes(centre_.span())));
  const auto finite = [](float value) { return std::isfinite(value); };
  if (attributes.centre_elements != layout().dim || is_integer(layout().dtype) ||
      !std::all_of(centre_.begin(), centre_.end(), finite))
    return Status(Code::kCorrupt, "the centre of the rows is damaged; restore or rebuild").about(codes_file_->path());
  return Status::ok();
}

Result<Generation::Needs> Generation::predict_open(FileSystem& file_system, const Paths& paths, const Uuid& store,
                                                   std::uint32_t generation) {
  VECSTORE_ASSIGN(const PageFile graph,
                  PageFile::open(file_system, paths.graph, {store, FileKind::kGraph, generation}));
  VECSTORE_ASSIGN(const PageFile codes,
                  PageFile::open(file_system, paths.codes, {store, FileKind::kCodes, generation}));
  VECSTORE_ASSIGN(const PageFile row_map,
                  PageFile::open(file_system, paths.row_map, {store, FileKind::kRowMap, generation}));
  VECSTORE_ASSIGN(const GraphSummary summary, decode_summary(graph.attributes()));
  VECSTORE_ASSIGN(const std::uint64_t row_map_bytes, RowMap::predict_bytes(row_map, summary.layout.rows));
  VECSTORE_ASSIGN(const CodesAttributes attributes, read_codes_attributes(codes));
  MemoryBudget one_page;
  VECSTORE_ASSIGN(PageStreamReader stream, PageStreamReader::create(codes, attributes.code_bytes, one_page));
  VECSTORE_ASSIGN(const CodeForm form, read_code_form(stream));
  const std::uint64_t groups = groups_of(form.blocks);
  Needs needs{summary.layout, form};
  // And what is not stored: |ĉ|² of each block, the groups, and where to look for a block that is cut.
  needs.resident_bytes = row_map_bytes + attributes.ranking_at() + form.blocks * sizeof(float) +
                         Centroids::bytes_for(groups, summary.layout.dim, form.wide_centroids) +
                         (form.cut_blocks ? Blocks::even_count(summary.layout.rows) * sizeof(std::uint32_t) : 0);
  needs.loading_bytes = kStreamPageBytes + 2ull * summary.layout.dim * sizeof(float);
  return needs;
}

Result<std::optional<Pos>> Generation::find_position(RowId row, MemoryBudget& budget) const {
  return row_map_->find(row, budget);
}

Result<Pos> Generation::position_of(RowId row, MemoryBudget& budget) const {
  VECSTORE_ASSIGN(const std::optional<Pos> position, find_position(row, budget));
  if (position) return *position;
  return Status(Code::kNotFound, "the graph does not have this row")
      .about(row_map_->file().path())
      .at(Detail::kRow, row.value);
}

// Of a map without gaps that leaves no row out, nothing needs to be read.
Status Generation::for_each_row_id(MemoryBudget& budget, const std::function<Status(RowId)>& visit) const {
  if (!row_map_->is_dense() || row_map_->rows() != layout().rows)
    return row_map_->for_each(budget, [&visit](RowId row, Pos) { return visit(row); });
  for (RowId row{0}; row.value < row_end(); ++row.value) VECSTORE_TRY(visit(row));
  return Status::ok();
}

Status Generation::fill_cache(std::uint64_t pages, CachePolicy policy, MemoryBudget& budget,
                              const CancelToken* cancel) {
  cache_ = PageCache();
  if (pages == 0) return Status::ok();
  VECSTORE_ASSIGN(const CodesAttributes attributes, read_codes_attributes(*codes_file_));
  VECSTORE_ASSIGN(
      PageStreamReader stream,
      PageStreamReader::create(*codes_file_, attributes.ranking_at() + attributes.ranked_pages * 4, budget));
  VECSTORE_TRY(stream.skip(attributes.ranking_at()));
  VECSTORE_ASSIGN(auto ranking, Buffer<std::uint32_t>::allocate(budget, std::min(pages, attributes.ranked_pages)));
  VECSTORE_TRY(stream.read(std::as_writable_bytes(ranking.span())));
  for (const std::uint32_t page : ranking)
    if (page == 0 || page > layout().pages())
      return Status(Code::kCorrupt, "the page ranking names a page that is not there; restore or rebuild")
          .about(codes_file_->path())
          .at(Detail::kPage, page);
  VECSTORE_ASSIGN(cache_, PageCache::fill(*graph_, ranking.span(), ranking.size(), policy, budget, cancel));
  return Status::ok();
}

}  // namespace vecstore
