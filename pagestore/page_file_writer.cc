// SPDX-License-Identifier: Apache-2.0
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/check.h"
#include "base/io.h"
#include "pagestore/page_file.h"
#include "pagestore/page_header.h"

namespace vecstore {
namespace {

constexpr std::size_t kWriteBytes = std::size_t{1} << 20;

struct FreeHash {
  void operator()(XXH3_state_t* state) const { XXH3_freeState(state); }
};

}  // namespace

struct PageFileWriter::Impl {
  Impl(FileSystem& system, std::string file_path, const PageFileOptions& file_options)
      : file_system(system), path(std::move(file_path)), options(file_options) {}
  // The file goes away unless finish() has succeeded; an error here has nobody left to hear it.
  ~Impl() {
    if (file == nullptr || finished) return;
    file.reset();
    static_cast<void>(file_system.unlink(path));
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  std::span<std::byte> next_page() { return buffer.span().subspan(buffered, options.page_bytes); }

  Status flush() {
    if (buffered == 0) return Status::ok();
    const std::span<const std::byte> full = buffer.span().first(buffered);
    VECSTORE_TRY(file->write_at(full, offset));
    XXH3_128bits_update(hash.get(), full.data(), full.size());
    offset += buffered;
    std::fill_n(buffer.data(), buffered, std::byte{0});
    buffered = 0;
    return Status::ok();
  }

  FileSystem& file_system;
  const std::string path;
  const PageFileOptions options;
  std::unique_ptr<File> file;
  Buffer<std::byte> buffer;  // whole pages, zero beyond `buffered` but for what the caller has put into the next page
  std::size_t buffered = 0;  // bytes of sealed pages in `buffer`
  std::uint64_t offset = 0;  // where `buffer` belongs in the file
  std::uint64_t pages = 0;
  std::unique_ptr<XXH3_state_t, FreeHash> hash;
  Status failure;  // error of the first write that failed; nothing is written after it
  bool finished = false;
};

PageFileWriter::PageFileWriter(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
PageFileWriter::PageFileWriter(PageFileWriter&&) noexcept = default;
PageFileWriter& PageFileWriter::operator=(PageFileWriter&&) noexcept = default;
PageFileWriter::~PageFileWriter() = default;

Result<PageFileWriter> PageFileWriter::create(FileSystem& file_system, const std::string& path,
                                              const PageFileOptions& options, MemoryBudget& budget) {
  if (!is_page_size(options.page_bytes))
    return Status(Code::kInvalidArgument, "the page size must be a multiple of 4096 up to 65536, not")
        .about(path)
        .at(Detail::kBytes, options.page_bytes);
  auto impl = std::make_unique<Impl>(file_system, path, options);
  VECSTORE_ASSIGN(impl->buffer,
                  Buffer<std::byte>::allocate(budget, kWriteBytes / options.page_bytes * options.page_bytes));
  impl->hash.reset(XXH3_createState());
  if (impl->hash == nullptr || XXH3_128bits_reset(impl->hash.get()) != XXH_OK)
    return Status(Code::kMemoryBudget, "the system has no memory left").about(path).with_errno(ENOMEM);
  VECSTORE_ASSIGN(impl->file, file_system.open(path, {OpenMode::kCreateNew, true}));
  impl->offset = options.page_bytes;  // page 0 is written last
  return PageFileWriter(std::move(impl));
}

std::span<std::byte> PageFileWriter::page() { return impl_->next_page(); }

std::uint64_t PageFileWriter::pages_written() const { return impl_->pages; }

Status PageFileWriter::append() {
  VECSTORE_CHECK(!impl_->finished);
  VECSTORE_TRY(impl_->failure);
  seal_page(impl_->options.identity, impl_->pages + 1, impl_->next_page());
  ++impl_->pages;
  impl_->buffered += impl_->options.page_bytes;
  if (impl_->buffered == impl_->buffer.size()) {
    impl_->failure = impl_->flush();
    if (!impl_->failure.is_ok()) impl_->buffered = 0;  // page() must go on naming memory; what is put there is dropped
  }
  return impl_->failure;
}

Result<PageFileWriter::Finished> PageFileWriter::finish(std::span<const std::byte> attributes) {
  VECSTORE_CHECK(!impl_->finished);
  if (attributes.size() > kAttributesBytesMax)
    return Status(Code::kInvalidArgument, "the attributes of a page file are too long; the limit is")
        .about(impl_->path)
        .at(Detail::kBytes, kAttributesBytesMax);
  VECSTORE_TRY(impl_->failure);
  const std::uint32_t page_bytes = impl_->options.page_bytes;
  // A caller may have begun a page that it did not append.
  std::ranges::fill(impl_->next_page(), std::byte{0});
  if (impl_->failure = impl_->flush(); !impl_->failure.is_ok()) return impl_->failure;

  PageHeader header{impl_->options.identity, page_bytes, impl_->pages, {attributes.begin(), attributes.end()}};
  const std::span<std::byte> page = impl_->next_page();
  write_page_header(header, page);
  if (impl_->failure = impl_->file->write_at(page, 0); !impl_->failure.is_ok()) return impl_->failure;
  XXH3_128bits_update(impl_->hash.get(), page.data(), page.size());
  if (impl_->failure = impl_->file->sync(); !impl_->failure.is_ok()) return impl_->failure;
  impl_->finished = true;
  impl_->file.reset();
  impl_->buffer.reset();
  const XXH128_hash_t hash = XXH3_128bits_digest(impl_->hash.get());
  return Finished{(impl_->pages + 1) * page_bytes, hash.low64, hash.high64};
}

}  // namespace vecstore
