// SPDX-License-Identifier: Apache-2.0
#include "tools/document_text.h"

#include <algorithm>
#include <vector>

#include "engine/files/json.h"

namespace vecstore::tools {
namespace {

bool continues_character(char byte) { return (static_cast<unsigned char>(byte) & 0xC0u) == 0x80u; }

std::size_t columns_of(std::string_view word) {
  return static_cast<std::size_t>(
      std::count_if(word.begin(), word.end(), [](char c) { return !continues_character(c); }));
}

// The longest start of `word` of at most `columns` characters, never cutting inside one.
std::size_t prefix_bytes(std::string_view word, std::size_t columns) {
  std::size_t at = 0;
  for (std::size_t seen = 0; at < word.size(); ++at)
    if (!continues_character(word[at]) && ++seen > columns) break;
  return at;
}

std::string without_controls(std::string_view text) {
  std::string plain(text);
  // Below 0x20, and DEL; the second block of controls is U+0080 to U+009F, which UTF-8 starts with C2.
  for (std::size_t i = 0; i < plain.size(); ++i) {
    const auto byte = static_cast<unsigned char>(plain[i]);
    const bool second_block = byte == 0xC2u && i + 1 < plain.size() && static_cast<unsigned char>(plain[i + 1]) < 0xA0u;
    if (second_block) plain[i + 1] = ' ';
    if (byte < 0x20u || byte == 0x7Fu || second_block) plain[i] = ' ';
  }
  return plain;
}

}  // namespace

std::string wrap_text(std::string_view text, std::size_t indent) {
  const std::size_t width = kTextColumns > indent ? kTextColumns - indent : 1;
  const std::string plain = without_controls(text);
  std::string out, line;
  std::size_t line_columns = 0;
  const auto end_line = [&] {
    if (!line.empty()) out.append(indent, ' ').append(line).append(1, '\n');
    line.clear();
    line_columns = 0;
  };
  std::string_view rest = plain;
  while (!rest.empty()) {
    const std::size_t begin = std::min(rest.find_first_not_of(' '), rest.size());
    rest.remove_prefix(begin);
    std::string_view word = rest.substr(0, rest.find(' '));
    rest.remove_prefix(word.size());
    if (line_columns + 1 + columns_of(word) > width) end_line();
    while (columns_of(word) > width) {
      line = word.substr(0, prefix_bytes(word, width));
      word.remove_prefix(line.size());
      end_line();
    }
    if (word.empty()) continue;
    if (!line.empty()) line += ' ';
    line_columns += columns_of(word) + (line.empty() ? 0 : 1);
    line += word;
  }
  end_line();
  return out;
}

std::string format_document(const std::string& document, std::size_t indent) {
  const auto members = members_of_document(document);
  if (!members) return wrap_text(document, indent);
  const std::vector<std::string> read_first = {"title", "heading", "text"};
  std::string out;
  for (const std::string& first : read_first)
    for (const auto& [name, value] : *members)
      if (name == first) out += wrap_text(value, indent);
  for (const auto& [name, value] : *members)
    if (std::find(read_first.begin(), read_first.end(), name) == read_first.end())
      out += wrap_text(std::string(name).append(": ").append(value), indent);
  return out;
}

}  // namespace vecstore::tools
