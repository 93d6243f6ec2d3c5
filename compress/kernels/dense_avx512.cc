// SPDX-License-Identifier: Apache-2.0
//
// Compiled with -mavx512f -mfma.
#include "compress/kernels/dense_unit.h"

namespace vecstore::detail {

constexpr std::size_t kVectorBytes = 64;

const DenseUnit kDenseAvx512 = {multiply<kVectorBytes>, nearest<kVectorBytes>};

}  // namespace vecstore::detail
