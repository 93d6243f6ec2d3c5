// SPDX-License-Identifier: Apache-2.0
#include "engine/vector_source.h"

#include <cstring>
#include <utility>

#include "base/thrown.h"
#include "engine/files/vector_file.h"

namespace vecstore {
namespace {

Status check_range(const VectorSource& source, std::uint64_t first, std::uint64_t count) {
  if (first > source.rows() || count > source.rows() - first)
    return Status(Code::kInvalidArgument, "rows past the last one were asked for")
        .about(source.name())
        .at(Detail::kRow, source.rows());
  return {};
}

class FileSource final : public VectorSource {
 public:
  FileSource(InputFile file, const VectorLayout& layout, DType dtype)
      : file_(std::move(file)), layout_(layout), dtype_(dtype) {}

  DType dtype() const override { return dtype_; }
  std::uint64_t rows() const override { return layout_.rows; }
  std::uint32_t dim() const override { return layout_.dim; }
  const std::string& name() const override { return file_.path(); }
  Status read(std::uint64_t first, std::uint64_t count, void* out) const override {
    VECSTORE_TRY(check_range(*this, first, count));
    return read_rows(file_, layout_, first, count, out);
  }

 private:
  InputFile file_;
  VectorLayout layout_;
  DType dtype_;
};

class ViewSource final : public VectorSource {
 public:
  explicit ViewSource(const VectorView& view) : view_(view) {}

  DType dtype() const override { return view_.dtype; }
  std::uint64_t rows() const override { return view_.rows; }
  std::uint32_t dim() const override { return view_.dim; }
  const std::string& name() const override { return name_; }
  Status read(std::uint64_t first, std::uint64_t count, void* out) const override {
    VECSTORE_TRY(check_range(*this, first, count));
    if (count == 0) return {};
    const std::size_t row_bytes = view_.dim * element_bytes(view_.dtype);
    if (view_.row_stride() == row_bytes) {
      std::memcpy(out, view_.row(first), count * row_bytes);
      return {};
    }
    for (std::uint64_t i = 0; i < count; ++i)
      std::memcpy(static_cast<std::byte*>(out) + i * row_bytes, view_.row(first + i), row_bytes);
    return {};
  }

 private:
  VectorView view_;
  std::string name_ = "memory";
};

}  // namespace

Result<std::unique_ptr<VectorSource>> open_vector_file(const std::string& path) try {
  // The file first: a name that is not there is the better news than an ending that is not known.
  VECSTORE_ASSIGN(InputFile file, InputFile::open(FileSystem::posix(), path));
  VECSTORE_ASSIGN(const VectorFileKind kind, kind_of_input(path));
  VECSTORE_ASSIGN(const VectorLayout layout, read_layout(file, kind, Ending::kWhole));
  const std::optional<DType> dtype = dtype_of(layout.element);
  if (!dtype)
    return Status(Code::kUnsupported,
                  "the file holds 32-bit integers, as lists of neighbours do; vectors are of f32, f16, u8 or i8")
        .about(path);
  return std::unique_ptr<VectorSource>(std::make_unique<FileSource>(std::move(file), layout, *dtype));
} catch (...) {
  return status_of_exception();
}

std::unique_ptr<VectorSource> view_source(const VectorView& vectors) { return std::make_unique<ViewSource>(vectors); }

}  // namespace vecstore
