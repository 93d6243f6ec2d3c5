// SPDX-License-Identifier: Apache-2.0
//
// A format document, and the bytes that its examples show. Every hex byte is known by its place in the text, so that a
// test can tell which of them it has not looked at.
#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace vecstore::test {

// Bytes that the document shows side by side.
struct ShownBytes {
  std::size_t offset = 0;  // place of the first byte in what the document tells of
  std::vector<std::byte> bytes;
};

// A run of bytes written as `0a 1b` between backticks, or as a column of a fenced block, where " | " may part them.
struct HexRun {
  std::vector<std::size_t> at;  // the place in the text of each byte's first digit
  std::size_t end = 0;          // the place in the text behind the run
};

class Readme {
 public:
  explicit Readme(std::string text);

  // The last column of the first table behind the text `after`, in the order of its lines. The first column is the
  // offset: a number, "end − N" with `end` as the file's size, or anything else for "behind the example before".
  // "at N:" in a cell moves on to offset N.
  std::vector<ShownBytes> table(std::string_view after, std::size_t end = 0);
  // The hex runs of one line of a table that begins with `first_cell`.
  std::vector<std::vector<std::byte>> line(std::string_view first_cell);
  // The bytes of the fenced block that follows `before`, one vector a line that has any.
  std::vector<std::vector<std::byte>> fence(std::string_view before);
  // The hex run that follows `before` in running text.
  std::vector<std::byte> inline_bytes(std::string_view before);

  // The places in the text of all bytes that any hex run shows, and of those that were handed out.
  std::set<std::size_t> shown() const;
  const std::set<std::size_t>& taken() const { return taken_; }

 private:
  std::vector<std::byte> take(const HexRun& run);
  std::vector<HexRun> runs_between(std::size_t begin, std::size_t end) const;

  std::string text_;
  std::vector<HexRun> runs_;  // by place
  std::set<std::size_t> taken_;
};

}  // namespace vecstore::test
