// SPDX-License-Identifier: Apache-2.0
#include "bindings/c/data.h"

#include <algorithm>
#include <string>

#include "base/limits.h"
#include "base/mutex.h"

namespace vecstore::c {
namespace {

static_assert(VECSTORE_F32 == static_cast<int>(DType::kF32) && VECSTORE_F16 == static_cast<int>(DType::kF16) &&
              VECSTORE_U8 == static_cast<int>(DType::kU8) && VECSTORE_I8 == static_cast<int>(DType::kI8));

Outcome counts_differ(const char* what, std::uint64_t expected, std::uint64_t actual) {
  return Outcome(
             Status(Code::kInvalidArgument, "counts of one call differ")
                 .about(std::string(what) + ": " + std::to_string(actual) + ", expected " + std::to_string(expected)))
      .with(expected, actual);
}

// Rows that a function of the caller's brings.
class CallbackSource final : public VectorSource {
 public:
  CallbackSource(const vecstore_source& given, const VectorView& shape) : given_(given), shape_(shape) {}
  DType dtype() const override { return shape_.dtype; }
  std::uint64_t rows() const override { return shape_.rows; }
  std::uint32_t dim() const override { return shape_.dim; }
  const std::string& name() const override { return name_; }
  Status read(std::uint64_t first, std::uint64_t count, void* out) const override {
    const MutexLock guard(lock_);
    code_ = given_.read(given_.context, first, count, out);
    if (code_ == 0) return Status::ok();
    return Status(Code::kIo, "the caller's read() failed").about(name_).at(Detail::kRow, first);
  }
  const std::int32_t* code() const { return &code_; }

 private:
  const vecstore_source given_;
  const VectorView shape_;
  const std::string name_ = "callback";
  mutable Mutex lock_;
  mutable std::int32_t code_ = 0;  // of the last call, which is the last of all where it is not 0
};

Status check_shape(const vecstore_vectors& given) {
  if (given.dtype > VECSTORE_I8) return refuse("dtype is none: VECSTORE_F32, F16, U8 or I8");
  return Status::ok();
}

}  // namespace

Outcome read_vectors(const vecstore_vectors* given, VectorView& vectors) {
  if (given == nullptr) return refuse("vectors is NULL");
  VECSTORE_TRY(check_shape(*given));
  const auto dtype = static_cast<DType>(given->dtype);
  const std::size_t element = element_bytes(dtype);
  if (given->rows != 0 && given->data == nullptr) return refuse("vectors.data is NULL, though there are rows");
  if (reinterpret_cast<std::uintptr_t>(given->data) % element != 0)
    return refuse("vectors.data is not aligned as its elements are; copy it to memory that is");
  const std::uint64_t row_bytes = std::uint64_t{given->dim} * element;
  if (given->stride != 0 && (given->stride < row_bytes || given->stride % element != 0))
    return Outcome(Status(Code::kInvalidArgument,
                          "vectors.stride is shorter than a row, or no multiple of an element; a row takes")
                       .at(Detail::kBytes, row_bytes))
        .with(row_bytes, given->stride);
  const std::uint64_t step = std::max(given->stride, row_bytes);
  if (step != 0 && given->rows > (UINT64_MAX >> 1) / step)
    return refuse("vectors.rows times its stride is beyond what memory holds");
  vectors = {given->data, dtype, given->rows, given->dim, static_cast<std::size_t>(given->stride)};
  return {};
}

Outcome check_texts(const vecstore_texts& texts, const char* what, std::uint64_t count) {
  if (count != kAny && texts.count != count) return counts_differ(what, count, texts.count);
  const auto wrong = [&](const char* said, std::uint64_t row) {
    return Status(Code::kInvalidArgument, said).about(what).at(Detail::kRow, row);
  };
  if (texts.count == 0) return {};
  if (texts.offsets == nullptr) return wrong("offsets is NULL, though there are texts", 0);
  for (std::uint64_t i = 0; i < texts.count; ++i)
    if (texts.offsets[i + 1] < texts.offsets[i]) return wrong("offsets descend", i);
  if (texts.bytes == nullptr && texts.offsets[texts.count] != texts.offsets[0])
    return wrong("bytes is NULL, though texts have some", 0);
  return {};
}

Outcome check_keys(const vecstore_keys* given, std::uint64_t count) {
  if (given == nullptr) return refuse("keys is NULL");
  if (count != kAny && given->count != count) return counts_differ("keys", count, given->count);
  if (given->count == 0) return {};
  if ((given->numbers == nullptr) == (given->texts == nullptr))
    return refuse("keys are numbers or texts: set one of the two");
  if (given->texts == nullptr) return {};
  return check_texts(*given->texts, "keys", given->count);
}

Outcome read_keys(const vecstore_keys* given, std::vector<Key>& keys, std::uint64_t count) {
  VECSTORE_C_TRY(check_keys(given, count));
  keys.reserve(given->count);
  for (std::uint64_t i = 0; i < given->count; ++i) {
    if (given->texts == nullptr) {
      keys.emplace_back(given->numbers[i]);
    } else {
      keys.emplace_back(text_of(*given->texts, i));
    }
  }
  return {};
}

Outcome read_documents(const vecstore_texts* given, std::vector<std::string_view>& documents, std::uint64_t count) {
  if (given == nullptr) return {};
  VECSTORE_C_TRY(check_texts(*given, "documents", count));
  documents.reserve(given->count);
  for (std::uint64_t i = 0; i < given->count; ++i) documents.push_back(text_of(*given, i));
  return {};
}

Outcome read_source(const vecstore_source* given, SourceReader& reader) {
  if (given == nullptr) return refuse("source is NULL");
  VECSTORE_TRY(read_versioned(given, reader.given));
  if (reader.given.path != nullptr) {
    VECSTORE_TRY(check_path(reader.given.path, "source.path"));
    auto opened = open_vector_file(reader.given.path);
    if (!opened) return opened.error();
    reader.vectors = std::move(*opened);
    return {};
  }
  if (reader.given.read != nullptr) {
    VECSTORE_TRY(check_shape(reader.given.vectors));
    const vecstore_vectors& shape = reader.given.vectors;
    auto source = std::make_unique<CallbackSource>(
        reader.given, VectorView{nullptr, static_cast<DType>(shape.dtype), shape.rows, shape.dim, 0});
    reader.callback_code = source->code();
    reader.vectors = std::move(source);
    return {};
  }
  VectorView view;
  VECSTORE_C_TRY(read_vectors(&reader.given.vectors, view));
  reader.vectors = view_source(view);
  return {};
}

Outcome read_texts_of(const SourceReader& reader, BuildOptions& options) {
  const vecstore_source& given = reader.given;
  const std::uint64_t rows = reader.vectors->rows();
  if (given.keys_path != nullptr) options.keys_path = given.keys_path;
  if (given.documents_path != nullptr) options.documents_path = given.documents_path;
  if (given.keys != nullptr) {
    VECSTORE_C_TRY(check_keys(given.keys, rows));
    const vecstore_texts* texts = given.keys->texts;
    if (texts == nullptr) {
      options.number_keys = {given.keys->numbers, static_cast<std::size_t>(rows)};
    } else {
      options.key_of = [texts](std::uint64_t row) { return text_of(*texts, row); };
    }
  }
  if (given.documents == nullptr) return {};
  const vecstore_texts* documents = given.documents;
  VECSTORE_C_TRY(check_texts(*documents, "source.documents", rows));
  options.document_of = [documents](std::uint64_t row) { return text_of(*documents, row); };
  return {};
}

Outcome with_callback_code(const SourceReader& reader, const Status& status) {
  if (status.is_ok() || reader.callback_code == nullptr || *reader.callback_code == 0) return status;
  const std::int32_t code = *reader.callback_code;
  return Outcome::of(code > VECSTORE_OK && code <= VECSTORE_FORKED ? code : VECSTORE_IO, status);
}

}  // namespace vecstore::c
