// SPDX-License-Identifier: Apache-2.0
#include "engine/files/output_file.h"

#include <unistd.h>

#include <cerrno>

namespace vecstore {
namespace {

Status exists(const std::string& path) {
  return Status(Code::kExists, "the file is there already; choose another name or allow overwriting").about(path);
}

std::string directory_of(const std::string& path) {
  const std::size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : slash == 0 ? "/" : path.substr(0, slash);
}

}  // namespace

Result<OutputFile> OutputFile::create(FileSystem& file_system, const std::string& path, bool overwrite) {
  // What cannot be found out here is found when the file is made.
  const auto found = file_system.kind_of(path);
  const EntryKind there = found ? *found : EntryKind::kNone;
  if (there == EntryKind::kDirectory)
    return Status(Code::kInvalidInput, "this is a directory; give the name of a file to write").about(path);
  if (there != EntryKind::kNone && !overwrite) return exists(path);
  OutputFile file(file_system);
  file.overwrite_ = overwrite;
  file.path_ = path;
  file.directory_ = directory_of(path);
  file.partial_path_ = path + ".partial-" + std::to_string(::getpid());
  // A process of the same number that died may have left it.
  static_cast<void>(file_system.unlink(file.partial_path_));
  auto opened = file_system.open(file.partial_path_, {.mode = OpenMode::kCreateNew});
  if (!opened) return file.failed(opened.error(), "cannot create the file; check the directory and your permission");
  file.file_ = std::move(*opened);
  return file;
}

OutputFile::~OutputFile() {
  if (file_ == nullptr) return;
  file_.reset();
  static_cast<void>(file_system_->unlink(partial_path_));
}

// By the name that the caller knows.
Status OutputFile::failed(const Status& status, const char* text) const {
  return errno_status(status.error_number(), text, path_);
}

Status OutputFile::write(const void* data, std::size_t bytes) {
  const Status written = file_->write_at({static_cast<const std::byte*>(data), bytes}, written_bytes_);
  if (!written.is_ok()) return failed(written, "writing failed").at(Detail::kOffset, written_bytes_);
  written_bytes_ += bytes;
  return Status::ok();
}

Status OutputFile::commit() {
  if (const Status synced = file_->sync(); !synced.is_ok())
    return failed(synced, "syncing failed; nothing was put under the name");
  const Status named =
      overwrite_ ? file_system_->rename(partial_path_, path_) : file_system_->rename_to_new(partial_path_, path_);
  if (named.code() == Code::kExists) return exists(path_);
  if (!named.is_ok()) return failed(named, "cannot give the finished file its name");
  file_.reset();
  // Without this the new name itself may be lost with the power.
  const Status synced = file_system_->sync_directory(directory_);
  // Some file systems have no fsync of directories and say so with EINVAL; there is nothing more to do on them.
  return synced.error_number() == EINVAL ? Status::ok() : synced;
}

}  // namespace vecstore
