// SPDX-License-Identifier: Apache-2.0
//
// The one bounds-checked reader and writer of every VecStore format. Little-endian hosts only.
//
// A ByteReader never reads past its span: a read that would do so returns zero and makes ok() false for good, so a
// parser reads all its fields and asks once. Lengths are u64; sums are checked for overflow by comparison with what is
// left.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/check.h"

namespace vecstore {

static_assert(std::endian::native == std::endian::little, "VecStore's files are read in place on little-endian hosts");

class ByteReader {
 public:
  explicit ByteReader(std::span<const std::byte> bytes) : bytes_(bytes) {}

  template <typename T>
  T read() {
    static_assert(std::is_trivially_copyable_v<T>);
    T value{};
    if (sizeof(T) > left()) {
      fail();
    } else {
      std::memcpy(&value, bytes_.data() + at_, sizeof(T));
      at_ += sizeof(T);
    }
    return value;
  }

  // Borrowed from the span; empty when fewer than `size` bytes are left.
  std::span<const std::byte> read_bytes(std::uint64_t size) {
    if (size > left()) {
      fail();
      return {};
    }
    const auto part = bytes_.subspan(at_, static_cast<std::size_t>(size));
    at_ += part.size();
    return part;
  }

  // u32 length, then that many bytes; refused beyond `size_max`.
  std::string read_string(std::uint32_t size_max) {
    const auto size = read<std::uint32_t>();
    if (size > size_max) fail();
    const auto part = ok_ ? read_bytes(size) : std::span<const std::byte>{};
    return {reinterpret_cast<const char*>(part.data()), part.size()};
  }

  std::size_t left() const { return ok_ ? bytes_.size() - at_ : 0; }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && at_ == bytes_.size(); }

 private:
  void fail() { ok_ = false; }

  std::span<const std::byte> bytes_;
  std::size_t at_ = 0;
  bool ok_ = true;
};

class ByteWriter {
 public:
  template <typename T>
  void write(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* from = reinterpret_cast<const std::byte*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof(T));
  }
  void write_bytes(std::span<const std::byte> part) { bytes_.insert(bytes_.end(), part.begin(), part.end()); }
  void write_string(std::string_view text) {
    write(static_cast<std::uint32_t>(text.size()));
    write_bytes(std::as_bytes(std::span(text.data(), text.size())));
  }

  std::span<const std::byte> bytes() const { return bytes_; }
  std::size_t size() const { return bytes_.size(); }
  std::vector<std::byte> take() && { return std::move(bytes_); }

 private:
  std::vector<std::byte> bytes_;
};

// Fills memory that is there, and allocates nothing.
class SpanWriter {
 public:
  explicit SpanWriter(std::span<std::byte> into) : into_(into) {}

  template <typename T>
  void write(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    VECSTORE_CHECK(sizeof(T) <= into_.size() - at_);
    std::memcpy(into_.data() + at_, &value, sizeof(T));
    at_ += sizeof(T);
  }
  std::size_t size() const { return at_; }  // written

 private:
  std::span<std::byte> into_;
  std::size_t at_ = 0;
};

}  // namespace vecstore
