// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "base/io.h"
#include "base/limits.h"
#include "engine/rows/catalog.h"
#include "engine/rows/catalog_format.h"
#include "engine/rows/key_sorter.h"

namespace vecstore {

namespace {

// A transaction holds its dirty pages in memory until it commits.
constexpr std::size_t kBatchBytes = std::size_t{512} << 10;
// Batches until the environment is opened anew: what LMDB wrote it has mapped, and mapped pages count as resident.
constexpr std::uint64_t kBatchesPerMap = 4;
// Dirty pages, LMDB's lists of them, and the map until it is renewed.
constexpr std::uint64_t kLmdbBytes = (kBatchesPerMap + 1) * 2 * kBatchBytes;

// Ascending puts into data.mdb, in batches.
class Loader {
 public:
  Loader(std::string path, std::uint64_t map_bytes) : path_(std::move(path)), map_bytes_(map_bytes) {}

  Status put(std::string_view key, RowId row, const Uuid& store) {
    if (!transaction_) VECSTORE_TRY(begin_batch());
    catalog::Entry entry;
    entry.row = row.value;
    entry.sum = catalog::entry_sum(key, row.value, store);
    MDB_val name = catalog::value_of(key);
    MDB_val value{sizeof(entry), &entry};
    if (const int code = ::mdb_put(transaction_.get(), keys_, &name, &value, MDB_APPEND); code != 0)
      return catalog::lmdb_status(code, path_);
    batch_bytes_ += key.size() + sizeof(entry);
    return batch_bytes_ < kBatchBytes ? Status::ok() : commit_batch();
  }

  Status finish(const CatalogFacts& facts) {
    if (!transaction_) VECSTORE_TRY(begin_batch());
    catalog::Meta meta;
    meta.store = facts.store;
    meta.applied_lsn = facts.applied_lsn;
    meta.keys = facts.keys;
    meta.sum = catalog::meta_sum(meta);
    MDB_val name = catalog::value_of(catalog::kMetaKey);
    MDB_val value{sizeof(meta), &meta};
    if (const int code = ::mdb_put(transaction_.get(), meta_, &name, &value, 0); code != 0)
      return catalog::lmdb_status(code, path_);
    VECSTORE_TRY(commit_batch());
    if (!environment_) VECSTORE_TRY(open());
    if (const int code = ::mdb_env_sync(environment_.get(), 1); code != 0) return catalog::lmdb_status(code, path_);
    environment_.reset();
    return Status::ok();
  }

 private:
  Status open() {
    VECSTORE_ASSIGN(environment_, catalog::open_environment(path_, MDB_NOSYNC, map_bytes_));
    return Status::ok();
  }

  Status begin_batch() {
    if (!environment_) VECSTORE_TRY(open());
    VECSTORE_ASSIGN(transaction_, catalog::begin(environment_.get(), 0, path_));
    int code = ::mdb_dbi_open(transaction_.get(), catalog::kKeysTable, MDB_CREATE, &keys_);
    if (code == 0) code = ::mdb_dbi_open(transaction_.get(), catalog::kMetaTable, MDB_CREATE, &meta_);
    return code == 0 ? Status::ok() : catalog::lmdb_status(code, path_);
  }

  Status commit_batch() {
    batch_bytes_ = 0;
    if (const int code = ::mdb_txn_commit(transaction_.release()); code != 0) return catalog::lmdb_status(code, path_);
    if (++batches_ % kBatchesPerMap == 0) environment_.reset();
    return Status::ok();
  }

  std::string path_;
  std::uint64_t map_bytes_;
  catalog::Environment environment_;
  catalog::Transaction transaction_;  // ends before its environment
  MDB_dbi keys_ = 0;
  MDB_dbi meta_ = 0;
  std::size_t batch_bytes_ = 0;
  std::uint64_t batches_ = 0;
};

static_assert(kKeyBytesMax == 480, "the text of the error below names it");

Status sort_keys(const std::string& path, const Catalog::Feed& feed, KeySorter& sorter) {
  std::string key;
  RowId row;
  while (true) {
    VECSTORE_ASSIGN(const bool more, feed(key, row));
    if (!more) break;
    if (key.empty() || key.size() > kKeyBytesMax)
      return Status(Code::kInvalidInput, "a key must have 1 to 480 bytes").about(path).at(Detail::kRow, row.value);
    VECSTORE_TRY(sorter.add(key, row));
  }
  return sorter.finish();
}

Status load(const std::string& directory, const std::string& path, const CatalogFacts& facts, KeySorter& sorter) {
  // Address space only. Appended leaves are at least 7/8 full and branches are a fraction of them; each batch abandons
  // the few pages of its right edge.
  constexpr std::uint64_t kNodeBytes = 8 + 2 + 1 + sizeof(catalog::Entry);
  const std::uint64_t map_bytes =
      ((sorter.key_bytes() + sorter.count() * kNodeBytes) * 2 + (16u << 20)) / 65536 * 65536;
  Loader loader(path, map_bytes);
  std::string last;
  std::string_view key;
  RowId row;
  while (true) {
    VECSTORE_ASSIGN(const bool more, sorter.next(key, row));
    if (!more) break;
    if (key == last)
      return Status(Code::kExists, "the key of this row belongs to an earlier row too; keys must be unique")
          .about(directory)
          .at(Detail::kRow, row.value);
    last = key;
    VECSTORE_TRY(loader.put(key, row, facts.store));
  }
  return loader.finish(facts);
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
        spill(path + "/sort.tmp") {
    remove();
  }
  ~Impl() { remove(); }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  void remove() const {
    for (const std::string* path : {&data, &sums, &spill}) static_cast<void>(file_system.unlink(*path));
  }

  FileSystem& file_system;
  const std::string directory;
  const std::string data;
  const std::string sums;
  const std::string spill;
};

NewCatalog::NewCatalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NewCatalog::NewCatalog(NewCatalog&&) noexcept = default;
NewCatalog& NewCatalog::operator=(NewCatalog&&) noexcept = default;
NewCatalog::~NewCatalog() = default;

// The sums go first and come last: in between, and whatever of it a crash keeps, the directory holds no pair of files
// that belong together and is rebuilt.
Status NewCatalog::swap_in() {
  const Impl& made = *impl_;
  const std::string sums = made.directory + catalog::kSumsName;
  if (const Status removed = made.file_system.unlink(sums); removed.code() != Code::kNotFound) VECSTORE_TRY(removed);
  VECSTORE_TRY(made.file_system.rename(made.data, made.directory + catalog::kDataName));
  VECSTORE_TRY(made.file_system.rename(made.sums, sums));
  return made.file_system.sync_directory(made.directory);
}

Status Catalog::build(FileSystem& file_system, const std::string& path, const Uuid& store, std::uint64_t applied_lsn,
                      const Feed& feed, MemoryBudget& budget) {
  VECSTORE_ASSIGN(NewCatalog made, write(file_system, path, store, applied_lsn, feed, budget));
  return made.swap_in();
}

Result<NewCatalog> Catalog::write(FileSystem& file_system, const std::string& path, const Uuid& store,
                                  std::uint64_t applied_lsn, const Feed& feed, MemoryBudget& budget) {
  if (!file_system.is_of_system())
    return Status(Code::kUnsupported, "the catalog's file cannot be written here, because LMDB opens it itself")
        .about(path);
  if (const Status exists = file_system.make_directory(path); exists.code() != Code::kExists) VECSTORE_TRY(exists);
  auto made = std::make_unique<NewCatalog::Impl>(file_system, path);
  CatalogFacts facts;
  facts.store = store;
  facts.applied_lsn = applied_lsn;
  {
    VECSTORE_ASSIGN(const auto lmdb, Charge::take(budget, kLmdbBytes));
    VECSTORE_ASSIGN(auto sorter, KeySorter::create(file_system, made->spill, KeySorter::bytes_within(budget), budget));
    VECSTORE_TRY(sort_keys(path, feed, sorter));
    facts.keys = sorter.count();
    VECSTORE_TRY(load(path, made->data, facts, sorter));
  }
  VECSTORE_TRY(write_catalog_sums(file_system, made->data, made->sums, facts, budget));
  return NewCatalog(std::move(made));
}

}  // namespace vecstore
