// SPDX-License-Identifier: Apache-2.0
#include "compress/kernels/kernels.h"

#include <cstdlib>

#include "compress/kernels/units.h"

namespace vecstore {
namespace {

constexpr const char* kOverride = "VECSTORE_KERNELS";
constexpr KernelLevel kLevels[] = {KernelLevel::kAvx512, KernelLevel::kAvx2, KernelLevel::kNeon, KernelLevel::kScalar};

// The features that the flags of the unit in CMakeLists.txt let the compiler use: both lists must agree.
bool processor_has(KernelLevel level) {
#if defined(__x86_64__)
  switch (level) {
    case KernelLevel::kScalar:
      return true;
    case KernelLevel::kAvx2:
      return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
    case KernelLevel::kAvx512:
      return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
             __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
             __builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512vnni") &&
             processor_has(KernelLevel::kAvx2);
    case KernelLevel::kNeon:
      return false;
  }
  return false;
#elif defined(__aarch64__)
  return level == KernelLevel::kScalar || level == KernelLevel::kNeon;
#else
  return level == KernelLevel::kScalar;
#endif
}

// The level must be one that processor_has.
const Kernels& table_of(KernelLevel level) {
  switch (level) {
#if defined(__x86_64__)
    case KernelLevel::kAvx2:
      return kernel_units::kAvx2;
    case KernelLevel::kAvx512:
      return kernel_units::kAvx512;
#elif defined(__aarch64__)
    case KernelLevel::kNeon:
      return kernel_units::kNeon;
#endif
    default:
      return kernel_units::kScalar;
  }
}

struct Choice {
  const Kernels* table = &kernel_units::kScalar;
  Status status;
};

Choice choose() {
  Choice choice;
  const char* wanted = std::getenv(kOverride);
  for (const KernelLevel level : kLevels) {
    if (wanted != nullptr && name_of(level) != wanted) continue;
    if (processor_has(level)) {
      choice.table = &table_of(level);
      return choice;
    }
    if (wanted != nullptr) {
      choice.status =
          Status(Code::kUnsupported,
                 "this processor lacks the kernel level VECSTORE_KERNELS names; unset it or choose a lower one")
              .about(wanted);
      return choice;
    }
  }
  choice.status =
      Status(Code::kInvalidArgument, "VECSTORE_KERNELS must be scalar, avx2, avx512 or neon; correct it or unset it")
          .about(wanted != nullptr ? wanted : "");
  return choice;
}

const Choice& chosen() {
  static const Choice choice = choose();
  return choice;
}

}  // namespace

const Kernels& kernels() { return *chosen().table; }

Status kernels_status() { return chosen().status; }

Result<const Kernels*> kernels_of(KernelLevel level) {
  if (!processor_has(level)) {
    return Status(Code::kUnsupported, "this processor or build lacks the kernel level").about(name_of(level));
  }
  return &table_of(level);
}

std::string_view name_of(KernelLevel level) {
  switch (level) {
    case KernelLevel::kScalar:
      return "scalar";
    case KernelLevel::kAvx2:
      return "avx2";
    case KernelLevel::kAvx512:
      return "avx512";
    case KernelLevel::kNeon:
      return "neon";
  }
  return "unknown";
}

}  // namespace vecstore
