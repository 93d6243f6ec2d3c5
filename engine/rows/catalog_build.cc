// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <memory>
#include <utility>

#include "base/io.h"
#include "base/limits.h"
#include "engine/rows/catalog.h"
#include "engine/rows/catalog_format.h"
#include "engine/rows/catalog_sums.h"
#include "engine/rows/catalog_tree_writer.h"
#include "engine/rows/key_sorter.h"

namespace vecstore {

namespace {

constexpr const char* kSpillName = "/sort.tmp";  // what keys spill into

static_assert(kKeyBytesMax == 480, "the text of the error below names it");

Status sort_keys(const std::string& path, const Catalog::Feed& feed, const CancelToken* cancel, KeySorter& sorter) {
  std::string key;
  RowId row;
  while (true) {
    VECSTORE_TRY(check_cancelled(cancel));
    VECSTORE_ASSIGN(const bool more, feed(key, row));
    if (!more) break;
    if (key.empty() || key.size() > kKeyBytesMax)
      return Status(Code::kInvalidInput, "a key must have 1 to 480 bytes").about(path).at(Detail::kRow, row.value);
    VECSTORE_TRY(sorter.add(key, row));
  }
  return sorter.finish();
}

Status load(const std::string& directory, const CatalogFacts& facts, const CancelToken* cancel, KeySorter& sorter,
            CatalogTreeWriter& writer) {
  std::string last;
  std::string_view key;
  RowId row;
  while (true) {
    VECSTORE_TRY(check_cancelled(cancel));
    VECSTORE_ASSIGN(const bool more, sorter.next(key, row));
    if (!more) break;
    if (key == last)
      return Status(Code::kExists, "the key of this row belongs to an earlier row too; keys must be unique")
          .about(directory)
          .at(Detail::kRow, row.value);
    last = key;
    VECSTORE_TRY(writer.put(key, row));
  }
  return writer.finish(facts);
}

}  // namespace

// The two files under the names that they have before they are swapped in, and what keys spill into. Nothing of these
// names is left when this goes.
struct NewCatalog::Impl {
  Impl(FileSystem& system, const std::string& path)
      : file_system(system),
        directory(path),
        data(path + catalog::kDataName + catalog::kNewSuffix),
        sums(path + catalog::kSumsName + catalog::kNewSuffix),
        spill(path + kSpillName) {
    remove();
  }
  ~Impl() {
    if (!is_begun) remove();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void remove() const { Catalog::remove_unfinished(file_system, directory); }

  FileSystem& file_system;
  const std::string directory;
  const std::string data;
  const std::string sums;
  const std::string spill;
  bool is_begun = false;  // to be swapped in
};

NewCatalog::NewCatalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NewCatalog::NewCatalog(NewCatalog&&) noexcept = default;
NewCatalog& NewCatalog::operator=(NewCatalog&&) noexcept = default;
NewCatalog::~NewCatalog() = default;

// The sums go first and come last: in between, and whatever of it a crash keeps, the directory holds no pair of files
// that belong together and is rebuilt.
Status NewCatalog::swap_in() {
  Impl& made = *impl_;
  made.is_begun = true;
  const std::string sums = made.directory + catalog::kSumsName;
  if (const Status removed = made.file_system.unlink(sums); removed.code() != Code::kNotFound) VECSTORE_TRY(removed);
  VECSTORE_TRY(made.file_system.rename(made.data, made.directory + catalog::kDataName));
  VECSTORE_TRY(made.file_system.rename(made.sums, sums));
  return made.file_system.sync_directory(made.directory);
}

void Catalog::remove_unfinished(FileSystem& file_system, const std::string& path) {
  for (const std::string& name : {catalog::kDataName + std::string(catalog::kNewSuffix),
                                  catalog::kSumsName + std::string(catalog::kNewSuffix), std::string(kSpillName)})
    static_cast<void>(file_system.unlink(path + name));
}

bool Catalog::has_unfinished(FileSystem& file_system, const std::string& path) {
  const auto kind = file_system.kind_of(path + catalog::kSumsName + catalog::kNewSuffix);
  return kind && *kind == EntryKind::kFile;
}

Status Catalog::build(FileSystem& file_system, const std::string& path, const Uuid& store, std::uint64_t applied_lsn,
                      const Feed& feed, MemoryBudget& budget) {
  VECSTORE_ASSIGN(NewCatalog made, write(file_system, path, store, applied_lsn, feed, budget, nullptr));
  return made.swap_in();
}

Result<NewCatalog> Catalog::write(FileSystem& file_system, const std::string& path, const Uuid& store,
                                  std::uint64_t applied_lsn, const Feed& feed, MemoryBudget& budget,
                                  const CancelToken* cancel) {
  auto written = write_files(file_system, path, store, applied_lsn, feed, budget, cancel);
  // Of names that come and go, only the catalog is known.
  if (!written && written.error().subject().starts_with(path + "/")) return Status(written.error()).about(path);
  return written;
}

Result<NewCatalog> Catalog::write_files(FileSystem& file_system, const std::string& path, const Uuid& store,
                                        std::uint64_t applied_lsn, const Feed& feed, MemoryBudget& budget,
                                        const CancelToken* cancel) {
  if (const Status exists = file_system.make_directory(path); exists.code() != Code::kExists) VECSTORE_TRY(exists);
  auto made = std::make_unique<NewCatalog::Impl>(file_system, path);
  CatalogFacts facts;
  facts.store = store;
  facts.applied_lsn = applied_lsn;
  {
    VECSTORE_ASSIGN(auto writer, CatalogTreeWriter::create(file_system, made->data, store, budget));
    VECSTORE_ASSIGN(auto sorter, KeySorter::create(file_system, made->spill, KeySorter::bytes_within(budget), budget));
    VECSTORE_TRY(sort_keys(path, feed, cancel, sorter));
    facts.keys = sorter.count();
    VECSTORE_TRY(load(path, facts, cancel, sorter, writer));
  }
  VECSTORE_TRY(write_catalog_sums(file_system, made->data, made->sums, facts, budget));
  VECSTORE_TRY(file_system.sync_directory(path));  // so that a swap that a crash ends is known to be one
  return NewCatalog(std::move(made));
}

}  // namespace vecstore
