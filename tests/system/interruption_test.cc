// SPDX-License-Identifier: Apache-2.0
//
// Calls of the system that a signal interrupts, or that do less than they were told, change nothing.
#include <sys/time.h>

#include <atomic>
#include <csignal>
#include <filesystem>

#include "tests/engine/stores.h"
#include "tests/system/interrupted_calls.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kRows = 400;

OpenOptions options_of(Access access, Backend backend) {
  OpenOptions options;
  options.access = access;
  options.backend = backend;
  options.searchers = 2;
  return options;
}

std::string keys_of(const SearchResults& found) {
  std::string keys;
  for (std::size_t query = 0; query < found.size(); ++query)
    for (const Hit& hit : found[query]) keys.append(" ").append(std::to_string(hit.key));
  return keys;
}

// Builds, writes, reads and searches; all that came of it.
std::string use(const std::string& path, Backend backend) {
  const Matrix base = csift(kRows);
  const Matrix queries = csift_queries(16);
  REQUIRE_OK(Store::build(path, *view_source(base.view()), build_options(Metric::kL2)));
  std::string answers;
  for (int session = 0; session < 2; ++session) {
    auto store = Store::open(path, options_of(Access::kReadWrite, backend));
    REQUIRE_OK(store);
    for (std::uint64_t i = 0; i < 60; ++i) {
      const std::uint64_t key = 1000 * static_cast<std::uint64_t>(session + 1) + i;
      REQUIRE_OK(store->put(key, base.row(i), std::string(i * 150, 'd')));
    }
    REQUIRE_OK(store->erase(static_cast<std::uint64_t>(session)));
    REQUIRE_OK(store->flush());
    const auto found = store->search(queries.view(), {.k = 10}, 2);
    REQUIRE_OK(found);
    answers += keys_of(*found);
    REQUIRE_OK(store->close());
  }
  const auto reader = Store::open(path, options_of(Access::kRead, backend));
  REQUIRE_OK(reader);
  const auto item = reader->get(2050);
  REQUIRE_OK(item);
  BOOST_TEST(item->document.size() == 50u * 150);
  REQUIRE_OK(reader->export_to({path + ".u8bin", path + ".keys", path + ".documents"}, {.overwrite = true}));
  return answers + " " + std::to_string(reader->size());
}

std::atomic<std::uint64_t> signals{0};

// A signal every 200 µs, and calls that are interrupted by it are not begun again by the kernel.
class RainOfSignals {
 public:
  RainOfSignals() {
    signals = 0;
    struct sigaction action{};
    action.sa_handler = [](int) { ++signals; };
    BOOST_REQUIRE(::sigaction(SIGALRM, &action, &before_) == 0);
    set(200);
  }
  ~RainOfSignals() {
    set(0);
    ::sigaction(SIGALRM, &before_, nullptr);
  }
  RainOfSignals(const RainOfSignals&) = delete;
  RainOfSignals& operator=(const RainOfSignals&) = delete;

 private:
  static void set(long microseconds) {
    const timeval time{0, microseconds};
    const itimerval timer{time, time};
    ::setitimer(ITIMER_REAL, &timer, nullptr);
  }
  struct sigaction before_{};
};

BOOST_AUTO_TEST_SUITE(interruption)

BOOST_AUTO_TEST_CASE(interrupted_and_short_calls_change_nothing) {
  const TemporaryDirectory directory;
  const std::string expected = use(directory.path("quiet"), Backend::kPread);
  for (const Interruption interruption : {Interruption::kSignal, Interruption::kShort})
    for (const std::uint64_t every : {2, 3, 7}) {
      const std::string path = directory.path("idx");
      {
        const InterruptedCalls interrupted(interruption, 0, every);
        BOOST_TEST(use(path, Backend::kPread) == expected);
      }
      BOOST_TEST(InterruptedCalls::interrupted() > 5u);
      std::filesystem::remove_all(path);
    }
}

BOOST_AUTO_TEST_CASE(signals_change_nothing_with_either_backend) {
  const TemporaryDirectory directory;
  const std::string expected = use(directory.path("quiet"), Backend::kPread);
  for (const Backend backend : {Backend::kPread, Backend::kAutomatic}) {
    const std::string path = directory.path("idx");
    {
      const RainOfSignals rain;
      for (int round = 0; round < (kInstrumented ? 1 : 5); ++round) {
        BOOST_TEST(use(path, backend) == expected);
        std::filesystem::remove_all(path);
      }
    }
    BOOST_TEST(signals > 50u);
  }
}

// The kernel ends a request with an error of its own where it finds no worker for it. The disk is sound then.
BOOST_AUTO_TEST_CASE(reads_that_io_uring_gives_up_change_nothing) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("idx");
  const Matrix base = csift(kRows);
  const Matrix queries = csift_queries(16);
  REQUIRE_OK(Store::build(path, *view_source(base.view()), build_options(Metric::kL2)));
  const auto answers = [&](Backend backend) {
    OpenOptions options = options_of(Access::kRead, backend);
    options.cache_bytes = 0;
    const auto store = Store::open(path, options);
    REQUIRE_OK(store);
    const bool has_ring = store->info().backend == "io_uring";
    const std::uint64_t before = InterruptedCalls::interrupted();
    const auto found = store->search(queries.view(), {.k = 10});
    REQUIRE_OK(found);
    BOOST_TEST((InterruptedCalls::interrupted() > before) == has_ring);
    return keys_of(*found);
  };
  for (const std::uint64_t every : {1, 2, 7}) {
    const InterruptedCalls interrupted(Interruption::kRing, 0, every);
    BOOST_TEST(answers(Backend::kAutomatic) == answers(Backend::kPread));
  }
}

// EAGAIN has no meaning for files on a disk: where a write has it all the same, it is an error like any other.
BOOST_AUTO_TEST_CASE(a_write_that_is_to_be_tried_again_loses_nothing) {
  const TemporaryDirectory directory;
  const Matrix base = csift(60);
  for (std::uint64_t call = 0; call < 50; ++call) {
    const std::string path = directory.path("s" + std::to_string(call));
    REQUIRE_OK(Store::create(path, {.dim = base.dim, .dtype = base.dtype}));
    std::uint64_t acknowledged = 0;
    {
      const InterruptedCalls interrupted(Interruption::kAgain, call, 0);
      auto store = Store::open(path, options_of(Access::kReadWrite, Backend::kPread));
      if (store) {
        for (std::uint64_t key = 0; key < base.rows(); ++key) {
          const auto receipt = store->put(key, base.row(key));
          if (!receipt) {
            BOOST_TEST((code_of(receipt) == Code::kIo), message_of(receipt));
            break;
          }
          ++acknowledged;
        }
      } else {
        BOOST_TEST((code_of(store) == Code::kIo), message_of(store));
      }
      BOOST_TEST(InterruptedCalls::interrupted() == 1u);
    }
    const auto again = Store::open(path, options_of(Access::kReadWrite, Backend::kPread));
    REQUIRE_OK(again);
    BOOST_TEST(again->size() >= acknowledged);
    BOOST_TEST(again->size() <= acknowledged + 1);
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
