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
constexpr std::array<std::string_view, 2> kOtherDirectories = {kCatalogName, kLogName};
constexpr std::array<std::string_view, 1> kOtherFiles = {kBuildReportName};

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

}  // namespace vecstore
