// SPDX-License-Identifier: Apache-2.0
//
// Reading the stream of an extent (engine/rows/README.md) by offsets.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "base/status.h"
#include "engine/rows/rows_format.h"
#include "pagestore/page_file.h"

namespace vecstore::rows {

// Through one page held: what is read front to back reads every page once. For one thread at a time.
class Stream {
 public:
  // `reads`, or nullptr, grows by the pages read.
  Stream(const PageFile& file, std::uint64_t* reads) : file_(file), reads_(reads) {}

  Status read(std::uint64_t offset, std::span<std::byte> into) {
    while (!into.empty()) {
      const std::uint64_t page = 1 + offset / kStreamPageBytes;
      if (page > file_.page_count()) return damaged(offset);
      if (page != held_) {
        held_ = 0;
        if (reads_ != nullptr) ++*reads_;
        VECSTORE_TRY(file_.read_page(page, page_));
        held_ = page;
      }
      const auto within = static_cast<std::size_t>(offset % kStreamPageBytes);
      const std::size_t part = std::min(into.size(), static_cast<std::size_t>(kStreamPageBytes) - within);
      std::memcpy(into.data(), page_.data() + kPageChecksumBytes + within, part);
      into = into.subspan(part);
      offset += part;
    }
    return Status::ok();
  }
  template <typename T>
  Status read_into(std::uint64_t offset, T& value) {
    return read(offset, std::as_writable_bytes(std::span(&value, 1)));
  }

  Status damaged(std::uint64_t offset) const {
    return Status(Code::kCorrupt, "a group of rows does not hold together; restore the store from a backup")
        .about(file_.path())
        .at(Detail::kPage, 1 + offset / kStreamPageBytes);
  }

 private:
  const PageFile& file_;
  std::uint64_t* reads_;
  std::uint64_t held_ = 0;
  alignas(4096) std::array<std::byte, kPageBytes> page_;
};

}  // namespace vecstore::rows
