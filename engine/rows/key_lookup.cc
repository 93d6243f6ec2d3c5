// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/key_lookup.h"

#include <xxhash.h>

#include <bit>
#include <cstring>
#include <utility>
#include <vector>

#include "engine/rows/catalog_format.h"

namespace vecstore {
namespace {

bool can_be_rebuilt(const Status& status) {
  return status.code() == Code::kCorrupt || status.code() == Code::kNotFound;
}

std::uint64_t slot_of(std::uint64_t hash, std::uint64_t slots) { return (hash >> 32) * slots >> 32; }

// The bits of a hash that go into a slot: first of all those that did not choose the slot.
std::uint64_t tag_of(std::uint64_t hash, std::uint64_t row_mask) { return std::rotl(hash, 32) & ~row_mask; }

}  // namespace

KeyLookup::KeyLookup(FileSystem& file_system, Options options, const StoredRows& rows, MemoryBudget& budget)
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
    if (found.size() != rows_.rows() || found.applied_lsn() != options_.applied_lsn)
      return Status(Code::kCorrupt, catalog::kDamaged).about(options_.directory + catalog::kSumsName);
    catalog_.emplace(std::move(found));
  }
  VECSTORE_ASSIGN(const auto row, catalog_->find(key));
  if (row && (*row < rows_.first() || *row >= rows_.end()))
    return Status(Code::kCorrupt, catalog::kDamaged).about(options_.directory + catalog::kDataName);
  return row;
}

Status KeyLookup::rebuild_catalog() {
  catalog_.reset();
  return Catalog::build(file_system_, options_.directory, options_.store, options_.applied_lsn, keys_of(rows_, budget_),
                        budget_);
}

std::uint64_t KeyLookup::hash_of(std::string_view key) const {
  // Seeded, so that nobody finds keys that fall on one place in every store.
  std::uint64_t seed = 0;
  std::memcpy(&seed, options_.store.data(), sizeof(seed));
  return XXH3_64bits_withSeed(key.data(), key.size(), seed);
}

KeyLookup::Slot KeyLookup::row_mask() const {
  const auto bits = std::bit_width(rows_.end().value - rows_.first().value);
  return bits == 64 ? ~Slot{0} : (Slot{1} << bits) - 1;
}

void KeyLookup::put_into_table(const KeyOfRow& key) {
  const std::uint64_t hash = hash_of(key.key);
  std::uint64_t at = slot_of(hash, table_.size());
  while (table_[at] != 0) at = at + 1 == table_.size() ? 0 : at + 1;
  table_[at] = tag_of(hash, row_mask()) | (key.id.value - rows_.first().value + 1);
}

Status KeyLookup::make_table() {
  VECSTORE_ASSIGN(table_, Buffer<Slot>::allocate(budget_, rows_.rows() + rows_.rows() / 3 + 1));
  const Status filled = fill_table();
  if (!filled.is_ok()) table_.reset();
  return filled;
}

Status KeyLookup::fill_table() {
  VECSTORE_ASSIGN(StoredKeysPass pass, StoredKeysPass::begin(rows_, budget_));
  std::vector<KeyOfRow> keys;
  std::uint64_t left = rows_.rows();
  do {
    VECSTORE_TRY(pass.next(keys));
    // A slot must stay free, whatever a damaged file says.
    if (keys.size() > left)
      return Status(Code::kCorrupt, "there are more rows than the header says; restore the store");
    left -= keys.size();
    for (const KeyOfRow& key : keys) put_into_table(key);
  } while (!keys.empty());
  return Status::ok();
}

Result<std::optional<RowId>> KeyLookup::ask_table(std::span<const Slot> table, std::string_view key) const {
  const std::uint64_t hash = hash_of(key);
  const Slot mask = row_mask();
  std::uint64_t at = slot_of(hash, table.size());
  for (; table[at] != 0; at = at + 1 == table.size() ? 0 : at + 1) {
    if ((table[at] & ~mask) != tag_of(hash, mask)) continue;
    const RowId row{rows_.first().value + (table[at] & mask) - 1};
    VECSTORE_ASSIGN(const std::string found, rows_.read_key(row));
    if (found == key) return std::optional(row);
  }
  return std::optional<RowId>();
}

Result<std::optional<RowId>> KeyLookup::ask_rows(std::string_view key) const {
  VECSTORE_ASSIGN(StoredKeysPass pass, StoredKeysPass::begin(rows_, budget_));
  std::vector<KeyOfRow> keys;
  do {
    VECSTORE_TRY(pass.next(keys));
    for (const KeyOfRow& each : keys)
      if (each.key == key) return std::optional(each.id);
  } while (!keys.empty());
  return std::optional<RowId>();
}

}  // namespace vecstore
