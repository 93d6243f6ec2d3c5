// SPDX-License-Identifier: Apache-2.0
//
// Whole files that are wrong: cut, emptied, missing, swapped, stale, of another store, of a later format; and
// directories that are no store at all.
#include <cstring>
#include <filesystem>

#include "pagestore/format.h"
#include "pagestore/manifest_format.h"
#include "pagestore/page_header.h"
#include "pagestore/superblock.h"
#include "tests/engine/specimen.h"

namespace vecstore {
namespace {

using namespace test;

struct Stores {
  Stores() : sample(directory, "win384-8k.base.f16bin", "win384-8k.query.f16bin", Metric::kCosine, 120) {
    sample.build(path, sample.options());
    right = {answers_of(path, sample)};
  }
  // A fresh copy to do something to.
  std::string copy() const {
    copy_store(path, directory.path("copy"));
    return directory.path("copy");
  }
  // `file` of the copy has become something else.
  void expect_report(const std::string& what, const std::string& file) const {
    const std::string complaint = judge(directory.path("copy"), {file, 0}, sample, right);
    BOOST_TEST(complaint.empty(), file << " " << what << ": " << complaint);
  }
  FastDirectory directory;
  Sample sample;
  std::string path = directory.path("store");
  std::vector<Answers> right;
};

std::vector<std::byte> bytes_of(const std::string& path) {
  const std::vector<char> chars = read_file(path);
  std::vector<std::byte> bytes(chars.size());
  std::memcpy(bytes.data(), chars.data(), chars.size());
  return bytes;
}

void write_bytes(const std::string& path, std::span<const std::byte> bytes) {
  const auto* chars = reinterpret_cast<const char*>(bytes.data());
  write_file(path, {chars, chars + bytes.size()});
}

BOOST_AUTO_TEST_SUITE(files)

BOOST_FIXTURE_TEST_CASE(file_that_is_cut_anywhere_is_reported, Stores) {
  std::size_t cuts = 0;
  for (const std::string& file : files_of(path)) {
    const std::uint64_t size = std::filesystem::file_size(path + "/" + file);
    const std::uint64_t step = size <= 16384 ? 512 : 4096;
    for (std::uint64_t keep = 0; keep < size; keep += step, ++cuts) {
      std::filesystem::resize_file(copy() + "/" + file, keep);
      expect_report("cut to " + std::to_string(keep) + " bytes", file);
    }
    std::filesystem::resize_file(copy() + "/" + file, size - 1);
    expect_report("cut by a byte", file);
  }
  BOOST_TEST_MESSAGE(cuts << " cuts");
  BOOST_TEST(cuts > 100u);
}

BOOST_FIXTURE_TEST_CASE(page_file_that_grew_is_reported, Stores) {
  for (const std::string& file : files_of(path)) {
    const std::uint64_t page_bytes = page_bytes_in(path, file);
    if (page_bytes == 0) continue;
    for (const std::uint64_t more : {std::uint64_t{1}, page_bytes}) {
      std::filesystem::resize_file(copy() + "/" + file, std::filesystem::file_size(path + "/" + file) + more);
      expect_report("grown by " + std::to_string(more), file);
    }
  }
}

BOOST_FIXTURE_TEST_CASE(missing_file_is_reported_by_name, Stores) {
  for (const std::string& file : files_of(path)) {
    std::filesystem::remove(copy() + "/" + file);
    if (file == "superblock") {
      const auto store = Store::open(directory.path("copy"));
      BOOST_REQUIRE((code_of(store) == Code::kInvalidInput));
      BOOST_TEST(store.error().message().find("not a VecStore index") != std::string::npos);
      continue;
    }
    expect_report("missing", file);
  }
}

BOOST_FIXTURE_TEST_CASE(swapped_pages_are_reported, Stores) {
  for (const std::string& file : files_of(path)) {
    const std::uint64_t page_bytes = page_bytes_in(path, file);
    std::vector<std::byte> bytes = bytes_of(path + "/" + file);
    if (page_bytes == 0 || bytes.size() < 3 * page_bytes) continue;
    const auto second = bytes.begin() + static_cast<std::ptrdiff_t>(2 * page_bytes);
    std::swap_ranges(second - static_cast<std::ptrdiff_t>(page_bytes), second, second);
    write_bytes(copy() + "/" + file, bytes);
    const std::string complaint = judge(directory.path("copy"), {file, 1}, sample, right);
    BOOST_TEST(complaint.empty(), file << ": " << complaint);
  }
}

// The same vectors and options, so that only the generation tells the pages apart.
BOOST_FIXTURE_TEST_CASE(stale_pages_and_files_of_another_generation_are_reported, Stores) {
  BuildOptions again = sample.options();
  again.overwrite = true;
  sample.build(path, again);
  right = {answers_of(path, sample)};
  for (const std::string name : {"graph-", "codes-", "rowmap-", "rows/"}) {
    const std::string suffix = name == "rows/" ? "-0" : "";
    const std::string stale = name + "1" + suffix;
    const std::string file = name + "2" + suffix;
    const std::vector<std::byte> old = bytes_of(path + "/" + stale);
    write_bytes(copy() + "/" + file, old);
    expect_report("of another generation", file);
    const std::uint64_t page_bytes = page_bytes_in(path, file);
    std::vector<std::byte> mixed = bytes_of(path + "/" + file);
    BOOST_REQUIRE(mixed.size() == old.size());
    std::copy_n(old.begin() + static_cast<std::ptrdiff_t>(page_bytes), page_bytes,
                mixed.begin() + static_cast<std::ptrdiff_t>(page_bytes));
    write_bytes(copy() + "/" + file, mixed);
    const std::string complaint = judge(directory.path("copy"), {file, 1}, sample, right);
    BOOST_TEST(complaint.empty(), file << " with a stale page: " << complaint);
  }
}

// Another store of the same vectors, whose texts are others: nothing but its uuid tells it apart.
BOOST_FIXTURE_TEST_CASE(files_of_another_store_are_reported, Stores) {
  std::vector<std::string> texts = first_lines(sample.options().documents_path, sample.vectors().rows);
  std::reverse(texts.begin(), texts.end());
  BuildOptions options = sample.options();
  options.documents_path = directory.path("others.jsonl");
  write_lines(options.documents_path, texts);
  const std::string other = directory.path("other");
  sample.build(other, options);
  for (const std::string& file : files_of(path)) {
    if (file == "superblock" || file == "catalog/data.mdb" || file == "catalog/data.sums") continue;
    write_bytes(copy() + "/" + file, bytes_of(other + "/" + file));
    expect_report("of another store", file);
  }
  // Both files of a catalog fit each other; the catalog as a whole is the other store's.
  copy_store(other + "/catalog", copy() + "/catalog");
  const std::string complaint = judge(directory.path("copy"), {"catalog", 0}, sample, right);
  BOOST_TEST(complaint.empty(), complaint);
}

BOOST_FIXTURE_TEST_CASE(later_format_is_named_as_such, Stores) {
  constexpr std::size_t kPageMajorAt = 16;
  constexpr std::size_t kSlotMajorAt = 8;
  constexpr std::uint16_t kLater = kFormatMajor + 1;
  const auto expect_newer = [&](const std::string& file) {
    const auto store = Store::open(directory.path("copy"));
    BOOST_REQUIRE_MESSAGE(!store, file);
    BOOST_TEST((store.error().code() == Code::kNewerFormat), store.error().message());
    BOOST_TEST(names(store.error(), {file, 0}), store.error().message());
  };
  for (const std::string& file : files_of(path)) {
    const std::uint64_t page_bytes = page_bytes_in(path, file);
    if (page_bytes == 0) continue;
    std::vector<std::byte> bytes = bytes_of(path + "/" + file);
    const auto header = std::span(bytes).first(page_bytes);
    const auto read = read_page_header(header, file);
    REQUIRE_OK(read);
    std::memcpy(bytes.data() + kPageMajorAt, &kLater, sizeof(kLater));
    seal_page(read->identity, 0, header);
    write_bytes(copy() + "/" + file, bytes);
    expect_newer(file);
  }
  std::vector<std::byte> bytes = bytes_of(path + "/superblock");
  std::memcpy(bytes.data() + kSlotMajorAt, &kLater, sizeof(kLater));
  const std::size_t hashed = kSlotBytes - sizeof(Hash128);
  const Hash128 hash = hash128(std::span(bytes).first(hashed));
  std::memcpy(bytes.data() + hashed, &hash, sizeof(hash));
  write_bytes(copy() + "/superblock", bytes);
  expect_newer("superblock");
}

BOOST_FIXTURE_TEST_CASE(what_is_no_store_is_refused_and_left_alone, Stores) {
  const auto refuses = [&](const std::string& target, Code opened_as, Code built_as) {
    const auto store = Store::open(target);
    BOOST_TEST((code_of(store) == opened_as), target << ": " << message_of(store));
    BOOST_TEST(message_of(store).find(target) != std::string::npos, message_of(store));
    const Status built = Store::build(target, *view_source(sample.vectors()), sample.options());
    BOOST_TEST((built.code() == built_as), target << ": " << built.message());
    BOOST_TEST(built.message().find(target) != std::string::npos, built.message());
  };
  const std::string file = directory.path("file");
  write_file(file, {'t', 'e', 'x', 't'});
  refuses(file, Code::kInvalidInput, Code::kExists);
  BOOST_TEST(read_file(file).size() == 4u);

  const std::string foreign = directory.path("foreign");
  std::filesystem::create_directory(foreign);
  write_file(foreign + "/letter.txt", {'t', 'e', 'x', 't'});
  refuses(foreign, Code::kInvalidInput, Code::kExists);
  BOOST_TEST(read_file(foreign + "/letter.txt").size() == 4u);
  BOOST_TEST(files_of(foreign).size() == 1u);

  const auto absent = Store::open(directory.path("absent"));
  BOOST_TEST((code_of(absent) == Code::kNotFound));
  const Status nowhere =
      Store::build(directory.path("absent") + "/store", *view_source(sample.vectors()), sample.options());
  BOOST_TEST((nowhere.code() == Code::kNotFound), nowhere.message());

  // A store that is there is not overwritten without being told to.
  const Status again = Store::build(path, *view_source(sample.vectors()), sample.options());
  BOOST_TEST((again.code() == Code::kExists));
  BOOST_TEST((answers_of(path, sample) == right[0]));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
