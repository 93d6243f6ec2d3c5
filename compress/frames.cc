// SPDX-License-Identifier: Apache-2.0
#include "compress/frames.h"

#include <zstd.h>

#include <algorithm>
#include <memory>
#include <new>

namespace vecstore {
namespace {

Status no_memory() {
  return {Code::kMemoryBudget, "the system has no memory left to compress or decompress; free some"};
}

struct FreeCompressor {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};
struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

Status compress_frame(std::span<const std::byte> bytes, int level, std::vector<std::byte>& out) {
  const std::unique_ptr<ZSTD_CCtx, FreeCompressor> context(ZSTD_createCCtx());
  if (context == nullptr) return no_memory();
  const std::size_t before = out.size();
  const std::size_t bound = ZSTD_compressBound(bytes.size());
  if (ZSTD_isError(bound)) return no_memory();
  try {
    out.resize(before + bound);
  } catch (const std::bad_alloc&) {
    return no_memory();
  }
  const int allowed = std::clamp(level, ZSTD_minCLevel(), ZSTD_maxCLevel());
  const std::size_t size =
      ZSTD_compressCCtx(context.get(), out.data() + before, bound, bytes.data(), bytes.size(), allowed);
  // Only memory can be missing: the output has the room that compressBound asks for.
  out.resize(ZSTD_isError(size) ? before : before + size);
  return ZSTD_isError(size) ? no_memory() : Status::ok();
}

Status decompress_frame(std::span<const std::byte> frame, std::span<std::byte> into) {
  const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  if (context == nullptr) return no_memory();
  // ZSTD_decompressDCtx goes on through further frames; one frame is what was written.
  const std::size_t frame_size = ZSTD_findFrameCompressedSize(frame.data(), frame.size());
  const std::size_t size = ZSTD_isError(frame_size) || frame_size != frame.size()
                               ? into.size() + 1
                               : ZSTD_decompressDCtx(context.get(), into.data(), into.size(), frame.data(), frame.size());
  if (ZSTD_isError(size) || size != into.size())
    return {Code::kCorrupt, "a compressed frame does not hold what it should; restore the file from a backup"};
  return Status::ok();
}

}  // namespace vecstore
