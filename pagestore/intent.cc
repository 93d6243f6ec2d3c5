// SPDX-License-Identifier: Apache-2.0
#include "pagestore/intent.h"

#include <array>
#include <cstring>

#include "base/bytes.h"
#include "pagestore/manifest_format.h"
#include "pagestore/store_files.h"

namespace vecstore {
namespace {

constexpr std::array<char, 8> kMagic = {'V', 'E', 'C', 'I', 'N', 'T', 'N', 'T'};
constexpr std::uint16_t kVersion = 1;
constexpr std::size_t kHashAt = 24;
constexpr std::size_t kIntentBytes = kHashAt + sizeof(Hash128);

std::string temporary_of(const std::string& path) { return path + "/" + kTemporaryName; }
std::string intent_of(const std::string& path) { return temporary_of(path) + "/intent"; }

}  // namespace

Status write_intent(FileSystem& file_system, const std::string& path, const Intent& intent) {
  ByteWriter out;
  out.write(kMagic);
  out.write(kVersion);
  out.write(std::array<std::byte, 6>{});
  out.write(intent.sequence);
  const Hash128 hash = hash128(out.bytes());
  out.write(hash.low);
  out.write(hash.high);
  const auto file = file_system.open(intent_of(path), {OpenMode::kReadWriteCreate, false});
  if (!file) return of_store(file.error(), path);
  VECSTORE_TRY(of_store((*file)->write_at(out.bytes(), 0), path));
  VECSTORE_TRY(of_store((*file)->sync(), path));
  return of_store(file_system.sync_directory(temporary_of(path)), path);
}

Result<std::optional<Intent>> read_intent(FileSystem& file_system, const std::string& path) {
  const auto file = file_system.open(intent_of(path), {OpenMode::kRead, false});
  if (!file && file.error().code() == Code::kNotFound) return std::optional<Intent>();
  if (!file) return of_store(file.error(), path);
  std::array<std::byte, kIntentBytes> bytes{};
  const auto got = (*file)->read_at(bytes, 0);
  if (!got) return of_store(got.error(), path);
  ByteReader in(bytes);
  const auto magic = in.read<std::array<char, 8>>();
  const auto version = in.read<std::uint16_t>();
  in.read<std::array<std::byte, 6>>();
  const Intent intent{in.read<std::uint64_t>()};
  const Hash128 stored{in.read<std::uint64_t>(), in.read<std::uint64_t>()};
  const bool whole = *got == bytes.size() && magic == kMagic && version == kVersion &&
                     stored == hash128(std::span(bytes).first(kHashAt));
  return whole ? std::optional(intent) : std::optional<Intent>();
}

Result<bool> has_intent(FileSystem& file_system, const std::string& path) {
  const auto file = file_system.open(intent_of(path), {OpenMode::kRead, false});
  if (!file && file.error().code() != Code::kNotFound) return of_store(file.error(), path);
  return file.has_value();
}

Status remove_intent(FileSystem& file_system, const std::string& path) {
  if (const Status removed = file_system.unlink(intent_of(path)); !removed.is_ok() && removed.code() != Code::kNotFound)
    return of_store(removed, path);
  return of_store(file_system.sync_directory(temporary_of(path)), path);
}

}  // namespace vecstore
