// SPDX-License-Identifier: Apache-2.0
//
// The layouts of vector files, behind one description: where row i lies and what its elements are. Each family of
// layouts has one parser (vector_file_vecs.cc, vector_file_bin.cc, vector_file_npy.cc). It checks everything a header
// says against the size of the file before anybody allocates by it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/status.h"
#include "base/vector_view.h"
#include "engine/files/input_file.h"

namespace vecstore {

// DType and the 32-bit integers of neighbour lists, which are files to convert but no vectors to index.
enum class Element : std::uint8_t { kF32, kF16, kU8, kI8, kI32 };

std::uint32_t element_bytes(Element element);
std::string_view name_of(Element element);  // "f32" "f16" "u8" "i8" "i32"
std::optional<DType> dtype_of(Element element);

enum class FileFamily : std::uint8_t {
  kVecs,  // per row: int32 dim, then the row
  kBin,   // uint32 rows, uint32 dim, then the rows
  kNpy,
};

struct VectorFileKind {
  FileFamily family = FileFamily::kBin;
  std::optional<Element> element;          // npy says it in its header
  std::optional<std::uint64_t> crop_rows;  // of a name that ends in .crop_nb_N: N, the rows that were kept
};

// By the ending of the name, in letters of either case. Errors: kUnsupported; kind_of_input() also says what a file in
// a format of others is, and how it becomes one that is read.
Result<VectorFileKind> kind_of_file(const std::string& path);
Result<VectorFileKind> kind_of_input(const std::string& path);

struct VectorLayout {
  Element element = Element::kF32;
  std::uint64_t rows = 0;
  std::uint32_t dim = 0;
  std::uint64_t data_offset = 0;       // place of row 0's prefix
  std::uint32_t row_prefix_bytes = 0;  // 4 in the vecs family: the dimension again

  std::uint64_t row_bytes() const { return std::uint64_t{dim} * element_bytes(element); }
  std::uint64_t stride_bytes() const { return row_bytes() + row_prefix_bytes; }
  std::uint64_t offset_of(std::uint64_t row) const { return data_offset + row * stride_bytes(); }
};

enum class Ending : std::uint8_t {
  kWhole,     // a file that is shorter than its header says is refused
  kMayBeCut,  // its whole rows are taken, if there is one
};

// Errors: kInvalidInput, kUnsupported, kIo.
Result<VectorLayout> read_layout(const InputFile& file, const VectorFileKind& kind, Ending ending);
Result<VectorLayout> read_vecs_layout(const InputFile& file, Element element, Ending ending);
Result<VectorLayout> read_bin_layout(const InputFile& file, const VectorFileKind& kind, Ending ending);
Result<VectorLayout> read_npy_layout(const InputFile& file, Ending ending);

// Rows [first, first + count), without prefixes, into `out`. Errors: kIo; kInvalidInput when a row's own dimension
// differs, with the row. `first + count` ≤ layout.rows is the caller's duty.
Status read_rows(const InputFile& file, const VectorLayout& layout, std::uint64_t first, std::uint64_t count,
                 void* out);

// Errors: kInvalidInput (0), kUnsupported (> kDimMax), naming the file and the offset of the field.
Status check_dim(const InputFile& file, std::uint64_t dim, std::uint64_t offset);

// Whether the file is exactly as long as `layout` says; where it may be cut, `layout` gets the rows that it has.
// Errors: kInvalidInput naming the offset at which the file ends and the size expected.
Status fit_size(const InputFile& file, Ending ending, VectorLayout& layout);

// The bytes before row 0: of a new npy file, or of the bin family; empty for the vecs family.
std::string make_header(FileFamily family, Element element, std::uint64_t rows, std::uint32_t dim);

}  // namespace vecstore
