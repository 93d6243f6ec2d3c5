// SPDX-License-Identifier: Apache-2.0
#include "base/random.h"

#include <random>

namespace vecstore {

Random Random::of_system() {
  std::random_device device;
  return Random((std::uint64_t{device()} << 32) | device());
}

}  // namespace vecstore
