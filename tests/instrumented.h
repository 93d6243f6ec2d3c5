// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace vecstore::test {

// Instrumented builds are ten times slower: they take fewer rows and seeds, and leave counts of reads to the others.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kInstrumented = true;
#else
inline constexpr bool kInstrumented = false;
#endif

}  // namespace vecstore::test
