// SPDX-License-Identifier: Apache-2.0
//
// Bytes one after the other, to wherever they are kept and back.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/status.h"

namespace vecstore {

class ByteSink {
 public:
  virtual ~ByteSink() = default;
  virtual Status write(std::span<const std::byte> bytes) = 0;
};

class ByteSource {
 public:
  virtual ~ByteSource() = default;
  virtual std::uint64_t size() const = 0;              // bytes in all
  virtual Status read(std::span<std::byte> into) = 0;  // exactly that many, or an error
};

}  // namespace vecstore
