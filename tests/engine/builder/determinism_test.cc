// SPDX-License-Identifier: Apache-2.0
//
// The same input, options and seed make the same bytes, whoever computes them; and whoever reads them finds the same.
#include <sys/wait.h>

#include <filesystem>
#include <map>

#include "compress/kernels/kernels.h"
#include "tests/engine/stores.h"

using namespace vecstore;
using test::build_options;
using test::Matrix;
using test::search;

namespace {

// Every file of a store by its relative name. LOCK holds the pid of the builder and build.json its times.
std::map<std::string, std::vector<char>> contents(const std::string& path) {
  std::map<std::string, std::vector<char>> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const std::string name = std::filesystem::relative(entry.path(), path).string();
    if (!entry.is_regular_file() || name == "LOCK" || name == "build.json") continue;
    files.emplace(name, test::read_file(entry.path().string()));
  }
  return files;
}

void check_same_bytes(const Matrix& base, BuildOptions options) {
  const test::TemporaryDirectory directory;
  std::map<std::string, std::vector<char>> first;
  for (const std::uint32_t threads : {1u, 2u, 3u}) {
    options.threads = threads;
    const std::string path = directory.path("idx" + std::to_string(threads));
    REQUIRE_OK(Store::build(path, *view_source(base.view()), options));
    const auto files = contents(path);
    BOOST_TEST(files.size() >= 5u);  // superblock, manifest, graph, codes, row map
    if (first.empty()) first = files;
    BOOST_REQUIRE_EQUAL(files.size(), first.size());
    for (const auto& [name, bytes] : first) {
      BOOST_TEST_CONTEXT(name << " with " << threads << " threads") {
        BOOST_REQUIRE(files.contains(name));
        BOOST_TEST((files.at(name) == bytes));
      }
    }
  }
}

}  // namespace

BOOST_AUTO_TEST_SUITE(determinism)

BOOST_AUTO_TEST_CASE(any_number_of_threads_writes_the_same_bytes) {
  check_same_bytes(test::csift(test::kInstrumented ? 1200 : 3000), build_options(Metric::kL2, true));
  if (test::kInstrumented) return;
  check_same_bytes(test::win384(1200), build_options(Metric::kCosine, true));
  check_same_bytes(test::csift(1500), build_options(Metric::kInnerProduct, false));
}

BOOST_AUTO_TEST_CASE(another_seed_option_or_input_is_another_store) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::csift(400);
  std::vector<std::string> uuids;
  const auto build = [&](const Matrix& vectors, const auto& change) {
    BuildOptions options = build_options(Metric::kL2);
    options.overwrite = true;
    change(options);
    uuids.push_back(test::build_and_open(directory.path("idx"), vectors, options).info().uuid);
  };
  test::write_file(directory.path("keys"), [] {
    std::string keys;
    for (int row = 0; row < 400; ++row) keys += "k" + std::to_string(row) + "\n";
    return std::vector<char>(keys.begin(), keys.end());
  }());
  build(base, [](BuildOptions&) {});
  build(base, [](BuildOptions& o) { o.seed = 2; });
  build(base, [](BuildOptions& o) { o.metric = Metric::kInnerProduct; });
  build(base, [](BuildOptions& o) { o.max_degree = 20; });
  build(base, [](BuildOptions& o) { o.code_bytes = 8; });
  build(base, [](BuildOptions& o) { o.page_bytes = 8192; });
  build(base, [](BuildOptions& o) { o.codec = Codec::kPq; });
  build(base, [](BuildOptions& o) { o.codec = Codec::kRabitq; });
  build(base, [&](BuildOptions& o) { o.keys_path = directory.path("keys"); });
  build(test::csift(400, 1), [](BuildOptions&) {});
  build(test::shifted(base), [](BuildOptions&) {});
  std::sort(uuids.begin(), uuids.end());
  BOOST_TEST((std::adjacent_find(uuids.begin(), uuids.end()) == uuids.end()));
}

BOOST_AUTO_TEST_CASE(both_backends_read_the_same_pages) {
  const test::TemporaryDirectory directory;
  const std::string path = directory.path("idx");
  const Matrix base = test::csift(3000);
  REQUIRE_OK(Store::build(path, *view_source(base.view()), build_options(Metric::kL2)));
  OpenOptions options;
  options.backend = Backend::kPread;
  const auto pread = Store::open(path, options);
  REQUIRE_OK(pread);
  BOOST_TEST(pread->info().backend == "pread");
  options.backend = Backend::kIoUring;
  const auto ring = Store::open(path, options);
  if (!ring) {
    BOOST_TEST_MESSAGE("skipped: io_uring is not to be had here: " << ring.error().message());
    return;
  }
  BOOST_TEST(ring->info().backend == "io_uring");
  const Matrix queries = test::csift_queries(300);
  BOOST_TEST(test::same_hits(search(*pread, queries.view(), {}), search(*ring, queries.view(), {})));
}

// Run with VECSTORE_KERNELS set, by the test below: one level is chosen for the life of a process.
BOOST_AUTO_TEST_CASE(prints_its_recall, *boost::unit_test::disabled()) {
  const test::TemporaryDirectory directory;
  const Matrix base = test::win384(1500);
  const Matrix queries = test::win384_queries(200);
  const Store store = test::build_and_open(directory.path("idx"), base, build_options(Metric::kCosine));
  const auto truth = test::exact(base, queries, 20, Metric::kCosine);
  SearchOptions options;
  options.search_list = 16;
  std::printf("recall %.6f\n", test::recall(search(store, queries.view(), options), truth, 10));
}

BOOST_AUTO_TEST_CASE(every_level_of_kernels_reaches_the_same_recall) {
  std::vector<std::pair<std::string, double>> recalls;
  const std::string self = std::filesystem::read_symlink("/proc/self/exe").string();
  for (const std::string level : {"scalar", "avx2", "avx512"}) {
    const std::string command = "VECSTORE_KERNELS=" + level + " " + self +
                                " --run_test=determinism/prints_its_recall --log_level=error 2>/dev/null";
    std::FILE* pipe = ::popen(command.c_str(), "r");
    BOOST_REQUIRE(pipe != nullptr);
    double recall = 0;
    char line[256];
    while (std::fgets(line, sizeof line, pipe) != nullptr) std::sscanf(line, "recall %lf", &recall);
    const int status = ::pclose(pipe);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0 && recall > 0) {
      recalls.emplace_back(level, recall);
    } else {
      BOOST_TEST_MESSAGE("skipped: this processor has no " << level);
    }
  }
  BOOST_REQUIRE(!recalls.empty());
  BOOST_TEST(recalls.front().first == "scalar");
  for (const auto& [level, recall] : recalls) {
    BOOST_TEST_MESSAGE("recall with " << level << ": " << recall);
    BOOST_TEST(std::abs(recall - recalls.front().second) <= 0.003);
  }
}

BOOST_AUTO_TEST_SUITE_END()
