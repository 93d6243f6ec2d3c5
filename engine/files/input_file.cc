// SPDX-License-Identifier: Apache-2.0
#include "engine/files/input_file.h"

namespace vecstore {

Result<InputFile> InputFile::open(FileSystem& file_system, const std::string& path) {
  auto opened = file_system.open(path, {.mode = OpenMode::kRead, .must_be_regular = true});
  if (!opened && opened.error().error_number() != 0)
    return errno_status(opened.error().error_number(),
                        "cannot open the file; check its name and your permission to read it", path);
  if (!opened) return opened.error();
  InputFile file;
  file.path_ = path;
  file.file_ = std::move(*opened);
  VECSTORE_ASSIGN(file.size_bytes_, file.file_->size());
  return file;
}

Result<std::size_t> InputFile::read(std::uint64_t offset, std::span<std::byte> into) const {
  return file_->read_at(into, offset);
}

Status InputFile::read_exact(std::uint64_t offset, void* out, std::size_t bytes) const {
  VECSTORE_ASSIGN(const std::size_t got, read(offset, {static_cast<std::byte*>(out), bytes}));
  if (got == bytes) return Status::ok();
  return Status(Code::kInvalidInput, "the file ends here; it was cut while it was being read")
      .about(path_)
      .at(Detail::kOffset, offset + got);
}

}  // namespace vecstore
