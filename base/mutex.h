// SPDX-License-Identifier: Apache-2.0
//
// Locks that clang checks: a member says which Mutex guards it, a function says which it needs or must not hold, and
// -Wthread-safety refuses what does otherwise. Under other compilers the macros are empty.
//
// Clang looks into no lambda with the locks of its caller. So whoever waits for a condition writes the loop:
//   while (!ready_) changed_.wait(lock);
// Nor does clang check the order of locks: VECSTORE_ACQUIRED_BEFORE tells it to readers.
#pragma once

#include <chrono>
#include <condition_variable>
#include <mutex>

#ifdef __clang__
#define VECSTORE_THREAD_ATTRIBUTE(attribute) __attribute__((attribute))
#else
#define VECSTORE_THREAD_ATTRIBUTE(attribute)
#endif

// Of members.
#define VECSTORE_GUARDED_BY(mutex) VECSTORE_THREAD_ATTRIBUTE(guarded_by(mutex))
#define VECSTORE_ACQUIRED_BEFORE(...) VECSTORE_THREAD_ATTRIBUTE(acquired_before(__VA_ARGS__))
// Of functions: the caller holds the mutex; the caller does not hold it.
#define VECSTORE_REQUIRES(...) VECSTORE_THREAD_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define VECSTORE_EXCLUDES(...) VECSTORE_THREAD_ATTRIBUTE(locks_excluded(__VA_ARGS__))
// Of the classes below and their functions.
#define VECSTORE_CAPABILITY(name) VECSTORE_THREAD_ATTRIBUTE(capability(name))
#define VECSTORE_SCOPED_CAPABILITY VECSTORE_THREAD_ATTRIBUTE(scoped_lockable)
#define VECSTORE_ACQUIRE(...) VECSTORE_THREAD_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define VECSTORE_TRY_ACQUIRE(...) VECSTORE_THREAD_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define VECSTORE_RELEASE(...) VECSTORE_THREAD_ATTRIBUTE(release_capability(__VA_ARGS__))

namespace vecstore {

class VECSTORE_CAPABILITY("mutex") Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;

  // Without waiting; a MutexLock with std::adopt_lock then takes over what was locked.
  [[nodiscard]] bool try_lock() VECSTORE_TRY_ACQUIRE(true) { return native_.try_lock(); }

 private:
  friend class MutexLock;
  friend class MutexUnlock;
  std::mutex native_;
};

// Holds the mutex while it lives, but between unlock() and lock().
class VECSTORE_SCOPED_CAPABILITY MutexLock {
 public:
  explicit MutexLock(Mutex& mutex) VECSTORE_ACQUIRE(mutex) : native_(mutex.native_) {}
  MutexLock(Mutex& mutex, std::adopt_lock_t adopt) VECSTORE_REQUIRES(mutex) : native_(mutex.native_, adopt) {}
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;
  ~MutexLock() VECSTORE_RELEASE() = default;

  void unlock() VECSTORE_RELEASE() { native_.unlock(); }
  void lock() VECSTORE_ACQUIRE() { native_.lock(); }

 private:
  friend class CondVar;
  std::unique_lock<std::mutex> native_;
};

// The inverse: for a function that is called with the mutex, and does something without it.
class VECSTORE_SCOPED_CAPABILITY MutexUnlock {
 public:
  explicit MutexUnlock(Mutex& mutex) VECSTORE_RELEASE(mutex) : native_(mutex.native_) { native_.unlock(); }
  MutexUnlock(const MutexUnlock&) = delete;
  MutexUnlock& operator=(const MutexUnlock&) = delete;
  ~MutexUnlock() VECSTORE_RELEASE() { native_.lock(); }

 private:
  std::mutex& native_;
};

// A wait gives up the mutex and has it again when it returns, which may be for no reason.
class CondVar {
 public:
  void wait(MutexLock& lock) { native_.wait(lock.native_); }
  template <typename Clock, typename Duration>
  std::cv_status wait_until(MutexLock& lock, const std::chrono::time_point<Clock, Duration>& time) {
    return native_.wait_until(lock.native_, time);
  }
  void notify_one() { native_.notify_one(); }
  void notify_all() { native_.notify_all(); }

 private:
  std::condition_variable native_;
};

}  // namespace vecstore
