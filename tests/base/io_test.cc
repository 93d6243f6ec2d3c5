// SPDX-License-Identifier: Apache-2.0
#include "base/io.h"

#include <sys/stat.h>

#include <filesystem>

#include "tests/test_util.h"

namespace vecstore {
namespace {

using test::code_of;
using test::TemporaryDirectory;

FileSystem& files() { return FileSystem::posix(); }

BOOST_AUTO_TEST_SUITE(io)

BOOST_AUTO_TEST_CASE(an_unnamed_file_leaves_no_name_and_takes_the_place_of_what_was_left) {
  const TemporaryDirectory directory;
  test::write_file(directory.path("spill"), {'o', 'l', 'd'});
  const auto file = open_unnamed(files(), directory.path("spill"));
  REQUIRE_OK(file);
  BOOST_TEST(!std::filesystem::exists(directory.path("spill")));
  const auto size = (*file)->size();
  REQUIRE_OK(size);
  BOOST_TEST(*size == 0u);
  const std::string text = "what does not fit";
  REQUIRE_OK((*file)->write_at(std::as_bytes(std::span(text)), 1000));
  std::string read(text.size(), ' ');
  const auto got = (*file)->read_at(std::as_writable_bytes(std::span(read)), 1000);
  REQUIRE_OK(got);
  BOOST_TEST(read == text);
  BOOST_TEST((code_of(open_unnamed(files(), directory.path("none/spill"))) == Code::kNotFound));
}

BOOST_AUTO_TEST_CASE(a_name_that_is_taken_is_not_moved_over) {
  const TemporaryDirectory directory;
  test::write_file(directory.path("a"), {'a'});
  test::write_file(directory.path("b"), {'b'});
  BOOST_TEST((files().rename_to_new(directory.path("a"), directory.path("b")).code() == Code::kExists));
  BOOST_TEST((test::read_file(directory.path("b")) == std::vector<char>{'b'}));
  REQUIRE_OK(files().rename_to_new(directory.path("a"), directory.path("c")));
  BOOST_TEST((test::read_file(directory.path("c")) == std::vector<char>{'a'}));
  REQUIRE_OK(files().rename(directory.path("c"), directory.path("b")));
  BOOST_TEST((test::read_file(directory.path("b")) == std::vector<char>{'a'}));
  BOOST_TEST((files().rename_to_new(directory.path("a"), directory.path("d")).code() == Code::kNotFound));
}

BOOST_AUTO_TEST_CASE(what_is_there_is_told) {
  const TemporaryDirectory directory;
  test::write_file(directory.path("file"), {'x'});
  std::filesystem::create_symlink(directory.path("file"), directory.path("link"));
  const auto kind = [&](const std::string& name) {
    const auto found = files().kind_of(directory.path(name));
    REQUIRE_OK(found);
    return *found;
  };
  BOOST_TEST((kind("none") == EntryKind::kNone));
  BOOST_TEST((kind("file") == EntryKind::kFile));
  BOOST_TEST((kind("link") == EntryKind::kOther));
  BOOST_TEST((kind(".") == EntryKind::kDirectory));
  BOOST_TEST((code_of(files().kind_of(directory.path("file/inside"))) == Code::kNotFound));
}

// Opened without a word about it, a pipe would wait for its other end for ever.
BOOST_AUTO_TEST_CASE(what_is_no_regular_file_is_refused_where_one_must_be) {
  const TemporaryDirectory directory;
  BOOST_REQUIRE(::mkfifo(directory.path("pipe").c_str(), 0600) == 0);
  test::write_file(directory.path("file"), {'x'});
  const FileOptions options{.mode = OpenMode::kRead, .must_be_regular = true};
  for (const std::string& path : {directory.path("pipe"), directory.path("."), std::string("/dev/null")})
    BOOST_TEST((code_of(files().open(path, options)) == Code::kInvalidInput), path);
  REQUIRE_OK(files().open(directory.path("file"), options));
  BOOST_TEST((code_of(files().open(directory.path("none"), options)) == Code::kNotFound));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
