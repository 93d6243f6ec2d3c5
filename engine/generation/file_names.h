// SPDX-License-Identifier: Apache-2.0
//
// The names in a store's directory, but for those of publishing itself (pagestore/store_names.h).
#pragma once

#include <cstdint>
#include <string>

#include "pagestore/format.h"
#include "pagestore/manifest.h"
#include "pagestore/page_file.h"
#include "pagestore/store_names.h"

namespace vecstore {

inline constexpr const char* kRowsName = "rows";
inline constexpr const char* kCatalogName = "catalog";
inline constexpr const char* kLogName = "wal";
inline constexpr const char* kSnapshotsName = "snapshots";
// What tells that a directory is a snapshot, which is only read.
inline constexpr const char* kSnapshotNoteName = "snapshot";
// What the last build took, for people: lies in the directory, but is no part of the content.
inline constexpr const char* kBuildReportName = "build.json";

extern const StoreNames kStoreNames;

std::string file_name(FileKind kind, std::uint32_t generation);  // "graph-1", "codes-1", "rowmap-1", "rows/1-0"

// What writing one file brings to the manifest.
ManifestFile manifest_entry(const FileIdentity& identity, const PageFileWriter::Finished& finished);

}  // namespace vecstore
