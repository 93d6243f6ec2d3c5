// SPDX-License-Identifier: Apache-2.0
#include "engine/files/text_lines.h"

#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "engine/files/input_file.h"

namespace vecstore {

namespace {

constexpr std::size_t kInputBytes = 65536;
constexpr std::size_t kTextBytes = 65536;
// zstd's own limit is 128 MiB, which a file may ask for; levels up to 19 stay within this one.
constexpr int kWindowLogMax = 23;
constexpr std::uint64_t kDecoderBytes = (std::uint64_t{1} << kWindowLogMax) + (512u << 10);
static_assert(kKeyBytesMax == 480 && kDocumentBytesMax == 65536, "the texts of the errors below name them");
constexpr std::array<unsigned char, 4> kZstdMagic = {0x28, 0xB5, 0x2F, 0xFD};
constexpr std::string_view kUtf8Mark = "\xEF\xBB\xBF";
constexpr std::array<std::string_view, 2> kUtf16Marks = {"\xFF\xFE", "\xFE\xFF"};  // the first begins UTF-32 as well

struct FreeDecoder {
  void operator()(ZSTD_DCtx* decoder) const { ::ZSTD_freeDCtx(decoder); }
};

bool begins_as_no_plain_text(std::string_view text) {
  const std::string_view zstd(reinterpret_cast<const char*>(kZstdMagic.data()), kZstdMagic.size());
  return text.starts_with(kUtf8Mark) || text.starts_with(kUtf16Marks[0]) || text.starts_with(kUtf16Marks[1]) ||
         text.starts_with(zstd);
}

}  // namespace

// Reading takes one mark and one carriage return away.
void make_line(std::string& text, bool is_first) {
  if (is_first && begins_as_no_plain_text(text)) text.insert(0, kUtf8Mark);
  if (text.ends_with('\r')) text.push_back('\r');
  text.push_back('\n');
}

struct TextLines::Impl {
  explicit Impl(InputFile file_in) : file(std::move(file_in)) {}

  Status fill_input();
  Status begin_text();
  Status fill_text();
  Status decode_text();
  Status too_long() const;
  Status wrong_count(std::uint64_t found, std::uint64_t rows) const;
  Status at_line(const char* complaint) const {
    return Status(Code::kInvalidInput, complaint).about(file.path()).at(Detail::kLine, given + 1);
  }

  InputFile file;
  std::size_t line_bytes_max = 0;
  Buffer<std::byte> input;  // bytes as the file has them; unused when the text is plain
  std::size_t input_begin = 0;
  std::size_t input_end = 0;
  std::uint64_t file_at = 0;
  bool frame_open = false;  // the decoder is inside a frame
  std::unique_ptr<ZSTD_DCtx, FreeDecoder> decoder;
  Charge decoder_charge;
  Buffer<char> text;  // decoded
  std::size_t text_begin = 0;
  std::size_t text_end = 0;  // text_begin after a fill: the end
  bool begun = false;        // the start of the text has been looked at
  Buffer<char> line;         // one that crosses the end of `text`, and its carriage return
  std::uint64_t given = 0;
};

Status TextLines::Impl::fill_input() {
  VECSTORE_ASSIGN(const std::size_t got, file.read(file_at, input.span()));
  file_at += got;
  input_begin = 0;
  input_end = got;
  return Status::ok();
}

// Decodes at least as much as a mark takes, or all that is left.
Status TextLines::Impl::decode_text() {
  while (text_end < kUtf8Mark.size()) {
    if (input_begin == input_end) {
      VECSTORE_TRY(fill_input());
      if (input_end == 0)
        return frame_open ? at_line("the zstd file ends inside a frame; it is truncated") : Status::ok();
    }
    ZSTD_inBuffer in{input.data(), input_end, input_begin};
    ZSTD_outBuffer out{text.data(), text.size(), text_end};
    const std::size_t outcome = ::ZSTD_decompressStream(decoder.get(), &out, &in);
    if (::ZSTD_getErrorCode(outcome) == ZSTD_error_memory_allocation)
      return Status(Code::kMemoryBudget, "the system has no memory left to decode the file; free some")
          .about(file.path())
          .with_errno(ENOMEM);
    if (::ZSTD_isError(outcome) != 0)
      return at_line(
          "zstd cannot decode the file: it is damaged, or needs a window over 8 MiB (compress with -19 or less)");
    frame_open = outcome != 0;
    input_begin = in.pos;
    text_end = out.pos;
  }
  return Status::ok();
}

Status TextLines::Impl::fill_text() {
  text_begin = 0;
  text_end = 0;
  if (decoder) return decode_text();
  VECSTORE_ASSIGN(text_end, file.read(file_at, std::as_writable_bytes(text.span())));
  file_at += text_end;
  return Status::ok();
}

// The mark that editors and shells of Windows put in front of a text is no part of its first line.
Status TextLines::Impl::begin_text() {
  begun = true;
  VECSTORE_TRY(fill_text());
  const std::string_view start(text.data(), text_end);
  for (const std::string_view mark : kUtf16Marks)
    if (start.starts_with(mark))
      return at_line("the file is UTF-16 text; write it as UTF-8 (iconv -f UTF-16 -t UTF-8 FILE)");
  if (start.starts_with(kUtf8Mark)) text_begin = kUtf8Mark.size();
  return Status::ok();
}

Status TextLines::Impl::too_long() const {
  return at_line(line_bytes_max <= kKeyBytesMax
                     ? "the key is longer than 480 bytes; shorten it"
                     : "the line is longer than 65536 bytes; cut the document into several rows");
}

TextLines::TextLines(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
TextLines::TextLines(TextLines&&) noexcept = default;
TextLines& TextLines::operator=(TextLines&&) noexcept = default;
TextLines::~TextLines() = default;

Result<TextLines> TextLines::open(const std::string& path, MemoryBudget& budget, std::size_t line_bytes_max) {
  return open(FileSystem::posix(), path, budget, line_bytes_max);
}

Result<TextLines> TextLines::open(FileSystem& file_system, const std::string& path, MemoryBudget& budget,
                                  std::size_t line_bytes_max) {
  VECSTORE_ASSIGN(auto file, InputFile::open(file_system, path));
  auto impl = std::make_unique<Impl>(std::move(file));
  impl->line_bytes_max = line_bytes_max;
  VECSTORE_ASSIGN(impl->text, Buffer<char>::allocate(budget, kTextBytes));
  VECSTORE_ASSIGN(impl->line, Buffer<char>::allocate(budget, line_bytes_max + 1));
  std::array<std::byte, kZstdMagic.size()> start;
  VECSTORE_ASSIGN(const std::size_t got, impl->file.read(0, start));
  if (got == start.size() && std::memcmp(start.data(), kZstdMagic.data(), got) == 0) {
    VECSTORE_ASSIGN(impl->input, Buffer<std::byte>::allocate(budget, kInputBytes));
    VECSTORE_ASSIGN(impl->decoder_charge, Charge::take(budget, kDecoderBytes));
    impl->decoder.reset(::ZSTD_createDCtx());
    if (!impl->decoder)
      return Status(Code::kMemoryBudget, "the system has no memory left for zstd; free").about(path).with_errno(ENOMEM);
    ::ZSTD_DCtx_setParameter(impl->decoder.get(), ZSTD_d_windowLogMax, kWindowLogMax);
  }
  return TextLines(std::move(impl));
}

Result<bool> TextLines::next(std::string_view& line) {
  Impl& self = *impl_;
  if (!self.begun) VECSTORE_TRY(self.begin_text());
  std::size_t held = 0;  // bytes of self.line
  bool any = false;
  bool ended = false;
  while (!ended) {
    if (self.text_begin == self.text_end) {
      VECSTORE_TRY(self.fill_text());
      if (self.text_end == 0) break;
    }
    any = true;
    const char* begin = self.text.data() + self.text_begin;
    const std::size_t left = self.text_end - self.text_begin;
    const auto* newline = static_cast<const char*>(std::memchr(begin, '\n', left));
    const std::size_t part = newline != nullptr ? static_cast<std::size_t>(newline - begin) : left;
    if (held + part > self.line_bytes_max + 1) return self.too_long();
    ended = newline != nullptr;
    self.text_begin += part + (ended ? 1 : 0);
    line = {begin, part};
    if (ended && held == 0) break;
    std::memcpy(self.line.data() + held, begin, part);
    held += part;
    line = {self.line.data(), held};
  }
  if (!any) return false;
  if (line.ends_with('\r')) line.remove_suffix(1);
  if (line.size() > self.line_bytes_max) return self.too_long();
  ++self.given;
  return true;
}

std::uint64_t TextLines::lines() const { return impl_->given; }

Status TextLines::Impl::wrong_count(std::uint64_t found, std::uint64_t rows) const {
  const std::string what = file.path() + " (" + std::to_string(found) + " lines, " + std::to_string(rows) + " rows)";
  return Status(Code::kInvalidInput, "give one line per row").about(what);
}

Status TextLines::expect_line(std::uint64_t rows, std::string_view& line) {
  VECSTORE_ASSIGN(const bool more, next(line));
  return more ? Status::ok() : impl_->wrong_count(impl_->given, rows);
}

Status TextLines::expect_end(std::uint64_t rows) {
  std::string_view line;
  while (true) {
    VECSTORE_ASSIGN(const bool more, next(line));
    if (!more) break;
  }
  return impl_->given == rows ? Status::ok() : impl_->wrong_count(impl_->given, rows);
}

}  // namespace vecstore
