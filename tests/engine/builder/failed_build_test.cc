// SPDX-License-Identifier: Apache-2.0
//
// Builds that fail, on the operating system's files, where LMDB writes the catalog (tests/sim has the simulated disk).
#include <filesystem>
#include <map>
#include <stdexcept>

#include "engine/store/environment.h"
#include "tests/engine/stores.h"
#include "tests/pagestore/faulty_io.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kRows = 30;

// Every file and directory by its relative name, and what files hold. LOCK has the pid of the last writer.
std::map<std::string, std::vector<char>> content_of(const std::string& path) {
  std::map<std::string, std::vector<char>> content;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path)) {
    const std::string name = std::filesystem::relative(entry.path(), path).string();
    if (name != "LOCK")
      content[name] = entry.is_regular_file() ? read_file(entry.path().string()) : std::vector<char>();
  }
  return content;
}

class Builds {
 public:
  Builds() {
    for (const char* name : {"old", "new"}) {
      std::string text;
      for (std::uint64_t row = 0; row < kRows; ++row) text.append(name).append(std::to_string(row)).append("\n");
      write_file(directory_.path(name), {text.begin(), text.end()});
    }
  }

  std::string path(const std::string& name) const { return directory_.path(name); }

  Status run(const std::string& store, const std::string& texts, FileSystem& files = FileSystem::posix()) {
    BuildOptions options = build_options(Metric::kL2);
    options.overwrite = true;
    options.threads = 1;
    options.keys_path = directory_.path(texts);
    options.documents_path = directory_.path(texts);
    options.progress = progress;
    StoreEnvironment environment;
    environment.file_system = &files;
    return StoreFactory::build(directory_.path(store), *view_source(rows_.view()), options, environment);
  }

  std::function<void(const Progress&)> progress;

 private:
  TemporaryDirectory directory_;
  Matrix rows_ = recut(DType::kF32, 8, kRows);
};

// Fails at each of its calls in turn, and then is not kept from anything.
template <typename Check>
void fail_at_every_call(Builds& builds, const std::string& store, const Check& check) {
  for (std::uint64_t call = 0;; ++call) {
    Faults faults{.first = call, .for_good = false};
    FaultyFileSystem files(faults);
    const Status built = builds.run(store, "new", files);
    if (faults.calls <= call) {
      REQUIRE_OK(built);
      BOOST_TEST(call > 100u);
      return;
    }
    check(built, call);
  }
}

BOOST_AUTO_TEST_CASE(a_failed_build_takes_its_directory_away_or_leaves_the_one_it_found_empty) {
  for (const bool has_directory : {false, true}) {
    Builds builds;
    const std::string path = builds.path("store");
    const auto begin_anew = [&] {
      std::filesystem::remove_all(path);
      if (has_directory) std::filesystem::create_directory(path);
    };
    begin_anew();
    fail_at_every_call(builds, "store", [&](const Status& built, std::uint64_t call) {
      if (!std::filesystem::exists(path + "/superblock")) {
        BOOST_REQUIRE(!built.is_ok());
        BOOST_REQUIRE_MESSAGE(std::filesystem::exists(path) == has_directory, "call " << call);
        BOOST_REQUIRE_MESSAGE(!has_directory || std::filesystem::is_empty(path), "call " << call);
      }
      begin_anew();
    });
  }
}

BOOST_AUTO_TEST_CASE(a_failed_build_leaves_every_byte_of_the_store_that_was_there) {
  Builds builds;
  const std::string path = builds.path("store");
  REQUIRE_OK(builds.run("store", "old"));
  const std::string kept = builds.path("kept");
  std::filesystem::copy(path, kept, std::filesystem::copy_options::recursive);
  const auto before = content_of(kept);
  BOOST_REQUIRE(before.contains("catalog/data.mdb"));
  const auto begin_anew = [&] {
    std::filesystem::remove_all(path);
    std::filesystem::copy(kept, path, std::filesystem::copy_options::recursive);
  };
  fail_at_every_call(builds, "store", [&](const Status& built, std::uint64_t call) {
    const auto store = Store::open(path);
    REQUIRE_OK(store);
    const bool is_new = store->contains(Key("new7")).value();
    BOOST_REQUIRE_MESSAGE(is_new || !built.is_ok(), "call " << call);
    BOOST_REQUIRE_MESSAGE(is_new || content_of(path) == before, "call " << call);
    begin_anew();
  });
}

BOOST_AUTO_TEST_CASE(a_build_that_its_caller_breaks_off_leaves_nothing) {
  Builds builds;
  builds.progress = [](const Progress& at) {
    if (at.phase == Phase::kPublish) throw std::runtime_error("enough");
  };
  BOOST_CHECK_THROW(static_cast<void>(builds.run("store", "new")), std::runtime_error);
  BOOST_TEST(!std::filesystem::exists(builds.path("store")));
}

BOOST_AUTO_TEST_CASE(keys_are_refused_before_the_graph_is_begun) {
  Builds builds;
  bool has_begun = false;
  builds.progress = [&](const Progress&) { has_begun = true; };
  std::string text = "twice\n";
  for (std::uint64_t row = 2; row < kRows; ++row) text.append(std::to_string(row)).append("\n");
  text.append("twice\n");
  write_file(builds.path("twice"), {text.begin(), text.end()});
  const Status built = builds.run("store", "twice");
  BOOST_TEST((built.code() == Code::kExists));
  BOOST_TEST(built.message().find("line 30: ") != std::string::npos);
  BOOST_TEST(!has_begun);
  BOOST_TEST(!std::filesystem::exists(builds.path("store")));
}

}  // namespace
}  // namespace vecstore
