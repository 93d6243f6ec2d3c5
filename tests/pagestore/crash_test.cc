// SPDX-License-Identifier: Apache-2.0
//
// A publish that dies: at every call of the file system, for want of space, by a broken disk, by SIGKILL.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "pagestore/publish.h"
#include "tests/pagestore/faulty_io.h"
#include "tests/pagestore/stores.h"

namespace vecstore {
namespace {

using test::code_of;
using test::Faults;
using test::FaultyFileSystem;
using test::generation_at;
using test::make_store;
using test::publish_generation;
using test::TemporaryDirectory;

// Creates or opens the store and publishes `generation`, with faults.
Status attempt(const std::string& path, std::uint32_t generation, Faults& faults) {
  FaultyFileSystem file_system(faults);
  VECSTORE_ASSIGN(auto store, StoreDirectory::create(file_system, test::kNames, path));
  return publish_generation(store, generation, file_system);
}

// After `before` generations the next publish is struck at its call number 0, 1, 2 … until none is left to strike.
void strike_every_call(std::uint32_t before, bool for_good, int error) {
  const TemporaryDirectory directory;
  const auto base = directory.path("base");
  if (before != 0) make_store(base, before);
  std::uint64_t struck = 0;
  bool all_done = false;
  for (; !all_done; ++struck) {
    const auto path = directory.path("s");
    std::filesystem::remove_all(path);
    if (before != 0) std::filesystem::copy(base, path, std::filesystem::copy_options::recursive);
    Faults faults{0, struck, for_good, error};
    const Status outcome = attempt(path, before + 1, faults);
    all_done = faults.calls <= struck;
    if (all_done) REQUIRE_OK(outcome);

    const auto found = generation_at(path);
    if (before == 0 && !found) {
      BOOST_REQUIRE_MESSAGE(code_of(found) == Code::kInvalidInput || code_of(found) == Code::kNotFound,
                            "call " << struck << ": " << test::message_of(found));
      BOOST_REQUIRE(!outcome.is_ok());
    } else {
      BOOST_REQUIRE_MESSAGE(found.has_value(), "call " << struck << ": " << test::message_of(found));
      BOOST_REQUIRE(*found == before || *found == before + 1);
      if (outcome.is_ok()) BOOST_REQUIRE(*found == before + 1);
    }
    // Whatever was left behind must not stand in the way of the next build.
    Faults none;
    const Status again = attempt(path, before + 2, none);
    BOOST_REQUIRE_MESSAGE(again.is_ok(), "after call " << struck << ": " << again.message());
    BOOST_REQUIRE(*generation_at(path) == before + 2);
  }
  BOOST_TEST(struck > 20u);
}

BOOST_AUTO_TEST_CASE(first_publish_dying_at_any_call_leaves_nothing_or_the_new_content) {
  strike_every_call(0, true, EIO);
}
BOOST_AUTO_TEST_CASE(publish_dying_at_any_call_leaves_the_old_content_or_the_new) { strike_every_call(2, true, EIO); }
BOOST_AUTO_TEST_CASE(one_failing_call_of_the_first_publish_is_survived) { strike_every_call(0, false, EIO); }
BOOST_AUTO_TEST_CASE(full_disk_at_any_call_leaves_the_old_content_or_the_new) { strike_every_call(1, false, ENOSPC); }

BOOST_AUTO_TEST_CASE(full_disk_is_told_as_such_and_the_unfinished_file_is_removed) {
  const TemporaryDirectory directory;
  for (std::uint64_t call = 1; call <= 3; ++call) {  // data, header, sync; call 0 creates the file
    Faults faults{0, call, false, ENOSPC};
    FaultyFileSystem file_system(faults);
    const auto finished = test::write_pages(directory.path("f"), test::identity_of(1), 3, 4096, file_system);
    BOOST_TEST((code_of(finished) == Code::kNoSpace));
    BOOST_TEST(!std::filesystem::exists(directory.path("f")));
  }
}

BOOST_AUTO_TEST_CASE(store_whose_commit_failed_refuses_to_publish_until_it_is_opened_again) {
  const TemporaryDirectory directory;
  make_store(directory.path("s"), 1);
  Faults faults;
  FaultyFileSystem file_system(faults);
  {
    auto store = StoreDirectory::open(file_system, test::kNames, directory.path("s"), LockMode::kExclusive);
    REQUIRE_OK(store);
    REQUIRE_OK(publish_generation(*store, 2, file_system));
    // Strikes call after call until a failure sticks, which is the first one from which there is no way back.
    bool stuck = false;
    for (std::uint32_t i = 0; !stuck; ++i) {
      faults.first = faults.calls + i;
      faults.for_good = false;
      BOOST_REQUIRE(!publish_generation(*store, 3 + 2 * i, file_system).is_ok());
      faults.first = ~std::uint64_t{0};
      const Status next = publish_generation(*store, 4 + 2 * i, file_system);
      stuck = !next.is_ok();
      if (stuck) BOOST_TEST(next.message().find("open the store again") != std::string::npos);
    }
  }
  const auto store = StoreDirectory::open(FileSystem::posix(), test::kNames, directory.path("s"), LockMode::kExclusive);
  REQUIRE_OK(store);
}

// The child publishes generation after generation until it is killed; what it had published, it said through a pipe.
BOOST_AUTO_TEST_CASE(killed_publisher_loses_nothing_it_had_published) {
  const TemporaryDirectory directory;
  const auto path = directory.path("s");
  make_store(path, 1);
  Random random(3);
  std::uint32_t last = 1;
  for (int cycle = 0; cycle < 60; ++cycle) {
    int ends[2];
    BOOST_REQUIRE(::pipe(ends) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
      auto store = StoreDirectory::open(FileSystem::posix(), test::kNames, path, LockMode::kExclusive);
      for (std::uint32_t generation = last + 1; store; ++generation) {
        if (!publish_generation(*store, generation).is_ok()) ::_exit(1);
        if (::write(ends[1], &generation, sizeof(generation)) != sizeof(generation)) ::_exit(1);
      }
      ::_exit(1);
    }
    ::close(ends[1]);
    ::usleep(static_cast<useconds_t>(3000 + random.below(60000)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    BOOST_REQUIRE(WIFSIGNALED(status));
    std::uint32_t said = 0;
    while (::read(ends[0], &said, sizeof(said)) == sizeof(said)) last = said;
    ::close(ends[0]);
    const auto found = generation_at(path);
    REQUIRE_OK(found);
    BOOST_REQUIRE(*found == last || *found == last + 1);
    last = *found;
    REQUIRE_OK(generation_at(path, LockMode::kExclusive));
  }
  BOOST_TEST_MESSAGE("60 kills, " << last << " generations published");
  BOOST_TEST(last > 20u);
}

}  // namespace
}  // namespace vecstore
