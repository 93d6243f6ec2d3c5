// SPDX-License-Identifier: Apache-2.0
//
// The little C++ lexing that the style gate needs: code without its comments and literals, and the extent of functions.
// It reads clang-formatted code by its braces and is no parser; function_extents_test.cc shows what it recognises.
#pragma once

#include <cctype>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace vecstore::test {

struct FunctionExtent {
  std::string name;
  std::size_t first_line = 0;  // line of the declaration, template line included; lines count from 1
  std::size_t last_line = 0;   // line of the closing brace
  std::size_t lines() const { return last_line - first_line + 1; }
};

inline bool is_word(char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; }
inline bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

// Same length and line breaks as `source`; comments, the inside of literals and preprocessor lines become blanks.
class CodeBlanker {
 public:
  explicit CodeBlanker(std::string_view source) : source_(source), code_(source) {}

  std::string blanked() {
    while (at_ < source_.size()) step();
    return code_;
  }

 private:
  bool looking_at(std::string_view text) const { return source_.substr(at_, text.size()) == text; }

  void step() {
    const char c = source_[at_];
    if (looking_at("//")) return blank_until_line_end();
    if (looking_at("/*")) return blank_through("*/", 2);
    if (c == '#' && line_is_blank_so_far_) return blank_until_line_end();
    if (looking_at("R\"") && (at_ == 0 || !is_word(source_[at_ - 1]))) return blank_raw_string();
    if (c == '"') return blank_literal('"');
    // 1'000 is a number: a character literal never follows a digit or letter, except the prefixes nobody here uses.
    if (c == '\'' && (at_ == 0 || !is_word(source_[at_ - 1]))) return blank_literal('\'');
    if (c == '\n')
      line_is_blank_so_far_ = true;
    else if (!is_space(c))
      line_is_blank_so_far_ = false;
    ++at_;
  }

  void blank_to(std::size_t end) {
    for (; at_ < end && at_ < source_.size(); ++at_) {
      if (source_[at_] != '\n') code_[at_] = ' ';
    }
  }

  // A backslash at the end of a line continues a macro or, legally, a comment.
  void blank_until_line_end() {
    std::size_t end = source_.find('\n', at_);
    while (end != std::string_view::npos && source_[end - 1] == '\\') end = source_.find('\n', end + 1);
    blank_to(end == std::string_view::npos ? source_.size() : end);
  }

  void blank_through(std::string_view closing, std::size_t opening_size) {
    const std::size_t end = source_.find(closing, at_ + opening_size);
    blank_to(end == std::string_view::npos ? source_.size() : end + closing.size());
  }

  void blank_raw_string() {
    const std::size_t open = source_.find('(', at_);
    const std::string closing = ")" + std::string(source_.substr(at_ + 2, open - at_ - 2)) + "\"";
    blank_through(closing, 2);
  }

  void blank_literal(char quote) {
    line_is_blank_so_far_ = false;
    std::size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote && source_[end] != '\n') end += source_[end] == '\\' ? 2 : 1;
    ++at_;
    blank_to(end);  // the quotes stay, so that extern "C" is still seen
    if (at_ < source_.size() && source_[at_] == quote) ++at_;
  }

  std::string_view source_;
  std::string code_;
  std::size_t at_ = 0;
  bool line_is_blank_so_far_ = true;
};

// What stands between the last statement and an opening brace at namespace or class scope.
class Head {
 public:
  explicit Head(std::string_view text) : text_(text) {}

  bool is_namespace() const { return has_word_before_parenthesis("namespace") || starts_with_extern_block(); }

  bool is_type() const {
    for (const char* word : {"class", "struct", "union", "enum"}) {
      if (has_word_before_parenthesis(word) && !ends_like_a_function()) return true;
    }
    return false;
  }

  bool is_function() const { return text_.find(')') != std::string_view::npos && !has_initialiser(); }

  // `Name(…) : member` before a brace: the brace initialises the member, the body is still to come.
  bool is_inside_member_initialisers() const {
    if (text_.empty() || !(is_word(trimmed().back()) || trimmed().back() == '>')) return false;
    int depth = 0;
    bool parameters_seen = false;
    for (std::size_t i = 0; i < text_.size(); ++i) {
      if (text_[i] == '(') ++depth;
      if (text_[i] == ')') parameters_seen = --depth == 0;
      const bool scope =
          text_[i] == ':' && ((i + 1 < text_.size() && text_[i + 1] == ':') || (i > 0 && text_[i - 1] == ':'));
      if (text_[i] == ':' && !scope && depth == 0 && parameters_seen) return true;
    }
    return false;
  }

  std::string name() const {
    std::size_t end = without_template().find('(');
    if (end == std::string_view::npos) end = without_template().size();
    const std::string_view text = without_template().substr(0, end);
    std::size_t begin = text.find("operator") == std::string_view::npos ? text.size() : text.find("operator");
    while (begin > 0 && (is_word(text[begin - 1]) || text[begin - 1] == ':' || text[begin - 1] == '~')) --begin;
    // A test is known by its own name, not by the macro's.
    if (text.substr(begin).starts_with("BOOST_")) return std::string(without_template());
    return std::string(text.substr(begin));
  }

 private:
  std::string_view trimmed() const {
    std::string_view text = text_;
    while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
    return text;
  }

  // `template <class T>` must not make a function look like a type.
  std::string_view without_template() const {
    std::string_view text = trimmed();
    if (!text.starts_with("template")) return text;
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '<') ++depth;
      if (text[i] == '>' && --depth == 0) return text.substr(i + 1);
    }
    return text;
  }

  bool has_word_before_parenthesis(std::string_view word) const {
    const std::string_view text = without_template().substr(0, without_template().find('('));
    for (std::size_t at = text.find(word); at != std::string_view::npos; at = text.find(word, at + 1)) {
      const std::size_t end = at + word.size();
      if ((at == 0 || !is_word(text[at - 1])) && (end == text.size() || !is_word(text[end]))) return true;
    }
    return false;
  }

  bool starts_with_extern_block() const { return trimmed().starts_with("extern") && trimmed().ends_with("\""); }

  bool ends_like_a_function() const {
    std::string_view text = trimmed();
    for (bool removed = true; removed;) {
      removed = false;
      for (std::string_view word : {"const", "noexcept", "override", "final"}) {
        if (!text.ends_with(word)) continue;
        text.remove_suffix(word.size());
        while (!text.empty() && is_space(text.back())) text.remove_suffix(1);
        removed = true;
      }
    }
    return text.ends_with(")");
  }

  // An `=` outside parentheses that belongs to no operator: the brace opens a value.
  bool has_initialiser() const {
    const std::string_view text = without_template();
    if (text.find("operator") != std::string_view::npos) return false;
    int depth = 0;
    for (std::size_t i = 0; i < text.size(); ++i) {
      if (text[i] == '(' || text[i] == '<') ++depth;
      if (text[i] == ')' || (text[i] == '>' && i > 0 && text[i - 1] != '-')) --depth;
      if (text[i] == '=' && depth == 0) return true;
    }
    return false;
  }

  std::string_view text_;
};

// Finds the functions defined at namespace and class scope; lambdas and local classes count as lines of their function.
class FunctionFinder {
 public:
  explicit FunctionFinder(const std::string& code) : code_(code) {}

  std::vector<FunctionExtent> find() {
    for (at_ = 0; at_ < code_.size(); ++at_) step(code_[at_]);
    return std::move(found_);
  }

 private:
  void step(char c) {
    if (c == '(') ++parentheses_;
    if (c == ')') --parentheses_;
    if (c == '{') return open_brace();
    if (parentheses_ > 0) return;
    const bool access_label = c == ':' && is_access_label();
    if (c == ';' || c == '}' || access_label) head_begin_ = at_ + 1;
  }

  void open_brace() {
    const Head head(std::string_view(code_).substr(head_begin_, at_ - head_begin_));
    if (parentheses_ == 0 && (head.is_namespace() || head.is_type())) {
      head_begin_ = at_ + 1;  // go on inside; its closing brace needs no record
      return;
    }
    const bool initialiser = parentheses_ > 0 || !head.is_function() || head.is_inside_member_initialisers();
    if (initialiser) {
      at_ = closing_brace();
      return;
    }
    std::size_t first = head_begin_;
    while (first < at_ && is_space(code_[first])) ++first;
    const std::size_t last = closing_brace();
    found_.push_back({head.name(), line_of(first), line_of(last)});
    at_ = last;
    head_begin_ = last + 1;
  }

  std::size_t closing_brace() const {
    int depth = 0;
    for (std::size_t i = at_; i < code_.size(); ++i) {
      if (code_[i] == '{') ++depth;
      if (code_[i] == '}' && --depth == 0) return i;
    }
    return code_.size() - 1;
  }

  bool is_access_label() const {
    const std::string_view before = std::string_view(code_).substr(0, at_);
    return before.ends_with("public") || before.ends_with("private") || before.ends_with("protected");
  }

  std::size_t line_of(std::size_t position) const {
    std::size_t line = 1;
    for (std::size_t i = 0; i < position; ++i) line += code_[i] == '\n' ? 1 : 0;
    return line;
  }

  const std::string& code_;
  std::size_t at_ = 0;
  std::size_t head_begin_ = 0;
  int parentheses_ = 0;
  std::vector<FunctionExtent> found_;
};

inline std::vector<FunctionExtent> function_extents(std::string_view source) {
  const std::string code = CodeBlanker(source).blanked();
  return FunctionFinder(code).find();
}

}  // namespace vecstore::test
