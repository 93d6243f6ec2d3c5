// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/catalog_tree.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/limits.h"
#include "engine/rows/catalog_format.h"
#include "engine/rows/lmdb_format.h"

namespace vecstore {
namespace {

using lmdb::kBranch;
using lmdb::kDepthMax;
using lmdb::kHeaderBytes;
using lmdb::kLeaf;
using lmdb::kMetaPages;
using lmdb::kNodeBytes;
using lmdb::kPageBytesLeast;
using lmdb::kPageBytesMost;
using lmdb::kSubTable;
using lmdb::MetaRecord;
using lmdb::Node;
using lmdb::PageHeader;
using lmdb::TableRecord;

constexpr std::uint64_t kBranchesBytes = std::uint64_t{1} << 20;

// What a node says. Borrowed from its page.
struct Entry {
  std::string_view key;
  std::uint64_t below = 0;  // the page below, in a branch
  std::uint16_t flags = 0;  // those of a leaf
  std::span<const std::byte> value;
};

// A page whose header was checked. Nodes are checked as they are looked at.
class Nodes {
 public:
  static std::optional<Nodes> of(std::span<const std::byte> page, std::uint64_t number, bool branch) {
    PageHeader header;
    std::memcpy(&header, page.data(), sizeof(header));
    const std::size_t offsets = header.lower - std::min<std::size_t>(header.lower, kHeaderBytes);
    const bool sane = header.number == number && header.kind == (branch ? kBranch : kLeaf) && offsets != 0 &&
                      offsets % 2 == 0 && header.lower <= header.upper && header.upper <= page.size();
    return sane ? std::optional(Nodes(page, branch, header.upper, offsets / 2)) : std::nullopt;
  }

  std::size_t count() const { return count_; }

  std::optional<Entry> at(std::size_t i) const {
    std::uint16_t offset = 0;
    std::memcpy(&offset, page_.data() + kHeaderBytes + 2 * i, sizeof(offset));
    if (offset < upper_ || offset > page_.size() - kNodeBytes) return std::nullopt;
    Node node;
    std::memcpy(&node, page_.data() + offset, sizeof(node));
    const std::uint64_t number = node.low | std::uint64_t{node.high} << 16;
    const std::uint64_t value_bytes = branch_ ? 0 : number;
    const std::uint64_t room = page_.size() - offset - kNodeBytes;
    if (node.key_bytes > kKeyBytesMax || node.key_bytes + value_bytes > room) return std::nullopt;
    Entry entry;
    const std::byte* const bytes = page_.data() + offset + kNodeBytes;
    entry.key = {reinterpret_cast<const char*>(bytes), node.key_bytes};
    entry.value = {bytes + node.key_bytes, value_bytes};
    entry.flags = branch_ ? std::uint16_t{0} : node.flags;
    entry.below = branch_ ? number | std::uint64_t{node.flags} << 32 : 0;
    return entry;
  }

 private:
  Nodes(std::span<const std::byte> page, bool branch, std::uint16_t upper, std::size_t count)
      : page_(page), branch_(branch), upper_(upper), count_(count) {}
  std::span<const std::byte> page_;
  bool branch_;
  std::uint16_t upper_;
  std::size_t count_;
};

// The number of nodes, from the first of interest on, whose key is not beyond `key`; nullopt: one is damaged. In a
// branch the first node holds all that is less than the second's key, and its own key says nothing.
std::optional<std::size_t> not_beyond(const Nodes& nodes, std::string_view key, bool branch) {
  std::size_t low = branch ? 1 : 0;
  std::size_t high = nodes.count();
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    const auto entry = nodes.at(middle);
    if (!entry) return std::nullopt;
    if (entry->key <= key) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

// The row that a leaf's value names, if the value is one of ours.
std::optional<RowId> row_of(const Entry& entry, const Uuid& store) {
  catalog::Entry value;
  if (entry.flags != 0 || entry.value.size() != sizeof(value) || entry.key.empty()) return std::nullopt;
  std::memcpy(&value, entry.value.data(), sizeof(value));
  return value.sum == catalog::entry_sum(entry.key, value.row, store) ? std::optional(RowId{value.row}) : std::nullopt;
}

bool is_ours(const catalog::Meta& meta, const CatalogFacts& facts) {
  return meta.sum == catalog::meta_sum(meta) && meta.version == catalog::kVersion && meta.store == facts.store &&
         meta.applied_lsn == facts.applied_lsn && meta.keys == facts.keys;
}

}  // namespace

Status CatalogTree::damaged(std::uint64_t page) const {
  return Status(Code::kCorrupt, catalog::kDamaged).about(blocks_->data_path()).at(Detail::kOffset, page * page_bytes_);
}

Status CatalogTree::read_page(std::uint64_t number, std::span<std::byte> page) const {
  if (number < kMetaPages || number >= pages_) return damaged(number);
  return blocks_->read(number * page_bytes_, page);
}

// The newer of the two meta pages, and the size of all pages, which the first of them says.
Status CatalogTree::read_roots(Table& main) {
  page_bytes_ = kPageBytesLeast;
  const std::uint64_t bytes = blocks_->data_bytes();
  std::optional<MetaRecord> newest;
  std::uint64_t found_on = 0;
  for (std::uint64_t number = 0; number < kMetaPages; ++number) {
    const std::uint64_t at = number * page_bytes_;
    if (bytes < at || bytes - at < kPageBytesLeast) return damaged(number);
    VECSTORE_TRY(blocks_->read(at, page_.span().first(kPageBytesLeast)));
    PageHeader header;
    MetaRecord meta;
    std::memcpy(&header, page_.data(), sizeof(header));
    std::memcpy(&meta, page_.data() + sizeof(header), sizeof(meta));
    const std::uint64_t size = meta.free.page_bytes;
    if (header.number != number || header.kind != lmdb::kMeta || meta.magic != lmdb::kMagic ||
        meta.version != lmdb::kDataVersion || !std::has_single_bit(size) || size < kPageBytesLeast ||
        size > kPageBytesMost || (number != 0 && size != page_bytes_))
      return damaged(number);
    page_bytes_ = size;
    if (newest && newest->transaction >= meta.transaction) continue;
    newest = meta;
    found_on = number;
  }
  pages_ = bytes / page_bytes_;
  if (page_.size() < page_bytes_) return damaged(0);
  VECSTORE_ASSIGN(main, table_of(std::as_bytes(std::span(&newest->main, 1)), found_on));
  return Status::ok();
}

Result<CatalogTree::Table> CatalogTree::table_of(std::span<const std::byte> record, std::uint64_t at) const {
  TableRecord stored;
  if (record.size() != sizeof(stored)) return damaged(at);
  std::memcpy(&stored, record.data(), sizeof(stored));
  const bool empty = stored.entries == 0 && stored.depth == 0 && stored.root == lmdb::kNoPage;
  const bool full = stored.entries != 0 && stored.depth != 0 && stored.depth <= kDepthMax &&
                    stored.root >= kMetaPages && stored.root < pages_;
  if (stored.flags != 0 || stored.overflow_pages != 0 || (!empty && !full)) return damaged(at);
  return Table{stored.root, stored.entries, stored.depth};
}

// The two tables of the catalog, and the record that says whose they are.
Status CatalogTree::read_tables(const Table& main) {
  if (main.depth != 1 || main.entries != 2) return damaged(main.root);
  VECSTORE_TRY(read_page(main.root, page_.span().first(page_bytes_)));
  const auto nodes = Nodes::of(page_.span().first(page_bytes_), main.root, false);
  if (!nodes || nodes->count() != main.entries) return damaged(main.root);
  const auto keys = nodes->at(0);
  const auto facts = nodes->at(1);
  if (!keys || !facts || keys->key != catalog::kKeysTable || facts->key != catalog::kMetaTable ||
      keys->flags != kSubTable || facts->flags != kSubTable)
    return damaged(main.root);
  VECSTORE_ASSIGN(keys_, table_of(keys->value, main.root));
  VECSTORE_ASSIGN(const Table about, table_of(facts->value, main.root));
  if (about.depth != 1 || about.entries != 1) return damaged(main.root);
  VECSTORE_TRY(read_page(about.root, page_.span().first(page_bytes_)));
  const auto records = Nodes::of(page_.span().first(page_bytes_), about.root, false);
  const auto record = records && records->count() == 1 ? records->at(0) : std::nullopt;
  catalog::Meta meta;
  if (!record || record->key != catalog::kMetaKey || record->flags != 0 || record->value.size() != sizeof(meta))
    return damaged(about.root);
  std::memcpy(&meta, record->value.data(), sizeof(meta));
  if (!is_ours(meta, blocks_->facts()) || meta.keys != keys_.entries) return damaged(about.root);
  return Status::ok();
}

Result<CatalogTree> CatalogTree::open(const CatalogBlocks& blocks, MemoryBudget& budget) {
  CatalogTree tree(blocks);
  VECSTORE_ASSIGN(tree.page_, Buffer<std::byte>::allocate(budget, kPageBytesMost));
  Table main;
  VECSTORE_TRY(tree.read_roots(main));
  VECSTORE_TRY(tree.read_tables(main));
  // Keys of 28 bytes have a branch for a hundred leaves, the longest for eight.
  const std::uint64_t places = std::min(kBranchesBytes / tree.page_bytes_, tree.pages_ / 8 + 1);
  VECSTORE_ASSIGN(tree.branches_, Buffer<std::byte>::allocate(budget, places * tree.page_bytes_));
  VECSTORE_ASSIGN(tree.branch_pages_, Buffer<std::uint64_t>::allocate(budget, places));
  return tree;
}

// A page of the keys. Those of the upper levels are kept.
Result<std::span<const std::byte>> CatalogTree::page_for(std::uint64_t number, bool branch) {
  if (!branch) {
    VECSTORE_TRY(read_page(number, page_.span().first(page_bytes_)));
    return std::span<const std::byte>(page_.span().first(page_bytes_));
  }
  const std::uint64_t place = number % branch_pages_.size();
  const std::span<std::byte> kept = branches_.span().subspan(place * page_bytes_, page_bytes_);
  if (branch_pages_[place] != number) {
    branch_pages_[place] = 0;
    VECSTORE_TRY(read_page(number, kept));
    branch_pages_[place] = number;
  }
  return std::span<const std::byte>(kept);
}

Result<std::optional<RowId>> CatalogTree::find(std::string_view key) {
  std::uint64_t number = keys_.root;
  for (std::uint32_t level = 1; level <= keys_.depth; ++level) {
    const bool branch = level != keys_.depth;
    VECSTORE_ASSIGN(const auto page, page_for(number, branch));
    const auto nodes = Nodes::of(page, number, branch);
    const auto past = nodes ? not_beyond(*nodes, key, branch) : std::nullopt;
    if (!past) return damaged(number);
    if (*past == 0) return std::optional<RowId>();
    const auto entry = nodes->at(*past - 1);
    if (!entry) return damaged(number);
    if (branch) {
      number = entry->below;
      continue;
    }
    if (entry->key != key) return std::optional<RowId>();
    const auto row = row_of(*entry, blocks_->facts().store);
    return row ? Result<std::optional<RowId>>(row) : damaged(number);
  }
  return std::optional<RowId>();
}

// From left to right. Depth is bounded by the table's, and since keys ascend strictly no page can come twice.
Status CatalogTree::check(MemoryBudget& budget, const CancelToken* cancel) const {
  if (keys_.depth == 0) return Status::ok();
  struct Level {
    std::uint64_t number = 0;
    std::size_t next = 0;
  };
  VECSTORE_ASSIGN(auto memory, Buffer<std::byte>::allocate(budget, keys_.depth * page_bytes_));
  const auto page_of = [&](std::size_t level) { return memory.span().subspan(level * page_bytes_, page_bytes_); };
  std::vector<Level> path;
  std::string last;   // key; all have a byte at least
  std::string least;  // least of the keys to come, as the branches above have it
  std::uint64_t entries = 0;
  const auto enter = [&](std::uint64_t number) -> Status {
    VECSTORE_TRY(check_cancelled(cancel));
    path.push_back({number, 0});
    return read_page(number, page_of(path.size() - 1));
  };
  VECSTORE_TRY(enter(keys_.root));
  while (!path.empty()) {
    Level& here = path.back();
    const bool branch = path.size() < keys_.depth;
    const auto nodes = Nodes::of(page_of(path.size() - 1), here.number, branch);
    if (!nodes) return damaged(here.number);
    if (branch) {
      if (here.next == nodes->count()) {
        path.pop_back();
        continue;
      }
      const auto entry = nodes->at(here.next);
      if (!entry || (here.next != 0 && entry->key <= last)) return damaged(here.number);
      if (here.next++ != 0) least = entry->key;
      VECSTORE_TRY(enter(entry->below));
      continue;
    }
    std::string_view before = last;
    for (std::size_t i = 0; i < nodes->count(); ++i) {
      const auto entry = nodes->at(i);
      if (!entry || entry->key <= before || (i == 0 && entry->key < least) || !row_of(*entry, blocks_->facts().store))
        return damaged(here.number);
      before = entry->key;
    }
    last = before;
    entries += nodes->count();
    path.pop_back();
  }
  return entries == keys_.entries ? Status::ok() : damaged(keys_.root);
}

}  // namespace vecstore
