// SPDX-License-Identifier: Apache-2.0
//
// A log in a directory, as tests of it write and read it.
#pragma once

#include <algorithm>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "tests/sim/sim_disk.h"
#include "tests/test_util.h"
#include "wal/log.h"
#include "wal/log_reader.h"

namespace vecstore::test {

inline constexpr Uuid kStore{7, 7, 7};
inline constexpr const char* kDirectory = "wal";

inline std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

// A log in a directory, and what it is to hold.
struct Journal {
  explicit Journal(FileSystem& system, std::string path = kDirectory)
      : file_system(system), directory(std::move(path)) {
    options.store = kStore;
    options.background = false;
    options.segment_bytes_first = 32u << 10;
    options.segment_bytes_max = 128u << 10;
    options.salt_seed = 1;
  }

  Result<std::vector<std::string>> replay() {
    std::vector<std::string> records;
    VECSTORE_ASSIGN(
        tail,
        replay_log(file_system, directory, {kStore, after, from}, budget, [&records](Lsn, const LogRecord& record) {
          records.emplace_back(reinterpret_cast<const char*>(record.payload.data()), record.payload.size());
          return Status::ok();
        }));
    return records;
  }
  Status open() {
    VECSTORE_ASSIGN(const auto records, replay());
    VECSTORE_ASSIGN(log, Log::open(file_system, directory, tail, options, budget));
    return Status::ok();
  }
  Status write(const std::vector<std::string>& texts, Urgency urgency = Urgency::kNormal) {
    std::vector<LogRecord> batch;
    batch.reserve(texts.size());
    for (const std::string& text : texts) batch.push_back({1, 0, bytes_of(text)});
    VECSTORE_ASSIGN(const Lsn lsn, log->enqueue(batch, urgency));
    return log->commit(lsn);
  }

  FileSystem& file_system;
  std::string directory;
  LogOptions options;
  Lsn after;
  LogPlace from;
  MemoryBudget budget;
  LogTail tail;
  std::unique_ptr<Log> log;
};

inline std::string text_of(std::uint64_t number, std::size_t bytes) {
  std::string text = std::to_string(number) + ":";
  text.resize(std::max(bytes, text.size()), static_cast<char>('a' + number % 26));
  return text;
}

inline std::unique_ptr<SimDisk> disk_with_log() {
  auto disk = std::make_unique<SimDisk>();
  REQUIRE_OK(disk->make_directory(kDirectory));
  return disk;
}

}  // namespace vecstore::test
