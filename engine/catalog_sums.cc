// SPDX-License-Identifier: Apache-2.0
#include "engine/catalog_sums.h"

#include <fcntl.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>

#include "engine/base/bytes.h"
#include "engine/posix_file.h"

namespace vecstore {

namespace {

constexpr std::array<char, 8> kMagic = {'V', 'S', 'C', 'A', 'T', 'S', 'U', 'M'};
constexpr std::uint32_t kVersion = 1;
constexpr std::uint32_t kBlockBytes = 4096;
constexpr std::size_t kChunkBlocks = 16;
constexpr std::size_t kChunkBytes = kChunkBlocks * kBlockBytes;
constexpr const char* kDamaged = "the catalog is damaged; it will be rebuilt from rows/";
constexpr const char* kSumsDamaged = "the checksums of the catalog are damaged; it will be rebuilt from rows/";

struct Header {
  std::array<char, 8> magic = kMagic;
  std::uint32_t version = kVersion;
  std::uint32_t block_bytes = kBlockBytes;
  Uuid store{};
  std::uint64_t data_bytes = 0;
  std::uint64_t applied_lsn = 0;
  std::uint64_t keys = 0;
  std::uint64_t blocks_sum = 0;
  std::uint64_t header_sum = 0;  // of what precedes it
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

Status no_memory() { return {Code::kMemoryBudget, "the system has no memory left for a checksum; free"}; }

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

Status write_catalog_sums(const std::string& data_path, const std::string& sums_path, const CatalogFacts& facts,
                          MemoryBudget& budget) {
  VECSTORE_ASSIGN(auto data, PosixFile::open(data_path, O_RDONLY));
  VECSTORE_ASSIGN(auto file, PosixFile::open(sums_path, O_WRONLY | O_CREAT | O_TRUNC));
  VECSTORE_ASSIGN(auto chunk, Buffer<std::byte>::allocate(budget, kChunkBytes));
  const HashState hash = new_hash();
  if (!hash) return no_memory();
  Header header;
  header.store = facts.store;
  header.applied_lsn = facts.applied_lsn;
  header.keys = facts.keys;
  std::uint64_t written = sizeof(Header);
  while (true) {
    VECSTORE_ASSIGN(const std::size_t got, data.read_at(header.data_bytes, chunk.span()));
    if (got == 0) break;
    std::array<std::uint64_t, kChunkBlocks> sums;
    const auto bytes = std::as_bytes(sum_chunk(header.data_bytes, chunk.span().first(got), sums));
    XXH3_64bits_update(hash.get(), bytes.data(), bytes.size());
    VECSTORE_TRY(file.write_at(written, bytes));
    written += bytes.size();
    header.data_bytes += got;
  }
  header.blocks_sum = XXH3_64bits_digest(hash.get());
  header.header_sum = header_sum(header);
  VECSTORE_TRY(file.write_at(0, std::as_bytes(std::span(&header, 1))));
  return file.sync();
}

Result<CatalogSums> read_catalog_sums(const std::string& sums_path) {
  VECSTORE_ASSIGN(auto file, PosixFile::open(sums_path, O_RDONLY));
  VECSTORE_ASSIGN(const std::uint64_t size, file.size());
  std::array<std::byte, sizeof(Header)> bytes;
  VECSTORE_ASSIGN(const std::size_t got, file.read_at(0, bytes));
  ByteReader reader(std::span<const std::byte>(bytes).first(got));
  const auto header = reader.read<Header>();
  if (!reader.ok() || header.magic != kMagic || header.header_sum != header_sum(header))
    return Status(Code::kCorrupt, kSumsDamaged).about(sums_path).at(Detail::kOffset, 0);
  if (header.version > kVersion)
    return Status(Code::kNewerFormat, "the catalog was written by a newer version; upgrade VecStore").about(sums_path);
  if (header.version != kVersion || header.block_bytes != kBlockBytes ||
      size != sizeof(Header) + blocks_of(header.data_bytes) * sizeof(std::uint64_t))
    return Status(Code::kCorrupt, kSumsDamaged).about(sums_path).at(Detail::kOffset, size);
  CatalogSums sums;
  sums.facts = {header.store, header.applied_lsn, header.keys};
  sums.data_bytes = header.data_bytes;
  sums.blocks_sum = header.blocks_sum;
  return sums;
}

Status check_catalog_data(const std::string& data_path, const std::string& sums_path, const CatalogSums& sums,
                          MemoryBudget& budget) {
  VECSTORE_ASSIGN(auto data, PosixFile::open(data_path, O_RDONLY));
  VECSTORE_ASSIGN(auto file, PosixFile::open(sums_path, O_RDONLY));
  VECSTORE_ASSIGN(const std::uint64_t size, data.size());
  if (size != sums.data_bytes)
    return Status(Code::kCorrupt, kDamaged).about(data_path).at(Detail::kOffset, std::min(size, sums.data_bytes));
  VECSTORE_ASSIGN(auto chunk, Buffer<std::byte>::allocate(budget, kChunkBytes));
  const HashState hash = new_hash();
  if (!hash) return no_memory();
  for (std::uint64_t at = 0; at < size; at += kChunkBytes) {
    const auto want = static_cast<std::size_t>(std::min<std::uint64_t>(kChunkBytes, size - at));
    VECSTORE_ASSIGN(const std::size_t got, data.read_at(at, chunk.span().first(want)));
    if (got != want) return Status(Code::kCorrupt, kDamaged).about(data_path).at(Detail::kOffset, at + got);
    std::array<std::uint64_t, kChunkBlocks> found;
    std::array<std::uint64_t, kChunkBlocks> expected;
    const auto found_sums = sum_chunk(at, chunk.span().first(want), found);
    const auto expected_bytes = std::as_writable_bytes(std::span(expected).first(found_sums.size()));
    VECSTORE_ASSIGN(const std::size_t got_sums,
                    file.read_at(sizeof(Header) + at / kBlockBytes * sizeof(std::uint64_t), expected_bytes));
    if (got_sums != expected_bytes.size())
      return Status(Code::kCorrupt, kSumsDamaged).about(sums_path).at(Detail::kOffset, at);
    XXH3_64bits_update(hash.get(), expected_bytes.data(), expected_bytes.size());
    for (std::size_t i = 0; i < found_sums.size(); ++i)
      if (found[i] != expected[i])
        return Status(Code::kCorrupt, kDamaged).about(data_path).at(Detail::kOffset, at + i * kBlockBytes);
  }
  if (XXH3_64bits_digest(hash.get()) != sums.blocks_sum)
    return Status(Code::kCorrupt, kSumsDamaged).about(sums_path).at(Detail::kOffset, sizeof(Header));
  return Status::ok();
}

}  // namespace vecstore
