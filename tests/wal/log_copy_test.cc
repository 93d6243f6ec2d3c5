// SPDX-License-Identifier: Apache-2.0
//
// A copy of a log holds what the log held, whatever its writer does next, and takes little room where the segments that
// are full are linked.
#include "wal/log_copy.h"

#include "tests/wal/journal.h"

namespace vecstore {
namespace {

using namespace test;

constexpr const char* kCopy = "copy";
constexpr const char* kSecondCopy = "copy-2";

struct Writing {
  Writing() {
    REQUIRE_OK(disk->make_directory(kCopy));
    REQUIRE_OK(disk->make_directory(kSecondCopy));
    REQUIRE_OK(journal.open());
    write(60);
  }
  void write(std::size_t records) {
    for (std::size_t i = 0; i < records; ++i) {
      texts.push_back(text_of(texts.size(), 3000));
      REQUIRE_OK(journal.write({texts.back()}));
    }
  }
  CopiedLog copy(const std::string& to, SealedSegments sealed, Lsn after = {}) {
    std::size_t taken = 0;
    const auto copied =
        copy_log(*disk, kDirectory, to, {kStore, after}, sealed, journal.budget, nullptr, [&](Lsn, const LogRecord&) {
          ++taken;
          return Status::ok();
        });
    REQUIRE_OK(copied);
    BOOST_TEST(taken == texts.size() - after.value);
    return *copied;
  }
  void check_copy(const std::string& path, const std::vector<std::string>& expected, Lsn after = {}) {
    Journal copied(*disk, path);
    copied.after = after;
    const auto records = copied.replay();
    REQUIRE_OK(records);
    BOOST_TEST(*records == expected);
    BOOST_TEST(copied.tail.torn_segment == 0u);
  }

  const std::unique_ptr<SimDisk> disk = disk_with_log();
  Journal journal{*disk};
  std::vector<std::string> texts;
};

BOOST_AUTO_TEST_SUITE(log_copies)

BOOST_AUTO_TEST_CASE(a_copy_stays_whatever_the_writer_does_next) {
  for (const SealedSegments sealed : {SealedSegments::kLink, SealedSegments::kCopy}) {
    Writing writing;
    const CopiedLog copied = writing.copy(kCopy, sealed);
    const std::vector<std::string> before = writing.texts;
    BOOST_TEST(copied.last_lsn.value == before.size());
    BOOST_TEST((copied.bytes_linked > 0) == (sealed == SealedSegments::kLink));
    writing.check_copy(kCopy, before);
    writing.write(60);
    writing.check_copy(kCopy, before);
    REQUIRE_OK(writing.journal.log->begin_small_segment());
    REQUIRE_OK(writing.journal.log->release(writing.journal.log->synced_lsn()));
    writing.write(1);
    writing.check_copy(kCopy, before);
    writing.journal.log.reset();
    writing.journal.after = {before.size() + 60};
    REQUIRE_OK(writing.journal.open());  // another writer
    writing.write(60);
    writing.check_copy(kCopy, before);
  }
}

BOOST_AUTO_TEST_CASE(a_sealed_log_takes_hardly_any_room_in_a_copy) {
  Writing writing;
  REQUIRE_OK(writing.journal.log->begin_small_segment());
  const CopiedLog linked = writing.copy(kCopy, SealedSegments::kLink);
  const CopiedLog copied = writing.copy(kSecondCopy, SealedSegments::kCopy);
  BOOST_TEST(linked.bytes <= 3 * kLogBlockBytes);  // a header, and two blocks of the end
  BOOST_TEST(linked.bytes_linked >= copied.bytes - linked.bytes);
  BOOST_TEST(copied.bytes > 60u * 3000);
  writing.check_copy(kCopy, writing.texts);
  writing.check_copy(kSecondCopy, writing.texts);
}

BOOST_AUTO_TEST_CASE(segments_that_nobody_wants_are_left_out) {
  for (const SealedSegments sealed : {SealedSegments::kLink, SealedSegments::kCopy}) {
    Writing writing;
    const Lsn after{50};
    const auto all = writing.disk->list(kDirectory);
    REQUIRE_OK(all);
    static_cast<void>(writing.copy(kCopy, sealed, after));
    const auto taken = writing.disk->list(kCopy);
    REQUIRE_OK(taken);
    BOOST_TEST(taken->size() < all->size());
    writing.check_copy(kCopy, {writing.texts.begin() + 50, writing.texts.end()}, after);
  }
}

// Of a mark too: nothing is missing of a log that was closed.
BOOST_AUTO_TEST_CASE(what_is_missing_of_a_copy_is_noticed) {
  Writing writing;
  static_cast<void>(writing.copy(kCopy, SealedSegments::kLink));
  const auto files = writing.disk->list(kCopy);
  REQUIRE_OK(files);
  for (const DirectoryEntry& entry : *files) {
    if (!entry.name.starts_with("log-")) continue;
    const std::string path = std::string(kCopy) + "/" + entry.name;
    REQUIRE_OK(writing.disk->link(path, "aside"));
    REQUIRE_OK(writing.disk->unlink(path));
    Journal copied(*writing.disk, kCopy);
    BOOST_TEST((code_of(copied.replay()) == Code::kCorrupt), entry.name);
    REQUIRE_OK(writing.disk->link("aside", path));
    REQUIRE_OK(writing.disk->unlink("aside"));
  }
  writing.check_copy(kCopy, writing.texts);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
