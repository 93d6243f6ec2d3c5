// SPDX-License-Identifier: Apache-2.0
//
// The project's own text files, as the style gate reads them.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace vecstore::test {

struct TextFile {
  std::string path;  // relative to the root of the repository
  std::string text;
  std::vector<std::string_view> lines;  // the lines of `text`

  bool ends_with(std::string_view ending) const { return path.ends_with(ending); }
  bool is_header() const { return ends_with(".h") || ends_with(".hpp") || ends_with(".cuh"); }
  bool is_cpp() const { return is_header() || ends_with(".cc") || ends_with(".cpp") || ends_with(".cu"); }
  bool is_c() const { return ends_with(".c") || text.find("#ifndef VECSTORE_H\n") != std::string::npos; }
  bool is_cmake() const { return ends_with("CMakeLists.txt") || ends_with(".cmake"); }
  bool is_script() const { return text.starts_with("#!") || ends_with(".py"); }
  bool is_source() const { return is_cpp() || is_cmake() || is_script(); }
};

inline std::vector<std::string_view> split_lines(std::string_view text) {
  std::vector<std::string_view> lines;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\n', begin), text.size());
    lines.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return lines;
}

// What .gitignore ignores, version control itself, and data, which is not ours to format.
inline bool is_ignored(const std::filesystem::path& relative) {
  const std::string path = relative.generic_string();
  return path.starts_with("build") || path == ".git" || path == ".cache" || path == "compile_commands.json" ||
         path == "tests/data" || path == "LICENSE";
}

// Every text file under `root`, sorted by path. A file with a NUL byte is binary and left out.
inline std::vector<TextFile> repository_files(const std::filesystem::path& root) {
  namespace fs = std::filesystem;
  std::vector<TextFile> files;
  for (fs::recursive_directory_iterator entry(root), end; entry != end; ++entry) {
    if (is_ignored(fs::relative(entry->path(), root))) {
      if (entry->is_directory()) entry.disable_recursion_pending();
      continue;
    }
    if (!entry->is_regular_file()) continue;
    std::ifstream in(entry->path(), std::ios::binary);
    TextFile file;
    file.path = fs::relative(entry->path(), root).generic_string();
    file.text.assign(std::istreambuf_iterator<char>(in), {});
    if (file.text.find('\0') == std::string::npos) files.push_back(std::move(file));
  }
  std::sort(files.begin(), files.end(), [](const TextFile& a, const TextFile& b) { return a.path < b.path; });
  for (TextFile& file : files) file.lines = split_lines(file.text);
  return files;
}

}  // namespace vecstore::test
