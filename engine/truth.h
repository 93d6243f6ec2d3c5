// SPDX-License-Identifier: Apache-2.0
//
// Exact search by brute force, files of its answers, and recall against them. Installed with vecstore.hpp, which says
// what distances and scores mean.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/cancel_token.h"
#include "base/status.h"
#include "base/vector_view.h"
#include "engine/reports.h"
#include "engine/vector_source.h"

namespace vecstore {

struct ExactNeighbours {
  std::uint32_t queries = 0;
  std::uint32_t k = 0;
  std::vector<std::uint32_t> rows;  // [queries × k], sorted by (distance, row); 0xFFFFFFFF where there are fewer than k
  std::vector<float> distances;     // [queries × k]; +inf where there are fewer
};

// Brute force over every row of `base`, streamed in blocks. Cosine and ip in the semantics above. Ranked by
// distances in double, equal ones by row; no row is lost to rounding. Errors: as of build, kCancelled.
Result<ExactNeighbours> exact_search(const VectorSource& base, const VectorSource& queries, std::uint32_t k,
                                     Metric metric, std::uint32_t threads = 0, const CancelToken* cancel = nullptr);

// Ground-truth and result files: uint32 queries, uint32 k, rows, distances (see ExactNeighbours). Errors: kIo,
// kInvalidInput, kNotFound, kPermission.
Status write_neighbours(const std::string& path, const ExactNeighbours& neighbours);
Result<ExactNeighbours> read_neighbours(const std::string& path);

// recall@k with ties. A hit counts when its row is among the truth's rows at a distance ≤ the k-th true distance. Each
// row counts once, and the sum is divided by min(k, rows of the truth). Returns the mean over the queries. Errors:
// kInvalidArgument when the truth has fewer queries or fewer than k columns.
Result<double> recall_at(const SearchResults& results, const ExactNeighbours& truth, std::uint32_t k);
Result<double> recall_at(const ExactNeighbours& found, const ExactNeighbours& truth, std::uint32_t k);

// The answers as a result file holds them, by Hit::key: what was built from a file and not written to has its rows for
// keys. Errors: kUnsupported when one does not fit 32 bits.
Result<ExactNeighbours> to_neighbours(const SearchResults& results);

}  // namespace vecstore
