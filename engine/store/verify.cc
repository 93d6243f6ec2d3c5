// SPDX-License-Identifier: Apache-2.0
#include "engine/store/verify.h"

#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/rows/catalog.h"
#include "engine/rows/catalog_format.h"
#include "engine/rows/catalog_sums.h"
#include "engine/watch.h"
#include "graph/page_lists.h"
#include "pagestore/store_files.h"

namespace vecstore {
namespace {

constexpr std::size_t kFindingsMax = 100;
constexpr const char* kNotTheFile = "the file is not the one that the manifest names; restore or rebuild";

Status damaged(const PageFile& file, const char* text, std::uint64_t page) {
  return Status(Code::kCorrupt, text).about(file.path()).at(Detail::kPage, page);
}

bool names(const Manifest& manifest, const ManifestFile& file) {
  return std::ranges::find(manifest.files, file.name, &ManifestFile::name) != manifest.files.end();
}

// Which row the map has at each position, in as few bytes as the greatest RowId needs.
class RowsByPosition {
 public:
  static Result<RowsByPosition> allocate(std::uint64_t positions, std::uint64_t row_end, MemoryBudget& budget) {
    RowsByPosition rows;
    rows.width_ = row_end >> 32 == 0 ? 4 : 8;
    VECSTORE_ASSIGN(rows.bytes_, Buffer<std::byte>::allocate(budget, positions * rows.width_));
    return rows;
  }
  void put(Pos position, RowId row) {
    const std::uint64_t value = row.value + 1;  // 0: none
    std::memcpy(bytes_.data() + std::size_t{position} * width_, &value, width_);
  }
  bool is_at(Pos position, RowId row) const {
    std::uint64_t value = 0;
    std::memcpy(&value, bytes_.data() + std::size_t{position} * width_, width_);
    return value != 0 && value - 1 == row.value;
  }

 private:
  std::uint32_t width_ = 4;
  Buffer<std::byte> bytes_;
};

class Verifier {
 public:
  Verifier(FileSystem& file_system, const StoreDirectory& directory, const Content& content,
           const VerifyOptions& options, MemoryBudget& budget)
      : file_system_(file_system),
        options_(options),
        watch_(options.progress, options.cancel, file_system.clock()),
        directory_(directory),
        newest_(content.manifest()),
        graph_(content.graph()),
        rows_(content.rows()),
        budget_(budget) {}

  Result<VerifyReport> run() {
    count_bytes();
    for (const Status& finding : directory_.damage()) {
      VECSTORE_TRY(note(finding));
      // Of the superblock itself only a lost slot is told, which the other one replaces.
      if (finding.subject() == directory_.file_path(kSuperblockName)) ++report_.damage_repairable;
    }
    if (graph_ != nullptr) VECSTORE_TRY(verify_graph());
    if (!options_.deep) return std::move(report_);
    if (graph_ != nullptr) VECSTORE_TRY(verify_reachable());
    VECSTORE_TRY(verify_files(newest_));
    if (const Manifest* previous = directory_.previous(); previous != nullptr) VECSTORE_TRY(verify_files(*previous));
    VECSTORE_TRY(verify_rows());
    VECSTORE_TRY(verify_catalog());
    return std::move(report_);
  }

 private:
  // What will be read, but for the catalog and the sweeps over the graph.
  void count_bytes() {
    const auto add = [this](const Manifest& manifest) {
      for (const ManifestFile& file : manifest.files)
        if (&manifest == &newest_ || !names(newest_, file)) bytes_total_ += file.bytes;
    };
    if (graph_ != nullptr) bytes_total_ += graph_->layout().pages() * graph_->layout().page_bytes;
    if (!options_.deep) return;
    add(newest_);
    if (const Manifest* previous = directory_.previous(); previous != nullptr) add(*previous);
  }
  Status has_read(std::uint64_t bytes) {
    bytes_done_ += bytes;
    return watch_.step({Phase::kVerify, bytes_done_, bytes_total_});
  }

  // Memory that was missing tells nothing of a file, nor does a call that was cancelled: that is returned.
  Status note(const Status& finding) {
    if (finding.code() == Code::kMemoryBudget || finding.code() == Code::kCancelled) return finding;
    ++report_.damage_total;
    if (report_.damage.size() < kFindingsMax) report_.damage.push_back(finding);
    return Status::ok();
  }

  // Which row stands where. There are as many rows as positions, so none of either is left over where all agree.
  Status read_row_map(RowsByPosition& rows) {
    const RowMap& map = graph_->row_map();
    if (map.rows() != graph_->layout().rows)
      return Status(Code::kCorrupt, "the row map names other rows than the graph has; restore or rebuild")
          .about(map.file().path());
    return map.for_each(budget_, [&rows](RowId row, Pos position) {
      rows.put(position, row);
      return Status::ok();
    });
  }

  // Every page's checksum, every list, and that the row map and the pages name each other's rows.
  Status verify_graph() {
    const GraphLayout& layout = graph_->layout();
    const PageFile& file = graph_->graph();
    VECSTORE_ASSIGN(auto mapped_rows, RowsByPosition::allocate(layout.rows, graph_->row_end(), budget_));
    const Status map = read_row_map(mapped_rows);
    if (!map.is_ok()) VECSTORE_TRY(note(map));
    VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, layout.page_bytes));
    for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
      ++report_.pages_checked;
      VECSTORE_TRY(has_read(bytes.size()));
      const Status read = file.read_page(page, bytes.span());
      if (!read.is_ok()) {
        VECSTORE_TRY(note(read));
        continue;
      }
      bool placed = true;
      const bool whole =
          for_each_list(layout, page, bytes.data(), [&](Pos self, RowId row, std::span<const Pos> neighbours) {
            ++report_.rows_checked;
            report_.edges_checked += neighbours.size();
            placed = placed && row.value < graph_->row_end() && (!map.is_ok() || mapped_rows.is_at(self, row));
          });
      if (!whole) VECSTORE_TRY(note(damaged(file, "a neighbour list is damaged; restore or rebuild", page)));
      if (!placed) VECSTORE_TRY(note(damaged(file, "a row is not where the row map has it; restore or rebuild", page)));
    }
    return Status::ok();
  }

  // Sweeps over the pages until no list brings a row that was not reached yet: sequential reads, two bits a row.
  Status verify_reachable() {
    const GraphLayout& layout = graph_->layout();
    if (layout.rows == 0) return Status::ok();
    constexpr std::uint8_t kReached = 1;
    constexpr std::uint8_t kFollowed = 2;
    VECSTORE_ASSIGN(auto state, Buffer<std::uint8_t>::allocate(budget_, layout.rows));
    VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, layout.page_bytes));
    state[graph_->summary().entry] = kReached;
    for (bool grew = true; grew;) {
      grew = false;
      for (std::uint64_t page = 1; page <= layout.pages(); ++page) {
        VECSTORE_TRY(has_read(0));
        const std::uint8_t* first = state.data() + layout.first_on(page);
        if (std::find(first, first + layout.rows_on(page), kReached) == first + layout.rows_on(page)) continue;
        if (!graph_->graph().read_page(page, bytes.span()).is_ok()) return Status::ok();  // noted by verify_graph()
        for_each_list(layout, page, bytes.data(), [&](Pos self, RowId, std::span<const Pos> neighbours) {
          if (state[self] != kReached) return;
          state[self] = kReached | kFollowed;
          grew = true;
          for (const Pos neighbour : neighbours) state[neighbour] |= kReached;
        });
      }
    }
    report_.unreachable_rows = static_cast<std::uint64_t>(std::count(state.begin(), state.end(), 0));
    if (report_.unreachable_rows != 0)
      return note(Status(Code::kCorrupt, "rows have no path from the entry; rebuild").about(graph_->graph().path()));
    return Status::ok();
  }

  // A merge or a build has published since, and files of before go.
  bool was_replaced() const {
    const auto now = StoreDirectory::open(file_system_, kStoreNames, directory_.path(), LockMode::kShared);
    return now && (now->manifest()->store != newest_.store || now->manifest()->generation != newest_.generation);
  }

  // Every page of every file against its checksum, and the whole against the manifest.
  Status verify_files(const Manifest& manifest) {
    for (const ManifestFile& entry : manifest.files) {
      if (&manifest != &newest_ && names(newest_, entry)) continue;  // it stays, and was read already
      const FileIdentity identity{manifest.store, static_cast<FileKind>(entry.kind), entry.generation};
      const std::string path = directory_.file_path(entry.name);
      const auto file = PageFile::open(file_system_, path, identity);
      if (!file && file.error().code() == Code::kNotFound && was_replaced()) return Status::ok();
      if (!file) {
        VECSTORE_TRY(note(file.error()));
        continue;
      }
      VECSTORE_ASSIGN(auto bytes, Buffer<std::byte>::allocate(budget_, file->page_bytes()));
      const std::unique_ptr<XXH3_state_t, XXH_errorcode (*)(XXH3_state_t*)> state(XXH3_createState(), XXH3_freeState);
      if (!state)
        return Status(Code::kMemoryBudget, "the system has no memory left for a checksum; free some")
            .with_errno(ENOMEM);
      XXH3_128bits_reset(state.get());
      bool intact = true;
      for (std::uint64_t page = 1; page <= file->page_count(); ++page) {
        VECSTORE_TRY(has_read(bytes.size()));
        const Status read = file->read_page(page, bytes.span());
        if (!read.is_ok()) {
          // The pages of the graph that is searched have been reported one by one already.
          if (identity.kind != FileKind::kGraph || &manifest != &newest_) VECSTORE_TRY(note(read));
          intact = false;
          continue;
        }
        XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
      }
      VECSTORE_TRY(file->read_header(bytes.span()));
      XXH3_128bits_update(state.get(), bytes.data(), bytes.size());
      const XXH128_hash_t hash = XXH3_128bits_digest(state.get());
      const bool same = hash.low64 == entry.hash_low && hash.high64 == entry.hash_high;
      if (intact && !same) VECSTORE_TRY(note(Status(Code::kCorrupt, kNotTheFile).about(path)));
    }
    return Status::ok();
  }

  // What the pages of rows/ hold; one entry a page at the most, whatever is wrong with it.
  Status verify_rows() {
    if (rows_ == nullptr) return Status::ok();
    std::vector<Status> findings;
    const Status first = rows_->verify(findings, budget_, options_.cancel);
    if (first.code() == Code::kCancelled || first.code() == Code::kMemoryBudget) return first;
    if (!first.is_ok() && findings.empty()) findings.push_back(first);
    for (const Status& finding : findings) VECSTORE_TRY(note(finding));
    return Status::ok();
  }

  // A build or a merge that was killed right after its publish leaves the catalog of the content before, or half of a
  // swap. That is no damage: nobody believes it, and the next writer makes another.
  bool is_catalog_on_its_way() const {
    const std::string path = directory_.file_path(kCatalogName);
    if (!directory_.has_unfinished_publish() && !Catalog::has_unfinished(file_system_, path)) return false;
    const auto blocks = CatalogBlocks::open(file_system_, path + catalog::kDataName, path + catalog::kSumsName);
    if (!blocks) return blocks.error().code() == Code::kNotFound;
    return blocks->facts().store != newest_.store || blocks->facts().applied_lsn != newest_.applied_lsn;
  }

  Status verify_catalog() {
    if (rows_ == nullptr || !rows_->layout().keys || is_catalog_on_its_way()) return Status::ok();
    const auto catalog = Catalog::open(file_system_, directory_.file_path(kCatalogName), newest_.store, budget_);
    Status checked = catalog ? catalog->verify(options_.cancel) : catalog.error();
    if (checked.code() == Code::kNotFound)
      checked =
          Status(Code::kCorrupt, "a file of the catalog is missing; the next writer that looks a key up rebuilds it")
              .about(checked.subject());
    if (checked.is_ok()) return checked;
    VECSTORE_TRY(note(checked));
    if (checked.code() == Code::kCorrupt) ++report_.damage_repairable;
    return Status::ok();
  }

  FileSystem& file_system_;
  const VerifyOptions& options_;
  Watch watch_;
  std::uint64_t bytes_done_ = 0;
  std::uint64_t bytes_total_ = 0;
  const StoreDirectory& directory_;
  const Manifest& newest_;
  const Generation* graph_;
  const StoredRows* rows_;
  MemoryBudget& budget_;
  VerifyReport report_;
};

}  // namespace

Result<VerifyReport> verify_content(FileSystem& file_system, const Content& content, const VerifyOptions& options,
                                    MemoryBudget& budget) {
  // Of its own, because a merge publishes in the store's.
  VECSTORE_ASSIGN(const StoreDirectory directory,
                  StoreDirectory::open(file_system, kStoreNames, content.path(), LockMode::kShared));
  return Verifier(file_system, directory, content, options, budget).run();
}

}  // namespace vecstore
