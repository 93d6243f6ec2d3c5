// SPDX-License-Identifier: Apache-2.0
//
// Status and Result<T>: how every fallible call of VecStore answers. The library throws nothing across its API.
//
// A Status is a code, a static sentence that says what to do, and the detail a person needs to act: a file or option
// (`subject`), a place in it (`page`, `offset`, `row`), and errno. It never allocates. Ok statuses are cheap to copy.
// Thread safety: values; share nothing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

namespace vecstore {

enum class Code : std::uint8_t {
  kOk = 0,
  kInvalidArgument,  // the call cannot mean anything: k = 0, unknown option, metric or dtype against the index
  kInvalidInput,     // the data is refused: NaN, zero vector under cosine, a wrong dimension, a truncated input file
  kNotFound,         // a file, key or row that is not there
  kExists,           // refuses to overwrite
  kPermission,
  kIo,
  kNoSpace,
  kMemoryBudget,  // the budget is too small; the detail number is the least that would do, in bytes
  kCorrupt,       // a checksum or an invariant of our own files does not hold
  kBusy,          // another process holds the store
  kNewerFormat,
  kUnsupported,
  kCancelled,  // a CancelToken stopped the call
};

// What the number of a Status counts.
enum class Detail : std::uint8_t { kNone, kPage, kOffset, kRow, kBytes, kLine, kLsn };

class [[nodiscard]] Status {
 public:
  Status() = default;
  // `text` must have static storage duration.
  Status(Code code, const char* text) : code_(code), text_(text) {}
  // Out of line, or every VECSTORE_TRY would have the copy of a subject in it.
  Status(const Status& other) noexcept;
  Status& operator=(const Status& other) noexcept;

  static Status ok() { return {}; }

  // Each returns *this, so that an error is built in one expression.
  Status&& about(std::string_view subject) &&;  // keeps the last 200 bytes; what is cut is marked with "..."
  Status&& at(Detail kind, std::uint64_t number) &&;
  Status&& with_errno(int error_number) &&;

  bool is_ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const char* text() const { return text_; }
  std::string_view subject() const { return {subject_, subject_size_}; }
  Detail detail() const { return detail_; }
  std::uint64_t number() const { return number_; }
  int error_number() const { return errno_; }

  // One line: "<subject>: page 17: <text> (No space left on device)".
  std::string message() const;

 private:
  static constexpr std::size_t kSubjectBytesMax = 200;

  Code code_ = Code::kOk;
  Detail detail_ = Detail::kNone;
  std::uint8_t subject_size_ = 0;
  int errno_ = 0;
  std::uint64_t number_ = 0;
  const char* text_ = "ok";
  char subject_[kSubjectBytesMax];
};

// Maps errno to the code a caller acts on: ENOENT → kNotFound, EACCES/EPERM/EROFS → kPermission, ENOSPC/EDQUOT →
// kNoSpace, ENOMEM → kMemoryBudget, the rest → kIo.
Status errno_status(int error_number, const char* text, std::string_view subject);

// A value or the Status that explains its absence, spelled like std::expected. The Status of an error is never ok.
template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}         // NOLINT(google-explicit-constructor)
  Result(Status status) : state_(std::in_place_index<1>, std::move(status)) {}  // NOLINT(google-explicit-constructor)

  bool has_value() const { return state_.index() == 0; }
  explicit operator bool() const { return has_value(); }
  T& value() & { return std::get<0>(state_); }
  const T& value() const& { return std::get<0>(state_); }
  T&& value() && { return std::get<0>(std::move(state_)); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }
  T&& operator*() && { return std::move(*this).value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  const Status& error() const { return std::get<1>(state_); }

 private:
  std::variant<T, Status> state_;
};

}  // namespace vecstore

// Returns from the enclosing function when `expression`, a Status, is not ok. A copy: it may be part of a temporary.
#define VECSTORE_TRY(expression)                                                                                  \
  do {                                                                                                            \
    ::vecstore::Status vecstore_status_ = (expression); /* NOLINT(performance-unnecessary-copy-initialization) */ \
    if (!vecstore_status_.is_ok()) return vecstore_status_;                                                       \
  } while (false)

#define VECSTORE_CONCAT_INNER(a, b) a##b
#define VECSTORE_CONCAT(a, b) VECSTORE_CONCAT_INNER(a, b)

// VECSTORE_ASSIGN(auto file, open(path)): declares `file`, or returns the Status of the failed Result.
#define VECSTORE_ASSIGN(declaration, expression)                   \
  auto VECSTORE_CONCAT(vecstore_result_, __LINE__) = (expression); \
  if (!VECSTORE_CONCAT(vecstore_result_, __LINE__).has_value())    \
    return VECSTORE_CONCAT(vecstore_result_, __LINE__).error();    \
  declaration = std::move(VECSTORE_CONCAT(vecstore_result_, __LINE__)).value()
