// SPDX-License-Identifier: Apache-2.0
#include "engine/rows/catalog_sums.h"

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

#include "base/bytes.h"
#include "base/check.h"

namespace vecstore {

namespace {

constexpr std::array<char, 8> kMagic = {'V', 'S', 'C', 'A', 'T', 'S', 'U', 'M'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kBlockBytes = 4096;
constexpr std::size_t kChunkBlocks = 16;
constexpr std::size_t kChunkBytes = kChunkBlocks * kBlockBytes;
constexpr const char* kDamaged = "the catalog is damaged; the next writer rebuilds it from rows/";
constexpr const char* kSumsDamaged = "the checksums of the catalog are damaged; the next writer rebuilds it from rows/";

struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t block_bytes = kBlockBytes;
  Uuid store{};
  std::uint64_t data_bytes = 0;
  std::uint64_t applied_lsn = 0;
  std::uint64_t keys = 0;
  std::uint64_t blocks_sum = 0;
  std::uint64_t header_sum = 0;  // sum of what precedes it
};
static_assert(sizeof(Header) == 72);

std::uint64_t header_sum(const Header& header) { return XXH3_64bits(&header, offsetof(Header, header_sum)); }

// The last block of a file may be shorter.
std::uint64_t block_sum(std::uint64_t block, std::span<const std::byte> bytes) {
  return XXH3_64bits_withSeed(bytes.data(), bytes.size(), block);
}

std::uint64_t blocks_of(std::uint64_t bytes) { return bytes / kBlockBytes + (bytes % kBlockBytes != 0); }

using HashState = std::unique_ptr<XXH3_state_t, decltype(&XXH3_freeState)>;

HashState new_hash() {
  HashState state(XXH3_createState(), &XXH3_freeState);
  if (state) XXH3_64bits_reset(state.get());
  return state;
}

Status no_memory() {
  return Status(Code::kMemoryBudget, "the system has no memory left for a checksum; free").with_errno(ENOMEM);
}

// Sums of the blocks in one chunk that begins at `offset`.
std::span<const std::uint64_t> sum_chunk(std::uint64_t offset, std::span<const std::byte> chunk,
                                         std::array<std::uint64_t, kChunkBlocks>& sums) {
  std::size_t count = 0;
  for (std::size_t at = 0; at < chunk.size(); at += kBlockBytes, ++count)
    sums[count] = block_sum(offset / kBlockBytes + count,
                            chunk.subspan(at, std::min<std::size_t>(kBlockBytes, chunk.size() - at)));
  return std::span(sums).first(count);
}

}  // namespace

Status write_catalog_sums(FileSystem& file_system, const std::string& data_path, const std::string& sums_path,
                          const CatalogFacts& facts, MemoryBudget& budget) {
  VECSTORE_ASSIGN(const auto data, file_system.open(data_path, {.mode = OpenMode::kRead}));
  VECSTORE_ASSIGN(const auto file, file_system.open(sums_path, {.mode = OpenMode::kCreateNew}));
  VECSTORE_ASSIGN(auto chunk, Buffer<std::byte>::allocate(budget, kChunkBytes));
  const HashState hash = new_hash();
  if (!hash) return no_memory();
  Header header;
  header.store = facts.store;
  header.applied_lsn = facts.applied_lsn;
  header.keys = facts.keys;
  std::uint64_t written = sizeof(Header);
  while (true) {
    VECSTORE_ASSIGN(const std::size_t got, data->read_at(chunk.span(), header.data_bytes));
    if (got == 0) break;
    std::array<std::uint64_t, kChunkBlocks> sums;
    const auto bytes = std::as_bytes(sum_chunk(header.data_bytes, chunk.span().first(got), sums));
    XXH3_64bits_update(hash.get(), bytes.data(), bytes.size());
    VECSTORE_TRY(file->write_at(bytes, written));
    written += bytes.size();
    header.data_bytes += got;
  }
  header.blocks_sum = XXH3_64bits_digest(hash.get());
  header.header_sum = header_sum(header);
  VECSTORE_TRY(file->write_at(std::as_bytes(std::span(&header, 1)), 0));
  return file->sync();
}

Result<CatalogBlocks> CatalogBlocks::open(FileSystem& file_system, const std::string& data_path,
                                          const std::string& sums_path) {
  CatalogBlocks blocks;
  blocks.data_path_ = data_path;
  blocks.sums_path_ = sums_path;
  VECSTORE_ASSIGN(blocks.sums_, file_system.open(sums_path, {.mode = OpenMode::kRead}));
  VECSTORE_ASSIGN(const std::uint64_t size, blocks.sums_->size());
  std::array<std::byte, sizeof(Header)> bytes;
  VECSTORE_ASSIGN(const std::size_t got, blocks.sums_->read_at(bytes, 0));
  ByteReader reader(std::span<const std::byte>(bytes).first(got));
  const auto header = reader.read<Header>();
  if (!reader.ok() || header.magic != kMagic || header.header_sum != header_sum(header))
    return Status(Code::kCorrupt, kSumsDamaged).about(sums_path).at(Detail::kOffset, 0);
  if (header.version > kVersion)
    return Status(Code::kNewerFormat, "the catalog was written by a newer version; upgrade VecStore").about(sums_path);
  if (header.version != kVersion || header.block_bytes != kBlockBytes ||
      size != sizeof(Header) + blocks_of(header.data_bytes) * sizeof(std::uint64_t))
    return Status(Code::kCorrupt, kSumsDamaged).about(sums_path).at(Detail::kOffset, size);
  VECSTORE_ASSIGN(blocks.data_, file_system.open(data_path, {.mode = OpenMode::kRead}));
  VECSTORE_ASSIGN(const std::uint64_t data_size, blocks.data_->size());
  if (data_size != header.data_bytes)
    return Status(Code::kCorrupt, kDamaged)
        .about(data_path)
        .at(Detail::kOffset, std::min(data_size, header.data_bytes));
  blocks.facts_ = {header.store, header.applied_lsn, header.keys};
  blocks.data_bytes_ = header.data_bytes;
  blocks.blocks_sum_ = header.blocks_sum;
  return blocks;
}

Status CatalogBlocks::read(std::uint64_t offset, std::span<std::byte> into) const {
  VECSTORE_CHECK(offset % kBlockBytes == 0 && into.size() <= kChunkBytes);
  VECSTORE_ASSIGN(const std::size_t got, data_->read_at(into, offset));
  if (got != into.size()) return Status(Code::kCorrupt, kDamaged).about(data_path()).at(Detail::kOffset, offset + got);
  std::array<std::uint64_t, kChunkBlocks> found;
  std::array<std::uint64_t, kChunkBlocks> expected;
  const auto found_sums = sum_chunk(offset, into, found);
  return compare(offset, found_sums, std::span(expected).first(found_sums.size()));
}

// `expected` is read.
Status CatalogBlocks::compare(std::uint64_t offset, std::span<const std::uint64_t> found,
                              std::span<std::uint64_t> expected) const {
  const auto bytes = std::as_writable_bytes(expected);
  VECSTORE_ASSIGN(const std::size_t got,
                  sums_->read_at(bytes, sizeof(Header) + offset / kBlockBytes * sizeof(std::uint64_t)));
  if (got != bytes.size()) return Status(Code::kCorrupt, kSumsDamaged).about(sums_path_).at(Detail::kOffset, offset);
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i] != expected[i])
      return Status(Code::kCorrupt, kDamaged).about(data_path()).at(Detail::kOffset, offset + i * kBlockBytes);
  return Status::ok();
}

Status CatalogBlocks::check(MemoryBudget& budget, const CancelToken* cancel) const {
  VECSTORE_ASSIGN(auto chunk, Buffer<std::byte>::allocate(budget, kChunkBytes));
  const HashState hash = new_hash();
  if (!hash) return no_memory();
  for (std::uint64_t at = 0; at < data_bytes_; at += kChunkBytes) {
    VECSTORE_TRY(check_cancelled(cancel));
    const auto part =
        chunk.span().first(static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes, data_bytes_ - at)));
    VECSTORE_ASSIGN(const std::size_t got, data_->read_at(part, at));
    if (got != part.size()) return Status(Code::kCorrupt, kDamaged).about(data_path()).at(Detail::kOffset, at + got);
    std::array<std::uint64_t, kChunkBlocks> found;
    std::array<std::uint64_t, kChunkBlocks> expected;
    const auto found_sums = sum_chunk(at, part, found);
    const auto expected_sums = std::span(expected).first(found_sums.size());
    VECSTORE_TRY(compare(at, found_sums, expected_sums));
    XXH3_64bits_update(hash.get(), expected_sums.data(), expected_sums.size_bytes());
  }
  if (XXH3_64bits_digest(hash.get()) != blocks_sum_)
    return Status(Code::kCorrupt, kSumsDamaged).about(sums_path_).at(Detail::kOffset, sizeof(Header));
  return Status::ok();
}

}  // namespace vecstore
