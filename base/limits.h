// SPDX-License-Identifier: Apache-2.0
//
// Every limit of VecStore in one place, with the relations between them checked at compile time.
#pragma once

#include <cstddef>
#include <cstdint>

namespace vecstore {

inline constexpr std::uint32_t kDimMax = 4096;
inline constexpr std::uint64_t kRowsMax =
    (std::uint64_t{1} << 32) - 3;                       // rows of one generation: Pos is u32, two values reserved
inline constexpr std::uint32_t kResultsMax = 1000;      // k
inline constexpr std::uint32_t kSearchListMax = 4096;   // L
inline constexpr std::uint32_t kDegreeMax = 255;        // R
inline constexpr std::uint32_t kQueriesMax = 1u << 24;  // queries of one batch
inline constexpr std::uint32_t kThreadsMax = 256;
inline constexpr std::uint32_t kClientsMax = 1024;
inline constexpr float kBoundMax = 1e6f;  // standard errors of the read bound

inline constexpr std::uint32_t kPageBytesMin = 4096;
inline constexpr std::uint32_t kPageBytesMax = 65536;
inline constexpr std::uint32_t kGraphPageBytesMax = 16384;
inline constexpr std::uint32_t kBlockRows = 256;     // rows that share one centroid
inline constexpr std::uint32_t kReadsPerRound = 11;  // pages that a round wants, and those that came early
inline constexpr std::uint32_t kPagesPerRound = 14;  // with all that come along
inline constexpr std::uint32_t kLanesMax = 32;       // queries in progress in one searcher
inline constexpr std::uint32_t kPagesInFlightMax = kLanesMax * kPagesPerRound;  // pages of one reader
inline constexpr std::uint32_t kPagesPerRequest = 16;                           // pages side by side, read at once
inline constexpr std::uint32_t kPagesPerQueryMax = 16384;  // a search ends when it has seen as many

inline constexpr std::uint64_t kLogBytesMin = 4u << 20;    // bytes of the log's files
inline constexpr std::uint64_t kDeltaBytesMin = 1u << 20;  // bytes of what waits to be merged

inline constexpr std::size_t kKeyBytesMax = 480;  // eight keys fit a page of the catalog
inline constexpr std::size_t kDocumentBytesMax = 65536;

static_assert(kGraphPageBytesMax <= kPageBytesMax);
static_assert(kResultsMax <= kSearchListMax);
static_assert(kDimMax + 64 <= kGraphPageBytesMax, "a page must hold at least one record of the largest dimension");

}  // namespace vecstore
