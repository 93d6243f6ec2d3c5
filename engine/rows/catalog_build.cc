// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstring>
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
constexpr std::size_t kSortBytesMax = std::size_t{32} << 20;

// Removes what a build that failed leaves behind.
class Scratch {
 public:
  Scratch(FileSystem& file_system, const std::string& directory)
      : file_system_(file_system),
        data_(directory + catalog::kDataName + catalog::kNewSuffix),
        sums_(directory + catalog::kSumsName + catalog::kNewSuffix) {
    remove();
  }
  ~Scratch() { remove(); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  const std::string& data() const { return data_; }
  const std::string& sums() const { return sums_; }

 private:
  void remove() const {
    for (const std::string* path : {&data_, &sums_}) static_cast<void>(file_system_.unlink(*path));
  }

  FileSystem& file_system_;
  const std::string data_;
  const std::string sums_;
};

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

// The sums go first and come last: in between, and whatever of it a crash keeps, the directory holds no pair of files
// that belong together and is rebuilt.
Status publish(FileSystem& file_system, const std::string& directory, const Scratch& scratch) {
  const std::string data = directory + catalog::kDataName;
  const std::string sums = directory + catalog::kSumsName;
  if (const Status removed = file_system.unlink(sums); removed.code() != Code::kNotFound) VECSTORE_TRY(removed);
  VECSTORE_TRY(file_system.rename(scratch.data(), data));
  VECSTORE_TRY(file_system.rename(scratch.sums(), sums));
  return file_system.sync_directory(directory);
}

}  // namespace

Status Catalog::build(FileSystem& file_system, const std::string& path, const Uuid& store, std::uint64_t applied_lsn,
                      const Feed& feed, MemoryBudget& budget) {
  if (!file_system.is_of_system())
    return Status(Code::kUnsupported, "the catalog's file cannot be written here, because LMDB opens it itself")
        .about(path);
  if (const Status made = file_system.make_directory(path); made.code() != Code::kExists) VECSTORE_TRY(made);
  const Scratch scratch(file_system, path);
  CatalogFacts facts;
  facts.store = store;
  facts.applied_lsn = applied_lsn;
  {
    VECSTORE_ASSIGN(const auto lmdb, Charge::take(budget, kLmdbBytes));
    const std::uint64_t left = budget.limit_bytes() - budget.used_bytes();
    const auto sort_bytes = static_cast<std::size_t>(std::min<std::uint64_t>(left / 2, kSortBytesMax));
    VECSTORE_ASSIGN(auto sorter, KeySorter::create(file_system, path + "/sort.tmp", sort_bytes, budget));
    VECSTORE_TRY(sort_keys(path, feed, sorter));
    facts.keys = sorter.count();
    VECSTORE_TRY(load(path, scratch.data(), facts, sorter));
  }
  VECSTORE_TRY(write_catalog_sums(file_system, scratch.data(), scratch.sums(), facts, budget));
  return publish(file_system, path, scratch);
}

}  // namespace vecstore
