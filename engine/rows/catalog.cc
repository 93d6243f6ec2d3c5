// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/catalog.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "base/limits.h"
#include "base/mutex.h"
#include "engine/rows/catalog_format.h"
#include "engine/rows/catalog_tree.h"
#include "engine/rows/stored_rows.h"

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

}  // namespace catalog

struct Catalog::Impl {
  Impl(CatalogBlocks opened, MemoryBudget& with) : blocks(std::move(opened)), budget(with) {}

  Status check(const CancelToken* cancel) VECSTORE_REQUIRES(mutex);
  Status check_all(const CancelToken* cancel) VECSTORE_REQUIRES(mutex);

  const CatalogBlocks blocks;
  MemoryBudget& budget;

  Mutex mutex;
  std::optional<Status> checked VECSTORE_GUARDED_BY(mutex);
  std::optional<CatalogTree> tree VECSTORE_GUARDED_BY(mutex);
};

Status Catalog::Impl::check_all(const CancelToken* cancel) {
  VECSTORE_TRY(blocks.check(budget, cancel));
  VECSTORE_ASSIGN(CatalogTree opened, CatalogTree::open(blocks, budget));
  VECSTORE_TRY(opened.check(budget, cancel));
  tree.emplace(std::move(opened));
  return Status::ok();
}

Status Catalog::Impl::check(const CancelToken* cancel) {
  if (checked) return *checked;
  tree.reset();
  const Status outcome = check_all(cancel);
  // That memory was short for the moment says nothing about the file.
  if (outcome.is_ok() || outcome.code() == Code::kCorrupt) checked = outcome;
  return outcome;
}

Catalog::Catalog(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Catalog::Catalog(Catalog&&) noexcept = default;
Catalog::~Catalog() = default;

Result<Catalog> Catalog::open(FileSystem& file_system, const std::string& path, const Uuid& store,
                              MemoryBudget& budget) {
  VECSTORE_ASSIGN(CatalogBlocks blocks,
                  CatalogBlocks::open(file_system, path + catalog::kDataName, path + catalog::kSumsName));
  if (blocks.facts().store != store)
    return Status(Code::kCorrupt, "the catalog belongs to another store; the next writer rebuilds it from rows/")
        .about(path);
  return Catalog(std::make_unique<Impl>(std::move(blocks), budget));
}

std::uint64_t Catalog::applied_lsn() const { return impl_->blocks.facts().applied_lsn; }
std::uint64_t Catalog::size() const { return impl_->blocks.facts().keys; }

Result<std::optional<RowId>> Catalog::find(std::string_view key) const {
  if (key.empty() || key.size() > kKeyBytesMax) return std::optional<RowId>();
  const MutexLock lock(impl_->mutex);
  VECSTORE_TRY(impl_->check(nullptr));
  return impl_->tree->find(key);
}

Status Catalog::verify(const CancelToken* cancel) const {
  const MutexLock lock(impl_->mutex);
  impl_->checked.reset();
  return impl_->check(cancel);
}

Catalog::Feed keys_of(const StoredRows& rows, MemoryBudget& budget) {
  struct State {
    std::optional<StoredKeysPass> pass;
    std::vector<KeyOfRow> keys;
    std::size_t given = 0;
  };
  return [&rows, &budget, state = std::make_shared<State>()](std::string& key, RowId& row) -> Result<bool> {
    State& at = *state;
    if (!at.pass) {
      VECSTORE_ASSIGN(StoredKeysPass pass, StoredKeysPass::begin(rows, budget));
      at.pass.emplace(std::move(pass));
    }
    if (at.given == at.keys.size()) {
      VECSTORE_TRY(at.pass->next(at.keys));
      at.given = 0;
      if (at.keys.empty()) return false;
    }
    KeyOfRow& next = at.keys[at.given++];
    key.swap(next.key);
    row = next.id;
    return true;
  };
}

}  // namespace vecstore
