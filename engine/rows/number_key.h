// SPDX-License-Identifier: Apache-2.0
//
// Keys that are numbers, as rows/ and the catalog keep them where a row's key is not its RowId: 8 bytes, big-endian, so
// that they sort as numbers do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace vecstore {

inline constexpr std::size_t kNumberKeyBytes = 8;

inline std::string encode_number_key(std::uint64_t number) {
  std::string key(kNumberKeyBytes, '\0');
  for (std::size_t i = kNumberKeyBytes; i-- > 0; number >>= 8) key[i] = static_cast<char>(number & 0xFF);
  return key;
}

// key: of kNumberKeyBytes.
inline std::uint64_t decode_number_key(std::string_view key) {
  std::uint64_t number = 0;
  for (const char byte : key) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

}  // namespace vecstore
