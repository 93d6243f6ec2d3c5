// SPDX-License-Identifier: Apache-2.0
#include "base/mutex.h"

#include <chrono>
#include <thread>

#include "tests/test_util.h"

using namespace vecstore;

namespace {

// What threads share here; the annotations are those of any class.
struct Counter {
  Mutex mutex;
  CondVar changed;
  int count VECSTORE_GUARDED_BY(mutex) = 0;

  void add_without_mutex_for_a_time() VECSTORE_REQUIRES(mutex) {
    const MutexUnlock unlock(mutex);
    add();
  }
  void add() VECSTORE_EXCLUDES(mutex) {
    const MutexLock lock(mutex);
    ++count;
    changed.notify_all();
  }
};

// From a thread of its own, since a thread may not try what it holds.
bool is_free(Mutex& mutex) {
  bool was_free = false;
  std::jthread([&] {
    if (!mutex.try_lock()) return;
    const MutexLock lock(mutex, std::adopt_lock);
    was_free = true;
  }).join();
  return was_free;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(mutex)

BOOST_AUTO_TEST_CASE(a_lock_holds_the_mutex_but_between_unlock_and_lock) {
  Mutex mutex;
  {
    MutexLock lock(mutex);
    BOOST_TEST(!is_free(mutex));
    lock.unlock();
    BOOST_TEST(is_free(mutex));
    lock.lock();
    BOOST_TEST(!is_free(mutex));
  }
  BOOST_TEST(is_free(mutex));
}

BOOST_AUTO_TEST_CASE(a_mutex_given_up_for_a_time_is_held_again_afterwards) {
  Counter counter;
  {
    const MutexLock lock(counter.mutex);
    counter.add_without_mutex_for_a_time();  // would wait for ever if it kept the mutex
    BOOST_TEST(counter.count == 1);
    BOOST_TEST(!is_free(counter.mutex));
  }
  BOOST_TEST(is_free(counter.mutex));
}

BOOST_AUTO_TEST_CASE(who_waits_lets_others_change_what_is_waited_for) {
  Counter counter;
  MutexLock lock(counter.mutex);
  const std::jthread other([&] { counter.add(); });
  while (counter.count == 0) counter.changed.wait(lock);
  BOOST_TEST(counter.count == 1);
  BOOST_TEST(!is_free(counter.mutex));
}

BOOST_AUTO_TEST_CASE(a_wait_ends_at_its_time) {
  Counter counter;
  MutexLock lock(counter.mutex);
  const auto until = std::chrono::steady_clock::now() + std::chrono::milliseconds(20);
  while (counter.changed.wait_until(lock, until) != std::cv_status::timeout) {
  }
  BOOST_TEST((std::chrono::steady_clock::now() >= until));
  BOOST_TEST(!is_free(counter.mutex));
}

BOOST_AUTO_TEST_SUITE_END()
