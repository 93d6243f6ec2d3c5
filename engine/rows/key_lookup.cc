// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/key_lookup.h"

#include <xxhash.h>

#include <cstring>
#include <utility>
#include <vector>

#include "base/limits.h"
#include "engine/rows/catalog_format.h"

namespace vecstore {
namespace {

bool can_be_rebuilt(const Status& status) {
  return status.code() == Code::kCorrupt || status.code() == Code::kNotFound;
}

std::uint64_t slot_of(std::uint64_t hash, std::uint64_t slots) { return (hash >> 32) * slots >> 32; }

}  // namespace

KeyLookup::KeyLookup(FileSystem& file_system, Options options, const RowsExtent& rows, MemoryBudget& budget)
    : file_system_(file_system),
      options_(std::move(options)),
      rows_(rows),
      budget_(budget),
      may_write_(options_.may_write) {}

void KeyLookup::stop_writing() {
  const MutexLock guard(mutex_);
  may_write_ = false;
}

Result<std::optional<RowId>> KeyLookup::find(std::string_view key) {
  MutexLock guard(mutex_);
  if (!catalog_lost_) {
    auto found = ask_catalog(key);
    if (!found && can_be_rebuilt(found.error()) && may_write_) {
      may_write_ = false;  // once: what damages it again would damage the next one too
      if (rebuild_catalog().is_ok()) found = ask_catalog(key);
    }
    // Memory may be there the next time. Anything else that keeps the catalog from being read is no reason to fail.
    if (found || found.error().code() == Code::kMemoryBudget) return found;
    catalog_.reset();
    catalog_lost_ = true;
  }
  if (!table_tried_) {
    const Status made = make_table();
    if (!made.is_ok() && made.code() != Code::kMemoryBudget) return made;
    table_tried_ = true;
  }
  const std::span<const Slot> table = table_.span();
  guard.unlock();
  return table.empty() ? ask_rows(key) : ask_table(table, key);
}

Result<std::optional<RowId>> KeyLookup::ask_catalog(std::string_view key) {
  if (!catalog_) {
    VECSTORE_ASSIGN(Catalog found, Catalog::open(file_system_, options_.directory, options_.store, budget_));
    if (found.size() != rows_.rows())
      return Status(Code::kCorrupt, catalog::kDamaged).about(options_.directory + catalog::kSumsName);
    catalog_.emplace(std::move(found));
  }
  VECSTORE_ASSIGN(const auto row, catalog_->find(key));
  if (row && row->value >= rows_.rows())
    return Status(Code::kCorrupt, catalog::kDamaged).about(options_.directory + catalog::kDataName);
  return row;
}

Status KeyLookup::rebuild_catalog() {
  catalog_.reset();
  return Catalog::build(file_system_, options_.directory, options_.store, options_.applied_lsn, keys_of({&rows_}),
                        budget_);
}

std::uint64_t KeyLookup::hash_of(std::string_view key) const {
  // Seeded, so that nobody finds keys that fall on one place in every store.
  std::uint64_t seed = 0;
  std::memcpy(&seed, options_.store.data(), sizeof(seed));
  return XXH3_64bits_withSeed(key.data(), key.size(), seed);
}

static_assert(kRowsMax < 0xFFFFFFFF, "a row and one more fit a slot");

Status KeyLookup::make_table() {
  VECSTORE_ASSIGN(auto table, Buffer<Slot>::allocate(budget_, rows_.rows() + rows_.rows() / 3 + 1));
  std::swap(table_, table);
  std::vector<std::string> keys;
  for (std::uint64_t row = 0; row < rows_.rows();) {
    if (const Status read = rows_.read_keys({rows_.first().value + row}, keys); !read.is_ok()) {
      table_.reset();
      return read;
    }
    for (const std::string& key : keys) {
      const std::uint64_t hash = hash_of(key);
      std::uint64_t at = slot_of(hash, table_.size());
      while (table_[at].row_plus_one != 0) at = at + 1 == table_.size() ? 0 : at + 1;
      table_[at] = {static_cast<std::uint32_t>(hash), static_cast<std::uint32_t>(++row)};
    }
  }
  return Status::ok();
}

Result<std::optional<RowId>> KeyLookup::ask_table(std::span<const Slot> table, std::string_view key) const {
  const std::uint64_t hash = hash_of(key);
  std::vector<std::string> keys;
  std::uint64_t at = slot_of(hash, table.size());
  for (; table[at].row_plus_one != 0; at = at + 1 == table.size() ? 0 : at + 1) {
    if (table[at].hash != static_cast<std::uint32_t>(hash)) continue;
    const RowId row{rows_.first().value + table[at].row_plus_one - 1};
    VECSTORE_TRY(rows_.read_keys(row, keys));
    if (keys.front() == key) return std::optional(row);
  }
  return std::optional<RowId>();
}

Result<std::optional<RowId>> KeyLookup::ask_rows(std::string_view key) const {
  std::vector<std::string> keys;
  for (std::uint64_t row = 0; row < rows_.rows();) {
    const std::uint64_t first = rows_.first().value + row;
    VECSTORE_TRY(rows_.read_keys({first}, keys));
    for (std::size_t i = 0; i < keys.size(); ++i)
      if (keys[i] == key) return std::optional(RowId{first + i});
    row += keys.size();
  }
  return std::optional<RowId>();
}

}  // namespace vecstore
