// SPDX-License-Identifier: Apache-2.0
//
// npy 1.0 to 3.0 (numpy.lib.format): "\x93NUMPY", u8 major, u8 minor, u16 (from 2.0 on: u32) header length, then a
// Python dictionary of 'descr', 'fortran_order' and 'shape', then the array. The dictionary is read by a scanner of
// just what NumPy writes; nothing is evaluated and nothing is allocated by a number of the file.
#include <array>
#include <cstring>
#include <vector>

#include "base/bytes.h"
#include "engine/files/vector_file.h"

namespace vecstore {
namespace {

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::uint32_t kHeaderBytesMax = 65536;

struct NpyHeader {
  std::string_view descr;
  std::optional<bool> fortran_order;
  std::array<std::uint64_t, 2> shape{};
  std::size_t axes = 0;
  bool too_many_axes = false;
  bool has_fields = false;  // descr is a list of them
};

class NpyScanner {
 public:
  explicit NpyScanner(std::string_view text) : text_(text) {}

  // The whole dictionary; false when it is not one.
  bool scan(NpyHeader& header) {
    if (!take('{')) return false;
    while (!take('}')) {
      std::string_view key;
      if (!string(key) || !take(':') || !value(key, header)) return false;
      if (!take(',') && peek() != '}') return false;
    }
    skip_space();
    return at_ == text_.size();
  }

 private:
  bool value(std::string_view key, NpyHeader& header) {
    if (key == "descr") return descr(header);
    if (key == "fortran_order") return boolean(header.fortran_order);
    return key == "shape" && shape(header);
  }

  // The name of one type, or a list of fields, which is passed over.
  bool descr(NpyHeader& header) {
    skip_space();
    header.has_fields = peek() == '[';
    if (!header.has_fields) return string(header.descr);
    const std::size_t begin = at_;
    std::size_t depth = 0;
    do {
      std::string_view name;
      if (peek() == '\0' || ((peek() == '\'' || peek() == '"') && !string(name))) return false;
      if (peek() == '[' || peek() == '(') ++depth;
      if (peek() == ']' || peek() == ')') --depth;
      ++at_;
    } while (depth != 0);
    header.descr = text_.substr(begin, at_ - begin);
    return true;
  }

  bool string(std::string_view& out) {
    skip_space();
    const char quote = peek();
    if (quote != '\'' && quote != '"') return false;
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) return false;
    out = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return true;
  }

  bool boolean(std::optional<bool>& out) {
    skip_space();
    for (const bool truth : {true, false}) {
      const std::string_view word = truth ? "True" : "False";
      if (!text_.substr(at_).starts_with(word)) continue;
      at_ += word.size();
      out = truth;
      return true;
    }
    return false;
  }

  bool shape(NpyHeader& header) {
    header.axes = 0;
    if (!take('(')) return false;
    while (!take(')')) {
      std::uint64_t extent = 0;
      if (!number(extent)) return false;
      if (header.axes == header.shape.size()) {
        header.too_many_axes = true;
      } else {
        header.shape[header.axes++] = extent;
      }
      if (!take(',') && peek() != ')') return false;
    }
    return true;
  }

  // Refuses above 2^62, so that nothing below overflows.
  bool number(std::uint64_t& out) {
    skip_space();
    const std::size_t begin = at_;
    for (out = 0; peek() >= '0' && peek() <= '9'; ++at_) {
      if (out > (std::uint64_t{1} << 58)) return false;
      out = out * 10 + static_cast<std::uint64_t>(peek() - '0');
    }
    return at_ != begin;
  }

  bool take(char wanted) {
    skip_space();
    if (peek() != wanted) return false;
    ++at_;
    return true;
  }
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }
  void skip_space() {
    while (peek() == ' ' || peek() == '\n' || peek() == '\t') ++at_;
  }

  std::string_view text_;
  std::size_t at_ = 0;
};

Status refuse(const InputFile& file, const char* text, std::uint64_t offset) {
  return Status(Code::kInvalidInput, text).about(file.path()).at(Detail::kOffset, offset);
}

Result<Element> element_of(const InputFile& file, std::string_view descr) {
  struct Name {
    std::string_view descr;
    Element element;
  };
  constexpr std::array<Name, 8> kNames = {{{"<f4", Element::kF32},
                                           {"<f2", Element::kF16},
                                           {"|u1", Element::kU8},
                                           {"|i1", Element::kI8},
                                           {"<u1", Element::kU8},
                                           {"<i1", Element::kI8},
                                           {"<i4", Element::kI32},
                                           {"<u4", Element::kI32}}};
  for (const Name& name : kNames)
    if (name.descr == descr) return name.element;
  const char* remedy = "the element type is none of <f4 <f2 |u1 |i1; save the array again, e.g. as array.astype('<f4')";
  if (descr.starts_with('>')) remedy = "the elements are big-endian; save array.astype('<f4') instead";
  if (descr.ends_with("f8")) remedy = "the elements are float64; save array.astype('<f4') instead";
  if (descr == "|O")
    remedy =
        "the elements are objects of Python; save numpy.stack(array).astype('<f4') instead, of arrays of one length";
  return Status(Code::kUnsupported, remedy).about(file.path() + " (descr '" + std::string(descr.substr(0, 32)) + "')");
}

// The dictionary's text and where the array starts.
Status read_dictionary(const InputFile& file, std::vector<char>& text, std::uint64_t& data_offset) {
  std::array<std::byte, 12> start{};
  if (file.size_bytes() < start.size())
    return refuse(file, "the file ends here, inside the header of an npy file", file.size_bytes());
  VECSTORE_TRY(file.read_exact(0, start.data(), start.size()));
  if (std::memcmp(start.data(), kMagic.data(), kMagic.size()) != 0)
    return refuse(file, "the file does not start with the magic of an npy file; is the ending of its name right?", 0);
  ByteReader reader(std::span<const std::byte>(start).subspan(kMagic.size()));
  const auto major = reader.read<std::uint8_t>();
  const auto minor = reader.read<std::uint8_t>();
  if (major < 1 || major > 3 || minor != 0)
    return Status(Code::kUnsupported, "the npy version is none of 1.0, 2.0, 3.0; save the array again with NumPy")
        .about(file.path())
        .at(Detail::kOffset, kMagic.size());
  const std::uint32_t header_bytes = major == 1 ? reader.read<std::uint16_t>() : reader.read<std::uint32_t>();
  const std::uint64_t header_offset = major == 1 ? 10 : 12;
  if (header_bytes > kHeaderBytesMax)
    return refuse(file, "the npy header says that it is longer than 65536 bytes; the file is damaged", 8);
  data_offset = header_offset + header_bytes;
  if (file.size_bytes() < data_offset)
    return refuse(file, "the file ends here, inside the header of an npy file", file.size_bytes());
  text.resize(header_bytes);
  return file.read_exact(header_offset, text.data(), text.size());
}

}  // namespace

Result<VectorLayout> read_npy_layout(const InputFile& file, Ending ending) {
  std::vector<char> text;
  VectorLayout layout;
  VECSTORE_TRY(read_dictionary(file, text, layout.data_offset));
  const std::uint64_t header_offset = layout.data_offset - text.size();
  NpyHeader header;
  if (!NpyScanner({text.data(), text.size()}).scan(header) || header.descr.empty() || !header.fortran_order)
    return refuse(file, "the npy header is not the dictionary that NumPy writes; save the array again", header_offset);
  if (header.has_fields)
    return Status(Code::kUnsupported, "the array is structured; save one of its fields, e.g. array['NAME'], instead")
        .about(file.path() + " (fields " + std::string(header.descr.substr(0, 80)) + ")")
        .at(Detail::kOffset, header_offset);
  VECSTORE_ASSIGN(layout.element, element_of(file, header.descr));
  if (*header.fortran_order)
    return Status(Code::kUnsupported, "the array is in Fortran order; save numpy.ascontiguousarray(array) instead")
        .about(file.path())
        .at(Detail::kOffset, header_offset);
  if (header.axes == 0 || header.too_many_axes)
    return refuse(file, "the array has neither one axis nor two; save it as [rows, dim]", header_offset);
  layout.rows = header.axes == 2 ? header.shape[0] : 1;
  const std::uint64_t dim = header.shape[header.axes - 1];
  VECSTORE_TRY(check_dim(file, dim, header_offset));
  layout.dim = static_cast<std::uint32_t>(dim);
  VECSTORE_TRY(fit_size(file, ending, layout));
  return layout;
}

std::string make_header(FileFamily family, Element element, std::uint64_t rows, std::uint32_t dim) {
  if (family == FileFamily::kVecs) return {};
  ByteWriter writer;
  if (family == FileFamily::kBin) {
    writer.write(static_cast<std::uint32_t>(rows));
    writer.write(dim);
  } else {
    constexpr std::array<std::string_view, 5> kDescr = {"<f4", "<f2", "|u1", "|i1", "<i4"};
    std::string text = "{'descr': '" + std::string(kDescr[static_cast<std::size_t>(element)]) +
                       "', 'fortran_order': False, 'shape': (" + std::to_string(rows) + ", " + std::to_string(dim) +
                       "), }";
    // NumPy aligns the array to 64 bytes by spaces, and ends the header with a newline.
    constexpr std::size_t kBefore = 10;
    const std::size_t padded = (kBefore + text.size() + 1 + 63) / 64 * 64 - kBefore;
    text.resize(padded - 1, ' ');
    text += '\n';
    writer.write_bytes(std::as_bytes(std::span(kMagic.data(), kMagic.size())));
    writer.write(std::uint8_t{1});
    writer.write(std::uint8_t{0});
    writer.write(static_cast<std::uint16_t>(text.size()));
    writer.write_bytes(std::as_bytes(std::span(text.data(), text.size())));
  }
  return {reinterpret_cast<const char*>(writer.bytes().data()), writer.size()};
}

}  // namespace vecstore
