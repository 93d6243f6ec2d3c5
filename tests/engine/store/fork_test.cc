// SPDX-License-Identifier: Apache-2.0
//
// A child of fork() and the stores of its parent: nothing that the child does with them, dropping them included,
// reaches files, lock or parent.
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <optional>
#include <thread>

#include "tests/engine/specimen.h"

namespace vecstore {
namespace {

using namespace test;

constexpr int kPatienceMs = 30000;  // sanitizers and a busy machine; a child that hangs would do so for ever

// A process that says one byte, waits until it is let go, and ends as `last` has it.
class Child {
 public:
  // `first` returns what went wrong, 0 for nothing.
  Child(const std::function<int()>& first, const std::function<void()>& last) {
    BOOST_REQUIRE(::pipe(said_.data()) == 0 && ::pipe(go_.data()) == 0);
    std::cout.flush();  // else a child that exits says again what was said before
    pid_ = ::fork();
    BOOST_REQUIRE(pid_ >= 0);
    if (pid_ != 0) {
      ::close(said_[1]);
      ::close(go_[0]);
      return;
    }
    ::close(said_[0]);
    ::close(go_[1]);
    const char verdict = static_cast<char>(first());
    char byte = 0;
    if (::write(said_[1], &verdict, 1) != 1 || ::read(go_[0], &byte, 1) < 0) ::_exit(99);
    last();
    ::_exit(0);
  }
  ~Child() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(said_[0]);
    if (go_[1] >= 0) ::close(go_[1]);
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;

  pid_t pid() const { return pid_; }
  int verdict() {
    pollfd waits{said_[0], POLLIN, 0};
    char byte = 0;
    if (::poll(&waits, 1, kPatienceMs) != 1) return -1;
    return ::read(said_[0], &byte, 1) == 1 ? byte : -2;
  }
  // Its exit code; −1: it hangs; −2: a signal killed it.
  int end() {
    // Said, because those made later have a copy of this end. One that was killed reads nothing.
    ::signal(SIGPIPE, SIG_IGN);
    static_cast<void>(!::write(go_[1], "g", 1));
    ::close(std::exchange(go_[1], -1));
    int status = 0;
    for (int waited = 0; waited < kPatienceMs; ++waited) {
      if (::waitpid(pid_, &status, WNOHANG) == pid_) {
        pid_ = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : -2;
      }
      ::usleep(1000);
    }
    return -1;
  }

 private:
  std::array<int, 2> said_{-1, -1};
  std::array<int, 2> go_{-1, -1};
  pid_t pid_ = -1;
};

struct Kind {
  std::string name;
  OpenOptions options;
};

std::vector<Kind> kinds() {
  std::vector<Kind> all;
  const std::array<Kind, 3> reading{Kind{"io_uring", {.backend = Backend::kAutomatic}},
                                    Kind{"pread", {.backend = Backend::kPread}},
                                    Kind{"cached", {.ram_bytes = 256u << 20, .cache_fraction = 1.0}}};
  for (const Kind& one : reading) {
    all.push_back({one.name + " reader", one.options});
    for (const auto& [mode, sync] :
         {std::pair{" always", SyncMode::kAlways}, {" interval", SyncMode::kInterval}, {" none", SyncMode::kNone}}) {
      Kind kind{one.name + mode, one.options};
      kind.options.access = Access::kReadWrite;
      kind.options.sync = sync;
      kind.options.interval_ms = 1;  // so that the log's thread is at work
      all.push_back(kind);
    }
  }
  return all;
}

struct Built {
  Built() : sample(directory, "csift55k.base.u8bin", "csift55k.query.u8bin", Metric::kL2, 1000) {
    sample.build(path, sample.options());
  }
  FastDirectory directory;
  Sample sample;
  std::string path = directory.path("store");
};

bool refused(const Status& status) {
  const std::string parent = "process " + std::to_string(::getppid());
  return status.code() == Code::kUnsupported && status.message().find(parent) != std::string::npos &&
         status.message().find("open it again") != std::string::npos;
}
template <typename T>
bool refused(const Result<T>& result) {
  return !result && refused(result.error());
}

// The number of the first call that is not refused as it should be; 0: all are.
int ask_everything(Store& store, const Sample& sample) {
  std::vector<std::byte> vector(sample.vectors().row_stride());
  const VectorView row{vector.data(), sample.vectors().dtype, 1, sample.vectors().dim, 0};
  const Key key(Sample::key_of(3));
  const std::array<bool, 24> outcomes{refused(store.search(sample.queries(), {.k = 10})),
                                      refused(store.search(sample.queries(), {.k = 10}, 2)),
                                      refused(store.put(key, row)),
                                      refused(store.put_batch({&key, 1}, row)),
                                      refused(store.erase(key)),
                                      refused(store.erase_batch({&key, 1})),
                                      refused(store.raise_delta_bytes(1u << 30)),
                                      refused(store.flush()),
                                      refused(store.close()),
                                      refused(store.refresh()),
                                      refused(store.get(key)),
                                      refused(store.contains(key)),
                                      refused(store.find(key)),
                                      refused(store.for_each_key([](const Key&, RowId) { return true; })),
                                      refused(store.export_to({"/nowhere/x.u8bin", "/nowhere/k", ""})),
                                      refused(store.document({1})),
                                      refused(store.key({1})),
                                      refused(store.vector({1}, vector)),
                                      refused(store.verify()),
                                      store.size() == 0,
                                      store.stats().rows == 0,
                                      to_prometheus(store.metrics()) == to_prometheus({}),
                                      store.info().rows == 0 && store.info().uuid.empty(),
                                      !store.calibration_for({})};
  const auto failed = std::ranges::find(outcomes, false);
  return failed == outcomes.end() ? 0 : 1 + static_cast<int>(failed - outcomes.begin());
}

std::vector<std::uint64_t> rows_of(const SearchResults& results) {
  std::vector<std::uint64_t> rows;
  for (std::size_t query = 0; query < results.size(); ++query)
    for (const Hit& hit : results[query]) rows.push_back(hit.row.value);
  return rows;
}

// Searches, and puts under one key, until it is destroyed; counts what fails or is wrong.
class Busy {
 public:
  Busy(Store& store, const Sample& sample, bool writes) {
    const auto expected = rows_of(store.search(sample.queries(), {.k = 10}).value());
    threads_.emplace_back([&store, &sample, expected, this](const std::stop_token& stop) {
      for (; !stop.stop_requested(); ++rounds_) {
        const auto found = store.search(sample.queries(), {.k = 10});
        if (!found || rows_of(*found) != expected) ++wrong_;
      }
    });
    if (!writes) return;
    threads_.emplace_back([&store, &sample, this](const std::stop_token& stop) {
      // Far from every query, so that the answers stay.
      const std::vector<std::byte> bytes(sample.vectors().row_stride(), std::byte{255});
      for (; !stop.stop_requested(); ++rounds_, ::usleep(200))
        if (!store.put("busy", {bytes.data(), sample.vectors().dtype, 1, sample.vectors().dim, 0}, "text")) ++wrong_;
    });
  }
  // Until both have got on.
  void wait() const {
    const int before = rounds_;
    for (int waited = 0; rounds_ < before + 4 && waited < kPatienceMs; ++waited) ::usleep(1000);
  }
  int stop() {
    threads_.clear();
    return wrong_;
  }

 private:
  std::atomic<int> rounds_ = 0;
  std::atomic<int> wrong_ = 0;
  std::vector<std::jthread> threads_;
};

bool in_child = false;

// Boost's destructors do not bear an exit() within a test. This one runs before theirs, and right after `held` went.
struct BeforeBoost {
  ~BeforeBoost() {
    if (in_child) ::_exit(0);
  }
} before_boost;
std::optional<Store> held;  // dropped by exit()

// Leak checkers run at exit(), and a child has lost the threads that held what they would find.
void exit_normally() {
  if (kInstrumented) ::_exit(0);
  in_child = true;
  std::exit(0);
}

OpenOptions writing() { return {.access = Access::kReadWrite, .backend = Backend::kPread}; }

void fork_from(const Kind& kind, Built& built) {
  BOOST_TEST_CONTEXT(kind.name) {
    const bool writes = kind.options.access == Access::kReadWrite;
    auto opened = Store::open(built.path, kind.options);
    REQUIRE_OK(opened);
    if (kind.name.starts_with("io_uring") && opened->info().backend != "io_uring")
      BOOST_TEST_MESSAGE("skipped: io_uring is refused here, pread served instead");
    held.emplace(std::move(*opened));
    Busy busy(*held, built.sample, writes);
    busy.wait();
    const auto all_refused = [&] { return ask_everything(*held, built.sample); };
    const auto dropped = [&] {
      held.reset();
      return 0;
    };
    std::vector<std::unique_ptr<Child>> children;
    children.push_back(std::make_unique<Child>(all_refused, [] { ::_exit(0); }));
    children.push_back(std::make_unique<Child>(all_refused, exit_normally));
    children.push_back(std::make_unique<Child>(dropped, [] { ::_exit(0); }));
    children.push_back(std::make_unique<Child>(
        [&] {
          static_cast<void>(held->close());
          *held = Store::open(built.path, {.backend = Backend::kPread}).value();  // drops what was there
          const bool finds = held->find(Sample::key_of(3)).value().value == 3;
          return finds && held->search(built.sample.queries(), {.k = 10}) ? 0 : 1;
        },
        exit_normally));
    for (const auto& child : children) BOOST_TEST(child->verdict() == 0);
    busy.wait();
    BOOST_TEST(busy.stop() == 0);
    if (writes) {
      BOOST_TEST(held->get("busy")->document == "text");
      REQUIRE_OK(held->close());
    }
    BOOST_TEST(held->search(built.sample.queries(), {.k = 10}).has_value());
    // The children live on, and another may write.
    auto next = Store::open(built.path, writing());
    REQUIRE_OK(next);
    REQUIRE_OK(next->erase("busy"));
    for (const auto& child : children) BOOST_TEST(child->end() == 0);
    REQUIRE_OK(next->close());
    held.reset();
  }
}

BOOST_AUTO_TEST_SUITE(fork_)

BOOST_FIXTURE_TEST_CASE(children_of_a_busy_parent_are_refused_and_change_nothing, Built) {
  const auto before = answers_of(path, sample);
  for (const Kind& kind : kinds()) fork_from(kind, *this);
  BOOST_TEST((answers_of(path, sample) == before));
}

// What a thread of the parent was changing when the child was made, the child never looks at.
BOOST_FIXTURE_TEST_CASE(hundreds_of_children_drop_a_store_that_others_write_to, Built) {
  for (const SyncMode sync : {SyncMode::kAlways, SyncMode::kInterval, SyncMode::kNone}) {
    OpenOptions options = writing();
    options.backend = Backend::kAutomatic;
    options.sync = sync;
    options.interval_ms = 1;
    options.delta_bytes = 16u << 20;
    options.merge = MergePolicy::kManual;
    auto store = Store::open(path, options);
    REQUIRE_OK(store);
    Busy busy(*store, sample, true);
    for (int i = 0; i < (kInstrumented ? 10 : 70); ++i) {
      Child child(
          [&] {
            const Store dropped = std::move(*store);
            return 0;
          },
          [] {});
      BOOST_REQUIRE(child.verdict() == 0);
      BOOST_REQUIRE(child.end() == 0);
    }
    // The delta may be full by now: puts are refused then, and the searches go on.
    busy.stop();
    REQUIRE_OK(store->search(sample.queries(), {.k = 10}));
    REQUIRE_OK(store->close());
  }
}

BOOST_FIXTURE_TEST_CASE(busy_names_the_process_that_holds_the_store, Built) {
  std::optional<Store> mine = Store::open(path, writing()).value();
  // A child made while the parent had it does not keep it, and is told who has it.
  Child bystander(
      [&] {
        const auto second = Store::open(path, writing());
        const std::string parent = "held by process " + std::to_string(::getppid()) + ")";
        return code_of(second) == Code::kBusy && second.error().message().find(parent) != std::string::npos ? 0 : 1;
      },
      [] {});
  BOOST_TEST(bystander.verdict() == 0);
  mine.reset();
  Child holder(
      [&] {
        mine.emplace(Store::open(path, writing()).value());
        return 0;
      },
      [] {});
  BOOST_TEST(holder.verdict() == 0);
  const auto refused_here = Store::open(path, writing());
  BOOST_TEST((code_of(refused_here) == Code::kBusy));
  BOOST_TEST(message_of(refused_here).find("held by process " + std::to_string(holder.pid()) + ")") !=
             std::string::npos);
  BOOST_TEST(holder.end() == 0);
  REQUIRE_OK(Store::open(path, writing()));
  BOOST_TEST(bystander.end() == 0);
}

BOOST_FIXTURE_TEST_CASE(a_lock_ends_with_a_parent_that_is_killed_while_its_child_lives, Built) {
  int ends[2];
  BOOST_REQUIRE(::pipe(ends) == 0);
  Child parent(
      [&] {
        held.emplace(Store::open(path, writing()).value());
        if (::fork() == 0) {
          char byte = 0;
          ::close(ends[1]);
          static_cast<void>(::read(ends[0], &byte, 1));  // until the test ends
          ::_exit(0);
        }
        return 0;
      },
      [] { ::pause(); });
  BOOST_TEST(parent.verdict() == 0);
  BOOST_TEST((code_of(Store::open(path, writing())) == Code::kBusy));
  ::kill(parent.pid(), SIGKILL);
  BOOST_TEST(parent.end() == -2);
  REQUIRE_OK(Store::open(path, writing()));
  ::close(ends[0]);
  ::close(ends[1]);
}

BOOST_FIXTURE_TEST_CASE(a_visitor_that_forks_is_told_so_in_the_child, Built) {
  auto store = Store::open(path, {.backend = Backend::kPread});
  REQUIRE_OK(store);
  pid_t child = -1;
  std::uint64_t seen = 0;
  const Status visited = store->for_each_key([&](const Key&, RowId) {
    if (seen++ == 500) child = ::fork();
    return true;
  });
  if (child == 0) ::_exit(refused(visited) && seen == 501 ? 0 : 1);
  REQUIRE_OK(visited);
  BOOST_TEST(seen == 1000u);
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_TEST((WIFEXITED(status) && WEXITSTATUS(status) == 0));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
