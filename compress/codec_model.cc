// SPDX-License-Identifier: Apache-2.0
#include "compress/codec_model.h"

#include <algorithm>

namespace vecstore {

bool have_same_tables(const CodecModel& a, const CodecModel& b) {
  return a.kind == b.kind && a.dim == b.dim && a.code_bytes == b.code_bytes && a.codewords == b.codewords &&
         a.bits == b.bits && a.fine_tables == b.fine_tables && a.subspace_begin == b.subspace_begin &&
         std::ranges::equal(a.mean, b.mean) && std::ranges::equal(a.rotation, b.rotation) &&
         std::ranges::equal(a.codebook, b.codebook) && std::ranges::equal(a.mixing, b.mixing);
}

Result<CodecModel> copy_model(const CodecModel& model, MemoryBudget& budget) {
  const auto copy = [&budget]<typename T>(const Buffer<T>& from) -> Result<Buffer<T>> {
    VECSTORE_ASSIGN(auto to, Buffer<T>::allocate(budget, from.size()));
    std::copy(from.begin(), from.end(), to.begin());
    return to;
  };
  CodecModel copied;
  copied.kind = model.kind;
  copied.metric = model.metric;
  copied.dim = model.dim;
  copied.code_bytes = model.code_bytes;
  copied.codewords = model.codewords;
  copied.bits = model.bits;
  copied.scaled = model.scaled;
  copied.fine_tables = model.fine_tables;
  copied.correction_scale = model.correction_scale;
  copied.correction_offset = model.correction_offset;
  copied.error_slope = model.error_slope;
  copied.mean_square_error = model.mean_square_error;
  copied.bias_offset = model.bias_offset;
  copied.bias_per_error2 = model.bias_per_error2;
  copied.subspace_begin = model.subspace_begin;
  VECSTORE_ASSIGN(copied.mean, copy(model.mean));
  VECSTORE_ASSIGN(copied.rotation, copy(model.rotation));
  VECSTORE_ASSIGN(copied.weights, copy(model.weights));
  VECSTORE_ASSIGN(copied.codebook, copy(model.codebook));
  VECSTORE_ASSIGN(copied.mixing, copy(model.mixing));
  return copied;
}

}  // namespace vecstore
