// SPDX-License-Identifier: Apache-2.0
#include "engine/files/vector_file.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "base/limits.h"
#include "base/memory.h"

namespace vecstore {

std::uint32_t element_bytes(Element element) {
  return element == Element::kF32 || element == Element::kI32 ? 4 : element == Element::kF16 ? 2 : 1;
}

std::string_view name_of(Element element) {
  constexpr std::array<std::string_view, 5> kNames = {"f32", "f16", "u8", "i8", "i32"};
  return kNames[static_cast<std::size_t>(element)];
}

std::optional<DType> dtype_of(Element element) {
  switch (element) {
    case Element::kF32:
      return DType::kF32;
    case Element::kF16:
      return DType::kF16;
    case Element::kU8:
      return DType::kU8;
    case Element::kI8:
      return DType::kI8;
    case Element::kI32:
      return std::nullopt;
  }
  return std::nullopt;
}

Result<VectorLayout> read_layout(const InputFile& file, const VectorFileKind& kind, Ending ending) {
  switch (kind.family) {
    case FileFamily::kVecs:
      return read_vecs_layout(file, *kind.element, ending);
    case FileFamily::kBin:
      return read_bin_layout(file, kind, ending);
    case FileFamily::kNpy:
      return read_npy_layout(file, ending);
  }
  return Status(Code::kUnsupported, "unknown layout").about(file.path());
}

Status check_dim(const InputFile& file, std::uint64_t dim, std::uint64_t offset) {
  if (dim == 0)
    return Status(Code::kInvalidInput, "the header says dimension 0; this is not a file of vectors of this layout")
        .about(file.path())
        .at(Detail::kOffset, offset);
  if (dim > kDimMax)
    return Status(Code::kUnsupported,
                  "the header says a dimension above 4096, the largest supported; is the ending right?")
        .about(file.path() + " (dimension " + std::to_string(dim) + ")")
        .at(Detail::kOffset, offset);
  return {};
}

Status fit_size(const InputFile& file, Ending ending, VectorLayout& layout) {
  // Compared by division, because rows × stride may overflow when the header is hostile.
  const std::uint64_t held_bytes = file.size_bytes() - std::min(file.size_bytes(), layout.data_offset);
  const std::uint64_t whole_rows = held_bytes / layout.stride_bytes();
  const bool fits =
      file.size_bytes() >= layout.data_offset && whole_rows == layout.rows && held_bytes % layout.stride_bytes() == 0;
  if (fits) return {};
  const bool shorter = whole_rows < layout.rows;
  if (shorter && whole_rows != 0 && ending == Ending::kMayBeCut) {
    layout.rows = whole_rows;
    return {};
  }
  std::string subject = file.path() + " (header: " + std::to_string(layout.rows) + " x " + std::to_string(layout.dim) +
                        " " + std::string(name_of(layout.element));
  if (layout.rows <= (~std::uint64_t{0} - layout.data_offset) / layout.stride_bytes())
    subject += ", expected " + std::to_string(layout.offset_of(layout.rows)) + " bytes";
  if (shorter) subject += ", whole rows: " + std::to_string(whole_rows);
  const char* text = "the file goes on to here, past the rows its header promises; is the ending of its name right?";
  if (shorter)
    text = whole_rows == 0 ? "the file ends here, before the first of the rows its header promises; fetch it again"
                           : "the file ends here, before all the rows its header promises; fetch it again, or take the "
                             "whole rows with convert --count";
  return Status(Code::kInvalidInput, text).about(subject + ")").at(Detail::kOffset, file.size_bytes());
}

namespace {

// The vecs family repeats the dimension before every row; the rows are moved together in a bounded buffer.
Status read_prefixed_rows(const InputFile& file, const VectorLayout& layout, std::uint64_t first, std::uint64_t count,
                          std::byte* out) {
  constexpr std::uint64_t kChunkBytes = 256 * 1024;
  const std::uint64_t stride = layout.stride_bytes();
  const std::uint64_t chunk_rows = std::max<std::uint64_t>(1, std::min(count, kChunkBytes / stride));
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto chunk, Buffer<std::byte>::allocate(budget, static_cast<std::size_t>(chunk_rows * stride)));
  for (std::uint64_t done = 0; done < count; done += chunk_rows) {
    const std::uint64_t rows = std::min(chunk_rows, count - done);
    VECSTORE_TRY(
        file.read_exact(layout.offset_of(first + done), chunk.data(), static_cast<std::size_t>(rows * stride)));
    for (std::uint64_t i = 0; i < rows; ++i) {
      const std::byte* row = chunk.data() + i * stride;
      std::uint32_t dim = 0;
      std::memcpy(&dim, row, sizeof dim);
      if (dim != layout.dim)
        return Status(Code::kInvalidInput, "this row has another dimension than row 0; every row must have the same")
            .about(file.path() + " (offset " + std::to_string(layout.offset_of(first + done + i)) + ")")
            .at(Detail::kRow, first + done + i);
      std::memcpy(out + (done + i) * layout.row_bytes(), row + layout.row_prefix_bytes,
                  static_cast<std::size_t>(layout.row_bytes()));
    }
  }
  return {};
}

}  // namespace

Status read_rows(const InputFile& file, const VectorLayout& layout, std::uint64_t first, std::uint64_t count,
                 void* out) {
  if (count == 0) return {};
  if (layout.row_prefix_bytes != 0) return read_prefixed_rows(file, layout, first, count, static_cast<std::byte*>(out));
  return file.read_exact(layout.offset_of(first), out, static_cast<std::size_t>(count * layout.row_bytes()));
}

}  // namespace vecstore
