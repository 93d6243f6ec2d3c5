// SPDX-License-Identifier: Apache-2.0
#include "engine/merge/slow_files.h"

#include <algorithm>
#include <chrono>
#include <span>

namespace vecstore {

namespace {

constexpr std::chrono::milliseconds kSleep{20};  // between two looks at the token
constexpr std::size_t kPiece = 256u << 10;       // bytes of a write: a read that comes meanwhile waits for it

}  // namespace

class SlowFiles::SlowFile final : public File {
 public:
  SlowFile(std::unique_ptr<File> file, SlowFiles& files) : file_(std::move(file)), files_(files) {}

  Result<std::size_t> read_at(std::span<std::byte> into, std::uint64_t offset) const override {
    return file_->read_at(into, offset);
  }
  Status write_at(std::span<const std::byte> bytes, std::uint64_t offset) override {
    while (bytes.size() > kPiece) {
      VECSTORE_TRY(write_piece(bytes.first(kPiece), offset));
      bytes = bytes.subspan(kPiece);
      offset += kPiece;
    }
    return write_piece(bytes, offset);
  }
  Status truncate(std::uint64_t bytes) override { return file_->truncate(bytes); }
  Status sync() override { return file_->sync(); }
  Result<std::uint64_t> size() const override { return file_->size(); }
  Result<bool> try_lock() override { return file_->try_lock(); }
  int descriptor() const override { return file_->descriptor(); }
  bool direct() const override { return file_->direct(); }

 private:
  Status write_piece(std::span<const std::byte> bytes, std::uint64_t offset) {
    files_.wait_for(bytes.size());
    return file_->write_at(bytes, offset);
  }

  const std::unique_ptr<File> file_;
  SlowFiles& files_;
};

Result<std::unique_ptr<File>> SlowFiles::open(const std::string& path, const FileOptions& options) {
  VECSTORE_ASSIGN(std::unique_ptr<File> file, ForwardingFiles::open(path, options));
  if (options.mode == OpenMode::kRead) return file;
  return std::unique_ptr<File>(std::make_unique<SlowFile>(std::move(file), *this));
}

void SlowFiles::wait_for(std::uint64_t bytes) {
  Clock::TimePoint begin;
  const Clock::TimePoint now = clock().now();
  {
    const MutexLock guard(mutex_);
    begin = std::max(now, free_at_);
    free_at_ = begin + std::chrono::nanoseconds(bytes * 1'000'000'000ull / rate_);
  }
  for (auto left = begin - now; left.count() > 0 && check_cancelled(cancel_).is_ok(); left = begin - clock().now())
    clock().sleep_for(std::min<std::chrono::nanoseconds>(left, kSleep));
}

}  // namespace vecstore
