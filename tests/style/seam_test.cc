// SPDX-License-Identifier: Apache-2.0
//
// The library reaches files through base/io.h alone, so that the simulations see every call. A call that goes around it
// would be one that no power cut was tried at.
#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "tests/style/layers.h"
#include "tests/style/repository.h"
#include "tests/style/source_text.h"
#include "tests/test_util.h"

namespace vecstore::test {
namespace {

constexpr std::array kLibrary = {"base/", "compress/", "pagestore/", "wal/", "graph/", "gpu/", "engine/"};

// Calls of the system on files and on their names.
constexpr std::array<std::string_view, 39> kCalls = {
    "open",      "openat",          "creat",    "read",           "pread",     "preadv",          "preadv2",
    "readv",     "write",           "pwrite",   "pwritev",        "pwritev2",  "writev",          "fsync",
    "fdatasync", "sync_file_range", "truncate", "ftruncate",      "fallocate", "posix_fallocate", "rename",
    "renameat",  "renameat2",       "unlink",   "unlinkat",       "link",      "symlink",         "remove",
    "mkdir",     "mkdirat",         "rmdir",    "opendir",        "stat",      "lstat",           "fstat",
    "fstatat",   "statvfs",         "flock",    "copy_file_range"};

// Calls of the C++ library.
constexpr std::array<std::string_view, 7> kStandardCalls = {
    "std::filesystem", "std::ofstream", "std::ifstream", "std::fstream", "std::rename", "std::fopen", "std::freopen"};

// Without these headers such calls are not declared; <unistd.h>, which has getpid() too, is left to the calls above.
constexpr std::array<std::string_view, 9> kHeaders = {"dirent.h",   "fcntl.h",       "sys/file.h",
                                                      "sys/stat.h", "sys/statvfs.h", "sys/uio.h",
                                                      "filesystem", "fstream",       "sys/sendfile.h"};

bool is_library(const TextFile& file) {
  return file.is_cpp() &&
         std::ranges::any_of(kLibrary, [&](const char* folder) { return file.path.starts_with(folder); });
}

bool is_one_of(std::string_view path, const std::vector<std::string_view>& allowed) {
  return std::ranges::find(allowed, path) != allowed.end();
}

// A call of the global name: `::name(`, with nothing that qualifies it further.
bool has_global_call(std::string_view line, std::string_view name) {
  const std::string call = "::" + std::string(name) + "(";
  for (std::size_t at = line.find(call); at != std::string_view::npos; at = line.find(call, at + 1))
    if (at == 0 || !(is_word(line[at - 1]) || line[at - 1] == '>')) return true;
  return false;
}

// The first call on files in a line of code; empty: there is none.
std::string_view call_on_files(std::string_view line) {
  for (const std::string_view name : kCalls)
    if (has_global_call(line, name)) return name;
  for (const std::string_view name : kStandardCalls)
    if (line.find(name) != std::string_view::npos) return name;
  return {};
}

template <typename Check>
void for_each_line_of_code(const Check& check) {
  for (const TextFile& file : repository_files(VECSTORE_SOURCE_DIR)) {
    if (!is_library(file)) continue;
    const std::string code = CodeBlanker(file.text).blanked();
    const std::vector<std::string_view> lines = split_lines(code);
    for (std::size_t i = 0; i < lines.size(); ++i)
      check(file, lines[i], file.path + ":" + std::to_string(i + 1) + ": ");
  }
}

BOOST_AUTO_TEST_SUITE(seam)

BOOST_AUTO_TEST_CASE(a_call_on_files_is_recognised) {
  BOOST_TEST(call_on_files("  if (::unlink(path.c_str()) != 0) return failed();") == "unlink");
  BOOST_TEST(call_on_files("const int fd = ::open(path, O_RDONLY);") == "open");
  BOOST_TEST(call_on_files("std::ofstream out(path);") == "std::ofstream");
  BOOST_TEST(call_on_files("std::filesystem::remove_all(path);") == "std::filesystem");
  BOOST_TEST(call_on_files("VECSTORE_ASSIGN(auto file, PageFile::open(file_system, path));").empty());
  BOOST_TEST(call_on_files("const auto pid = ::getpid();").empty());
  BOOST_TEST(call_on_files("Buffer<T>::read(1);").empty());
}

BOOST_AUTO_TEST_CASE(only_posix_io_makes_calls_on_files) {
  std::size_t seen = 0;
  for_each_line_of_code([&](const TextFile& file, std::string_view line, const std::string& where) {
    const std::string_view call = call_on_files(line);
    if (call.empty()) return;
    ++seen;
    BOOST_TEST(file.path == "base/posix_io.cc", where << call << " goes around the file system that was handed in");
  });
  BOOST_TEST(seen >= 10u);  // calls in posix_io.cc itself
  for (const TextFile& file : repository_files(VECSTORE_SOURCE_DIR)) {
    if (!is_library(file) || file.path == "base/posix_io.cc") continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::optional<Include> include = include_of(file.lines[i]);
      const bool declares = include && !include->quoted && std::ranges::find(kHeaders, include->path) != kHeaders.end();
      BOOST_TEST(!declares, file.path << ":" << i + 1 << ": <" << include->path << "> is base/posix_io.cc's");
    }
  }
}

// io_uring reads pages by the descriptor of a File, and only where that has one. LMDB would open files itself, and its
// map would end the process where one is cut.
BOOST_AUTO_TEST_CASE(what_goes_around_the_seam_is_known) {
  std::size_t seen = 0;
  for_each_line_of_code([&](const TextFile& file, std::string_view line, const std::string& where) {
    const bool submits = line.find("io_uring_prep_") != std::string_view::npos;
    const bool uses_lmdb =
        line.find("::mdb_") != std::string_view::npos || line.find("<lmdb.h>") != std::string_view::npos;
    seen += submits ? 1 : 0;
    BOOST_TEST((!submits || file.path == "pagestore/io_uring_reader.cc"), where << "reads of io_uring");
    BOOST_TEST(!uses_lmdb, where << "LMDB opens files itself");
  });
  BOOST_TEST(seen >= 2u);
}

// Pauses are the clock's, so that no simulation waits for them.
BOOST_AUTO_TEST_CASE(only_the_clock_sleeps) {
  std::size_t seen = 0;
  for_each_line_of_code([&](const TextFile& file, std::string_view line, const std::string& where) {
    const bool sleeps = line.find("this_thread::sleep") != std::string_view::npos || has_global_call(line, "usleep") ||
                        has_global_call(line, "nanosleep");
    if (!sleeps) return;
    ++seen;
    BOOST_TEST(file.path == "base/clock.cc", where << "sleeps without the clock that was handed in");
  });
  BOOST_TEST(seen == 1u);
}

// Everything else is handed the file system: a store by its environment, files of other people by these doors.
BOOST_AUTO_TEST_CASE(the_system_s_files_are_chosen_at_public_doors) {
  const std::vector<std::string_view> doors = {"base/io.h",
                                               "base/posix_io.cc",
                                               "engine/store/environment.h",
                                               "engine/files/convert.cc",
                                               "engine/files/text_lines.cc",
                                               "engine/files/vector_source.cc",
                                               "engine/truth/neighbours.cc"};
  std::size_t seen = 0;
  for_each_line_of_code([&](const TextFile& file, std::string_view line, const std::string& where) {
    if (line.find("FileSystem::posix()") == std::string_view::npos) return;
    ++seen;
    BOOST_TEST(is_one_of(file.path, doors), where << "the file system is to be handed in");
  });
  BOOST_TEST(seen >= doors.size() - 1);  // base/io.h declares it without its class
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore::test
