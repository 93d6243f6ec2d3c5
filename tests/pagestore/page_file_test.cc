// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_file.h"

#include <xxhash.h>

#include <filesystem>
#include <fstream>

#include "pagestore/page_header.h"
#include "tests/pagestore/page_files.h"

namespace vecstore {
namespace {

using test::code_of;
using test::holds;
using test::identity_of;
using test::TemporaryDirectory;
using test::write_pages;

constexpr std::uint64_t kPages = 5;

// Opens the file and reads every page; the first thing that is wrong.
Status read_all(const std::string& path, const FileIdentity& identity) {
  VECSTORE_ASSIGN(const auto file, PageFile::open(FileSystem::posix(), path, identity));
  MemoryBudget budget;
  VECSTORE_ASSIGN(auto page, Buffer<std::byte>::allocate(budget, file.page_bytes()));
  for (std::uint64_t i = 1; i <= file.page_count(); ++i) {
    VECSTORE_TRY(file.read_page(i, page.span()));
    BOOST_REQUIRE(holds(identity, i, page.span()));
  }
  return Status::ok();
}

BOOST_AUTO_TEST_CASE(what_was_written_is_read_at_every_page_size) {
  const TemporaryDirectory directory;
  for (const std::uint32_t page_bytes : {4096u, 8192u, 12288u, 65536u}) {
    const auto path = directory.path("graph-" + std::to_string(page_bytes));
    const auto finished = write_pages(path, identity_of(3), 300, page_bytes);
    REQUIRE_OK(finished);
    BOOST_TEST(finished->bytes == std::filesystem::file_size(path));
    REQUIRE_OK(read_all(path, identity_of(3)));
    auto file = PageFile::open(FileSystem::posix(), path, identity_of(3));
    REQUIRE_OK(file);
    BOOST_TEST(file->page_count() == 300u);
    BOOST_TEST(file->page_bytes() == page_bytes);
    BOOST_TEST(std::ranges::equal(file->attributes(), test::attributes_of(100)));
  }
}

BOOST_AUTO_TEST_CASE(hash_is_that_of_the_data_pages_then_the_header) {
  const TemporaryDirectory directory;
  const auto finished = write_pages(directory.path("f"), identity_of(1), 400);
  REQUIRE_OK(finished);
  const auto bytes = test::read_file(directory.path("f"));
  std::vector<char> order(bytes.begin() + 4096, bytes.end());
  order.insert(order.end(), bytes.begin(), bytes.begin() + 4096);
  const XXH128_hash_t hash = XXH3_128bits(order.data(), order.size());
  BOOST_TEST(hash.low64 == finished->hash_low);
  BOOST_TEST(hash.high64 == finished->hash_high);
}

BOOST_AUTO_TEST_CASE(empty_file_and_largest_attributes_are_fine_one_more_is_refused) {
  const TemporaryDirectory directory;
  MemoryBudget budget;
  {
    auto writer = PageFileWriter::create(FileSystem::posix(), directory.path("f"), {identity_of(1), 4096}, budget);
    REQUIRE_OK(writer);
    BOOST_TEST((code_of(writer->finish(test::attributes_of(kAttributesBytesMax + 1))) == Code::kInvalidArgument));
    REQUIRE_OK(writer->finish(test::attributes_of(kAttributesBytesMax)));
  }
  const auto file = PageFile::open(FileSystem::posix(), directory.path("f"), identity_of(1));
  REQUIRE_OK(file);
  BOOST_TEST(file->page_count() == 0u);
  BOOST_TEST(file->attributes().size() == kAttributesBytesMax);
}

BOOST_AUTO_TEST_CASE(unfinished_file_is_removed_and_existing_file_is_kept) {
  const TemporaryDirectory directory;
  MemoryBudget budget;
  {
    auto writer = PageFileWriter::create(FileSystem::posix(), directory.path("f"), {identity_of(1), 4096}, budget);
    REQUIRE_OK(writer);
    REQUIRE_OK(writer->append());
    BOOST_TEST(std::filesystem::exists(directory.path("f")));
  }
  BOOST_TEST(!std::filesystem::exists(directory.path("f")));
  test::write_file(directory.path("f"), {'x'});
  BOOST_TEST((code_of(PageFileWriter::create(FileSystem::posix(), directory.path("f"), {identity_of(1), 4096},
                                             budget)) == Code::kExists));
  BOOST_TEST(test::read_file(directory.path("f")).size() == 1u);
}

BOOST_AUTO_TEST_CASE(writer_stays_within_its_budget_and_refuses_odd_pages) {
  const TemporaryDirectory directory;
  MemoryBudget small(4096);
  BOOST_TEST((code_of(PageFileWriter::create(FileSystem::posix(), directory.path("f"), {identity_of(1), 4096},
                                             small)) == Code::kMemoryBudget));
  BOOST_TEST(!std::filesystem::exists(directory.path("f")));
  MemoryBudget budget;
  for (const std::uint32_t page_bytes : {0u, 512u, 4097u, 69632u})
    BOOST_TEST((code_of(PageFileWriter::create(FileSystem::posix(), directory.path("f"), {identity_of(1), page_bytes},
                                               budget)) == Code::kInvalidArgument));
}

BOOST_AUTO_TEST_CASE(every_flipped_bit_of_header_and_data_page_is_found) {
  const TemporaryDirectory directory;
  const auto path = directory.path("f");
  REQUIRE_OK(write_pages(path, identity_of(1), 2));
  MemoryBudget budget;
  auto page = Buffer<std::byte>::allocate(budget, 4096);
  REQUIRE_OK(page);
  {
    const auto file = PageFile::open(FileSystem::posix(), path, identity_of(1));
    REQUIRE_OK(file);
    REQUIRE_OK(file->read_page(1, page->span()));
  }
  std::size_t missed = 0;
  for (std::size_t bit = 0; bit < 4096 * 8; ++bit) {
    const std::byte mask{static_cast<unsigned char>(1u << (bit % 8))};
    (*page)[bit / 8] ^= mask;
    missed += page_is_intact(identity_of(1), 1, page->span());
    (*page)[bit / 8] ^= mask;
  }
  BOOST_TEST(missed == 0u);

  const auto good = test::read_file(path);
  std::fstream out(path, std::ios::in | std::ios::out | std::ios::binary);
  for (std::size_t bit = 0; bit < 4096 * 8; bit += bit < 200 * 8 ? 1 : 61) {
    const auto at = static_cast<std::streamoff>(bit / 8);
    out.seekp(at).put(static_cast<char>(good[bit / 8] ^ (1 << (bit % 8)))).flush();
    missed += code_of(PageFile::open(FileSystem::posix(), path, identity_of(1))) != Code::kCorrupt;
    out.seekp(at).put(good[bit / 8]).flush();
  }
  BOOST_TEST(missed == 0u);
  REQUIRE_OK(read_all(path, identity_of(1)));
}

BOOST_AUTO_TEST_CASE(file_cut_anywhere_is_corrupt) {
  const TemporaryDirectory directory;
  const auto path = directory.path("f");
  REQUIRE_OK(write_pages(path, identity_of(1), kPages));
  const std::uint64_t full = (kPages + 1) * 4096;
  for (std::uint64_t size = full - 512; size < full; size -= 512) {  // ends by wrapping below zero
    std::filesystem::resize_file(path, size);
    const auto file = PageFile::open(FileSystem::posix(), path, identity_of(1));
    BOOST_TEST((code_of(file) == Code::kCorrupt));
    if (size >= 4096) BOOST_TEST(file.error().number() == size);
  }
  std::filesystem::resize_file(path, full + 4096);
  BOOST_TEST((code_of(PageFile::open(FileSystem::posix(), path, identity_of(1))) == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(page_of_a_file_that_shrank_after_open_is_corrupt) {
  const TemporaryDirectory directory;
  const auto path = directory.path("f");
  REQUIRE_OK(write_pages(path, identity_of(1), kPages));
  const auto file = PageFile::open(FileSystem::posix(), path, identity_of(1));
  REQUIRE_OK(file);
  MemoryBudget budget;
  auto page = Buffer<std::byte>::allocate(budget, 4096);
  REQUIRE_OK(page);
  for (std::uint64_t size = kPages * 4096; size <= (kPages + 1) * 4096 - 512; size += 512) {
    std::filesystem::resize_file(path, size);
    const Status outcome = file->read_page(kPages, page->span());
    BOOST_TEST((outcome.code() == Code::kCorrupt));
    BOOST_TEST(outcome.number() == kPages);
  }
}

BOOST_AUTO_TEST_CASE(swapped_pages_and_pages_of_another_generation_are_found) {
  const TemporaryDirectory directory;
  REQUIRE_OK(write_pages(directory.path("new"), identity_of(2), kPages));
  REQUIRE_OK(write_pages(directory.path("old"), identity_of(1), kPages));
  const auto fresh = test::read_file(directory.path("new"));
  const auto stale = test::read_file(directory.path("old"));
  auto bytes = fresh;
  std::swap_ranges(bytes.begin() + 4096, bytes.begin() + 2 * 4096, bytes.begin() + 3 * 4096);
  test::write_file(directory.path("new"), bytes);
  Status outcome = read_all(directory.path("new"), identity_of(2));
  BOOST_TEST((outcome.code() == Code::kCorrupt));
  BOOST_TEST(outcome.number() == 1u);

  bytes = fresh;
  std::copy_n(stale.begin() + 2 * 4096, 4096, bytes.begin() + 2 * 4096);
  test::write_file(directory.path("new"), bytes);
  outcome = read_all(directory.path("new"), identity_of(2));
  BOOST_TEST((outcome.code() == Code::kCorrupt));
  BOOST_TEST(outcome.number() == 2u);

  bytes = fresh;  // a torn page: its second half never reached the disk
  std::fill_n(bytes.begin() + 5 * 4096 + 2048, 2048, 0);
  test::write_file(directory.path("new"), bytes);
  BOOST_TEST(read_all(directory.path("new"), identity_of(2)).number() == 5u);
}

BOOST_AUTO_TEST_CASE(stale_or_foreign_file_is_refused) {
  const TemporaryDirectory directory;
  REQUIRE_OK(write_pages(directory.path("f"), identity_of(1), kPages));
  auto other_store = identity_of(1);
  other_store.store[15] ^= 1;
  for (const auto& expected : {identity_of(2), identity_of(1, FileKind::kRows), other_store}) {
    const auto file = PageFile::open(FileSystem::posix(), directory.path("f"), expected);
    BOOST_TEST((code_of(file) == Code::kCorrupt));
    BOOST_TEST(test::message_of(file).find("stale or foreign") != std::string::npos);
  }
}

BOOST_AUTO_TEST_CASE(newer_major_is_told_from_damage_and_newer_minor_is_read) {
  const TemporaryDirectory directory;
  const auto path = directory.path("f");
  REQUIRE_OK(write_pages(path, identity_of(1), 1));
  const auto good = test::read_file(path);
  for (const std::size_t field : {16u, 18u}) {
    auto bytes = good;
    bytes[field] = 9;
    seal_page(identity_of(1), 0, std::as_writable_bytes(std::span(bytes)).first(4096));
    test::write_file(path, bytes);
    const auto file = PageFile::open(FileSystem::posix(), path, identity_of(1));
    BOOST_TEST((code_of(file) == (field == 16 ? Code::kNewerFormat : Code::kOk)));
  }
}

BOOST_AUTO_TEST_CASE(missing_files_and_pages_are_named) {
  const TemporaryDirectory directory;
  BOOST_TEST((code_of(PageFile::open(FileSystem::posix(), directory.path("none"), identity_of(1))) == Code::kNotFound));
  REQUIRE_OK(write_pages(directory.path("f"), identity_of(1), kPages));
  const auto file = PageFile::open(FileSystem::posix(), directory.path("f"), identity_of(1));
  REQUIRE_OK(file);
  MemoryBudget budget;
  auto page = Buffer<std::byte>::allocate(budget, 4096);
  REQUIRE_OK(page);
  for (const std::uint64_t number : {std::uint64_t{0}, kPages + 1, ~std::uint64_t{0}})
    BOOST_TEST((file->read_page(number, page->span()).code() == Code::kCorrupt));
}

BOOST_AUTO_TEST_CASE(file_system_without_direct_io_is_served) {
  const std::string path = "/dev/shm/vecstore-page-file-test-" + std::to_string(::getpid());
  if (!std::filesystem::is_directory("/dev/shm")) {
    BOOST_TEST_MESSAGE("SKIPPED: this machine has no /dev/shm");
    return;
  }
  REQUIRE_OK(write_pages(path, identity_of(1), 300));
  REQUIRE_OK(read_all(path, identity_of(1)));
  std::filesystem::remove(path);
}

}  // namespace
}  // namespace vecstore
