// SPDX-License-Identifier: Apache-2.0
#include "bench/measured_index.h"

#include <malloc.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>

#include "engine/truth.h"

namespace vecstore::bench {
namespace {

namespace fs = std::filesystem;

class PrefixSource final : public VectorSource {
 public:
  PrefixSource(std::unique_ptr<VectorSource> whole, std::uint64_t rows)
      : whole_(std::move(whole)), rows_(std::min(rows, whole_->rows())) {}
  DType dtype() const override { return whole_->dtype(); }
  std::uint64_t rows() const override { return rows_; }
  std::uint32_t dim() const override { return whole_->dim(); }
  const std::string& name() const override { return whole_->name(); }
  Status read(std::uint64_t first, std::uint64_t count, void* out) const override {
    return whole_->read(first, count, out);
  }

 private:
  std::unique_ptr<VectorSource> whole_;
  std::uint64_t rows_;
};

std::uint64_t status_bytes(const char* field) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);)
    if (line.starts_with(field)) return std::stoull(line.substr(std::strlen(field))) * 1024;
  return 0;
}

// Everything that decides what is built; the same text means that a kept index will do.
Json describe(const IndexRequest& request) {
  const BuildOptions& options = request.options;
  std::error_code ignored;
  return {{"input", fs::path(request.input).filename().string()},
          {"input_bytes", fs::file_size(request.input, ignored)},
          {"rows", request.rows},
          {"metric", name_of(options.metric)},
          {"page_bytes", options.page_bytes},
          {"code_bytes", options.code_bytes},
          {"codec", name_of(options.codec)},
          {"max_degree", options.max_degree},
          {"build_list", options.build_list},
          {"alpha", options.alpha},
          {"calibrate", options.calibrate},
          {"threads", options.threads},
          {"seed", options.seed}};
}

std::string directory_of(const IndexRequest& request) {
  const BuildOptions& o = request.options;
  return request.work + "/" + request.name + "-n" + std::to_string(request.rows) + "-p" + std::to_string(o.page_bytes) +
         "-c" + std::to_string(o.code_bytes) + "-r" + std::to_string(o.max_degree) + "-l" +
         std::to_string(o.build_list) + (o.codec == Codec::kAutomatic ? "" : "-" + std::string(name_of(o.codec))) +
         (o.calibrate ? "" : "-bare") + "-s" + std::to_string(o.seed);
}

Result<Json> build_now(const IndexRequest& request, const std::string& path) {
  VECSTORE_ASSIGN(const auto source, open_prefix(request.input, request.rows));
  BuildOptions options = request.options;
  options.overwrite = true;
  std::uint64_t ram_peak_bytes = 0;
  Phase phase = Phase::kRead;
  Json phases = Json::object();
  double phase_cpu = process_cpu_seconds();
  const auto close_phase = [&] {
    const double now = process_cpu_seconds();
    phases[std::string(name_of(phase))] = phases.value(std::string(name_of(phase)), 0.0) + now - phase_cpu;
    phase_cpu = now;
  };
  options.progress = [&](const Progress& progress) {
    ram_peak_bytes = std::max(ram_peak_bytes, progress.memory_bytes);
    if (progress.phase == phase) return;
    close_phase();
    phase = progress.phase;
    std::fprintf(stderr, "%s: %.*s\n", request.name.c_str(), static_cast<int>(name_of(phase).size()),
                 name_of(phase).data());
  };
  reset_rss_peak();
  const double cpu_before = process_cpu_seconds();
  const std::int64_t begin = now_ns();
  VECSTORE_TRY(Store::build(path, *source, options));
  const double wall = seconds_since(begin);
  close_phase();
  return Json{{"cpu_seconds", process_cpu_seconds() - cpu_before},
              {"wall_seconds", wall},
              {"ram_peak_bytes", ram_peak_bytes},
              {"rss_peak_bytes", rss_peak_bytes()},
              {"cpu_seconds_by_phase", phases}};
}

}  // namespace

double process_cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto of = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
  };
  return of(usage.ru_utime) + of(usage.ru_stime);
}

std::uint64_t rss_bytes() { return status_bytes("VmRSS:"); }
std::uint64_t rss_peak_bytes() { return status_bytes("VmHWM:"); }

// Several builds share this process.
void reset_rss_peak() {
  ::malloc_trim(0);
  std::ofstream("/proc/self/clear_refs") << 5;
}

std::int64_t now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

double seconds_since(std::int64_t begin_ns) { return static_cast<double>(now_ns() - begin_ns) * 1e-9; }

Result<std::unique_ptr<VectorSource>> open_prefix(const std::string& path, std::uint64_t rows) {
  VECSTORE_ASSIGN(auto source, open_vector_file(path));
  if (rows == 0 || rows >= source->rows()) return source;
  return std::unique_ptr<VectorSource>(std::make_unique<PrefixSource>(std::move(source), rows));
}

Result<LoadedVectors> load_vectors(const std::string& path, std::uint64_t rows) {
  VECSTORE_ASSIGN(const auto source, open_prefix(path, rows));
  LoadedVectors loaded;
  loaded.bytes.resize(source->rows() * source->dim() * element_bytes(source->dtype()));
  VECSTORE_TRY(source->read(0, source->rows(), loaded.bytes.data()));
  loaded.view = {loaded.bytes.data(), source->dtype(), source->rows(), source->dim(), 0};
  return loaded;
}

LoadedVectors gather(const VectorView& base, std::span<const std::uint32_t> rows) {
  LoadedVectors gathered;
  const std::size_t row_bytes = base.dim * element_bytes(base.dtype);
  gathered.bytes.resize(rows.size() * row_bytes);
  for (std::size_t i = 0; i < rows.size(); ++i)
    std::copy_n(base.row(rows[i]), row_bytes, gathered.bytes.data() + i * row_bytes);
  gathered.view = {gathered.bytes.data(), base.dtype, rows.size(), base.dim, 0};
  return gathered;
}

Status write_vectors(const std::string& path, const VectorView& vectors) {
  const std::uint32_t header[] = {static_cast<std::uint32_t>(vectors.rows), vectors.dim};
  std::ofstream out(path, std::ios::binary);
  out.write(reinterpret_cast<const char*>(header), sizeof header);
  for (std::uint64_t row = 0; row < vectors.rows; ++row)
    out.write(reinterpret_cast<const char*>(vectors.row(row)),
              static_cast<std::streamsize>(vectors.dim * element_bytes(vectors.dtype)));
  out.close();
  if (out) return {};
  return Status(Code::kIo, "cannot be written: is the disk full?").about(path);
}

Result<MeasuredIndex> measure_build(const IndexRequest& request) {
  std::error_code failure;
  fs::create_directories(request.work, failure);
  MeasuredIndex index;
  index.path = directory_of(request);
  index.options = describe(request);
  const std::string record_path = index.path + ".build.json";
  if (!request.rebuild && fs::exists(index.path, failure)) {
    std::ifstream in(record_path);
    const Json record = Json::parse(in, nullptr, false);
    if (record.is_object() && record.value("options", Json{}) == index.options) {
      index.build = record["build"];
      index.build["reused"] = true;
      return index;
    }
  }
  fs::remove_all(index.path, failure);  // a benchmark's own leavings
  VECSTORE_ASSIGN(index.build, build_now(request, index.path));
  std::ofstream(record_path) << Json{{"options", index.options}, {"build", index.build}}.dump(2) << '\n';
  index.build["reused"] = false;
  return index;
}

Result<ExactNeighbours> load_truth(const IndexRequest& request, const std::string& truth_path,
                                   const std::string& query_path, std::uint64_t query_rows) {
  if (request.rows == 0 && fs::exists(truth_path)) return read_neighbours(truth_path);
  VECSTORE_ASSIGN(const auto base, open_prefix(request.input, request.rows));
  VECSTORE_ASSIGN(const auto queries, open_prefix(query_path, query_rows));
  const std::string kept = request.work + "/" + fs::path(query_path).filename().string() + "-n" +
                           std::to_string(base->rows()) + "-q" + std::to_string(queries->rows()) + ".gt.ibin";
  if (fs::exists(kept)) return read_neighbours(kept);
  VECSTORE_ASSIGN(ExactNeighbours truth, exact_search(*base, *queries, 100, request.options.metric));
  VECSTORE_TRY(write_neighbours(kept, truth));
  return truth;
}

}  // namespace vecstore::bench
