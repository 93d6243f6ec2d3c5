// SPDX-License-Identifier: Apache-2.0
#include "bindings/c/call.h"

#include <string_view>

#include "bindings/c/handles.h"

namespace vecstore::c {
namespace {

static_assert(sizeof(vecstore_error) == 512);

// Bytes of the UTF-8 character that `text` begins with; 0: it is none, or none that fits a line.
std::size_t character(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first < ' ' || first == 0x7f ? 0 : 1;
  const std::size_t bytes = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (first >= 0xf5 || bytes == 0 || text.size() < bytes) return 0;
  for (std::size_t i = 1; i < bytes; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  // What UTF-8 has no room for: long forms, surrogates, beyond the last code point.
  const unsigned char second = byte(1);
  const bool is_wrong = (first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) ||
                        (first == 0xf0 && second < 0x90) || (first == 0xf4 && second >= 0x90);
  return is_wrong ? 0 : bytes;
}

// One line of UTF-8, whatever the bytes of paths and keys are.
void write_line(std::string_view text, char* out, std::size_t size) {
  std::size_t at = 0;
  while (!text.empty()) {
    const std::size_t bytes = character(text);
    const std::size_t needed = std::max<std::size_t>(bytes, 1);
    if (at + needed >= size) break;
    if (bytes == 0) {
      out[at] = '?';
    } else {
      std::memcpy(out + at, text.data(), bytes);
    }
    at += needed;
    text.remove_prefix(needed);
  }
  out[at] = '\0';
}

}  // namespace

Status refuse(const char* text) { return {Code::kInvalidArgument, text}; }

std::int32_t end_call(const Outcome& outcome, vecstore_error* error) {
  if (error == nullptr) return outcome.code;
  *error = {};
  error->code = outcome.code;
  error->system_error = outcome.status.error_number();
  error->detail = static_cast<std::uint32_t>(outcome.status.detail());
  error->number = outcome.status.number();
  error->expected = outcome.expected;
  error->actual = outcome.actual;
  try {
    write_line(outcome.status.message(), error->message, sizeof(error->message));
  } catch (...) {  // no memory for the whole of it
    write_line(outcome.status.text(), error->message, sizeof(error->message));
  }
  return outcome.code;
}

Status check_size(std::uint32_t size, std::uint32_t first) {
  if (size >= first && size <= kSizeMost) return Status::ok();
  return Status(Code::kInvalidArgument,
                "a struct has no size that it ever had; initialise it with its size: T t = {.struct_size = sizeof t}")
      .at(Detail::kBytes, size);
}

Status check_tail(const void* given, std::uint32_t known, std::uint32_t size) {
  const auto* bytes = static_cast<const unsigned char*>(given);
  for (std::uint32_t at = known; at < size; ++at)
    if (bytes[at] != 0)
      return Status(Code::kUnsupported, "a struct asks for what this version of the library does not have")
          .at(Detail::kOffset, at);
  return Status::ok();
}

Status check_reserved(std::uint32_t reserved) {
  if (reserved == 0) return Status::ok();
  return Status(Code::kUnsupported, "a reserved member is not 0; this version of the library gives it no meaning");
}

Status read_hooks(const vecstore_hooks* given, Hooks& hooks) {
  vecstore_hooks read;
  VECSTORE_TRY(read_versioned(given, read));
  if (read.cancel != nullptr) hooks.cancel = &read.cancel->token;
  if (read.progress == nullptr) return Status::ok();
  hooks.progress = [read](const Progress& progress) {
    const vecstore_progress told{sizeof(vecstore_progress), static_cast<std::uint32_t>(progress.phase), progress.done,
                                 progress.total, progress.memory_bytes};
    if (read.progress(read.context, &told) != 0) throw StoppedByCallback();
  };
  return Status::ok();
}

Status check_path(const char* path, const char* what) {
  if (path != nullptr && *path != '\0') return Status::ok();
  return Status(Code::kInvalidArgument, "a path or name is NULL or empty").about(what);
}

}  // namespace vecstore::c
