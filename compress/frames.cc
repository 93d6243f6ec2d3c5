// SPDX-License-Identifier: Apache-2.0
#include "compress/frames.h"

#include <malloc.h>
#include <zdict.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "base/check.h"

namespace vecstore {
namespace {

Status no_memory() {
  return Status(Code::kMemoryBudget, "the system has no memory left to compress or decompress; free some")
      .with_errno(ENOMEM);
}

constexpr int kPackLevel = 3;

struct FreeDecompressor {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};

}  // namespace

// -------------------------------------------------------------------------------------------------------- dictionaries

Result<std::unique_ptr<FrameDictionary>> FrameDictionary::open(std::span<const std::byte> bytes, MemoryBudget& budget) {
  const bool named = bytes.size() <= kBytesMax && ZDICT_getDictID(bytes.data(), bytes.size()) != 0;
  const std::size_t header = named ? ZDICT_getDictHeaderSize(bytes.data(), bytes.size()) : 0;
  if (ZSTD_getErrorCode(header) == ZSTD_error_memory_allocation) return no_memory();
  if (!named || ZDICT_isError(header) != 0)
    return Status(Code::kCorrupt, "what should be a dictionary is none; restore the file from a backup");
  std::unique_ptr<FrameDictionary> dictionary(new FrameDictionary());
  VECSTORE_ASSIGN(dictionary->charge_, Charge::take(budget, memory_bytes_for(bytes.size()) - bytes.size()));
  VECSTORE_ASSIGN(dictionary->bytes_, Buffer<std::byte>::allocate(budget, bytes.size()));
  std::ranges::copy(bytes, dictionary->bytes_.begin());
  dictionary->digested_ = ZSTD_createDDict(bytes.data(), bytes.size());
  if (dictionary->digested_ == nullptr) return no_memory();
  return dictionary;
}

FrameDictionary::~FrameDictionary() { ZSTD_freeDDict(digested_); }

std::vector<std::byte> train_dictionary(std::span<const std::byte> samples, std::span<const std::size_t> sizes) {
  std::vector<std::byte> dictionary(kTrainedBytesMax);
  const std::size_t size = ZDICT_trainFromBuffer(dictionary.data(), dictionary.size(), samples.data(), sizes.data(),
                                                 static_cast<unsigned>(sizes.size()));
  dictionary.resize(ZDICT_isError(size) != 0 ? 0 : size);
#ifdef __GLIBC__
  // Else what the trainer has freed stays resident, of nobody's budget: freeing large blocks once makes glibc keep
  // them.
  ::malloc_trim(0);
#endif
  return dictionary;
}

Result<std::unique_ptr<FramePacker>> FramePacker::create(const FrameDictionary* dictionary, MemoryBudget& budget) {
  std::unique_ptr<FramePacker> packer(new FramePacker());
  VECSTORE_ASSIGN(packer->charge_, Charge::take(budget, kMemoryBytes));
  packer->context_ = ZSTD_createCCtx();
  if (packer->context_ == nullptr) return no_memory();
  if (dictionary == nullptr) return packer;
  const auto bytes = dictionary->bytes();
  packer->digested_ = ZSTD_createCDict(bytes.data(), bytes.size(), kPackLevel);
  if (packer->digested_ == nullptr) return no_memory();
  return packer;
}

FramePacker::~FramePacker() {
  ZSTD_freeCDict(digested_);
  ZSTD_freeCCtx(context_);
}

Result<std::span<const std::byte>> FramePacker::pack(std::span<const std::byte> bytes, std::span<std::byte> into) {
  VECSTORE_CHECK(bytes.size() <= kBytesMax);
  const std::size_t size =
      digested_ == nullptr
          ? ZSTD_compressCCtx(context_, into.data(), into.size(), bytes.data(), bytes.size(), kPackLevel)
          : ZSTD_compress_usingCDict(context_, into.data(), into.size(), bytes.data(), bytes.size(), digested_);
  const bool packed = ZSTD_isError(size) == 0;
  if (!packed && ZSTD_getErrorCode(size) != ZSTD_error_dstSize_tooSmall) return no_memory();
  return std::span<const std::byte>(into.first(packed ? size : 0));
}

Status decompress_frame(std::span<const std::byte> frame, std::span<std::byte> into,
                        const FrameDictionary* dictionary) {
  const std::unique_ptr<ZSTD_DCtx, FreeDecompressor> context(ZSTD_createDCtx());
  if (context == nullptr) return no_memory();
  // zstd goes on through further frames; one frame is what was written.
  const std::size_t frame_size = ZSTD_findFrameCompressedSize(frame.data(), frame.size());
  const bool is_one = !ZSTD_isError(frame_size) && frame_size == frame.size();
  // Without a dictionary this is ZSTD_decompressDCtx.
  const std::size_t size =
      !is_one ? into.size() + 1
              : ZSTD_decompress_usingDDict(context.get(), into.data(), into.size(), frame.data(), frame.size(),
                                           dictionary == nullptr ? nullptr : dictionary->digested_);
  if (ZSTD_isError(size) || size != into.size())
    return {Code::kCorrupt, "a compressed frame does not hold what it should; restore the file from a backup"};
  return Status::ok();
}

}  // namespace vecstore
