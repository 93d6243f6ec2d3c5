// SPDX-License-Identifier: Apache-2.0
#include "engine/generation/file_names.h"

#include <array>

namespace vecstore {
namespace {

constexpr std::string_view kGraphPrefix = "graph-";
constexpr std::string_view kCodesPrefix = "codes-";
constexpr std::string_view kRowMapPrefix = "rowmap-";

constexpr std::array kGenerationPrefixes = {kGraphPrefix, kCodesPrefix, kRowMapPrefix};
constexpr std::array<std::string_view, 1> kExtentDirectories = {kRowsName};
constexpr std::array<std::string_view, 3> kOtherDirectories = {kCatalogName, kLogName, kSnapshotsName};
constexpr std::array<std::string_view, 2> kOtherFiles = {kBuildReportName, kSnapshotNoteName};

}  // namespace

constinit const StoreNames kStoreNames{kGenerationPrefixes, kExtentDirectories, kOtherDirectories, kOtherFiles};

std::string file_name(FileKind kind, std::uint32_t generation) {
  const std::string number = std::to_string(generation);
  switch (kind) {
    case FileKind::kGraph:
      return std::string(kGraphPrefix) + number;
    case FileKind::kCodes:
      return std::string(kCodesPrefix) + number;
    case FileKind::kRowMap:
      return std::string(kRowMapPrefix) + number;
    case FileKind::kRows:
      return std::string(kRowsName) + "/" + number + "-0";
  }
  return {};
}

ManifestFile manifest_entry(const FileIdentity& identity, const PageFileWriter::Finished& finished) {
  ManifestFile file;
  file.kind = static_cast<std::uint16_t>(identity.kind);
  file.generation = identity.generation;
  file.name = file_name(identity.kind, identity.generation);
  file.bytes = finished.bytes;
  file.hash_low = finished.hash_low;
  file.hash_high = finished.hash_high;
  return file;
}

}  // namespace vecstore
