// SPDX-License-Identifier: Apache-2.0
//
// Checks what is on disk: every page and list of the graph, every row's place; deep: reachability, file hashes, rows/
// and the catalog.
#include <xxhash.h>

#include <algorithm>

#include "base/thrown.h"
#include "compress/neighbour_list.h"
#include "engine/generation/page_stream.h"
#include "engine/rows/catalog_format.h"
#include "engine/rows/catalog_sums.h"
#include "engine/store/impl.h"

namespace vecstore {
namespace {

constexpr std::size_t kFindingsMax = 100;
constexpr const char* kNotTheFile = "the file is not the one that the manifest names; restore or rebuild";

// Memory that was missing tells nothing of a file: that is returned.
Status note(VerifyReport& report, const Status& finding) {
  if (finding.code() == Code::kMemoryBudget) return finding;
  ++report.damage_total;
  if (report.damage.size() < kFindingsMax) report.damage.push_back(finding);
  return Status::ok();
}

Status damaged(const PageFile& file, const char* text, std::uint64_t page) {
  return Status(Code::kCorrupt, text).about(file.path()).at(Detail::kPage, page);
}

// Calls visit(position, neighbours) for every row of a page; false when a list is damaged.
template <typename Visit>
bool for_each_list(const GraphLayout& layout, std::uint64_t page, const std::byte* bytes, const Visit& visit) {
  const PageView view(layout, bytes);
  Pos neighbours[kDegreeMax];
  for (std::uint32_t slot = 0; slot < layout.rows_on(page); ++slot) {
    const Pos self = layout.first_on(page) + slot;
    const auto list = view.list(slot);
    const std::size_t degree =
        is_damaged(list) ? kDamagedList
                         : decode_neighbours(self, list, static_cast<Pos>(layout.rows), neighbours, kDegreeMax);
    if (degree == kDamagedList) return false;
    visit(self, view.row_id(slot), std::span<const Pos>(neighbours, degree));
  }
  return true;
}

}  // namespace

// Every page's checksum, every list, and that the row map and the pages name each other's rows.
Status Store::Impl::verify_graph(VerifyReport& report) const {
  const GraphLayout& layout = generation->layout();
  const PageFile& file = generation->graph();
  VECSTORE_ASSIGN(auto places, Buffer<Pos>::allocate(budget, layout.rows));
  bool mapped = true;
  {
    VECSTORE_ASSIGN(PageStreamReader map,
                    PageStreamReader::create(generation->row_map(), layout.rows * sizeof(Pos), budget));
    const Status read = map.read(std::as_writable_bytes(places.span()));
    if (!read.is_ok()) VECSTORE_TRY(note(report, read));
    mapped = read.is_ok();
  }
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget, layout.page_bytes));
  for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
    ++report.pages_checked;
    const Status read = file.read_page(page, bytes.span());
    if (!read.is_ok()) {
      VECSTORE_TRY(note(report, read));
      continue;
    }
    bool placed = true;
    const bool whole =
        for_each_list(layout, page, bytes.data(), [&](Pos self, RowId row, std::span<const Pos> neighbours) {
          ++report.rows_checked;
          report.edges_checked += neighbours.size();
          placed = placed && row.value < layout.rows && (!mapped || places[row.value] == self);
        });
    if (!whole) VECSTORE_TRY(note(report, damaged(file, "a neighbour list is damaged; restore or rebuild", page)));
    if (!placed)
      VECSTORE_TRY(note(report, damaged(file, "a row is not where the row map has it; restore or rebuild", page)));
  }
  return Status::ok();
}

// Sweeps over the pages until no list brings a row that was not reached yet: sequential reads, two bits a row.
Status Store::Impl::verify_reachable(VerifyReport& report) const {
  const GraphLayout& layout = generation->layout();
  if (layout.rows == 0) return Status::ok();
  constexpr std::uint8_t kReached = 1;
  constexpr std::uint8_t kFollowed = 2;
  VECSTORE_ASSIGN(auto state, Buffer<std::uint8_t>::allocate(budget, layout.rows));
  VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget, layout.page_bytes));
  state[generation->summary().entry] = kReached;
  for (bool grew = true; grew;) {
    grew = false;
    for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
      const std::uint8_t* first = state.data() + layout.first_on(page);
      if (std::find(first, first + layout.rows_on(page), kReached) == first + layout.rows_on(page)) continue;
      if (!generation->graph().read_page(page, bytes.span()).is_ok()) return Status::ok();  // noted by verify_graph()
      for_each_list(layout, page, bytes.data(), [&](Pos self, RowId, std::span<const Pos> neighbours) {
        if (state[self] != kReached) return;
        state[self] = kReached | kFollowed;
        grew = true;
        for (const Pos neighbour : neighbours) state[neighbour] |= kReached;
      });
    }
  }
  report.unreachable_rows = static_cast<std::uint64_t>(std::count(state.begin(), state.end(), 0));
  if (report.unreachable_rows != 0)
    return note(report,
                Status(Code::kCorrupt, "rows have no path from the entry; rebuild").about(generation->graph().path()));
  return Status::ok();
}

// Every page of every file against its checksum, and the whole against the manifest.
Status Store::Impl::verify_files(const Manifest& content, VerifyReport& report) const {
  for (const ManifestFile& entry : content.files) {
    const FileIdentity identity{content.store, static_cast<FileKind>(entry.kind), entry.generation};
    const std::string path = directory->file_path(entry.name);
    const auto file = PageFile::open(*environment.file_system, path, identity);
    if (!file) {
      VECSTORE_TRY(note(report, file.error()));
      continue;
    }
    VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget, file->page_bytes()));
    const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
    if (!state) return Status(Code::kMemoryBudget, "the system has no memory left for a checksum; free some");
    XXH3_128bits_reset(state.get());
    bool intact = true;
    for (std::uint64_t page = 1; page <= file->page_count(); ++page) {
      const Status read = file->read_page(page, bytes.span());
      if (!read.is_ok()) {
        // The pages of the graph that is searched have been reported one by one already.
        if (identity.kind != FileKind::kGraph || &content != &manifest()) VECSTORE_TRY(note(report, read));
        intact = false;
        continue;
      }
      XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
    }
    VECSTORE_TRY(file->read_header(bytes.span()));
    XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
    const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
    const bool same = hash.low64 == entry.hash_low && hash.high64 == entry.hash_high;
    if (intact && !same) VECSTORE_TRY(note(report, Status(Code::kCorrupt, kNotTheFile).about(path)));
  }
  return Status::ok();
}

// What the pages of rows/ hold; one entry a page at the most, whatever is wrong with it.
Status Store::Impl::verify_rows(VerifyReport& report) const {
  if (!rows) return Status::ok();
  std::vector<Status> findings;
  const Status first = rows->verify(findings);
  if (!first.is_ok() && findings.empty()) findings.push_back(first);
  for (const Status& finding : findings) VECSTORE_TRY(note(report, finding));
  return Status::ok();
}

// A build that was killed before its publish leaves a whole catalog of what it would have been. That is no damage:
// nobody believes it, and the next writer makes another.
bool Store::Impl::has_catalog_of_unfinished_build() const {
  if (!directory->has_unfinished_publish()) return false;
  const std::string path = directory->file_path("catalog");
  const auto blocks =
      CatalogBlocks::open(*environment.file_system, path + catalog::kDataName, path + catalog::kSumsName);
  return blocks && blocks->facts().store != manifest().store;
}

Result<VerifyReport> Store::verify(const VerifyOptions& options) const try {
  const Impl& s = *impl_;
  VECSTORE_TRY(s.check_process());
  VerifyReport report;
  for (const Status& finding : s.directory->damage()) VECSTORE_TRY(note(report, finding));
  if (s.generation) VECSTORE_TRY(s.verify_graph(report));
  if (!options.deep) return report;
  if (s.generation) VECSTORE_TRY(s.verify_reachable(report));
  VECSTORE_TRY(s.verify_files(s.manifest(), report));
  if (const Manifest* previous = s.directory->previous(); previous != nullptr)
    VECSTORE_TRY(s.verify_files(*previous, report));
  VECSTORE_TRY(s.verify_rows(report));
  if (s.rows && s.rows->layout().keys && !s.has_catalog_of_unfinished_build()) {
    const auto catalog =
        Catalog::open(*s.environment.file_system, s.directory->file_path("catalog"), s.manifest().store, s.budget);
    Status checked = catalog ? catalog->verify() : catalog.error();
    if (checked.code() == Code::kNotFound)
      checked =
          Status(Code::kCorrupt, "a file of the catalog is missing; the next writer that looks a key up rebuilds it")
              .about(checked.subject());
    if (!checked.is_ok()) VECSTORE_TRY(note(report, checked));
  }
  return report;
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
