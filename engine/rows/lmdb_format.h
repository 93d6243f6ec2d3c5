// SPDX-License-Identifier: Apache-2.0
//
// The pages of LMDB 0.9 as they lie on the disk (lmdb.h and mdb.c of 0.9.24), of machines of 64 bits.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecstore::lmdb {

inline constexpr std::uint32_t kMagic = 0xBEEFC0DE;
inline constexpr std::uint32_t kDataVersion = 1;
inline constexpr std::uint16_t kBranch = 1;
inline constexpr std::uint16_t kLeaf = 2;
inline constexpr std::uint16_t kMeta = 8;
inline constexpr std::uint16_t kSubTable = 2;  // of a node: its value is a table
inline constexpr std::uint16_t kIntegerKeys = 8;
inline constexpr std::size_t kHeaderBytes = 16;
inline constexpr std::size_t kNodeBytes = 8;
inline constexpr std::size_t kOffsetBytes = 2;
inline constexpr std::uint64_t kMetaPages = 2;
inline constexpr std::uint64_t kNoPage = ~std::uint64_t{0};
inline constexpr std::uint64_t kPageBytesLeast = 4096;
inline constexpr std::uint64_t kPageBytesMost = 32768;

// Pages of a table hold seven nodes at least, even with the longest keys: seven to the twelfth is more than all rows.
// Nothing that we wrote is deeper.
inline constexpr std::uint32_t kDepthMax = 16;

struct PageHeader {
  std::uint64_t number = 0;
  std::uint16_t pad = 0;
  std::uint16_t kind = 0;
  std::uint16_t lower = 0;  // end of the offsets
  std::uint16_t upper = 0;  // begin of the nodes
};
static_assert(sizeof(PageHeader) == kHeaderBytes);

struct TableRecord {
  std::uint32_t page_bytes = 0;  // of the first table of a meta page; else 0
  std::uint16_t flags = 0;
  std::uint16_t depth = 0;
  std::uint64_t branch_pages = 0;
  std::uint64_t leaf_pages = 0;
  std::uint64_t overflow_pages = 0;
  std::uint64_t entries = 0;
  std::uint64_t root = kNoPage;
};
static_assert(sizeof(TableRecord) == 48);

struct MetaRecord {
  std::uint32_t magic = kMagic;
  std::uint32_t version = kDataVersion;
  std::uint64_t address = 0;
  std::uint64_t map_bytes = 0;
  TableRecord free, main;
  std::uint64_t last_page = 0;
  std::uint64_t transaction = 0;
};
static_assert(sizeof(MetaRecord) == 136);

struct Node {
  std::uint16_t low = 0, high = 0;  // of a leaf: bytes of the value; of a branch: with `flags`, the page below
  std::uint16_t flags = 0;
  std::uint16_t key_bytes = 0;
};
static_assert(sizeof(Node) == kNodeBytes);

}  // namespace vecstore::lmdb
