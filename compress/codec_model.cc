// SPDX-License-Identifier: Apache-2.0
#include "compress/codec_model.h"

#include <algorithm>

namespace vecstore {

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
