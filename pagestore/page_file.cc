// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_file.h"

#include <limits>

#include "base/check.h"
#include "pagestore/page_header.h"

namespace vecstore {
namespace {

bool same(const FileIdentity& a, const FileIdentity& b) {
  return a.store == b.store && a.kind == b.kind && a.generation == b.generation;
}

Status ends_early(const std::string& path, std::uint64_t bytes) {
  return Status(Code::kCorrupt, "the file ends here, which does not fit its header; restore or rebuild the index")
      .about(path)
      .at(Detail::kOffset, bytes);
}

Result<PageHeader> load_header(const File& file, const std::string& path) {
  // At most 64 KiB for the length of this call, before the caller has a budget to charge: its own account.
  MemoryBudget scratch;
  VECSTORE_ASSIGN(auto start, Buffer<std::byte>::allocate(scratch, kPageBytesMin));
  VECSTORE_ASSIGN(const std::size_t got, file.read_at(start.span(), 0));
  if (got != start.size()) return ends_early(path, got);
  VECSTORE_ASSIGN(const std::uint32_t page_bytes, header_page_bytes(start.span(), path));
  VECSTORE_ASSIGN(auto page, Buffer<std::byte>::allocate(scratch, page_bytes));
  VECSTORE_ASSIGN(const std::size_t whole, file.read_at(page.span(), 0));
  if (whole != page.size()) return ends_early(path, whole);
  return read_page_header(page.span(), path);
}

}  // namespace

PageFile::PageFile(PageFile&&) noexcept = default;
PageFile& PageFile::operator=(PageFile&&) noexcept = default;
PageFile::~PageFile() = default;

Result<PageFile> PageFile::open(FileSystem& file_system, const std::string& path, const FileIdentity& expected) {
  PageFile file;
  VECSTORE_ASSIGN(file.file_, file_system.open(path, {OpenMode::kRead, true}));
  VECSTORE_ASSIGN(const std::uint64_t bytes, file.file_->size());
  VECSTORE_ASSIGN(PageHeader header, load_header(*file.file_, path));
  if (!same(header.identity, expected))
    return Status(Code::kCorrupt,
                  "the file belongs to another store, kind or generation: it is stale or foreign; restore or rebuild "
                  "the index")
        .about(path)
        .at(Detail::kPage, 0);
  if (bytes % header.page_bytes != 0 || bytes / header.page_bytes - 1 != header.page_count)
    return ends_early(path, bytes);
  file.path_ = path;
  file.identity_ = header.identity;
  file.page_bytes_ = header.page_bytes;
  file.page_count_ = header.page_count;
  file.attributes_ = std::move(header.attributes);
  return file;
}

Status PageFile::read_header(std::span<std::byte> into) const {
  VECSTORE_CHECK(into.size() == page_bytes_);
  VECSTORE_ASSIGN(const std::size_t got, file_->read_at(into, 0));
  return got == into.size() ? verify_page(0, into) : ends_early(path_, got);
}

Status PageFile::read_page(std::uint64_t page, std::span<std::byte> into) const {
  VECSTORE_CHECK(into.size() >= page_bytes_);
  VECSTORE_TRY(check_page(page));
  const auto whole = into.first(page_bytes_);
  auto got = file_->read_at(whole, page * page_bytes_);
  if (!got) return Status(got.error()).at(Detail::kPage, page);
  if (*got != page_bytes_)
    return Status(Code::kCorrupt, "the file ends inside this page; restore or rebuild the index")
        .about(path_)
        .at(Detail::kPage, page);
  return verify_page(page, whole);
}

Status PageFile::read_pages(std::uint64_t page, std::span<std::byte> into) const {
  const std::uint64_t count = into.size() / page_bytes_;
  VECSTORE_CHECK(count >= 1 && into.size() == count * page_bytes_);
  if (count > 1) {
    const auto got = file_->read_at(into, page * page_bytes_);
    if (got && *got == into.size()) return verify_pages(page, into);
  }
  for (std::uint64_t i = 0; i < count; ++i)
    VECSTORE_TRY(read_page(page + i, into.subspan(i * page_bytes_, page_bytes_)));
  return Status::ok();
}

Status PageFile::check_page(std::uint64_t page) const {
  if (page >= 1 && page <= page_count_) return Status::ok();
  return Status(Code::kCorrupt, "a page was asked for that the file does not have; restore or rebuild the index")
      .about(path_)
      .at(Detail::kPage, page);
}

Status PageFile::verify_page(std::uint64_t page, std::span<const std::byte> whole_page) const {
  if (page_is_intact(identity_, page, whole_page)) return Status::ok();
  return Status(Code::kCorrupt, "the page's checksum does not hold; restore or rebuild the index")
      .about(path_)
      .at(Detail::kPage, page);
}

Status PageFile::verify_pages(std::uint64_t first, std::span<const std::byte> whole_pages) const {
  for (; !whole_pages.empty(); whole_pages = whole_pages.subspan(page_bytes_), ++first)
    VECSTORE_TRY(verify_page(first, whole_pages.first(page_bytes_)));
  return Status::ok();
}

}  // namespace vecstore
