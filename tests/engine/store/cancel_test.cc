// SPDX-License-Identifier: Apache-2.0
//
// Calls that are cancelled end and leave all as it was; calls that are not tell how far they are.
#include <chrono>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <thread>

#include "base/random.h"
#include "engine/files/convert.h"
#include "tests/engine/stores.h"
#include "tests/engine/text_input.h"

namespace vecstore {
namespace {

using namespace test;

// Sanitizers make a build some thirty times as slow.
constexpr std::uint64_t kRows = kInstrumented ? 300 : 2000;
constexpr std::uint64_t kPut = 200;

// A store of real rows with keys and documents, and a log of more.
class Written {
 public:
  Written() {
    write_texts();
    REQUIRE_OK(build({}));
    OpenOptions options;
    options.access = Access::kReadWrite;
    options.sync = SyncMode::kNone;
    Store store = open(options);
    for (std::uint64_t i = 0; i < kPut; ++i) REQUIRE_OK(store.put("put-" + std::to_string(i), base_.row(i), "a text"));
  }

  std::string path(const std::string& name = "idx") const { return directory_.path(name); }
  const Matrix& base() const { return base_; }

  Status build(const std::function<void(BuildOptions&)>& change, const std::string& name = "idx") const {
    BuildOptions options = build_options(Metric::kL2, true);
    options.keys_path = path("keys");
    options.documents_path = path("documents");
    if (change) change(options);
    return Store::build(path(name), *view_source(base_.view()), options);
  }

  Store open(OpenOptions options = {}) const {
    auto store = Store::open(path(), options);
    REQUIRE_OK(store);
    return std::move(*store);
  }

 private:
  void write_texts() const {
    std::vector<std::string> keys;
    for (std::uint64_t row = 0; row < base_.rows(); ++row) keys.push_back("key-" + std::to_string(row));
    write_lines(path("keys"), keys);
    write_lines(path("documents"), keys);
  }

  TemporaryDirectory directory_;
  Matrix base_ = csift(kRows);
};

template <typename T>
Code code(const Result<T>& outcome) {
  return code_of(outcome);
}
Code code(const Status& outcome) { return outcome.code(); }

// Cancels at the n-th time that progress is told, n = 1, 2, ... until the call ends before. Returns how often it was.
template <typename Call>
int cancel_at_every_step(const Call& call, const std::function<void()>& check) {
  for (int at = 1;; ++at) {
    CancelToken token;
    int told = 0;
    const auto outcome = call(&token, [&](const Progress&) {
      if (++told == at) token.cancel();
    });
    if (told < at) {
      REQUIRE_OK(outcome);
      return at - 1;
    }
    if (code(outcome) == Code::kOk) continue;  // that was the end of it
    BOOST_REQUIRE(code(outcome) == Code::kCancelled);
    check();
  }
}

BOOST_AUTO_TEST_SUITE(cancel)

BOOST_AUTO_TEST_CASE(a_cancelled_build_leaves_nothing_and_the_old_content_stays) {
  const Written written;
  const int steps = cancel_at_every_step(
      [&](const CancelToken* cancel, const ProgressFunction& progress) {
        std::filesystem::remove_all(written.path("new"));  // of a build that was done before it was cancelled
        return written.build(
            [&](BuildOptions& options) {
              options.cancel = cancel;
              options.progress = progress;
            },
            "new");
      },
      [&] { BOOST_REQUIRE(!std::filesystem::exists(written.path("new"))); });
  BOOST_TEST(steps >= 7);  // one of each phase at least
  CancelToken token;
  token.cancel();
  BOOST_TEST(
      (written.build([&](BuildOptions& options) { options.cancel = &token; }, "other").code() == Code::kCancelled));
  BOOST_TEST(!std::filesystem::exists(written.path("other")));
  BOOST_TEST((written
                  .build([&](BuildOptions& options) {
                    options.overwrite = true;
                    options.cancel = &token;
                  })
                  .code() == Code::kCancelled));
  BOOST_TEST(written.open().size() == kRows + kPut);
  token.reset();
  REQUIRE_OK(written.build([&](BuildOptions& options) {
    options.overwrite = true;
    options.cancel = &token;
  }));
  BOOST_TEST(written.open().size() == kRows);
}

BOOST_AUTO_TEST_CASE(a_build_that_another_thread_cancels_anywhere_leaves_nothing) {
  const Written written;
  Random random(5);
  int cancelled = 0;
  for (int i = 0; i < (kInstrumented ? 6 : 12); ++i) {
    CancelToken token;
    Status outcome;
    {
      const std::jthread other([&token, wait = std::chrono::microseconds(random.below(400'000))] {
        std::this_thread::sleep_for(wait);
        token.cancel();
      });
      outcome = written.build([&](BuildOptions& options) { options.cancel = &token; }, "new");
    }
    if (outcome.is_ok()) {
      REQUIRE_OK(Store::open(written.path("new")));
      std::filesystem::remove_all(written.path("new"));
      continue;
    }
    ++cancelled;
    BOOST_REQUIRE(outcome.code() == Code::kCancelled);
    BOOST_REQUIRE(!std::filesystem::exists(written.path("new")));
  }
  BOOST_TEST(cancelled > 2);
}

BOOST_AUTO_TEST_CASE(a_cancelled_search_has_no_answers_and_the_next_has_all) {
  const Written written;
  const Matrix queries = csift(kRows);
  for (const double cached : {0.0, 1.0})
    for (const std::uint32_t threads : {1u, 3u}) {
      OpenOptions opened;
      opened.searchers = 3;
      opened.cache_fraction = cached;
      const Store store = written.open(opened);
      const int steps = cancel_at_every_step(
          [&](const CancelToken* cancel, const ProgressFunction& progress) {
            return store.search(queries.view(), {.k = 5, .progress = progress, .cancel = cancel}, threads);
          },
          [] {});
      BOOST_TEST(steps >= 1);
      CancelToken token;
      token.cancel();
      BOOST_TEST((code_of(store.search(queries.view(), {.k = 5, .cancel = &token}, threads)) == Code::kCancelled));
      token.reset();
      const auto found = store.search(queries.view(), {.k = 5, .cancel = &token}, threads);
      REQUIRE_OK(found);
      for (std::size_t query = 0; query < found->size(); ++query) BOOST_REQUIRE((*found)[query].size() == 5u);
    }
}

BOOST_AUTO_TEST_CASE(a_cancelled_open_leaves_the_store_to_be_opened_again) {
  const Written written;
  for (const Access access : {Access::kRead, Access::kReadWrite})
    for (const double cached : {0.0, 1.0}) {
      OpenOptions options;
      options.access = access;
      options.cache_fraction = cached;
      const int steps = cancel_at_every_step(
          [&](const CancelToken* cancel, const ProgressFunction& progress) {
            OpenOptions with = options;
            with.cancel = cancel;
            with.progress = progress;
            return Store::open(written.path(), with);
          },
          [&] { BOOST_REQUIRE(written.open(options).size() == kRows + kPut); });
      BOOST_TEST(steps >= 1);
      CancelToken token;
      token.cancel();
      options.cancel = &token;
      BOOST_TEST((code_of(Store::open(written.path(), options)) == Code::kCancelled));
      token.reset();
      Store store = written.open(options);
      token.cancel();  // is of open() alone
      REQUIRE_OK(store.search(written.base().row(0), {.k = 1}));
    }
}

BOOST_AUTO_TEST_CASE(a_put_that_waits_for_room_can_be_cancelled_and_nothing_of_it_is_in) {
  const TemporaryDirectory directory;
  const Matrix base = csift(2000);
  REQUIRE_OK(Store::create(directory.path("s"), {base.dim, base.dtype, Metric::kL2, KeyKind::kNumber}));
  OpenOptions options;
  options.access = Access::kReadWrite;
  options.sync = SyncMode::kNone;
  options.delta_bytes = 1u << 20;
  options.full_wait_ms = 0;
  options.merge = MergePolicy::kManual;
  std::uint64_t rows = 0;
  {
    auto full = Store::open(directory.path("s"), options);
    REQUIRE_OK(full);
    while (full->put(rows, base.row(rows % base.rows()))) ++rows;
    REQUIRE_OK(full->close());
  }
  options.full_wait_ms = 600'000;
  auto store = Store::open(directory.path("s"), options);
  REQUIRE_OK(store);
  CancelToken token;
  const Key key(rows);
  {
    const std::jthread other([&token] {
      std::this_thread::sleep_for(std::chrono::milliseconds(30));
      token.cancel();
    });
    // Some rows may still fit: what the log had not packed yet when the store was closed.
    Status outcome;
    while (outcome.is_ok()) {
      const auto put = store->put_batch({&key, 1}, base.row(0), {}, {.cancel = &token});
      if (!put) outcome = put.error();
    }
    BOOST_TEST((outcome.code() == Code::kCancelled));
  }
  const std::uint64_t size = store->size();
  token.reset();
  const ProgressFunction throws = [](const Progress& progress) {
    BOOST_TEST((progress.phase == Phase::kPut && progress.done == 0 && progress.total == 1));
    throw std::logic_error("of the caller");
  };
  BOOST_CHECK_THROW(static_cast<void>(store->put_batch({&key, 1}, base.row(0), {}, {.progress = throws})),
                    std::logic_error);
  BOOST_TEST(store->size() == size);
  token.cancel();
  BOOST_TEST((code_of(store->put_batch({&key, 1}, base.row(0), {}, {.cancel = &token})) == Code::kCancelled));
  BOOST_TEST(store->size() == size);
  REQUIRE_OK(store->close());
}

BOOST_AUTO_TEST_CASE(a_cancelled_verify_reports_no_damage) {
  const Written written;
  const Store store = written.open();
  for (const bool deep : {false, true}) {
    const int steps = cancel_at_every_step(
        [&](const CancelToken* cancel, const ProgressFunction& progress) {
          return store.verify({.deep = deep, .progress = progress, .cancel = cancel});
        },
        [] {});
    BOOST_TEST(steps >= 1);
    CancelToken token;
    token.cancel();
    BOOST_TEST((code_of(store.verify({.deep = deep, .cancel = &token})) == Code::kCancelled));
    const auto report = store.verify({.deep = deep});
    REQUIRE_OK(report);
    BOOST_TEST(report->damage_total == 0u);
  }
}

BOOST_AUTO_TEST_CASE(a_cancelled_export_or_conversion_leaves_no_files) {
  const Written written;
  const Store store = written.open();
  const TemporaryDirectory directory;
  const ExportFiles files{directory.path("x.u8bin"), directory.path("keys"), directory.path("documents")};
  const auto is_empty = [&] { return std::filesystem::is_empty(directory.path("")); };
  CancelToken token;
  token.cancel();
  BOOST_TEST((store.export_to(files, {.cancel = &token}).code() == Code::kCancelled));
  BOOST_TEST(is_empty());
  const int steps = cancel_at_every_step(
      [&](const CancelToken* cancel, const ProgressFunction& progress) {
        for (const std::string& file : {files.vectors, files.keys, files.documents})
          std::filesystem::remove(file);  // of an export that was done before it was cancelled
        return store.export_to(files, {.progress = progress, .cancel = cancel});
      },
      [&] { BOOST_REQUIRE(is_empty()); });
  BOOST_TEST(steps >= 1);
  BOOST_TEST(
      (code_of(convert_vectors(files.vectors, directory.path("y.fbin"), {.cancel = &token})) == Code::kCancelled));
  BOOST_TEST(!std::filesystem::exists(directory.path("y.fbin")));
}

BOOST_AUTO_TEST_CASE(a_cancelled_exact_search_has_no_answers) {
  const Matrix base = csift(3000);
  CancelToken token;
  token.cancel();
  const auto source = view_source(base.view());
  for (const std::uint32_t threads : {1u, 2u})
    BOOST_TEST((code_of(exact_search(*source, *source, 10, Metric::kL2, threads, &token)) == Code::kCancelled));
}

// What calls tell: in order, never past the total, from the thread that called.
class Told {
 public:
  ProgressFunction function() {
    return [this](const Progress& progress) { take(progress); };
  }
  std::uint64_t times(Phase phase) const {
    const auto found = times_.find(phase);
    return found == times_.end() ? 0 : found->second;
  }
  int ends() const { return ends_; }

 private:
  void take(const Progress& progress) {
    BOOST_REQUIRE(std::this_thread::get_id() == caller_);
    BOOST_REQUIRE(!name_of(progress.phase).empty());
    BOOST_REQUIRE((progress.total == 0 || progress.done <= progress.total));
    if (last_ && last_->phase == progress.phase && last_->total == progress.total)
      BOOST_REQUIRE(progress.done >= last_->done);
    last_ = progress;
    ends_ += progress.total != 0 && progress.done == progress.total ? 1 : 0;
    ++times_[progress.phase];
  }

  const std::thread::id caller_ = std::this_thread::get_id();
  std::optional<Progress> last_;
  std::map<Phase, std::uint64_t> times_;
  int ends_ = 0;
};

BOOST_AUTO_TEST_CASE(calls_tell_how_far_they_are_in_order_and_to_their_caller) {
  const Written written;
  Told opening;
  OpenOptions options;
  options.searchers = 3;
  options.progress = opening.function();
  const Store store = written.open(options);
  BOOST_TEST(opening.times(Phase::kReplay) >= 1u);
  for (const std::uint32_t threads : {1u, 3u}) {
    Told told;
    REQUIRE_OK(store.search(written.base().view(), {.k = 3, .progress = told.function()}, threads));
    BOOST_TEST(told.times(Phase::kSearch) >= 1u);
    BOOST_TEST(told.ends() == 1);
  }
  Told verifying;
  REQUIRE_OK(store.verify({.deep = true, .progress = verifying.function()}));
  BOOST_TEST(verifying.times(Phase::kVerify) >= 1u);
  Told exporting;
  const TemporaryDirectory directory;
  const ExportFiles files{directory.path("x.u8bin"), directory.path("keys"), ""};
  REQUIRE_OK(store.export_to(files, {.progress = exporting.function()}));
  BOOST_TEST(exporting.times(Phase::kExport) >= 2u);
}

BOOST_AUTO_TEST_CASE(what_progress_throws_goes_through_the_call_and_the_store_goes_on) {
  const Written written;
  OpenOptions options;
  options.searchers = 3;
  const ProgressFunction throws = [](const Progress&) { throw std::logic_error("of the caller"); };
  const Store store = written.open(options);
  for (const std::uint32_t threads : {1u, 3u})
    BOOST_CHECK_THROW(static_cast<void>(store.search(written.base().view(), {.k = 3, .progress = throws}, threads)),
                      std::logic_error);
  BOOST_CHECK_THROW(static_cast<void>(store.verify({.progress = throws})), std::logic_error);
  const TemporaryDirectory directory;
  BOOST_CHECK_THROW(
      static_cast<void>(store.export_to({directory.path("x.u8bin"), directory.path("k"), ""}, {.progress = throws})),
      std::logic_error);
  BOOST_TEST(std::filesystem::is_empty(directory.path("")));
  options.progress = throws;
  BOOST_CHECK_THROW(static_cast<void>(Store::open(written.path(), options)), std::logic_error);
  const auto found = store.search(written.base().view(), {.k = 3}, 3);
  REQUIRE_OK(found);
  BOOST_TEST((*found)[7].size() == 3u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
