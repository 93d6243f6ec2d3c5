// SPDX-License-Identifier: Apache-2.0
//
// The promise of --ram: a process that is allowed its budget and 16 MiB, by the kernel, lives, gives the same answers,
// and says the truth about what it took.
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "engine/vecstore.hpp"
#include "tests/instrumented.h"
#include "tests/test_util.h"

namespace {

using vecstore::test::kInstrumented;
using vecstore::test::shipped_data;
using vecstore::test::TemporaryDirectory;

constexpr std::uint64_t kMiB = std::uint64_t{1} << 20;
constexpr std::uint64_t kAllowance = 16 * kMiB;  // program, libraries, stacks, files' own pages

std::string text_of(const std::string& path) {
  const auto bytes = vecstore::test::read_file(path);
  return {bytes.begin(), bytes.end()};
}

bool put(const std::string& path, const std::string& text) {
  std::ofstream out(path);
  out << text;
  out.flush();
  return out.good();
}

// A control group of this test's own that bounds memory; path() is empty where there is none to be had.
class MemoryGroup {
 public:
  explicit MemoryGroup(std::uint64_t bytes) {
    const std::string name = "/vecstore-test-" + std::to_string(::getpid());
    const std::string limit = std::to_string(bytes);
    std::error_code error;
    static_cast<void>(put("/sys/fs/cgroup/cgroup.subtree_control", "+memory"));
    for (const auto& [parent, file] :
         {std::pair("/sys/fs/cgroup/memory", "/memory.limit_in_bytes"), std::pair("/sys/fs/cgroup", "/memory.max")}) {
      if (!std::filesystem::exists(parent)) continue;
      if (!std::filesystem::create_directory(parent + name, error)) continue;
      path_ = parent + name;
      if (std::filesystem::exists(path_ + file) && put(path_ + file, limit)) {
        static_cast<void>(put(path_ + "/memory.swap.max", "0"));
        return;
      }
      std::filesystem::remove(path_, error);
      path_.clear();
    }
  }
  ~MemoryGroup() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove(path_, ignored);
  }
  MemoryGroup(const MemoryGroup&) = delete;
  MemoryGroup& operator=(const MemoryGroup&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

bool can_limit_memory() {
  if (kInstrumented) {
    BOOST_TEST_MESSAGE("skipped: a sanitizer takes memory of its own");
    return false;
  }
  const bool can = !MemoryGroup(64 * kMiB).path().empty();
  if (!can) BOOST_TEST_MESSAGE("skipped: no control group of memory may be made here (root only)");
  return can;
}

// Runs the program within `bytes` of memory (0: unbounded) and returns what it printed as JSON.
nlohmann::json run(const std::string& arguments, std::uint64_t bytes) {
  const TemporaryDirectory directory;
  const MemoryGroup group(bytes == 0 ? 64 * kMiB : bytes);
  const std::string enter = bytes == 0 ? "" : "echo $$ > " + group.path() + "/cgroup.procs && ";
  const std::string command = "sh -c '" + enter + "exec " + VECSTORE_CLI + " " + arguments + " --quiet --json' >" +
                              directory.path("out") + " 2>" + directory.path("err");
  const int status = std::system(command.c_str());
  BOOST_REQUIRE_MESSAGE(WIFEXITED(status) && WEXITSTATUS(status) == 0,
                        arguments << ": status " << status << " " << text_of(directory.path("err")));
  return nlohmann::json::parse(text_of(directory.path("out")));
}

// The least budget, as the program itself names it, that opens the index. Empty answers say a refusal's number.
std::uint64_t least_budget(const std::string& index, std::uint32_t searchers) {
  std::uint64_t bytes = 4096;
  for (;;) {
    const auto store = vecstore::Store::open(index, {.ram_bytes = bytes, .searchers = searchers});
    if (store) return bytes;
    BOOST_REQUIRE((store.error().code() == vecstore::Code::kMemoryBudget));
    BOOST_REQUIRE(store.error().number() > bytes);
    bytes = store.error().number();
  }
}

// What a search says it took is true, and within its budget; a build says what its process took.
void check_figures(const nlohmann::json& said, std::uint64_t budget) {
  const auto process = said.at("rss_peak_bytes").get<std::uint64_t>();
  const auto charged = said.value("ram_peak_bytes", std::uint64_t{0});
  BOOST_TEST_MESSAGE("budget " << budget / 1024 << " KiB, charged " << charged / 1024 << " KiB, process "
                               << process / 1024 << " KiB");
  BOOST_TEST(charged <= budget);
  BOOST_TEST(process <= budget + kAllowance);
}

// Searches at several budgets, bounded by the kernel and not: same answers, true figures.
void search_at_budgets(const std::string& index, const std::string& queries) {
  const TemporaryDirectory directory;
  constexpr std::uint32_t kThreads = 2;
  const std::uint64_t least = least_budget(index, kThreads);
  for (const std::uint64_t budget : {least, least + kMiB, least + 4 * kMiB, 64 * kMiB}) {
    const std::string arguments = "search " + index + " --queries " + queries + " --ram " + std::to_string(budget) +
                                  " --threads " + std::to_string(kThreads);
    const auto adaptive = run(arguments, budget + kAllowance);
    check_figures(adaptive, budget);
    std::string fixed = arguments;
    fixed += " --fixed-cache --output ";
    const auto bounded = run(fixed + directory.path("bounded"), budget + kAllowance);
    check_figures(bounded, budget);
    BOOST_TEST(bounded.at("ram_budget_bytes").get<std::uint64_t>() == budget);
    const auto free = run(fixed + directory.path("free"), 0);
    BOOST_TEST((text_of(directory.path("bounded")) == text_of(directory.path("free"))));
    BOOST_TEST(bounded.at("reads_per_query") == free.at("reads_per_query"));
  }
}

// Builds within what the program itself predicts to need, and not much more; then searches. What a build takes at its
// peak does not depend on how good its graph is, so a short list keeps the test short.
void build_and_search(const std::string& input, const std::string& more, const std::string& queries) {
  const TemporaryDirectory directory;
  const std::string arguments = "build --input " + input + " --output " + directory.path("index") + " " + more;
  const auto predicted = run(arguments + " --dry-run --ram 64MiB", 0);
  const auto budget = predicted.at("prediction").at("memory_peak_bytes").get<std::uint64_t>();
  const auto built = run(arguments + " --ram " + std::to_string(budget), budget + kAllowance);
  check_figures(built, budget);
  search_at_budgets(directory.path("index"), queries);
}

BOOST_AUTO_TEST_SUITE(memory)

BOOST_AUTO_TEST_CASE(integers_are_built_and_searched_within_their_budgets) {
  if (!can_limit_memory()) return;
  build_and_search(shipped_data("csift55k.base.u8bin"),
                   "--metric l2 --threads 2 --max-degree 32 --build-list 40 --no-calibration",
                   shipped_data("csift55k.query.u8bin"));
}

// Beside the graph, and until there is no room for more; then a reader has it all in memory too.
BOOST_AUTO_TEST_CASE(rows_are_put_and_searched_within_their_budgets) {
  if (!can_limit_memory()) return;
  const TemporaryDirectory directory;
  const std::string index = directory.path("index");
  const std::string base = shipped_data("csift55k.base.u8bin");
  run("convert " + base + " " + directory.path("half.u8bin") + " --count 30000", 0);
  run("build --input " + directory.path("half.u8bin") + " --output " + index +
          " --metric l2 --max-degree 24 --build-list 40 --no-calibration",
      0);
  constexpr std::uint64_t kBudget = 48 * kMiB;
  const std::string bounded = " --ram " + std::to_string(kBudget) + " ";
  const auto put_rows =
      run("insert " + index + " --input " + base + " --skip 30000 --batch 1000 --delta 16MiB" + bounded,
          kBudget + kAllowance);
  check_figures(put_rows, kBudget);
  BOOST_TEST(put_rows.at("rows") == 55000);
  const auto searched = run("search " + index + " --queries " + shipped_data("csift55k.query.u8bin") +
                                " --groundtruth " + shipped_data("csift55k.gt.ibin") + " --L 40" + bounded,
                            kBudget + kAllowance);
  check_figures(searched, kBudget);
  BOOST_TEST(searched.at("recall").get<double>() > 0.95);
}

BOOST_AUTO_TEST_CASE(vectors_with_texts_are_built_and_searched_within_their_budgets) {
  if (!can_limit_memory()) return;
  build_and_search(shipped_data("win384-8k.base.f16bin"),
                   "--metric cosine --threads 2 --max-degree 24 --build-list 40 --documents " +
                       shipped_data("win384-8k.base.text.jsonl.zst"),
                   shipped_data("win384-8k.query.f16bin"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
