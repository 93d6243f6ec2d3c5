// SPDX-License-Identifier: Apache-2.0
#include "tests/formats/readme.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <optional>
#include <utility>

namespace vecstore::test {
namespace {

constexpr std::string_view kFence = "```";
constexpr std::string_view kTick = " `";
constexpr std::string_view kAt = "at ";
constexpr std::string_view kFromEnd = "end − ";

std::optional<unsigned> digit(char c) {
  if (c >= '0' && c <= '9') return static_cast<unsigned>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<unsigned>(c - 'a') + 10;
  return std::nullopt;
}

// Two digits with no word around them.
bool is_byte(std::string_view text, std::size_t at) {
  const auto in_word = [&](std::size_t i) {
    return i < text.size() && std::isalnum(static_cast<unsigned char>(text[i]));
  };
  return at + 2 <= text.size() && digit(text[at]) && digit(text[at + 1]) && !in_word(at + 2) &&
         (at == 0 || !in_word(at - 1));
}

// The longest run from `at` on: bytes with one space or " | " between them.
HexRun run_at(std::string_view text, std::size_t at) {
  HexRun run;
  while (is_byte(text, at)) {
    run.at.push_back(at);
    run.end = at + 2;
    at = run.end + (text.substr(run.end).starts_with(" | ") ? 3 : 1);
    if (run.end < text.size() && text[run.end] != ' ') break;
  }
  return run;
}

// A run between backticks; behind it at most " …".
std::optional<HexRun> run_in_code(std::string_view text, std::size_t open, std::size_t close) {
  const HexRun run = run_at(text, open + 1);
  if (run.at.empty()) return std::nullopt;
  const std::string_view rest = text.substr(run.end, close - run.end);
  return rest.empty() || rest == " …" ? std::optional(run) : std::nullopt;
}

// The run of a line of a fenced block: it begins the line, or stands behind two spaces.
std::optional<HexRun> run_in_fence(std::string_view text, std::size_t begin, std::size_t end) {
  for (std::size_t at = begin; at < end; ++at) {
    if (at != begin && !text.substr(begin, at - begin).ends_with("  ")) continue;
    HexRun run = run_at(text, at);
    if (!run.at.empty() && run.end <= end) return run;
  }
  return std::nullopt;
}

std::size_t line_end(std::string_view text, std::size_t at) { return std::min(text.find('\n', at), text.size()); }

// Calls visit(begin, end, inside a fence) for every line but the fences themselves.
template <typename Visit>
void for_each_line(std::string_view text, const Visit& visit) {
  bool inside = false;
  for (std::size_t begin = 0; begin < text.size(); begin = line_end(text, begin) + 1) {
    const std::size_t end = line_end(text, begin);
    const bool fence = text.substr(begin).starts_with(kFence);
    if (fence)
      inside = !inside;
    else
      visit(begin, end, inside);
  }
}

// [begin, end) of each cell of a table's line.
std::vector<std::pair<std::size_t, std::size_t>> cells_of(std::string_view text, std::size_t begin, std::size_t end) {
  std::vector<std::pair<std::size_t, std::size_t>> cells;
  for (std::size_t at = begin + 1; at < end;) {
    std::size_t bar = text.find('|', at);
    while (bar < end && text[bar - 1] == '\\') bar = text.find('|', bar + 1);
    cells.emplace_back(at, std::min(bar, end));
    at = std::min(bar, end) + 1;
  }
  return cells;
}

std::string_view trimmed(std::string_view cell) {
  while (cell.starts_with(' ')) cell.remove_prefix(1);
  while (cell.ends_with(' ')) cell.remove_suffix(1);
  return cell;
}

std::optional<std::size_t> number_at_start(std::string_view text) {
  std::size_t number = 0;
  const auto [rest, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() ? std::optional(number) : std::nullopt;
}

// Where a line of a table says that its bytes lie; nullopt: behind those of the line before.
std::optional<std::size_t> offset_of(std::string_view cell, std::size_t end) {
  if (cell.starts_with(kFromEnd)) {
    const auto back = number_at_start(cell.substr(kFromEnd.size()));
    return back ? std::optional(end - *back) : std::nullopt;
  }
  const bool whole = std::all_of(cell.begin(), cell.end(), [](char c) { return c >= '0' && c <= '9'; });
  return whole ? number_at_start(cell) : std::nullopt;
}

// N of the last "at N:" in `text`.
std::optional<std::size_t> moved_to(std::string_view text) {
  for (std::size_t at = text.rfind(kAt); at != std::string_view::npos && at > 0; at = text.rfind(kAt, at - 1)) {
    const auto number = number_at_start(text.substr(at + kAt.size()));
    if (number && text.substr(at).starts_with(std::string(kAt) + std::to_string(*number) + ":")) return number;
  }
  return std::nullopt;
}

}  // namespace

Readme::Readme(std::string text) : text_(std::move(text)) {
  for_each_line(text_, [&](std::size_t begin, std::size_t end, bool inside) {
    if (inside) {
      if (auto run = run_in_fence(text_, begin, end)) runs_.push_back(std::move(*run));
      return;
    }
    for (std::size_t open = text_.find('`', begin); open < end;) {
      const std::size_t close = text_.find('`', open + 1);
      if (close >= end) break;
      if (auto run = run_in_code(text_, open, close)) runs_.push_back(std::move(*run));
      open = text_.find('`', close + 1);
    }
  });
}

std::vector<ShownBytes> Readme::table(std::string_view after, std::size_t end_of_file) {
  std::vector<ShownBytes> examples;
  std::size_t next = 0;  // offset behind the example before
  bool begun = false, ended = text_.find(after) == std::string::npos;
  for_each_line(text_, [&](std::size_t begin, std::size_t end, bool inside) {
    if (ended || begin < text_.find(after)) return;
    if (inside || text_[begin] != '|') {
      ended = begun;
      return;
    }
    begun = true;
    const auto cells = cells_of(text_, begin, end);
    const auto [first, last] = cells.back();
    const std::string_view offset = std::string_view(text_).substr(cells[0].first, cells[0].second - cells[0].first);
    next = offset_of(trimmed(offset), end_of_file).value_or(next);
    std::size_t told = first;  // up to where the cell has been read
    for (const HexRun& run : runs_between(first, last)) {
      next = moved_to(std::string_view(text_).substr(told, run.at.front() - told)).value_or(next);
      told = run.end;
      examples.push_back({next, take(run)});
      next += run.at.size();
    }
  });
  return examples;
}

std::vector<std::vector<std::byte>> Readme::line(std::string_view first_cell) {
  std::vector<std::vector<std::byte>> bytes;
  for_each_line(text_, [&](std::size_t begin, std::size_t end, bool inside) {
    if (inside || !std::string_view(text_).substr(begin).starts_with("| " + std::string(first_cell) + " |")) return;
    for (const HexRun& run : runs_between(begin, end)) bytes.push_back(take(run));
  });
  return bytes;
}

std::vector<std::vector<std::byte>> Readme::fence(std::string_view before) {
  std::vector<std::vector<std::byte>> bytes;
  const std::size_t at = text_.find(before);
  const std::size_t open = at == std::string::npos ? at : text_.find(kFence, at);
  if (open == std::string::npos) return bytes;
  for (const HexRun& run : runs_between(open, text_.find(kFence, open + kFence.size()))) bytes.push_back(take(run));
  return bytes;
}

std::vector<std::byte> Readme::inline_bytes(std::string_view before) {
  // Lines are wrapped anywhere, so a space of `before` may be the end of a line.
  std::string flat = text_;
  std::replace(flat.begin(), flat.end(), '\n', ' ');
  const std::size_t at = flat.find(before);
  if (at == std::string::npos) return {};
  const auto runs = runs_between(at + before.size(), text_.size());
  return runs.empty() || runs.front().at.front() != at + before.size() + kTick.size() ? std::vector<std::byte>()
                                                                                      : take(runs.front());
}

std::set<std::size_t> Readme::shown() const {
  std::set<std::size_t> places;
  for (const HexRun& run : runs_) places.insert(run.at.begin(), run.at.end());
  return places;
}

std::vector<std::byte> Readme::take(const HexRun& run) {
  std::vector<std::byte> bytes;
  for (const std::size_t at : run.at) {
    bytes.push_back(static_cast<std::byte>(*digit(text_[at]) * 16 + *digit(text_[at + 1])));
    taken_.insert(at);
  }
  return bytes;
}

std::vector<HexRun> Readme::runs_between(std::size_t begin, std::size_t end) const {
  std::vector<HexRun> found;
  for (const HexRun& run : runs_)
    if (run.at.front() >= begin && run.end <= end) found.push_back(run);
  return found;
}

}  // namespace vecstore::test
