// SPDX-License-Identifier: Apache-2.0
//
// The hard gates of the house style, checked over every text file of the repository. A failure names file and line.
#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/style/layers.h"
#include "tests/style/repository.h"
#include "tests/style/source_text.h"
#include "tests/test_util.h"

namespace vecstore::test {
namespace {

constexpr std::size_t kFileLinesMax = 800;
constexpr std::size_t kFunctionLinesMax = 70;

const std::vector<TextFile>& files() {
  static const std::vector<TextFile> all = repository_files(VECSTORE_SOURCE_DIR);
  return all;
}

std::string place(const TextFile& file, std::size_t line) { return file.path + ":" + std::to_string(line) + ": "; }

// Position of `word` standing alone in `line`, npos otherwise.
std::size_t find_word(std::string_view line, std::string_view word) {
  for (std::size_t at = line.find(word); at != std::string_view::npos; at = line.find(word, at + 1)) {
    const std::size_t end = at + word.size();
    if ((at == 0 || !is_word(line[at - 1])) && (end == line.size() || !is_word(line[end]))) return at;
  }
  return std::string_view::npos;
}

// An absolute path under `root`, such as a home directory, rather than a part of a longer relative path.
bool names_path_under(std::string_view line, std::string_view root) {
  for (std::size_t at = line.find(root); at != std::string_view::npos; at = line.find(root, at + 1)) {
    if (at == 0 || !(is_word(line[at - 1]) || line[at - 1] == '.')) return true;
  }
  return false;
}

std::set<std::string> installed_headers() {
  std::set<std::string> headers;
  std::string rest = VECSTORE_INSTALLED_HEADERS;  // separated by commas
  for (std::size_t comma = 0; comma != std::string::npos; rest.erase(0, comma + 1)) {
    comma = rest.find(',');
    headers.insert(rest.substr(0, comma));
    if (comma == std::string::npos) break;
  }
  return headers;
}

template <typename Check>
void for_each_include(const TextFile& file, const Check& check) {
  for (std::size_t i = 0; i < file.lines.size(); ++i) {
    const std::optional<Include> include = include_of(file.lines[i]);
    if (include) check(*include, place(file, i + 1));
  }
}

BOOST_AUTO_TEST_SUITE(style)

BOOST_AUTO_TEST_CASE(the_walk_finds_the_sources) {
  const auto has = [](std::string_view path) {
    return std::any_of(files().begin(), files().end(), [&](const TextFile& file) { return file.path == path; });
  };
  for (const char* path :
       {"CMakeLists.txt", "engine/vecstore.hpp", "base/status.cc", "tests/style/style_test.cc", ".ci/run"}) {
    BOOST_TEST(has(path), path << " is missing from the walk");
  }
  BOOST_TEST(!has("build/CMakeCache.txt"));
}

BOOST_AUTO_TEST_CASE(includes_follow_the_layer_table) {
  BOOST_TEST(!may_include("compress/x.cc", "pagestore/format.h"));
  BOOST_TEST(!may_include("compress/kernels/x.cc", "compress/sq8.h"));
  BOOST_TEST(may_include("compress/x.cc", "compress/kernels/kernels.h"));
  BOOST_TEST(!may_include("base/x.cc", "engine/vecstore.hpp"));
  BOOST_TEST(!may_include("tools/x.cc", "engine/rows/catalog.h"));
  BOOST_TEST(!may_include("engine/thread_pool.cc", "engine/rows/rows.h"));
  BOOST_TEST(!may_include("engine/rows/x.cc", "engine/vecstore.hpp"));
  BOOST_TEST(may_include("engine/rows/x.cc", "engine/key.h"));
  BOOST_TEST(may_include("tools/x.cc", "base/status.h"));
  for (const TextFile& file : files()) {
    if (!file.is_cpp()) continue;
    for_each_include(file, [&](const Include& include, const std::string& where) {
      if (!include.quoted) return;
      const bool exists = std::filesystem::exists(std::string(VECSTORE_SOURCE_DIR) + "/" + std::string(include.path));
      BOOST_TEST(exists, where << include.path
                               << " is not a file of this repository: quote paths from its root, use <> otherwise");
      BOOST_TEST(may_include(file.path, include.path), where << "this folder may not include " << include.path);
    });
  }
}

BOOST_AUTO_TEST_CASE(base_needs_only_the_standard_library) {
  for (const TextFile& file : files()) {
    if (!file.is_cpp() || !file.path.starts_with("base/")) continue;
    for_each_include(file, [&](const Include& include, const std::string& where) {
      BOOST_TEST((include.quoted || is_system_header(include.path)), where << include.path << " is a third party's");
    });
  }
}

BOOST_AUTO_TEST_CASE(installed_headers_include_only_std_and_each_other) {
  const std::set<std::string> installed = installed_headers();
  BOOST_TEST(installed.contains("engine/vecstore.hpp"));
  std::size_t seen = 0;
  for (const TextFile& file : files()) {
    if (!installed.contains(file.path)) continue;
    ++seen;
    for_each_include(file, [&](const Include& include, const std::string& where) {
      const bool allowed =
          include.quoted ? installed.contains(std::string(include.path)) : is_standard_header(include.path);
      BOOST_TEST(allowed, where << include.path << " is not installed with this header");
    });
  }
  BOOST_TEST(seen == installed.size());
}

BOOST_AUTO_TEST_CASE(files_are_at_most_800_lines) {
  for (const TextFile& file : files()) {
    if (!file.is_source()) continue;
    BOOST_TEST(file.lines.size() <= kFileLinesMax,
               file.path << " has " << file.lines.size() << " lines: which second secret does it hide?");
  }
}

BOOST_AUTO_TEST_CASE(functions_are_at_most_70_lines) {
  std::size_t functions = 0;
  for (const TextFile& file : files()) {
    if (!file.is_cpp()) continue;
    for (const FunctionExtent& function : function_extents(file.text)) {
      ++functions;
      BOOST_TEST(function.lines() <= kFunctionLinesMax,
                 place(file, function.first_line) << function.name << " has " << function.lines() << " lines");
    }
  }
  BOOST_TEST(functions >= 50u, "only " << functions << " functions were recognised");
}

BOOST_AUTO_TEST_CASE(sources_name_their_licence) {
  for (const TextFile& file : files()) {
    if (!file.is_source()) continue;
    // Line 1, or line 2 under an interpreter line.
    const std::size_t line = file.text.starts_with("#!") ? 1 : 0;
    const std::string_view comment = file.is_c() ? "/* " : file.is_cpp() ? "// " : "# ";
    const bool named =
        file.lines.size() > line && file.lines[line] == std::string(comment) + "SPDX-License-Identifier: Apache-2.0";
    BOOST_TEST(named, place(file, line + 1) << "the SPDX line is missing");
  }
}

BOOST_AUTO_TEST_CASE(headers_are_included_once) {
  for (const TextFile& file : files()) {
    if (!file.is_header()) continue;
    const std::string_view guard = file.is_c() ? "#endif /* VECSTORE_H */" : "#pragma once";  // C has no pragma
    const bool once = std::find(file.lines.begin(), file.lines.end(), guard) != file.lines.end();
    BOOST_TEST(once, file.path << ": " << guard << " is missing");
  }
}

BOOST_AUTO_TEST_CASE(lines_have_no_tabs_and_no_trailing_spaces) {
  for (const TextFile& file : files()) {
    if (!file.is_source() && !file.ends_with(".md") && !file.ends_with(".json")) continue;
    BOOST_TEST(file.text.ends_with('\n'), file.path << " does not end with a newline");
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      const std::string_view line = file.lines[i];
      BOOST_TEST(line.find('\t') == std::string_view::npos, place(file, i + 1) << "tab");
      BOOST_TEST((line.empty() || !is_space(line.back())), place(file, i + 1) << "trailing space");
    }
  }
}

BOOST_AUTO_TEST_CASE(nothing_is_left_for_later) {
  // Written in two halves, so that this file passes its own gate.
  const std::vector<std::string> banned = {
      "TO"
      "DO",
      "FIX"
      "ME",
      "XX"
      "X"};
  for (const TextFile& file : files()) {
    if (!file.is_source()) continue;
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      for (const std::string& word : banned) {
        BOOST_TEST(find_word(file.lines[i], word) == std::string_view::npos, place(file, i + 1) << word);
      }
    }
  }
}

BOOST_AUTO_TEST_CASE(no_machine_is_named) {
  const std::vector<std::string> roots = {
      "/wo"
      "rk/",
      "/ro"
      "ot/",
      "/ho"
      "me/"};
  for (const TextFile& file : files()) {
    for (std::size_t i = 0; i < file.lines.size(); ++i) {
      for (const std::string& root : roots) {
        BOOST_TEST(!names_path_under(file.lines[i], root), place(file, i + 1) << "names a path under " << root);
      }
    }
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore::test
