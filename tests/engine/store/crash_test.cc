// SPDX-License-Identifier: Apache-2.0
//
// Builds that die, find no room, no permission or a builder that is there already: the old content stays, or none, and
// whatever is left behind is in nobody's way.
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/random.h"
#include "tests/engine/child.h"
#include "tests/engine/specimen.h"

namespace vecstore {
namespace {

using namespace test;

constexpr int kKills = kInstrumented ? 8 : 24;  // kills of each kind
constexpr uid_t kNobody = 65534;

struct Builds {
  Builds() : sample(directory, "csift55k.base.u8bin", "csift55k.query.u8bin", Metric::kL2, 600) {
    sample.build(old_path, old_options());
    sample.build(new_path, new_options());
    old_answers = answers_of(old_path, sample);
    new_answers = answers_of(new_path, sample);
    BOOST_REQUIRE(old_answers != new_answers);
  }
  BuildOptions old_options() const {
    BuildOptions options = sample.options();
    options.metric = Metric::kCosine;
    return options;
  }
  BuildOptions new_options() const {
    BuildOptions options = sample.options();
    options.overwrite = true;
    return options;
  }
  Status build_new(const std::string& path) const {
    return Store::build(path, *view_source(sample.vectors()), new_options());
  }
  // What `path` holds: nothing that can be opened, the old content or the new. Half of one fails the test.
  enum class Content { kNone, kOld, kNew };
  Content content_of(const std::string& path) const {
    const auto store = Store::open(path);
    if (!store) {
      const Code code = store.error().code();
      BOOST_REQUIRE_MESSAGE(code == Code::kInvalidInput || code == Code::kNotFound, store.error().message());
      return Content::kNone;
    }
    const Answers found = answers_of(path, sample);
    BOOST_REQUIRE(found == new_answers || found == old_answers);
    return found == new_answers ? Content::kNew : Content::kOld;
  }

  FastDirectory directory;
  Sample sample;
  std::string old_path = directory.path("old");
  std::string new_path = directory.path("new");
  Answers old_answers, new_answers;
};

void start_over(const Builds& builds, const std::string& path, bool with_old) {
  std::filesystem::remove_all(path);
  if (with_old) copy_store(builds.old_path, path);
}

// Kills builds at random moments, somewhat beyond the time that one takes.
void kill_builds(const Builds& builds, bool with_old) {
  const std::string path = builds.directory.path("killed");
  Random random(11, with_old);
  const auto started = std::chrono::steady_clock::now();
  start_over(builds, path, with_old);
  REQUIRE_OK(builds.build_new(path));
  const auto whole = std::chrono::steady_clock::now() - started;
  const auto micros = static_cast<std::uint64_t>(std::chrono::duration_cast<std::chrono::microseconds>(whole).count());
  int killed = 0;
  for (int cycle = 0; cycle < kKills; ++cycle) {
    if (cycle % 3 == 0) start_over(builds, path, with_old);  // else: onto what the last one left behind
    const Builds::Content before = builds.content_of(path);
    const pid_t child = ::fork();
    BOOST_REQUIRE(child >= 0);
    if (child == 0) ::_exit(builds.build_new(path).is_ok() ? 0 : 1);
    ::usleep(static_cast<useconds_t>(random.below(micros + micros / 8)));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    if (WIFSIGNALED(status)) ++killed;
    BOOST_REQUIRE_MESSAGE(WIFSIGNALED(status) || WEXITSTATUS(status) == 0, "the build failed");
    const Builds::Content after = builds.content_of(path);
    BOOST_REQUIRE(after == before || after == Builds::Content::kNew);
  }
  BOOST_TEST_MESSAGE(killed << " of " << kKills << " builds killed");
  BOOST_TEST(killed > kKills / 3);
  REQUIRE_OK(builds.build_new(path));
  BOOST_TEST((answers_of(path, builds.sample) == builds.new_answers));
}

BOOST_AUTO_TEST_SUITE(crash)

BOOST_FIXTURE_TEST_CASE(killed_first_build_leaves_nothing_or_the_new_content, Builds) { kill_builds(*this, false); }

BOOST_FIXTURE_TEST_CASE(killed_overwriting_build_leaves_the_old_content_or_the_new, Builds) {
  kill_builds(*this, true);
}

// Files of more than `bytes` are refused with EFBIG: a full disk that needs no privilege.
BOOST_FIXTURE_TEST_CASE(build_whose_files_may_not_grow_leaves_the_old_content, Builds) {
  const std::string path = directory.path("limited");
  int refused = 0;
  for (rlim_t bytes = 0;; bytes = bytes * 3 / 2 + 4096) {
    start_over(*this, path, true);
    const Said said = in_child([&] {
      ::signal(SIGXFSZ, SIG_IGN);
      const rlimit limit{bytes, bytes};
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return Status(Code::kUnsupported, "no limit");
      return build_new(path);
    });
    if (said.code == Code::kOk) break;
    ++refused;
    BOOST_REQUIRE_MESSAGE(said.code == Code::kIo || said.code == Code::kNoSpace, said.message);
    BOOST_REQUIRE_MESSAGE(said.message.find(path) != std::string::npos, said.message);
    BOOST_REQUIRE((answers_of(path, sample) == old_answers));
  }
  BOOST_TEST_MESSAGE(refused << " sizes refused");
  BOOST_TEST(refused > 5);
  BOOST_TEST((answers_of(path, sample) == new_answers));
}

// Builds in a file system of `bytes`, where the old content is. Looks at what is there in the same namespace, because
// it goes with the child. kUnsupported: this machine lets nobody mount.
Status build_in_small_space(const Builds& builds, const std::string& mount, std::uint64_t bytes) {
  const auto refused = [](const char* what) { return Status(Code::kUnsupported, "cannot").about(what); };
  if (::unshare(CLONE_NEWNS) != 0 || ::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return refused("unshare");
  const std::string size = "size=" + std::to_string(bytes);
  if (::mount("vecstore", mount.c_str(), "tmpfs", 0, size.c_str()) != 0) return refused("mount");
  const std::string path = mount + "/store";
  copy_store(builds.old_path, path);
  const Status built = builds.build_new(path);
  const auto store = Store::open(path);
  if (!store) return store.error();
  auto found = ask(*store, builds.sample);
  if (!found) return found.error();
  if (built.is_ok() && store->info().generation != 2) return Status(Code::kCorrupt, "the new content is not there");
  if (!built.is_ok() && store->info().generation != 1) return Status(Code::kCorrupt, "the old content is not there");
  found->found = built.is_ok() ? builds.new_answers.found : builds.old_answers.found;
  if (*found != (built.is_ok() ? builds.new_answers : builds.old_answers))
    return Status(Code::kCorrupt, "the answers are others");
  return built;
}

BOOST_FIXTURE_TEST_CASE(full_disk_is_named_and_leaves_the_old_content, Builds) {
  std::uint64_t old_bytes = 0;
  for (const std::string& file : files_of(old_path)) old_bytes += std::filesystem::file_size(old_path + "/" + file);
  const std::string mount = directory.path("mount");
  std::filesystem::create_directory(mount);
  int refused = 0;
  for (std::uint64_t bytes = old_bytes + 64 * 1024;; bytes += 256 * 1024) {
    const Said said = in_child([&] { return build_in_small_space(*this, mount, bytes); });
    if (said.code == Code::kUnsupported) {
      BOOST_TEST_MESSAGE("skipped: this machine does not let us mount a small file system");
      return;
    }
    BOOST_REQUIRE(said.signal == 0);
    if (said.code == Code::kOk) break;
    ++refused;
    BOOST_REQUIRE_MESSAGE(said.code == Code::kNoSpace, said.message);
    BOOST_REQUIRE_MESSAGE(said.message.find(mount) != std::string::npos, said.message);
  }
  BOOST_TEST_MESSAGE(refused << " sizes were too small");
  BOOST_TEST(refused > 2);
}

OpenOptions writing() {
  OpenOptions options;
  options.access = Access::kReadWrite;
  return options;
}

Status without_receipt(const Result<WriteReceipt>& receipt) { return receipt ? Status::ok() : receipt.error(); }

// Only root can become someone who may do less.
bool become_nobody() { return ::setgroups(0, nullptr) == 0 && ::setgid(kNobody) == 0 && ::setuid(kNobody) == 0; }

void open_to_all(const std::string& path, mode_t directories) {
  using std::filesystem::perms;
  std::filesystem::permissions(std::filesystem::path(path).parent_path(), static_cast<perms>(0755));
  std::filesystem::permissions(path, static_cast<perms>(directories));
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path))
    std::filesystem::permissions(entry.path(), static_cast<perms>(entry.is_directory() ? directories : 0444));
}

BOOST_FIXTURE_TEST_CASE(read_only_store_is_searched_without_rights_and_not_built_onto, Builds) {
  if (::geteuid() != 0) {
    BOOST_TEST_MESSAGE("skipped: only root can give up its rights");
    return;
  }
  open_to_all(old_path, 0555);
  const Said searched = in_child([&] {
    const rlimit none{0, 0};
    if (::setrlimit(RLIMIT_MEMLOCK, &none) != 0 || !become_nobody()) return Status(Code::kUnsupported, "still root");
    VECSTORE_ASSIGN(const Store store, Store::open(old_path));
    VECSTORE_ASSIGN(auto found, ask(store, sample));
    VECSTORE_TRY(ask_by_key(store, sample, found));
    VECSTORE_ASSIGN(const VerifyReport report, store.verify({.deep = true}));
    if (report.damage_total != 0) return report.damage.front();
    return found == old_answers ? Status::ok() : Status(Code::kCorrupt, "the answers are others");
  });
  BOOST_TEST_MESSAGE("search: " << searched.message);
  BOOST_TEST((searched.code == Code::kOk));
  const Said built =
      in_child([&] { return become_nobody() ? build_new(old_path) : Status(Code::kUnsupported, "root"); });
  BOOST_TEST((built.code == Code::kPermission));
  BOOST_TEST(built.message.find(old_path) != std::string::npos);
  const std::string inside = old_path + "/inside";
  const Said made = in_child([&] { return become_nobody() ? build_new(inside) : Status(Code::kUnsupported, "root"); });
  BOOST_TEST((made.code == Code::kPermission));
  BOOST_TEST(made.message.find(inside) != std::string::npos);
  const Said written = in_child([&]() -> Status {
    if (!become_nobody()) return {Code::kUnsupported, "root"};
    VECSTORE_ASSIGN(const Store store, Store::open(old_path, writing()));
    return Status::ok();
  });
  BOOST_TEST((written.code == Code::kPermission));
  BOOST_TEST(written.message.find(old_path) != std::string::npos);
  std::filesystem::permissions(old_path + "/graph-1", static_cast<std::filesystem::perms>(0000));
  const Said refused = in_child([&] {
    if (!become_nobody()) return Status(Code::kUnsupported, "root");
    const auto store = Store::open(old_path);
    return store ? Status::ok() : store.error();
  });
  BOOST_TEST((refused.code == Code::kPermission));
  BOOST_TEST(refused.message.find("graph-1") != std::string::npos);
}

// What was put there before is read all the same, and can be written to again once there are rights.
BOOST_FIXTURE_TEST_CASE(written_store_is_read_without_rights, Builds) {
  const std::vector<std::uint8_t> vector(128, 7);
  const VectorView row{vector.data(), DType::kU8, 1, 128};
  const auto put = [&](const Key& key) -> Status {
    VECSTORE_ASSIGN(Store store, Store::open(old_path, writing()));
    VECSTORE_TRY(without_receipt(store.put(key, row)));
    return store.close();
  };
  REQUIRE_OK(put("put"));
  if (::geteuid() != 0) {
    BOOST_TEST_MESSAGE("skipped: only root can give up its rights");
    return;
  }
  open_to_all(old_path, 0555);
  const Said read = in_child([&]() -> Status {
    if (!become_nobody()) return {Code::kUnsupported, "root"};
    VECSTORE_ASSIGN(Store store, Store::open(old_path));
    VECSTORE_TRY(store.refresh());
    VECSTORE_ASSIGN(const auto found, store.search(row, {.k = 1}));
    VECSTORE_ASSIGN(const std::string key, store.key(found[0][0].row));
    return key == "put" ? Status::ok() : Status(Code::kCorrupt, "something else was found");
  });
  BOOST_TEST((read.code == Code::kOk), read.message);
  const Said refused = in_child([&] { return become_nobody() ? put("another") : Status(Code::kUnsupported, "root"); });
  BOOST_TEST((refused.code == Code::kPermission), refused.message);
  open_to_all(old_path, 0755);
  REQUIRE_OK(put("another"));
}

BOOST_FIXTURE_TEST_CASE(second_builder_is_told_who_holds_the_store, Builds) {
  // Held by another process, as a builder holds it.
  int ready[2];
  BOOST_REQUIRE(::pipe(ready) == 0);
  const pid_t holder = ::fork();
  BOOST_REQUIRE(holder >= 0);
  if (holder == 0) {
    const Status status = [&] {
      BuildOptions options = new_options();
      options.progress = [&](const Progress&) {
        static_cast<void>(::write(ready[1], "r", 1));
        ::pause();  // with the lock held
      };
      return Store::build(old_path, *view_source(sample.vectors()), options);
    }();
    ::_exit(status.is_ok() ? 0 : 1);
  }
  char byte = 0;
  BOOST_REQUIRE(::read(ready[0], &byte, 1) == 1);
  const Status second = build_new(old_path);
  BOOST_TEST((second.code() == Code::kBusy));
  BOOST_TEST(second.message().find("process " + std::to_string(holder)) != std::string::npos);
  BOOST_TEST(second.message().find(old_path) != std::string::npos);
  BOOST_TEST((answers_of(old_path, sample) == old_answers));  // readers are not kept out
  ::kill(holder, SIGKILL);
  ::waitpid(holder, nullptr, 0);
  ::close(ready[0]);
  ::close(ready[1]);
  REQUIRE_OK(build_new(old_path));
  BOOST_TEST((answers_of(old_path, sample) == new_answers));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
