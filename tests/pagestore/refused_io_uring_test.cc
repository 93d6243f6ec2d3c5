// SPDX-License-Identifier: Apache-2.0
//
// io_uring that the system refuses, at set-up or at any later moment: the reader reads by pread, says why, and every
// page that was asked for arrives.
#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <system_error>

#include "pagestore/page_reader.h"
#include "tests/engine/child.h"
#include "tests/pagestore/page_files.h"
#include "tests/refused_calls.h"

namespace vecstore {
namespace {

using namespace test;

constexpr std::uint64_t kPages = 400;
constexpr std::uint32_t kFrames = 64;

constexpr std::array kErrors{EPERM, ENOSYS, EINVAL, EACCES};

Status wrong(const char* what) { return {Code::kInvalidInput, what}; }

// A reader, and the pages that were asked of it and have not come.
class Session {
 public:
  static Result<Session> open(const std::string& path, Backend backend) {
    Session session;
    VECSTORE_ASSIGN(PageFile file, PageFile::open(FileSystem::posix(), path, identity_of(1)));
    session.file_ = std::make_unique<PageFile>(std::move(file));
    VECSTORE_ASSIGN(session.reader_, PageReader::create(*session.file_, {backend, kFrames}, *session.budget_));
    return session;
  }

  PageReader& reader() { return *reader_; }

  Status ask(std::uint64_t count) {
    std::vector<std::uint64_t> batch(std::min<std::uint64_t>(count, reader_->free_frames()));
    for (auto& page : batch) ++wanted_[page = 1 + random_.below(kPages)];
    return reader_->submit(batch);
  }
  Status take(std::size_t least) {
    VECSTORE_ASSIGN(const auto arrived, reader_->wait(std::min(least, reader_->in_flight())));
    for (const ArrivedPage& page : arrived) {
      if (!holds(identity_of(1), page.page, {page.bytes, 4096})) return wrong("a page holds something else");
      if (--wanted_[page.page] < 0) return wrong("a page came that nobody asked for");
      reader_->release(page.frame);
    }
    return Status::ok();
  }
  // Asks for pages, a few at a time, and takes them as they come.
  Status read(std::uint64_t count) {
    while (count != 0) {
      const std::uint64_t free = reader_->free_frames();
      const std::uint64_t asked = std::min(count, random_.below(free + 1));
      VECSTORE_TRY(ask(asked));
      count -= asked;
      VECSTORE_TRY(take(random_.below(reader_->in_flight() + 1)));
    }
    return Status::ok();
  }
  // Takes all that is left, by asking whether something has come.
  Status end() {
    while (reader_->in_flight() != 0) VECSTORE_TRY(take(random_.below(2)));
    for (const auto& [page, times] : wanted_)
      if (times != 0) return wrong("a page did not come");
    return reader_->free_frames() == kFrames ? Status::ok() : wrong("a frame is lost");
  }
  Status reads_by(Backend backend, const std::string& reason) {
    if (reader_->backend() != backend) return wrong("it reads by the other backend");
    if (reason.empty() != reader_->fallback_reason().empty()) return wrong("there is a reason or there is none");
    if (reader_->fallback_reason().find(reason) == std::string_view::npos) return wrong("it tells another reason");
    return Status::ok();
  }

 private:
  std::unique_ptr<MemoryBudget> budget_ = std::make_unique<MemoryBudget>();
  std::unique_ptr<PageFile> file_;
  std::unique_ptr<PageReader> reader_;
  Random random_{7};
  std::map<std::uint64_t, int> wanted_;
};

Status refuse(long call, int error) {
  return refuse_call(call, error) ? Status::ok() : wrong("the system takes no filter");
}

struct Fixture {
  Fixture() {
    REQUIRE_OK(write_pages(path, identity_of(1), kPages));
    const auto session = Session::open(path, Backend::kIoUring);
    has_io_uring = session.has_value();
    if (!has_io_uring) BOOST_TEST_MESSAGE("SKIPPED: this machine refuses io_uring");
  }
  // In a child, which the filter stays with.
  void expect(const std::string& what, const std::function<Status()>& body) const {
    const Said said = in_child(body);
    BOOST_TEST((said.code == Code::kOk && said.signal == 0), what << ": " << said.message << " " << said.signal);
  }

  TemporaryDirectory directory;
  std::string path = directory.path("f");
  bool has_io_uring = false;
};

BOOST_AUTO_TEST_SUITE(refused_io_uring)

BOOST_FIXTURE_TEST_CASE(a_ring_that_is_refused_at_set_up_gives_way_to_pread, Fixture) {
  for (const long call : {long{__NR_io_uring_setup}, long{__NR_io_uring_enter}})
    for (const int error : kErrors) {
      const std::string reason = std::generic_category().message(error);
      expect("call " + std::to_string(call) + ": " + reason, [&]() -> Status {
        VECSTORE_TRY(refuse(call, error));
        VECSTORE_ASSIGN(Session session, Session::open(path, Backend::kAutomatic));
        VECSTORE_TRY(session.reads_by(Backend::kPread, reason));
        VECSTORE_TRY(session.read(1000));
        VECSTORE_TRY(session.end());
        const auto by_name = Session::open(path, Backend::kIoUring);
        return code_of(by_name) == Code::kUnsupported ? Status::ok() : wrong("io_uring by name is not refused");
      });
    }
}

BOOST_FIXTURE_TEST_CASE(a_ring_that_is_refused_later_gives_way_to_pread_and_every_page_arrives, Fixture) {
  if (!has_io_uring) return;
  for (const int error : kErrors)
    for (const std::uint64_t before : {0u, 1u, 500u})
      for (const std::uint64_t in_flight : {0u, 1u, 40u, kFrames}) {
        const std::string reason = std::generic_category().message(error);
        expect(reason + " after " + std::to_string(before) + ", in flight " + std::to_string(in_flight),
               [&]() -> Status {
                 VECSTORE_ASSIGN(Session session, Session::open(path, Backend::kAutomatic));
                 VECSTORE_TRY(session.reads_by(Backend::kIoUring, ""));
                 VECSTORE_TRY(session.read(before));
                 VECSTORE_TRY(session.end());
                 VECSTORE_TRY(session.ask(in_flight));
                 VECSTORE_TRY(refuse(__NR_io_uring_enter, error));
                 VECSTORE_TRY(session.read(1000));
                 VECSTORE_TRY(session.end());
                 VECSTORE_TRY(session.reads_by(Backend::kPread, reason));
                 // What is left in flight when a reader goes is nobody's any more.
                 return session.ask(5);
               });
      }
}

BOOST_FIXTURE_TEST_CASE(a_damaged_page_is_reported_by_a_reader_that_has_fallen_back, Fixture) {
  if (!has_io_uring) return;
  std::fstream(path, std::ios::in | std::ios::out | std::ios::binary).seekp(20 * 4096 + 99).put(1);
  expect("page 20", [&]() -> Status {
    VECSTORE_ASSIGN(Session session, Session::open(path, Backend::kAutomatic));
    PageReader& reader = session.reader();
    VECSTORE_TRY(reader.submit(std::vector<std::uint64_t>{1, 3, 5}));
    VECSTORE_TRY(refuse(__NR_io_uring_enter, EPERM));
    VECSTORE_TRY(reader.submit(std::vector<std::uint64_t>{18, 20, 22}));
    const auto arrived = reader.wait(reader.in_flight());
    if (code_of(arrived) != Code::kCorrupt || arrived.error().number() != 20) return wrong("page 20 is not reported");
    if (reader.in_flight() != 0 || reader.free_frames() != kFrames) return wrong("the reader is not empty");
    VECSTORE_TRY(session.read(100));
    return Status::ok();
  });
}

BOOST_FIXTURE_TEST_CASE(whoever_asked_for_io_uring_is_told_that_it_is_refused, Fixture) {
  if (!has_io_uring) return;
  expect("by name", [&]() -> Status {
    VECSTORE_ASSIGN(Session session, Session::open(path, Backend::kIoUring));
    VECSTORE_TRY(session.ask(30));
    VECSTORE_TRY(refuse(__NR_io_uring_enter, EPERM));
    const Status asked = session.ask(30);
    if (asked.code() != Code::kUnsupported || asked.error_number() != EPERM) return wrong("submit() is not refused");
    if (session.reader().in_flight() != 0) return wrong("something is left in flight");
    const Status again = session.ask(1);
    return again.code() == Code::kUnsupported ? session.reads_by(Backend::kIoUring, "") : wrong("the second is not");
  });
}

BOOST_FIXTURE_TEST_CASE(a_ring_that_registers_nothing_reads_all_the_same_and_says_so, Fixture) {
  if (!has_io_uring) return;
  for (const int error : kErrors)
    expect(std::generic_category().message(error), [&]() -> Status {
      VECSTORE_TRY(refuse(__NR_io_uring_register, error));
      VECSTORE_ASSIGN(Session session, Session::open(path, Backend::kAutomatic));
      VECSTORE_TRY(session.reads_by(Backend::kIoUring, std::generic_category().message(error)));
      VECSTORE_TRY(session.read(1000));
      VECSTORE_TRY(session.end());
      // Where it may not be entered either, the reason is that.
      VECSTORE_TRY(refuse(__NR_io_uring_enter, ENOSYS));
      VECSTORE_TRY(session.read(1000));
      VECSTORE_TRY(session.end());
      return session.reads_by(Backend::kPread, std::generic_category().message(ENOSYS));
    });
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
