// SPDX-License-Identifier: Apache-2.0
//
// Where the vectors of a build come from: memory, or a file of any of the common layouts, read as it is.
//
//   fvecs, bvecs, ivecs   per row: int32 dim, then dim × f32 | u8 | i32
//   fbin, f16bin, u8bin, i8bin (big-ann-benchmarks)   uint32 rows, uint32 dim, then rows × dim values
//   npy                   NumPy 1.0–3.0, C order, 2-d (or 1-d: one row), little-endian f4, f2, u1, i1
// The layout is taken from the file name's ending. Little-endian throughout.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "base/status.h"
#include "base/vector_view.h"

namespace vecstore {

// Thread-safe.
class VectorSource {
 public:
  virtual ~VectorSource() = default;
  virtual DType dtype() const = 0;
  virtual std::uint64_t rows() const = 0;
  virtual std::uint32_t dim() const = 0;
  virtual const std::string& name() const = 0;  // for messages: the path, or "memory"
  // Rows [first, first + count) contiguous into `out` (count × dim elements). Errors: kIo, kInvalidInput (truncated).
  virtual Status read(std::uint64_t first, std::uint64_t count, void* out) const = 0;
};

// A vector file. Size and header are checked here: a file that is shorter than its header says is refused with the
// offset at which it ends. Errors: kNotFound, kPermission, kInvalidInput, kUnsupported (layout, dim > kDimMax).
Result<std::unique_ptr<VectorSource>> open_vector_file(const std::string& path);

// Borrows the memory of `vectors`. Throws std::bad_alloc, it alone of the functions here.
std::unique_ptr<VectorSource> view_source(const VectorView& vectors);

}  // namespace vecstore
