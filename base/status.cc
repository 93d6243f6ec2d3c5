// SPDX-License-Identifier: Apache-2.0
#include "base/status.h"

#include <cerrno>
#include <cstring>
#include <system_error>

namespace vecstore {

namespace {

// Of memory that has to suffice: whole, rounded up, and written as options take it.
std::string in_mib(std::uint64_t bytes) {
  constexpr std::uint64_t kMib = std::uint64_t{1} << 20;
  return std::to_string(bytes / kMib + (bytes % kMib != 0 ? 1 : 0)) + "MiB";
}

}  // namespace

// Of the subject what is in use.
Status::Status(const Status& other) noexcept  // NOLINT(cppcoreguidelines-pro-type-member-init)
    : code_(other.code_),
      detail_(other.detail_),
      subject_size_(other.subject_size_),
      errno_(other.errno_),
      number_(other.number_),
      text_(other.text_) {
  std::memcpy(subject_, other.subject_, subject_size_);
}

Status& Status::operator=(const Status& other) noexcept {
  if (this == &other) return *this;
  code_ = other.code_;
  detail_ = other.detail_;
  subject_size_ = other.subject_size_;
  errno_ = other.errno_;
  number_ = other.number_;
  text_ = other.text_;
  std::memcpy(subject_, other.subject_, subject_size_);
  return *this;
}

Status&& Status::about(std::string_view subject) && {
  constexpr std::string_view kCut = "...";
  std::size_t at = 0;
  if (subject.size() > kSubjectBytesMax) {
    std::memcpy(subject_, kCut.data(), kCut.size());
    at = kCut.size();
    subject.remove_prefix(subject.size() - (kSubjectBytesMax - at));
  }
  std::memcpy(subject_ + at, subject.data(), subject.size());
  subject_size_ = static_cast<std::uint8_t>(at + subject.size());
  return std::move(*this);
}

Status&& Status::at(Detail kind, std::uint64_t number) && {
  detail_ = kind;
  number_ = number;
  return std::move(*this);
}

Status&& Status::with_errno(int error_number) && {
  errno_ = error_number;
  return std::move(*this);
}

std::string Status::message() const {
  std::string line;
  if (subject_size_ != 0) line.append(subject()).append(": ");
  const std::string number = std::to_string(number_);
  switch (detail_) {
    case Detail::kNone:
      break;
    case Detail::kPage:
      line.append("page ").append(number).append(": ");
      break;
    case Detail::kOffset:
      line.append("offset ").append(number).append(": ");
      break;
    case Detail::kRow:
      line.append("row ").append(number).append(": ");
      break;
    case Detail::kLine:
      line.append("line ").append(number).append(": ");
      break;
    case Detail::kLsn:
      line.append("record ").append(number).append(" of the log: ");
      break;
    case Detail::kBytes:
      break;
  }
  line.append(text_);
  if (detail_ == Detail::kBytes) {
    const std::string bytes = number + " bytes";
    line.append(" ").append(code_ == Code::kMemoryBudget ? in_mib(number_) + " (" + bytes + ")" : bytes);
  }
  if (errno_ != 0) line.append(" (").append(std::generic_category().message(errno_)).append(")");
  return line;
}

Status errno_status(int error_number, const char* text, std::string_view subject) {
  Code code = Code::kIo;
  switch (error_number) {
    case ENOENT:
    case ENOTDIR:
      code = Code::kNotFound;
      break;
    case EROFS:
      text = "the file system is read-only";  // whatever was to be done there
      code = Code::kPermission;
      break;
    case EACCES:
    case EPERM:
      code = Code::kPermission;
      break;
    case ENOSPC:
    case EDQUOT:
      code = Code::kNoSpace;
      break;
    case ENOMEM:
      code = Code::kMemoryBudget;
      break;
    case EEXIST:
    case ENOTEMPTY:
      code = Code::kExists;
      break;
    case EMFILE:
    case ENFILE:
    default:
      break;
  }
  return Status(code, text).about(subject).with_errno(error_number);
}

}  // namespace vecstore
