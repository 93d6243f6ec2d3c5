// SPDX-License-Identifier: Apache-2.0
#include "pagestore/manifest_format.h"

#include <xxhash.h>

#include <algorithm>
#include <array>

#include "base/bytes.h"
#include "pagestore/format.h"

namespace vecstore {
namespace {

constexpr std::array<char, 8> kMagic = {'V', 'E', 'C', 'M', 'A', 'N', 'I', '\0'};
constexpr std::size_t kHashBytes = 16;
constexpr std::size_t kFileBytesMin = 2 + 2 + 4 + 4 + 1 + 24;  // bytes of one entry whose name has one byte
constexpr std::uint16_t kOptional = 1;

Status damaged(const char* text, const std::string& path) { return Status(Code::kCorrupt, text).about(path); }

Result<ManifestFile> read_file_entry(ByteReader& reader, const std::string& path) {
  ManifestFile file;
  file.kind = reader.read<std::uint16_t>();
  const auto flags = reader.read<std::uint16_t>();
  file.optional = (flags & kOptional) != 0;
  file.generation = reader.read<std::uint32_t>();
  file.name = reader.read_string(kManifestNameBytesMax);
  file.bytes = reader.read<std::uint64_t>();
  file.hash_low = reader.read<std::uint64_t>();
  file.hash_high = reader.read<std::uint64_t>();
  if (!reader.ok() || !is_file_name(file.name))
    return damaged("the manifest names an impossible file; restore or rebuild the index", path);
  return file;
}

bool is_name_part(std::string_view part) {
  if (part.empty() || part == "." || part == "..") return false;
  return std::ranges::all_of(part, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_' ||
           c == '.';
  });
}

}  // namespace

Hash128 hash128(std::span<const std::byte> bytes) {
  const XXH128_hash_t hash = XXH3_128bits(bytes.data(), bytes.size());
  return {hash.low64, hash.high64};
}

std::string manifest_name(std::uint64_t sequence) { return "manifest-" + std::to_string(sequence); }

bool is_file_name(std::string_view name) {
  if (name.empty() || name.size() > kManifestNameBytesMax) return false;
  while (true) {
    const std::size_t slash = name.find('/');
    if (!is_name_part(name.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    name.remove_prefix(slash + 1);
  }
}

Result<std::vector<std::byte>> encode_manifest(const Manifest& manifest) {
  if (manifest.files.size() > kManifestFilesMax || manifest.properties.size() > kManifestPropertiesBytesMax)
    return Status(Code::kInvalidArgument, "the manifest would be too large");
  ByteWriter writer;
  writer.write(kMagic);
  writer.write(kFormatMajor);
  writer.write(kFormatMinor);
  writer.write(manifest.generation);
  writer.write(manifest.store);
  writer.write(manifest.sequence);
  writer.write(manifest.applied_lsn);
  writer.write(static_cast<std::uint32_t>(manifest.files.size()));
  writer.write(static_cast<std::uint32_t>(manifest.properties.size()));
  for (const ManifestFile& file : manifest.files) {
    if (!is_file_name(file.name))
      return Status(Code::kInvalidArgument, "this cannot be the name of a file of an index").about(file.name);
    writer.write(file.kind);
    writer.write(file.optional ? kOptional : std::uint16_t{0});
    writer.write(file.generation);
    writer.write_string(file.name);
    writer.write(file.bytes);
    writer.write(file.hash_low);
    writer.write(file.hash_high);
  }
  writer.write_bytes(manifest.properties);
  const Hash128 hash = hash128(writer.bytes());
  writer.write(hash.low);
  writer.write(hash.high);
  return std::move(writer).take();
}

Result<Manifest> decode_manifest(std::span<const std::byte> bytes, const std::string& path) {
  if (bytes.size() < kHashBytes) return damaged("the manifest is cut short; restore or rebuild the index", path);
  ByteReader trailer(bytes.last(kHashBytes));
  const Hash128 stored{trailer.read<std::uint64_t>(), trailer.read<std::uint64_t>()};
  const auto body = bytes.first(bytes.size() - kHashBytes);
  if (stored != hash128(body))
    return damaged("the manifest's checksum does not hold; restore or rebuild the index", path);
  ByteReader reader(body);
  if (reader.read<std::array<char, 8>>() != kMagic)
    return damaged("this is not a manifest; restore or rebuild the index", path);
  if (reader.read<std::uint16_t>() > kFormatMajor)
    return Status(Code::kNewerFormat, "the index was written by a newer VecStore; upgrade to read it").about(path);
  reader.read<std::uint16_t>();
  Manifest manifest;
  manifest.generation = reader.read<std::uint32_t>();
  manifest.store = reader.read<Uuid>();
  manifest.sequence = reader.read<std::uint64_t>();
  manifest.applied_lsn = reader.read<std::uint64_t>();
  const auto files = reader.read<std::uint32_t>();
  const auto properties = reader.read<std::uint32_t>();
  if (!reader.ok() || files > kManifestFilesMax || files > reader.left() / kFileBytesMin ||
      properties > kManifestPropertiesBytesMax)
    return damaged("the manifest promises more than it holds; restore or rebuild the index", path);
  manifest.files.reserve(files);
  for (std::uint32_t i = 0; i < files; ++i) {
    VECSTORE_ASSIGN(auto file, read_file_entry(reader, path));
    manifest.files.push_back(std::move(file));
  }
  const auto part = reader.read_bytes(properties);
  if (!reader.done()) return damaged("the manifest's lengths do not add up; restore or rebuild the index", path);
  manifest.properties.assign(part.begin(), part.end());
  return manifest;
}

}  // namespace vecstore
