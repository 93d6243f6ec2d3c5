// SPDX-License-Identifier: Apache-2.0
//
// A manifest as bytes. Internal to pagestore; the layout is in pagestore/README.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "pagestore/manifest.h"

namespace vecstore {

inline constexpr std::size_t kManifestFilesMax = 65536;
inline constexpr std::size_t kManifestNameBytesMax = 128;
inline constexpr std::size_t kManifestPropertiesBytesMax = std::size_t{1} << 20;
inline constexpr std::uint64_t kManifestBytesMax = std::uint64_t{16} << 20;

struct Hash128 {
  std::uint64_t low = 0;
  std::uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
};
Hash128 hash128(std::span<const std::byte> bytes);  // XXH3-128

std::string manifest_name(std::uint64_t sequence);

// Relative, of letters, digits and "-_./", and no part of it empty, "." or "..".
bool is_file_name(std::string_view name);

// Errors: kInvalidArgument when it breaks one of the limits above.
Result<std::vector<std::byte>> encode_manifest(const Manifest& manifest);

// Never believes a length: everything is bounded and the whole must be used up. Errors: kCorrupt, kNewerFormat.
Result<Manifest> decode_manifest(std::span<const std::byte> bytes, const std::string& path);

}  // namespace vecstore
