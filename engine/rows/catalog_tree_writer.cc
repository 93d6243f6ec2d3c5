// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/catalog_tree_writer.h"

#include <cstring>
#include <utility>

#include "base/check.h"
#include "base/limits.h"
#include "engine/rows/catalog_format.h"

namespace vecstore {
namespace {

constexpr std::size_t kPageBytes = lmdb::kPageBytesLeast;
constexpr std::size_t kOutputBytes = 16 * kPageBytes;

// Nodes begin at even offsets.
constexpr std::size_t node_bytes(std::size_t key_bytes, std::size_t value_bytes) {
  return (lmdb::kNodeBytes + key_bytes + value_bytes + 1) / 2 * 2;
}

constexpr std::size_t kNodesLeast =
    (kPageBytes - lmdb::kHeaderBytes) / (node_bytes(kKeyBytesMax, sizeof(catalog::Entry)) + lmdb::kOffsetBytes);
static_assert(kNodesLeast == 8, "kDepthMax rests on it: a branch leaves one of them to the next");

lmdb::Node value_node(std::size_t value_bytes, std::uint16_t flags) {
  lmdb::Node node;
  node.low = static_cast<std::uint16_t>(value_bytes);
  node.flags = flags;
  return node;
}

lmdb::Node child_node(std::uint64_t page) {
  lmdb::Node node;
  node.low = static_cast<std::uint16_t>(page);
  node.high = static_cast<std::uint16_t>(page >> 16);
  node.flags = static_cast<std::uint16_t>(page >> 32);
  return node;
}

std::uint64_t child_of(const lmdb::Node& node) {
  return node.low | std::uint64_t{node.high} << 16 | std::uint64_t{node.flags} << 32;
}

template <typename Record>
std::span<const std::byte> bytes_of(const Record& record) {
  return std::as_bytes(std::span(&record, 1));
}

}  // namespace

Result<CatalogTreeWriter> CatalogTreeWriter::create(FileSystem& file_system, const std::string& path, const Uuid& store,
                                                    MemoryBudget& budget) {
  VECSTORE_ASSIGN(auto file, file_system.open(path, {.mode = OpenMode::kCreateNew}));
  CatalogTreeWriter writer(std::move(file), store);
  VECSTORE_ASSIGN(writer.pages_, Buffer<std::byte>::allocate(budget, lmdb::kDepthMax * kPageBytes));
  VECSTORE_ASSIGN(writer.output_, Buffer<std::byte>::allocate(budget, kOutputBytes));
  return writer;
}

std::span<std::byte> CatalogTreeWriter::page_of(std::size_t level) {
  VECSTORE_CHECK(level < lmdb::kDepthMax);
  return pages_.span().subspan(level * kPageBytes, kPageBytes);
}

bool CatalogTreeWriter::fits(std::size_t level, std::size_t key_bytes, std::size_t value_bytes) const {
  VECSTORE_CHECK(level < lmdb::kDepthMax);
  const Level& here = levels_[level];
  if (here.nodes == 0) return true;
  const std::size_t lower = lmdb::kHeaderBytes + lmdb::kOffsetBytes * (here.nodes + 1);
  return lower + node_bytes(key_bytes, value_bytes) <= here.upper;
}

void CatalogTreeWriter::append(std::size_t level, std::string_view key, lmdb::Node node,
                               std::span<const std::byte> value) {
  Level& here = levels_[level];
  const std::span<std::byte> page = page_of(level);
  if (here.nodes == 0) {
    std::memset(page.data(), 0, page.size());
    here.upper = page.size();
  }
  here.upper -= node_bytes(key.size(), value.size());
  node.key_bytes = static_cast<std::uint16_t>(key.size());
  std::byte* const at = page.data() + here.upper;
  std::memcpy(at, &node, sizeof(node));
  if (!key.empty()) std::memcpy(at + sizeof(node), key.data(), key.size());  // that of a leftmost branch is
  if (!value.empty()) std::memcpy(at + sizeof(node) + key.size(), value.data(), value.size());
  const auto offset = static_cast<std::uint16_t>(here.upper);
  std::memcpy(page.data() + lmdb::kHeaderBytes + lmdb::kOffsetBytes * here.nodes, &offset, sizeof(offset));
  ++here.nodes;
  if (level == 0) ++table_.entries;
}

// The first node of a branch holds all that is less than the second's key, and has no key of its own.
void CatalogTreeWriter::append_child(std::size_t level, std::string_view key, std::uint64_t child) {
  Level& here = levels_[level];
  const bool first = here.nodes == 0;
  if (first) here.first_key = key;
  append(level, first ? std::string_view() : key, child_node(child), {});
}

// LMDB wants two nodes in each branch, so a full page leaves its last one to the page that follows.
Status CatalogTreeWriter::add_child(std::size_t level, std::string_view key, std::uint64_t child) {
  if (fits(level, key.size(), 0)) {
    append_child(level, key, child);
    return Status::ok();
  }
  Level& here = levels_[level];
  const std::span<std::byte> page = page_of(level);
  lmdb::Node last;
  std::memcpy(&last, page.data() + here.upper, sizeof(last));
  const std::string last_key(reinterpret_cast<const char*>(page.data() + here.upper + sizeof(last)), last.key_bytes);
  const std::size_t bytes = node_bytes(last.key_bytes, 0);
  std::memset(page.data() + here.upper, 0, bytes);
  here.upper += bytes;
  --here.nodes;
  std::memset(page.data() + lmdb::kHeaderBytes + lmdb::kOffsetBytes * here.nodes, 0, lmdb::kOffsetBytes);
  const std::string first_key = here.first_key;
  VECSTORE_ASSIGN(const std::uint64_t closed, close(level));
  append_child(level, last_key, child_of(last));
  append_child(level, key, child);
  return add_child(level + 1, first_key, closed);
}

Status CatalogTreeWriter::put(std::string_view key, RowId row) {
  VECSTORE_CHECK(!key.empty() && key.size() <= kKeyBytesMax);
  catalog::Entry entry;
  entry.row = row.value;
  entry.sum = catalog::entry_sum(key, row.value, store_);
  if (!fits(0, key.size(), sizeof(entry))) {
    VECSTORE_ASSIGN(const std::uint64_t closed, close(0));
    VECSTORE_TRY(add_child(1, levels_[0].first_key, closed));
  }
  if (levels_[0].nodes == 0) levels_[0].first_key = key;
  append(0, key, value_node(sizeof(entry), 0), bytes_of(entry));
  return Status::ok();
}

// Gives the open page its header and number, which comes back, and hands it to the file.
Result<std::uint64_t> CatalogTreeWriter::close(std::size_t level) {
  Level& here = levels_[level];
  const std::span<std::byte> page = page_of(level);
  lmdb::PageHeader header;
  header.number = written_ + output_filled_ / kPageBytes;
  header.kind = level == 0 ? lmdb::kLeaf : lmdb::kBranch;
  header.lower = static_cast<std::uint16_t>(lmdb::kHeaderBytes + lmdb::kOffsetBytes * here.nodes);
  header.upper = static_cast<std::uint16_t>(here.upper);
  std::memcpy(page.data(), &header, sizeof(header));
  std::memcpy(output_.data() + output_filled_, page.data(), page.size());
  output_filled_ += page.size();
  here.nodes = 0;
  ++(level == 0 ? table_.leaf_pages : table_.branch_pages);
  if (output_filled_ == output_.size()) VECSTORE_TRY(flush());
  return header.number;
}

Status CatalogTreeWriter::flush() {
  VECSTORE_TRY(file_->write_at(output_.span().first(output_filled_), written_ * kPageBytes));
  written_ += output_filled_ / kPageBytes;
  output_filled_ = 0;
  return Status::ok();
}

// Closes what is open, from the leaves up; the page that has no level above it is the root. The next table begins.
Result<lmdb::TableRecord> CatalogTreeWriter::finish_table() {
  for (std::size_t level = 0; levels_[level].nodes != 0; ++level) {
    VECSTORE_ASSIGN(table_.root, close(level));
    table_.depth = static_cast<std::uint16_t>(level + 1);
    if (levels_[level + 1].nodes != 0) VECSTORE_TRY(add_child(level + 1, levels_[level].first_key, table_.root));
  }
  return std::exchange(table_, {});
}

Status CatalogTreeWriter::finish(const CatalogFacts& facts) {
  VECSTORE_CHECK(facts.keys == table_.entries && facts.store == store_);
  VECSTORE_ASSIGN(const lmdb::TableRecord keys, finish_table());

  catalog::Meta meta;
  meta.store = facts.store;
  meta.applied_lsn = facts.applied_lsn;
  meta.keys = facts.keys;
  meta.sum = catalog::meta_sum(meta);
  append(0, catalog::kMetaKey, value_node(sizeof(meta), 0), bytes_of(meta));
  VECSTORE_ASSIGN(const lmdb::TableRecord about, finish_table());

  append(0, catalog::kKeysTable, value_node(sizeof(keys), lmdb::kSubTable), bytes_of(keys));
  append(0, catalog::kMetaTable, value_node(sizeof(about), lmdb::kSubTable), bytes_of(about));
  VECSTORE_ASSIGN(const lmdb::TableRecord main, finish_table());
  VECSTORE_TRY(flush());
  VECSTORE_TRY(write_meta_pages(main));
  return file_->sync();
}

// Both say the same; LMDB takes the one of the later transaction.
Status CatalogTreeWriter::write_meta_pages(const lmdb::TableRecord& main) {
  const std::span<std::byte> pages = output_.span().first(lmdb::kMetaPages * kPageBytes);
  std::memset(pages.data(), 0, pages.size());
  for (std::uint64_t number = 0; number < lmdb::kMetaPages; ++number) {
    lmdb::PageHeader header;
    header.number = number;
    header.kind = lmdb::kMeta;
    lmdb::MetaRecord meta;
    meta.map_bytes = written_ * kPageBytes;
    meta.free.page_bytes = kPageBytes;
    meta.free.flags = lmdb::kIntegerKeys;
    meta.main = main;
    meta.last_page = written_ - 1;
    meta.transaction = number + 1;
    std::byte* const page = pages.data() + number * kPageBytes;
    std::memcpy(page, &header, sizeof(header));
    std::memcpy(page + sizeof(header), &meta, sizeof(meta));
  }
  return file_->write_at(pages, 0);
}

}  // namespace vecstore
