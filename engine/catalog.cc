// SPDX-License-Identifier: Apache-2.0
#include "engine/catalog.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <utility>

#include "engine/base/bytes.h"
#include "engine/base/limits.h"
#include "engine/catalog_format.h"
#include "engine/posix_file.h"
#include "engine/rows.h"

namespace vecstore {

namespace catalog {

std::uint64_t entry_sum(std::string_view key, std::uint64_t row, const Uuid& store) {
  std::array<char, kKeyBytesMax + sizeof(row) + sizeof(Uuid)> bytes;
  char* at = std::copy(key.begin(), key.end(), bytes.data());
  std::memcpy(at, &row, sizeof(row));
  std::memcpy(at + sizeof(row), store.data(), store.size());
  return XXH3_64bits(bytes.data(), key.size() + sizeof(row) + store.size());
}

std::uint64_t meta_sum(const Meta& meta) { return XXH3_64bits(&meta, offsetof(Meta, sum)); }

Status lmdb_status(int code, const std::string& path) {
  if (code == MDB_MAP_FULL) return Status(Code::kNoSpace, "the catalog's map is full; free space").about(path);
  if (code > 0) return errno_status(code, "LMDB cannot work on the catalog", path);
  return Status(Code::kCorrupt, kDamaged).about(path);
}

Result<Environment> open_environment(const std::string& path, unsigned flags, std::uint64_t map_bytes) {
  constexpr mdb_mode_t kMode = 0644;
  MDB_env* made = nullptr;
  if (const int code = ::mdb_env_create(&made); code != 0) return lmdb_status(code, path);
  Environment environment(made);
  ::mdb_env_set_maxdbs(made, 2);
  if (map_bytes != 0) ::mdb_env_set_mapsize(made, map_bytes);
  if (const int code = ::mdb_env_open(made, path.c_str(), flags | MDB_NOSUBDIR | MDB_NOLOCK | MDB_NORDAHEAD, kMode);
      code != 0)
    return lmdb_status(code, path);
  return environment;
}

Result<Transaction> begin(MDB_env* environment, unsigned flags, const std::string& path) {
  MDB_txn* made = nullptr;
  if (const int code = ::mdb_txn_begin(environment, nullptr, flags, &made); code != 0) return lmdb_status(code, path);
  return Transaction(made);
}

}  // namespace catalog

namespace {

// LMDB's map counts as resident memory, up to the whole file: a lookup touches 3 to 4 pages and the kernel maps 64 KiB
// around each. So the map is renewed every few lookups (25 µs), which bounds what is resident.
constexpr std::uint64_t kLookupsPerMap = 16;
constexpr std::uint64_t kMapBytesMax = kLookupsPerMap * 4 * 65536;

}  // namespace

struct Catalog::Impl {
  Impl(const std::string& directory, const CatalogSums& sums_in, MemoryBudget& budget_in, Charge charge_in)
      : data_path(directory + catalog::kDataName),
        sums_path(directory + catalog::kSumsName),
        sums(sums_in),
        budget(budget_in),
        charge(std::move(charge_in)) {}

  // Both with `mutex` held.
  Status check_data();
  Status renew_map();

  const std::string data_path;
  const std::string sums_path;
  const CatalogSums sums;
  MemoryBudget& budget;
  Charge charge;

  std::mutex mutex;  // guards what follows
  std::optional<Status> checked;
  FileStamp stamp;  // of the data file when it was checked
  catalog::Environment environment;
  MDB_dbi keys = 0;
  std::uint64_t lookups = 0;
};

Status Catalog::Impl::check_data() {
  if (checked) return *checked;
  const auto before = stamp_of(data_path);
  if (!before) {
    if (before.error().code() != Code::kNotFound) return before.error();
    return Status(Code::kCorrupt, "the catalog's file is missing; it will be rebuilt from rows/").about(data_path);
  }
  stamp = *before;
  const Status outcome = check_catalog_data(data_path, sums_path, sums, budget);
  // That memory or descriptors were short for the moment says nothing about the file.
  const bool about_the_file = outcome.is_ok() || outcome.code() == Code::kCorrupt || outcome.code() == Code::kNotFound;
  if (about_the_file) checked = outcome;
  return outcome;
}

Status Catalog::Impl::renew_map() {
  if (environment && ++lookups % kLookupsPerMap != 0) return Status::ok();
  environment.reset();
  VECSTORE_ASSIGN(const FileStamp now, stamp_of(data_path));
  if (now != stamp)
    return Status(Code::kCorrupt, "the catalog was changed while it was open; it will be rebuilt from rows/")
        .about(data_path);
  VECSTORE_ASSIGN(environment, catalog::open_environment(data_path, MDB_RDONLY | MDB_NOTLS, 0));
  VECSTORE_ASSIGN(auto transaction, catalog::begin(environment.get(), MDB_RDONLY, data_path));
  MDB_dbi meta_table = 0;
  MDB_val key = catalog::value_of(catalog::kMetaKey);
  MDB_val value{};
  int code = ::mdb_dbi_open(transaction.get(), catalog::kMetaTable, 0, &meta_table);
  if (code == 0) code = ::mdb_dbi_open(transaction.get(), catalog::kKeysTable, 0, &keys);
  if (code == 0) code = ::mdb_get(transaction.get(), meta_table, &key, &value);
  if (code != 0) return catalog::lmdb_status(code, data_path);
  ByteReader reader(catalog::bytes_of(value));
  const auto meta = reader.read<catalog::Meta>();
  if (!reader.done() || meta.sum != catalog::meta_sum(meta) || meta.version != catalog::kVersion ||
      meta.store != sums.facts.store || meta.applied_lsn != sums.facts.applied_lsn || meta.keys != sums.facts.keys)
    return Status(Code::kCorrupt, catalog::kDamaged).about(data_path);
  // Committing a read-only transaction keeps the handles it opened.
  code = ::mdb_txn_commit(transaction.release());
  return code == 0 ? Status::ok() : catalog::lmdb_status(code, data_path);
}

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Catalog::Catalog(Catalog&&) noexcept = default;
Catalog::~Catalog() = default;

Result<Catalog> Catalog::open(const std::string& path, const Uuid& store, MemoryBudget& budget) {
  VECSTORE_ASSIGN(const CatalogSums sums, read_catalog_sums(path + catalog::kSumsName));
  if (sums.facts.store != store)
    return Status(Code::kCorrupt, "the catalog belongs to another store; it will be rebuilt from rows/").about(path);
  VECSTORE_ASSIGN(auto charge, Charge::take(budget, std::min(sums.data_bytes, kMapBytesMax)));
  return Catalog(std::make_unique<Impl>(path, sums, budget, std::move(charge)));
}

std::uint64_t Catalog::applied_lsn() const { return impl_->sums.facts.applied_lsn; }
std::uint64_t Catalog::size() const { return impl_->sums.facts.keys; }

Result<std::optional<RowId>> Catalog::find(std::string_view key) const {
  if (key.empty() || key.size() > kKeyBytesMax) return std::optional<RowId>();
  Impl& self = *impl_;
  const std::lock_guard lock(self.mutex);
  VECSTORE_TRY(self.check_data());
  if (const Status renewed = self.renew_map(); !renewed.is_ok()) {
    self.environment.reset();
    return renewed;
  }
  VECSTORE_ASSIGN(auto transaction, catalog::begin(self.environment.get(), MDB_RDONLY, self.data_path));
  MDB_val name = catalog::value_of(key);
  MDB_val value{};
  const int code = ::mdb_get(transaction.get(), self.keys, &name, &value);
  if (code == MDB_NOTFOUND) return std::optional<RowId>();
  if (code != 0) return catalog::lmdb_status(code, self.data_path);
  ByteReader reader(catalog::bytes_of(value));
  const auto entry = reader.read<catalog::Entry>();
  if (!reader.done() || entry.sum != catalog::entry_sum(key, entry.row, self.sums.facts.store))
    return Status(Code::kCorrupt, catalog::kDamaged).about(self.data_path);
  return std::optional<RowId>(RowId{entry.row});
}

Status Catalog::verify() const {
  const std::lock_guard lock(impl_->mutex);
  impl_->checked.reset();
  return impl_->check_data();
}

Catalog::Feed keys_of(std::vector<const RowsExtent*> extents) {
  struct State {
    std::vector<const RowsExtent*> extents;
    std::size_t extent = 0;
    std::uint64_t row = 0;  // in the extent
    std::vector<std::string> keys;
    std::size_t given = 0;
  };
  auto state = std::make_shared<State>();
  state->extents = std::move(extents);
  return [state](std::string& key, RowId& row) -> Result<bool> {
    State& at = *state;
    while (at.extent < at.extents.size() && at.row == at.extents[at.extent]->rows()) {
      ++at.extent;
      at.row = 0;
    }
    if (at.extent == at.extents.size()) return false;
    const RowsExtent& extent = *at.extents[at.extent];
    row = RowId{extent.first().value + at.row};
    if (at.given == at.keys.size()) {
      VECSTORE_TRY(extent.read_keys(row, at.keys));
      at.given = 0;
    }
    key.swap(at.keys[at.given++]);
    ++at.row;
    return true;
  };
}

}  // namespace vecstore
