// SPDX-License-Identifier: Apache-2.0
#include "pagestore/page_reader.h"

#include <grp.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <numeric>

#include "tests/pagestore/page_files.h"

namespace vecstore {
namespace {

using test::code_of;
using test::holds;
using test::identity_of;
using test::TemporaryDirectory;
using test::write_pages;

constexpr std::uint64_t kPages = 200;

struct Fixture {
  Fixture() {
    REQUIRE_OK(write_pages(directory.path("f"), identity_of(1), kPages));
    auto opened = PageFile::open(FileSystem::posix(), directory.path("f"), identity_of(1));
    REQUIRE_OK(opened);
    file = std::make_unique<PageFile>(std::move(*opened));
  }
  std::unique_ptr<PageReader> reader(Backend backend, std::uint32_t in_flight_max = 8) {
    auto made = PageReader::create(*file, {backend, in_flight_max}, budget);
    REQUIRE_OK(made);
    return std::move(*made);
  }

  TemporaryDirectory directory;
  MemoryBudget budget;
  std::unique_ptr<PageFile> file;
};

bool io_uring_is_here() {
  Fixture fixture;
  const bool here = fixture.reader(Backend::kAutomatic)->backend() == Backend::kIoUring;
  if (!here) BOOST_TEST_MESSAGE("SKIPPED for io_uring: this machine refuses it");
  return here;
}

std::vector<Backend> backends() {
  static const bool ring = io_uring_is_here();
  return ring ? std::vector{Backend::kPread, Backend::kIoUring} : std::vector{Backend::kPread};
}

// Sets a variable of the environment for one scope.
class Environment {
 public:
  explicit Environment(const char* value) { ::setenv("VECSTORE_IO", value, 1); }
  ~Environment() { ::unsetenv("VECSTORE_IO"); }
  Environment(const Environment&) = delete;
  Environment& operator=(const Environment&) = delete;
};

BOOST_FIXTURE_TEST_CASE(both_backends_answer_and_count_alike_under_random_use, Fixture) {
  for (const Backend backend : backends()) {
    for (const std::uint32_t depth : {1u, 3u, 8u, 64u}) {
      auto pages = reader(backend, depth);
      Random random(17, depth);
      std::multimap<std::uint64_t, int> wanted;
      std::vector<std::uint32_t> held;
      std::uint64_t submitted = 0;  // pages
      while (submitted < 1000 || pages->in_flight() != 0) {
        std::vector<std::uint64_t> batch(submitted < 1000 ? random.below(pages->free_frames() + 1) : 0);
        for (auto& page : batch) wanted.emplace(page = 1 + random.below(kPages), 0);
        REQUIRE_OK(pages->submit(batch));
        submitted += batch.size();
        const auto count = submitted < 1000 ? random.below(pages->in_flight() + 1) : pages->in_flight();
        const std::size_t requests = pages->in_flight();
        const auto arrived = pages->wait(count);
        REQUIRE_OK(arrived);
        const auto ended = std::ranges::count(*arrived, true, &ArrivedPage::ends_request);
        BOOST_REQUIRE(ended >= static_cast<std::ptrdiff_t>(count));
        BOOST_REQUIRE(pages->in_flight() + static_cast<std::size_t>(ended) == requests);
        for (const ArrivedPage& page : *arrived) {
          BOOST_REQUIRE(holds(identity_of(1), page.page, {page.bytes, 4096}));
          const auto found = wanted.find(page.page);
          BOOST_REQUIRE(found != wanted.end());
          wanted.erase(found);
          held.push_back(page.frame);
        }
        BOOST_REQUIRE(pages->free_frames() + wanted.size() + held.size() == depth);
        while (held.size() > random.below(depth)) {
          pages->release(held.back());
          held.pop_back();
        }
      }
      BOOST_TEST(wanted.empty());
      BOOST_TEST(pages->requests_submitted() <= submitted);
      BOOST_TEST(pages->bytes_read() == submitted * 4096);
    }
  }
}

// The pages of each request, in the order in which they came.
std::vector<std::vector<std::uint64_t>> requests_of(PageReader& reader, const std::vector<std::uint64_t>& pages) {
  REQUIRE_OK(reader.submit(pages));
  const auto arrived = reader.wait(reader.in_flight());
  REQUIRE_OK(arrived);
  std::vector<std::vector<std::uint64_t>> requests(1);
  for (const ArrivedPage& page : *arrived) {
    BOOST_TEST(holds(identity_of(1), page.page, {page.bytes, 4096}));
    requests.back().push_back(page.page);
    if (page.ends_request) requests.emplace_back();
  }
  BOOST_TEST(requests.back().empty());
  requests.pop_back();
  std::ranges::sort(requests);
  return requests;
}

BOOST_FIXTURE_TEST_CASE(pages_side_by_side_come_with_one_request, Fixture) {
  using Requests = std::vector<std::vector<std::uint64_t>>;
  for (const Backend backend : backends()) {
    auto pages = reader(backend, 40);
    BOOST_TEST((requests_of(*pages, {5, 9, 3, 20, 4, 10}) == Requests{{3, 4, 5}, {9, 10}, {20}}));
    BOOST_TEST(pages->requests_submitted() == 3u);
    BOOST_TEST(pages->bytes_read() == 6u * 4096);
    for (std::uint32_t frame = 0; frame < 40; ++frame) pages->release(frame);
    // Asked for twice, a page comes twice.
    BOOST_TEST((requests_of(*pages, {7, 7, 8}) == Requests{{7}, {7, 8}}));
    for (std::uint32_t frame = 0; frame < 40; ++frame) pages->release(frame);
    std::vector<std::uint64_t> many(2 * kPagesPerRequest + 1);
    std::iota(many.begin(), many.end(), 100u);
    const Requests parts = requests_of(*pages, many);
    BOOST_REQUIRE(parts.size() == 3u);
    BOOST_TEST(parts[0].size() == kPagesPerRequest);
    BOOST_TEST(parts[2].size() == 1u);
  }
}

BOOST_FIXTURE_TEST_CASE(a_request_is_as_long_as_there_are_frames_side_by_side, Fixture) {
  for (const Backend backend : backends()) {
    auto pages = reader(backend, 8);
    REQUIRE_OK(pages->submit(std::vector<std::uint64_t>{1, 11, 21, 31, 41, 51, 61, 71}));
    const auto first = pages->wait(8);
    REQUIRE_OK(first);
    const std::vector<ArrivedPage> held(first->begin(), first->end());
    BOOST_REQUIRE(held.size() == 8u);
    // Frames 1, 3 and 4 are free: three pages side by side need two requests.
    for (const std::uint32_t frame : {1u, 3u, 4u}) pages->release(frame);
    const auto before = pages->requests_submitted();
    BOOST_TEST(requests_of(*pages, {100, 101, 102}).size() == 2u);
    BOOST_TEST(pages->requests_submitted() - before == 2u);
    for (const ArrivedPage& page : held)
      if (page.frame != 1 && page.frame != 3 && page.frame != 4)
        BOOST_TEST(holds(identity_of(1), page.page, {page.bytes, 4096}));
  }
}

BOOST_FIXTURE_TEST_CASE(arrived_page_stays_until_it_is_released, Fixture) {
  for (const Backend backend : backends()) {
    auto pages = reader(backend, 2);
    REQUIRE_OK(pages->submit(std::vector<std::uint64_t>{7}));
    const ArrivedPage kept = pages->wait(1)->front();
    for (std::uint64_t page = 1; page <= kPages; ++page) {
      REQUIRE_OK(pages->submit(std::vector<std::uint64_t>{page}));
      pages->release(pages->wait(1)->front().frame);
    }
    BOOST_TEST(holds(identity_of(1), 7, {kept.bytes, 4096}));
    pages->release(kept.frame);
    BOOST_TEST(pages->free_frames() == 2u);
  }
}

BOOST_FIXTURE_TEST_CASE(damaged_page_fails_the_batch_and_leaves_a_usable_reader, Fixture) {
  std::fstream out(directory.path("f"), std::ios::in | std::ios::out | std::ios::binary);
  out.seekp(20 * 4096 + 99).put(1).flush();
  for (const Backend backend : backends()) {
    auto pages = reader(backend);
    REQUIRE_OK(pages->submit(std::vector<std::uint64_t>{18, 19, 20, 21, 22}));
    const auto arrived = pages->wait(1);
    BOOST_TEST((code_of(arrived) == Code::kCorrupt));
    BOOST_TEST(arrived.error().number() == 20u);
    BOOST_TEST(test::message_of(arrived).find(directory.path("f")) != std::string::npos);
    BOOST_TEST(pages->in_flight() == 0u);
    BOOST_TEST(pages->free_frames() == 8u);
    pages->release(0);  // what an owner does that has not heard of the error yet
    BOOST_TEST(pages->free_frames() == 8u);
    REQUIRE_OK(pages->submit(std::vector<std::uint64_t>{18, 19}));
    const auto again = pages->wait(1);
    REQUIRE_OK(again);
    BOOST_TEST(again->size() == 2u);
  }
}

BOOST_FIXTURE_TEST_CASE(file_that_shrank_is_corrupt_at_the_page, Fixture) {
  for (const Backend backend : backends()) {
    auto pages = reader(backend);
    for (const std::uint64_t size : {kPages * 4096, kPages * 4096 + 512, kPages * 4096 + 3584, std::uint64_t{4096}}) {
      std::filesystem::resize_file(directory.path("f"), size);
      REQUIRE_OK(pages->submit(std::vector<std::uint64_t>{kPages}));
      const auto arrived = pages->wait(1);
      BOOST_TEST((code_of(arrived) == Code::kCorrupt));
      BOOST_TEST(arrived.error().number() == kPages);
    }
    // The first pages of a request are there: the error names the first that is not.
    std::filesystem::remove(directory.path("f"));
    REQUIRE_OK(write_pages(directory.path("f"), identity_of(1), kPages));
    file = std::make_unique<PageFile>(
        std::move(*PageFile::open(FileSystem::posix(), directory.path("f"), identity_of(1))));
    pages = reader(backend);
    std::filesystem::resize_file(directory.path("f"), (kPages - 1) * 4096 + 512);
    REQUIRE_OK(pages->submit(std::vector<std::uint64_t>{1, kPages - 1, kPages - 2, kPages - 3, kPages}));
    BOOST_TEST(pages->in_flight() == 2u);
    const auto arrived = pages->wait(2);
    BOOST_TEST((code_of(arrived) == Code::kCorrupt));
    BOOST_TEST(arrived.error().number() == kPages - 1);
    BOOST_TEST(pages->free_frames() == 8u);
    std::filesystem::remove(directory.path("f"));
    REQUIRE_OK(write_pages(directory.path("f"), identity_of(1), kPages));
    file = std::make_unique<PageFile>(
        std::move(*PageFile::open(FileSystem::posix(), directory.path("f"), identity_of(1))));
  }
}

BOOST_FIXTURE_TEST_CASE(page_outside_the_file_is_refused_before_anything_is_read, Fixture) {
  for (const Backend backend : backends()) {
    auto pages = reader(backend);
    for (const std::uint64_t page : {std::uint64_t{0}, kPages + 1, ~std::uint64_t{0}})
      BOOST_TEST((pages->submit(std::vector<std::uint64_t>{1, page}).code() == Code::kCorrupt));
    BOOST_TEST(pages->in_flight() == 0u);
    BOOST_TEST(pages->requests_submitted() == 0u);
  }
}

BOOST_FIXTURE_TEST_CASE(unlinked_file_goes_on_serving, Fixture) {
  std::filesystem::remove(directory.path("f"));
  for (const Backend backend : backends()) {
    auto pages = reader(backend);
    REQUIRE_OK(pages->submit(std::vector<std::uint64_t>{1, 2, 3}));
    REQUIRE_OK(pages->wait(1));
  }
}

BOOST_FIXTURE_TEST_CASE(reader_destroyed_with_reads_in_flight_ends_cleanly, Fixture) {
  for (const Backend backend : backends()) {
    for (int i = 0; i < 20; ++i) {
      auto pages = reader(backend, 64);
      std::vector<std::uint64_t> batch(64);
      for (std::size_t j = 0; j < batch.size(); ++j) batch[j] = 1 + j;
      REQUIRE_OK(pages->submit(batch));
    }
  }
  BOOST_TEST(budget.used_bytes() == 0u);
}

BOOST_FIXTURE_TEST_CASE(frames_and_ring_are_charged_before_anything_is_made, Fixture) {
  for (const Backend backend : backends()) {
    MemoryBudget small(8 * 4096 - 1);
    BOOST_TEST((code_of(PageReader::create(*file, {backend, 8}, small)) == Code::kMemoryBudget));
    BOOST_TEST(small.used_bytes() == 0u);
    const auto pages = reader(backend, 8);
    BOOST_TEST(budget.used_bytes() >= 8u * 4096);
  }
  MemoryBudget budget_of_none;
  BOOST_TEST((code_of(PageReader::create(*file, {Backend::kPread, 0}, budget_of_none)) == Code::kInvalidArgument));
  BOOST_TEST((code_of(PageReader::create(*file, {Backend::kPread, kPagesInFlightMax + 1}, budget_of_none)) ==
              Code::kInvalidArgument));
}

BOOST_FIXTURE_TEST_CASE(environment_chooses_the_backend_and_a_typing_error_is_named, Fixture) {
  {
    const Environment environment("pread");
    BOOST_TEST((reader(Backend::kAutomatic)->backend() == Backend::kPread));
    BOOST_TEST(reader(Backend::kAutomatic)->fallback_reason().empty());
  }
  {
    const Environment environment("io_urin");
    const auto made = PageReader::create(*file, {}, budget);
    BOOST_TEST((code_of(made) == Code::kInvalidArgument));
    BOOST_TEST(test::message_of(made).find("VECSTORE_IO=io_urin") != std::string::npos);
  }
  if (backends().size() == 1) return;
  const Environment environment("io_uring");
  BOOST_TEST((reader(Backend::kAutomatic)->backend() == Backend::kIoUring));
}

// Locked memory may be forbidden altogether, and a container may run as nobody: reads must still arrive.
int read_as_nobody(const PageFile& file) {
  const rlimit none{0, 0};
  if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0) return 10;
  if (::geteuid() == 0 && (::setgroups(0, nullptr) != 0 || ::setgid(65534) != 0 || ::setuid(65534) != 0)) return 11;
  MemoryBudget budget;
  auto made = PageReader::create(file, {Backend::kAutomatic, 64}, budget);
  if (!made) return 12;
  if ((*made)->backend() == Backend::kIoUring && (*made)->fallback_reason().empty()) return 13;  // says so
  std::vector<std::uint64_t> batch(64);
  for (std::size_t i = 0; i < batch.size(); ++i) batch[i] = 1 + i * 3;
  if (!(*made)->submit(batch).is_ok()) return 14;
  const auto arrived = (*made)->wait(64);
  if (!arrived) return 15;
  for (const ArrivedPage& page : *arrived)
    if (!holds(identity_of(1), page.page, {page.bytes, 4096})) return 16;
  return 0;
}

BOOST_FIXTURE_TEST_CASE(unprivileged_user_without_locked_memory_is_served, Fixture) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(read_as_nobody(*file));
  int status = 0;
  BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
  BOOST_REQUIRE(WIFEXITED(status));
  BOOST_TEST(WEXITSTATUS(status) == 0);
}

BOOST_AUTO_TEST_CASE(file_system_without_direct_io_is_read_by_both_backends) {
  if (!std::filesystem::is_directory("/dev/shm")) {
    BOOST_TEST_MESSAGE("SKIPPED: this machine has no /dev/shm");
    return;
  }
  const std::string path = "/dev/shm/vecstore-page-reader-test-" + std::to_string(::getpid());
  REQUIRE_OK(write_pages(path, identity_of(1), 10));
  const auto file = PageFile::open(FileSystem::posix(), path, identity_of(1));
  std::filesystem::remove(path);
  REQUIRE_OK(file);
  MemoryBudget budget;
  for (const Backend backend : backends()) {
    auto made = PageReader::create(*file, {backend, 4}, budget);
    REQUIRE_OK(made);
    REQUIRE_OK((*made)->submit(std::vector<std::uint64_t>{1, 5, 10}));
    const auto arrived = (*made)->wait(3);
    REQUIRE_OK(arrived);
    for (const ArrivedPage& page : *arrived) BOOST_TEST(holds(identity_of(1), page.page, {page.bytes, 4096}));
  }
}

}  // namespace
}  // namespace vecstore
