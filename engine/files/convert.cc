// SPDX-License-Identifier: Apache-2.0
#include "engine/files/convert.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/half.h"
#include "base/memory.h"
#include "base/thrown.h"
#include "engine/files/output_file.h"
#include "engine/files/vector_file.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kChunkBytes = 4u << 20;

float to_float(Element element, const std::byte* value) {
  switch (element) {
    case Element::kF32: {
      float out;
      std::memcpy(&out, value, sizeof out);
      return out;
    }
    case Element::kF16: {
      std::uint16_t half;
      std::memcpy(&half, value, sizeof half);
      return half_to_float(half);
    }
    case Element::kU8:
      return static_cast<float>(static_cast<std::uint8_t>(*value));
    case Element::kI8:
      return static_cast<float>(static_cast<std::int8_t>(*value));
    case Element::kI32:
      break;
  }
  return std::numeric_limits<float>::quiet_NaN();
}

// False when `value` has no counterpart among the elements.
bool from_float(Element element, float value, std::byte* out) {
  switch (element) {
    case Element::kF32:
      std::memcpy(out, &value, sizeof value);
      return true;
    case Element::kF16: {
      const std::uint16_t half = float_to_half(value);
      std::memcpy(out, &half, sizeof half);
      return std::isfinite(half_to_float(half)) || !std::isfinite(value);
    }
    case Element::kU8:
      if (!(value >= 0.0f && value <= 255.0f) || value != std::trunc(value)) return false;
      *out = static_cast<std::byte>(static_cast<std::uint8_t>(value));
      return true;
    case Element::kI8:
      if (!(value >= -128.0f && value <= 127.0f) || value != std::trunc(value)) return false;
      *out = static_cast<std::byte>(static_cast<std::int8_t>(value));
      return true;
    case Element::kI32:
      break;
  }
  return false;
}

// True when all `count` values have been converted.
bool convert_row(Element from, Element to, const std::byte* in, std::byte* out, std::uint32_t count) {
  const std::size_t in_bytes = element_bytes(from), out_bytes = element_bytes(to);
  bool representable = true;
  for (std::size_t i = 0; i < count; ++i)
    representable &= from_float(to, to_float(from, in + i * in_bytes), out + i * out_bytes);
  return representable;
}

struct Conversion {
  const InputFile& file;
  VectorLayout from;
  VectorLayout to;
  std::uint64_t first_row;

  // Rows [first, first + count) of the output, prefixes included, from the same rows as they were read.
  Status convert(const std::byte* in, std::uint64_t first, std::uint64_t count, std::byte* out) const {
    for (std::uint64_t i = 0; i < count; ++i) {
      const std::byte* in_row = in + i * from.row_bytes();
      std::byte* out_row = out + i * to.stride_bytes();
      if (to.row_prefix_bytes != 0) std::memcpy(out_row, &to.dim, sizeof to.dim);
      out_row += to.row_prefix_bytes;
      // Equal elements are copied bit by bit, whatever they hold.
      if (from.element == to.element) {
        std::memcpy(out_row, in_row, static_cast<std::size_t>(from.row_bytes()));
      } else if (!convert_row(from.element, to.element, in_row, out_row, from.dim)) {
        return Status(Code::kInvalidInput,
                      "the row holds a value that the output's element type cannot; choose a wider type")
            .about(file.path() + " (" + std::string(name_of(from.element)) + " to " + std::string(name_of(to.element)) +
                   ")")
            .at(Detail::kRow, first_row + first + i);
      }
    }
    return {};
  }
};

Result<Conversion> plan(const InputFile& file, const std::string& to, const ConvertOptions& options) {
  VECSTORE_ASSIGN(const VectorFileKind from_kind, kind_of_input(file.path()));
  VECSTORE_ASSIGN(const VectorFileKind to_kind, kind_of_file(to));
  Conversion conversion{file, {}, {}, options.first_row};
  if (to_kind.crop_rows)
    return Status(Code::kUnsupported, "a name that ends in crop_nb_ is of a file cut from a larger one; leave it out")
        .about(to);
  // Who says how many rows to take may take them from a file that lacks others.
  VECSTORE_ASSIGN(conversion.from, read_layout(file, from_kind, options.count ? Ending::kMayBeCut : Ending::kWhole));
  const VectorLayout& from = conversion.from;
  if (options.first_row > from.rows || options.count.value_or(0) > from.rows - options.first_row)
    return Status(Code::kInvalidArgument, "more rows are asked for than the file holds, which is this many")
        .about(file.path())
        .at(Detail::kRow, from.rows);
  VectorLayout& output = conversion.to;
  output.element = to_kind.element.value_or(from.element);
  output.rows = options.count.value_or(from.rows - options.first_row);
  output.dim = from.dim;
  output.row_prefix_bytes = to_kind.family == FileFamily::kVecs ? sizeof(std::uint32_t) : 0;
  if (from.element != output.element && (from.element == Element::kI32 || output.element == Element::kI32))
    return Status(Code::kUnsupported,
                  "32-bit integers are neighbour lists; they go between .ivecs, .ibin and .npy only")
        .about(to);
  if (to_kind.family == FileFamily::kBin && output.rows > std::numeric_limits<std::uint32_t>::max())
    return Status(Code::kUnsupported, "this layout counts its rows in 32 bits; write .fvecs, .bvecs or .npy").about(to);
  if (to_kind.family == FileFamily::kVecs && output.rows == 0)
    return Status(Code::kUnsupported, "this layout cannot hold zero rows, because each row brings the dimension")
        .about(to);
  return conversion;
}

}  // namespace

Result<ConvertReport> convert_vectors(const std::string& from, const std::string& to,
                                      const ConvertOptions& options) try {
  VECSTORE_ASSIGN(const InputFile file, InputFile::open(FileSystem::posix(), from));
  VECSTORE_ASSIGN(const Conversion conversion, plan(file, to, options));
  const VectorLayout& layout = conversion.to;
  VECSTORE_ASSIGN(const VectorFileKind to_kind, kind_of_file(to));
  VECSTORE_ASSIGN(OutputFile output, OutputFile::create(FileSystem::posix(), to, options.overwrite));
  const std::string header = make_header(to_kind.family, layout.element, layout.rows, layout.dim);
  VECSTORE_TRY(output.write(header.data(), header.size()));

  const std::uint64_t widest = std::max(conversion.from.stride_bytes(), layout.stride_bytes());
  const std::uint64_t chunk_rows = std::max<std::uint64_t>(1, std::min(layout.rows, kChunkBytes / widest));
  MemoryBudget budget;
  VECSTORE_ASSIGN(
      auto in, Buffer<std::byte>::allocate(budget, static_cast<std::size_t>(chunk_rows * conversion.from.row_bytes())));
  VECSTORE_ASSIGN(auto out,
                  Buffer<std::byte>::allocate(budget, static_cast<std::size_t>(chunk_rows * layout.stride_bytes())));
  for (std::uint64_t done = 0; done < layout.rows; done += chunk_rows) {
    VECSTORE_TRY(check_cancelled(options.cancel));
    const std::uint64_t rows = std::min(chunk_rows, layout.rows - done);
    VECSTORE_TRY(read_rows(file, conversion.from, options.first_row + done, rows, in.data()));
    VECSTORE_TRY(conversion.convert(in.data(), done, rows, out.data()));
    VECSTORE_TRY(output.write(out.data(), static_cast<std::size_t>(rows * layout.stride_bytes())));
    if (options.progress) options.progress(done + rows, layout.rows);
  }
  VECSTORE_TRY(output.commit());
  return ConvertReport{layout.rows, layout.dim, std::string(name_of(conversion.from.element)),
                       std::string(name_of(layout.element))};
} catch (...) {
  return status_of_exception();
}

}  // namespace vecstore
