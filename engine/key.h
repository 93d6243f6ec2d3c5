// SPDX-License-Identifier: Apache-2.0
//
// What names a row to its user: a number or a byte string, one kind in a store. Installed with vecstore.hpp.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>

namespace vecstore {

enum class KeyKind : std::uint8_t { kNumber = 0, kBytes = 1 };

// Borrows the bytes. Thread-safe: a plain value.
class Key {
 public:
  template <std::integral Number>
  Key(Number number) : number_(static_cast<std::uint64_t>(number)) {}     // NOLINT(google-explicit-constructor)
  Key(std::string_view bytes) : kind_(KeyKind::kBytes), bytes_(bytes) {}  // NOLINT(google-explicit-constructor)
  Key(const std::string& bytes) : Key(std::string_view(bytes)) {}         // NOLINT(google-explicit-constructor)
  Key(const char* bytes) : Key(std::string_view(bytes)) {}                // NOLINT(google-explicit-constructor)

  KeyKind kind() const { return kind_; }
  std::uint64_t number() const { return number_; }
  std::string_view bytes() const { return bytes_; }
  std::string to_string() const { return kind_ == KeyKind::kNumber ? std::to_string(number_) : std::string(bytes_); }
  friend bool operator==(const Key&, const Key&) = default;

 private:
  KeyKind kind_ = KeyKind::kNumber;
  std::uint64_t number_ = 0;
  std::string_view bytes_;
};

}  // namespace vecstore
