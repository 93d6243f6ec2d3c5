// SPDX-License-Identifier: Apache-2.0
#include "engine/store/follower.h"

namespace vecstore {
namespace {

// What is wrong with a record says where it stands. Memory is not the record's.
Status of_record(const Status& fault, const std::string& directory, Lsn lsn) {
  if (fault.code() == Code::kMemoryBudget) return fault;
  return Status(fault.code(), fault.text()).about(directory).at(Detail::kLsn, lsn.value);
}

}  // namespace

Result<LogTail> Follower::replay(Watch* watch) {
  const auto show = [this](Lsn through) {
    live_.applied(through);
    live_.safe(through);
  };
  ReplayOptions options{store_, through_, place_};
  // While a store is opened nobody looks at it: what a group of batches replaced goes at once. Later the moment moves
  // on as a whole, or stays where it is.
  if (!has_replayed_) options.group_ended = show;
  std::uint64_t records = 0;
  auto replayed =
      replay_log(file_system_, directory_, options, budget_, [&](Lsn lsn, const LogRecord& record) -> Status {
        if (watch != nullptr) VECSTORE_TRY(watch->step({Phase::kReplay, records++, 0}));
        if (const Status applied = live_.apply(lsn, record); !applied.is_ok())
          return of_record(applied, directory_, lsn);
        through_ = lsn;  // where to go on, should the next one find no room
        return {};
      });
  const bool missing = replayed ? replayed->number_max == 0 : replayed.error().code() == Code::kNotFound;
  if (missing) return Status(Code::kCorrupt, "the log is missing; restore it").about(directory_);
  if (!replayed) return replayed.error();
  has_replayed_ = true;
  show(replayed->last_lsn);
  live_.forget();
  log_bytes_ = replayed->bytes;
  place_ = replayed->place;
  return replayed;
}

}  // namespace vecstore
