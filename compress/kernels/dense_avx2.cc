// SPDX-License-Identifier: Apache-2.0
//
// Compiled with -mavx2 -mfma.
#include "compress/kernels/dense_unit.h"

namespace vecstore::detail {

constexpr std::size_t kVectorBytes = 32;

const DenseUnit kDenseAvx2 = {multiply<kVectorBytes>, nearest<kVectorBytes>};

}  // namespace vecstore::detail
