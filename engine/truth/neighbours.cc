// SPDX-License-Identifier: Apache-2.0
//
// Ground-truth and result files, and recall against them.
#include <algorithm>
#include <array>
#include <limits>

#include "base/bytes.h"
#include "base/thrown.h"
#include "engine/files/input_file.h"
#include "engine/files/output_file.h"
#include "engine/reports.h"
#include "engine/truth.h"

namespace vecstore {
namespace {

constexpr std::uint64_t kHeaderBytes = 8;
constexpr std::uint32_t kNoRow = 0xFFFFFFFFu;

// One query's share: hits at a distance up to the k-th true one, each row once.
double recall_of_query(std::span<const std::uint32_t> found, std::span<const std::uint32_t> rows,
                       std::span<const float> distances, std::uint32_t k, std::vector<std::uint32_t>& accepted) {
  const auto known = static_cast<std::size_t>(std::find(rows.begin(), rows.end(), kNoRow) - rows.begin());
  const std::size_t wanted = std::min<std::size_t>(k, known);
  if (wanted == 0) return 1.0;
  accepted.clear();
  for (std::size_t i = 0; i < known; ++i)
    if (distances[i] <= distances[wanted - 1]) accepted.push_back(rows[i]);
  std::sort(accepted.begin(), accepted.end());
  std::size_t right = 0;
  for (std::size_t i = 0; i < std::min<std::size_t>(found.size(), k); ++i) {
    const bool repeated = std::find(found.begin(), found.begin() + i, found[i]) != found.begin() + i;
    right += !repeated && std::binary_search(accepted.begin(), accepted.end(), found[i]) ? 1 : 0;
  }
  return static_cast<double>(std::min(right, wanted)) / static_cast<double>(wanted);
}

}  // namespace

Status write_neighbours(const std::string& path, const ExactNeighbours& neighbours) try {
  const std::size_t cells = std::size_t{neighbours.queries} * neighbours.k;
  if (neighbours.rows.size() != cells || neighbours.distances.size() != cells)
    return Status(Code::kInvalidArgument, "rows and distances must both be queries x k long").about(path);
  VECSTORE_ASSIGN(OutputFile file, OutputFile::create(FileSystem::posix(), path, true));
  ByteWriter header;
  header.write(neighbours.queries);
  header.write(neighbours.k);
  VECSTORE_TRY(file.write(header.bytes().data(), header.size()));
  VECSTORE_TRY(file.write(neighbours.rows.data(), cells * sizeof(std::uint32_t)));
  VECSTORE_TRY(file.write(neighbours.distances.data(), cells * sizeof(float)));
  return file.commit();
} catch (...) {
  return status_of_exception();
}

Result<ExactNeighbours> read_neighbours(const std::string& path) try {
  VECSTORE_ASSIGN(const InputFile file, InputFile::open(FileSystem::posix(), path));
  if (file.size_bytes() < kHeaderBytes)
    return Status(Code::kInvalidInput, "the file ends here, inside the header of 8 bytes (uint32 queries, uint32 k)")
        .about(path)
        .at(Detail::kOffset, file.size_bytes());
  std::array<std::byte, kHeaderBytes> header{};
  VECSTORE_TRY(file.read_exact(0, header.data(), header.size()));
  ByteReader reader(header);
  ExactNeighbours neighbours;
  neighbours.queries = reader.read<std::uint32_t>();
  neighbours.k = reader.read<std::uint32_t>();
  const std::uint64_t cells = std::uint64_t{neighbours.queries} * neighbours.k;
  const std::uint64_t held_bytes = file.size_bytes() - kHeaderBytes;
  if (held_bytes % 8 != 0 || held_bytes / 8 != cells) {
    const bool ids_only = held_bytes % 4 == 0 && held_bytes / 4 == cells;
    return Status(Code::kInvalidInput, ids_only
                                           ? "the file ends here: ids without distances; compute it with groundtruth"
                                           : "the file ends here, which does not fit its header; compute it again "
                                             "with groundtruth")
        .about(path + " (header: " + std::to_string(neighbours.queries) + " x " + std::to_string(neighbours.k) + ")")
        .at(Detail::kOffset, file.size_bytes());
  }
  neighbours.rows.resize(cells);
  neighbours.distances.resize(cells);
  VECSTORE_TRY(file.read_exact(kHeaderBytes, neighbours.rows.data(), cells * sizeof(std::uint32_t)));
  VECSTORE_TRY(file.read_exact(kHeaderBytes + cells * 4, neighbours.distances.data(), cells * sizeof(float)));
  return neighbours;
} catch (...) {
  return status_of_exception();
}

Result<double> recall_at(const ExactNeighbours& found, const ExactNeighbours& truth, std::uint32_t k) try {
  if (k == 0 || found.queries == 0)
    return Status(Code::kInvalidArgument, "recall needs k of at least 1 and at least one query");
  if (truth.queries < found.queries || truth.k < k)
    return Status(Code::kInvalidArgument,
                  "the ground truth has fewer queries or fewer neighbours a query than were searched")
        .about("ground truth " + std::to_string(truth.queries) + " x " + std::to_string(truth.k) + ", searched " +
               std::to_string(found.queries) + " x " + std::to_string(k));
  double sum = 0;
  std::vector<std::uint32_t> accepted;
  for (std::size_t query = 0; query < found.queries; ++query)
    sum += recall_of_query(std::span(found.rows).subspan(query * found.k, found.k),
                           std::span(truth.rows).subspan(query * truth.k, truth.k),
                           std::span(truth.distances).subspan(query * truth.k, truth.k), k, accepted);
  return sum / static_cast<double>(found.queries);
} catch (...) {
  return status_of_exception();
}

Result<ExactNeighbours> to_neighbours(const SearchResults& results) try {
  ExactNeighbours out;
  out.queries = static_cast<std::uint32_t>(results.size());
  out.k = results.k();
  out.rows.assign(results.size() * out.k, kNoRow);
  out.distances.assign(results.size() * out.k, std::numeric_limits<float>::infinity());
  for (std::size_t query = 0; query < results.size(); ++query) {
    const std::span<const Hit> hits = results[query];
    for (std::size_t i = 0; i < hits.size(); ++i) {
      if (hits[i].key >= kNoRow)
        return Status(Code::kUnsupported, "a key needs more than 32 bits, which result files do not hold")
            .about("key " + std::to_string(hits[i].key));
      out.rows[query * out.k + i] = static_cast<std::uint32_t>(hits[i].key);
      out.distances[query * out.k + i] = hits[i].distance;
    }
  }
  return out;
} catch (...) {
  return status_of_exception();
}

Result<double> recall_at(const SearchResults& results, const ExactNeighbours& truth, std::uint32_t k) {
  VECSTORE_ASSIGN(const ExactNeighbours found, to_neighbours(results));
  return recall_at(found, truth, k);
}

}  // namespace vecstore
