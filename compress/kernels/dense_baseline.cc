// SPDX-License-Identifier: Apache-2.0
//
// What every processor of the target has: SSE2 on x86-64, NEON on aarch64.
#include "compress/kernels/dense_unit.h"

namespace vecstore::detail {

constexpr std::size_t kVectorBytes = 16;

const DenseUnit kDenseBaseline = {multiply<kVectorBytes>, nearest<kVectorBytes>};

}  // namespace vecstore::detail
