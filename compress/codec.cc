// SPDX-License-Identifier: Apache-2.0
#include "compress/codec.h"

namespace vecstore {

std::string_view name_of(Codec codec) {
  switch (codec) {
    case Codec::kPq:
      return "pq";
    case Codec::kOpq:
      return "opq";
    case Codec::kRabitq:
      return "rabitq";
    case Codec::kAutomatic:
      break;
  }
  return "automatic";
}

}  // namespace vecstore
