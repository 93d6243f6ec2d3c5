// SPDX-License-Identifier: Apache-2.0
//
// One flipped bit, in every byte range of every file of a store: it is reported, naming file and page, or it has no
// effect. Never a crash, never another answer.
#include <fcntl.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <thread>

#include "base/random.h"
#include "tests/engine/specimen.h"

namespace vecstore {
namespace {

using namespace test;

// Sanitizers make every open some ten times as dear.
constexpr std::uint64_t kThinning = kInstrumented ? 23 : 1;
constexpr unsigned kWorkers = 4;
// A reader that meets a manifest that is none waits for a publish to end: the time goes to sleeping.
constexpr unsigned kSleepingWorkers = 48;

struct Flip {
  std::string file;
  std::uint64_t offset = 0;
  unsigned bit = 0;
};

Status flip_bit(const std::string& path, const Flip& flip) {
  const int file = ::open((path + "/" + flip.file).c_str(), O_RDWR | O_CLOEXEC);
  unsigned char byte = 0;
  bool done = file >= 0 && ::pread(file, &byte, 1, static_cast<off_t>(flip.offset)) == 1;
  byte = static_cast<unsigned char>(byte ^ (1u << flip.bit));
  done = done && ::pwrite(file, &byte, 1, static_cast<off_t>(flip.offset)) == 1;
  if (file >= 0) ::close(file);
  return done ? Status::ok() : Status(Code::kIo, "cannot flip a bit").about(flip.file);
}

// Judges every flip, each on a store that is whole but for it.
void sweep(const FastDirectory& directory, const std::string& base, const Sample& sample,
           const std::vector<Answers>& right, const std::vector<Flip>& flips, unsigned workers = kWorkers) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  std::vector<std::string> complaints;
  const auto work = [&](unsigned worker) {
    const std::string path = directory.path("worker-" + std::to_string(worker));
    copy_store(base, path);
    for (std::size_t i = next.fetch_add(1); i < flips.size(); i = next.fetch_add(1)) {
      const Flip& flip = flips[i];
      const std::uint64_t page_bytes = page_bytes_in(base, flip.file);
      std::string complaint;
      if (!flip_bit(path, flip).is_ok()) complaint = "the bit cannot be flipped";
      if (complaint.empty())
        complaint = judge(path, {flip.file, page_bytes == 0 ? 0 : flip.offset / page_bytes}, sample, right);
      if (flip.file.starts_with("catalog")) {
        copy_store(base + "/catalog", path + "/catalog");  // it may have been rebuilt
      } else if (!flip_bit(path, flip).is_ok()) {
        complaint += "; the bit cannot be flipped back";
      }
      if (complaint.empty()) continue;
      const std::lock_guard guard(mutex);
      complaints.push_back(flip.file + " byte " + std::to_string(flip.offset) + " bit " + std::to_string(flip.bit) +
                           ": " + complaint);
    }
    std::filesystem::remove_all(path);
  };
  {
    std::vector<std::jthread> threads;
    for (unsigned worker = 0; worker < workers; ++worker) threads.emplace_back(work, worker);
  }
  for (std::size_t i = 0; i < std::min<std::size_t>(complaints.size(), 20); ++i) BOOST_TEST_ERROR(complaints[i]);
  BOOST_TEST(complaints.size() == 0u);
  BOOST_TEST_MESSAGE(flips.size() << " bits flipped");
  BOOST_TEST(!flips.empty());
}

// A random bit of each byte in [begin, end) that `step` meets, at a random place within the step.
void add_flips(std::vector<Flip>& flips, const std::string& file, std::uint64_t begin, std::uint64_t end,
               std::uint64_t step) {
  Random random(end, begin);
  for (std::uint64_t at = begin; at < end; at += step)
    flips.push_back({file, std::min(end - 1, at + random.below(step)), static_cast<unsigned>(random.below(8))});
}

std::uint64_t size_of(const std::string& path, const std::string& file) {
  return std::filesystem::file_size(path + "/" + file);
}

struct Specimen {
  Specimen(const std::string& base, const std::string& queries, Metric metric, std::uint64_t rows)
      : sample(directory, base, queries, metric, rows) {
    sample.build(path, sample.options());
    right = {answers_of(path, sample)};
  }
  // Builds anew over what is there; its answers count as right too.
  void overwrite(Metric metric) {
    BuildOptions other = sample.options();
    other.overwrite = true;
    other.metric = metric;
    sample.build(path, other);
    right.push_back(answers_of(path, sample));
  }
  FastDirectory directory;
  Sample sample;
  std::string path = directory.path("store");
  std::vector<Answers> right;
};

// Integers. Of 1,000 rows and more a build calibrates, and the manifest holds the table.
struct CalibratedStore : Specimen {
  CalibratedStore() : Specimen("csift55k.base.u8bin", "csift55k.query.u8bin", Metric::kL2, 1000) {}
};
struct SiftStore : Specimen {
  SiftStore() : Specimen("csift55k.base.u8bin", "csift55k.query.u8bin", Metric::kL2, 400) {}
};
struct SmallStore : Specimen {
  SmallStore() : Specimen("csift55k.base.u8bin", "csift55k.query.u8bin", Metric::kL2, 200) {}
};
// Halves of floats, coded on their pages: rows/ keeps the originals.
struct TextStore : Specimen {
  TextStore() : Specimen("win384-8k.base.f16bin", "win384-8k.query.f16bin", Metric::kCosine, 200) {}
};

// Every byte of the header that says something, and a bit of every 64 bytes of every page.
void sweep_page_files(const Specimen& specimen) {
  constexpr std::uint64_t kHeaderBytes = 160;
  std::vector<Flip> flips;
  for (const std::string& file : files_of(specimen.path)) {
    if (page_bytes_in(specimen.path, file) == 0) continue;
    add_flips(flips, file, 0, kHeaderBytes, kThinning);
    add_flips(flips, file, kHeaderBytes, size_of(specimen.path, file), 64 * kThinning);
  }
  BOOST_TEST(flips.size() * kThinning > 4000u);
  sweep(specimen.directory, specimen.path, specimen.sample, specimen.right, flips);
}

BOOST_AUTO_TEST_SUITE(damage)

BOOST_FIXTURE_TEST_CASE(bit_of_every_stretch_of_integer_pages_is_reported, SiftStore) { sweep_page_files(*this); }

BOOST_FIXTURE_TEST_CASE(bit_of_every_stretch_of_lossy_pages_and_originals_is_reported, TextStore) {
  sweep_page_files(*this);
}

// A store that was built over serves its newest content or an error, never the older content.
BOOST_FIXTURE_TEST_CASE(every_byte_of_superblock_and_manifest_is_reported_and_nothing_older_serves, SmallStore) {
  overwrite(Metric::kCosine);
  BOOST_REQUIRE(right[0] != right[1]);
  std::vector<Flip> flips;
  for (const char* file : {"superblock", "manifest-2"}) add_flips(flips, file, 0, size_of(path, file), kThinning);
  BOOST_TEST(flips.size() * kThinning > 8192u);
  sweep(directory, path, sample, {right[1]}, flips, kSleepingWorkers);
}

// They stay for readers that were about to open them, and nobody else minds them.
BOOST_FIXTURE_TEST_CASE(files_of_the_content_before_are_of_no_effect, SmallStore) {
  overwrite(Metric::kCosine);
  for (const char* file : {"manifest-1", "graph-1", "codes-1", "rowmap-1", "rows/1-0"}) {
    BOOST_REQUIRE(size_of(path, file) != 0u);
    const auto copy = directory.path("copy");
    for (const bool gone : {false, true}) {
      copy_store(path, copy);
      REQUIRE_OK(flip_bit(copy, {file, 100, 3}));
      if (gone) std::filesystem::remove(copy + "/" + file);
      BOOST_CHECK(answers_of(copy, sample) == right[1]);
    }
  }
}

BOOST_FIXTURE_TEST_CASE(damage_to_a_slot_is_reported_and_to_the_manifest_an_error, CalibratedStore) {
  std::vector<Flip> flips;
  add_flips(flips, "superblock", 0, 160, kThinning);
  add_flips(flips, "superblock", 160, 4096, 16 * kThinning);
  add_flips(flips, "superblock", 4096, 8192, 16 * kThinning);
  add_flips(flips, "manifest-1", 0, size_of(path, "manifest-1"), 2 * kThinning);
  sweep(directory, path, sample, right, flips, kSleepingWorkers);
}

// The catalog is reported by verify, and rebuilt by the first lookup.
BOOST_FIXTURE_TEST_CASE(damage_to_the_catalog_is_reported_and_rebuilt, SmallStore) {
  std::vector<Flip> flips;
  add_flips(flips, "catalog/data.sums", 0, size_of(path, "catalog/data.sums"), kThinning);
  add_flips(flips, "catalog/data.mdb", 0, size_of(path, "catalog/data.mdb"), 64 * kThinning);
  sweep(directory, path, sample, right, flips);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
