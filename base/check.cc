// SPDX-License-Identifier: Apache-2.0
#include "base/check.h"

#include <array>
#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace vecstore {
namespace {

constexpr std::size_t kLineBytesMax = 1024;

std::atomic<PanicHook> panic_hook = nullptr;
std::atomic<void*> panic_context = nullptr;

}  // namespace

void set_panic_hook(PanicHook hook, void* context) {
  panic_hook.store(nullptr);  // nobody is called with another's context
  panic_context.store(context);
  panic_hook.store(hook);
}

void check_failed(const char* condition, const char* file, int line) {
  std::array<char, kLineBytesMax> text;
  static_cast<void>(
      std::snprintf(text.data(), text.size(), "vecstore: broken invariant: %s (%s:%d)", condition, file, line));
  if (const PanicHook hook = panic_hook.load(); hook != nullptr) {
    hook(panic_context.load(), text.data());
  } else {
    static_cast<void>(std::fprintf(stderr, "%s\n", text.data()));
  }
  std::abort();
}

}  // namespace vecstore
