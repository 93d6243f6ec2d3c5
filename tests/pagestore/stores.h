// SPDX-License-Identifier: Apache-2.0
//
// Stores whose content is known from their generation, for the tests of publishing.
#pragma once

#include <array>
#include <string_view>

#include "pagestore/publish.h"
#include "tests/pagestore/page_files.h"

namespace vecstore::test {

inline constexpr std::uint64_t kStorePages = 3;

inline constexpr std::array<std::string_view, 3> kPrefixes{"graph-", "codes-", "rowmap-"};
inline constexpr std::array<std::string_view, 1> kExtents{"rows"};
inline constexpr std::array<std::string_view, 2> kDirectories{"catalog", "wal"};
inline constexpr std::array<std::string_view, 1> kFiles{"build.json"};
inline constexpr StoreNames kNames{kPrefixes, kExtents, kDirectories, kFiles};

// Writes graph-<generation> and rows/<generation>-0 and publishes them.
inline Status publish_generation(StoreDirectory& store, std::uint32_t generation,
                                 FileSystem& file_system = FileSystem::posix()) {
  VECSTORE_TRY(store.begin_publish());
  Manifest manifest;
  manifest.store = identity_of(generation).store;
  manifest.generation = generation;
  manifest.applied_lsn = generation * 100;
  manifest.properties = attributes_of(generation);
  if (Status made = file_system.make_directory(store.file_path("rows")); made.code() != Code::kExists)
    VECSTORE_TRY(made);
  for (const FileKind kind : {FileKind::kGraph, FileKind::kRows}) {
    ManifestFile file;
    file.kind = static_cast<std::uint16_t>(kind);
    file.generation = generation;
    file.name = (kind == FileKind::kGraph ? "graph-" : "rows/") + std::to_string(generation) +
                (kind == FileKind::kGraph ? "" : "-0");
    VECSTORE_ASSIGN(const auto finished, write_pages(store.file_path(file.name), identity_of(generation, kind),
                                                     kStorePages, 4096, file_system));
    file.bytes = finished.bytes;
    file.hash_low = finished.hash_low;
    file.hash_high = finished.hash_high;
    manifest.files.push_back(file);
  }
  return store.publish(std::move(manifest));
}

// The generation found, every page of it read and compared; 0 where nothing was ever published.
inline Result<std::uint32_t> generation_found(const StoreDirectory& store) {
  if (!store.manifest()) return 0u;
  const Manifest& manifest = *store.manifest();
  const bool right = manifest.applied_lsn == manifest.generation * 100 && manifest.files.size() == 2 &&
                     manifest.properties == attributes_of(manifest.generation);
  if (!right) return Status(Code::kCorrupt, "the manifest is not what was published");
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto page, Buffer<std::byte>::allocate(budget, 4096));
  for (const ManifestFile& one : manifest.files) {
    const auto identity = identity_of(one.generation, static_cast<FileKind>(one.kind));
    VECSTORE_ASSIGN(const auto file, PageFile::open(FileSystem::posix(), store.file_path(one.name), identity));
    for (std::uint64_t i = 1; i <= file.page_count(); ++i) {
      VECSTORE_TRY(file.read_page(i, page.span()));
      if (!holds(identity, i, page.span())) return Status(Code::kCorrupt, "a page is not what was written");
    }
  }
  return manifest.generation;
}

inline Result<std::uint32_t> generation_at(const std::string& path, LockMode mode = LockMode::kShared) {
  VECSTORE_ASSIGN(const auto store, StoreDirectory::open(FileSystem::posix(), test::kNames, path, mode));
  return generation_found(store);
}

// Publishes generations 1 … `last` in a new store at `path`.
inline void make_store(const std::string& path, std::uint32_t last) {
  auto store = StoreDirectory::create(FileSystem::posix(), test::kNames, path);
  REQUIRE_OK(store);
  for (std::uint32_t generation = 1; generation <= last; ++generation)
    REQUIRE_OK(publish_generation(*store, generation));
}

}  // namespace vecstore::test
