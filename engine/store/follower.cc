// SPDX-License-Identifier: Apache-2.0
#include "engine/store/follower.h"

#include <algorithm>

namespace vecstore {

Result<LogTail> Follower::replay() {
  const std::uint64_t used_before = budget_.used_bytes();
  auto replayed = replay_log(file_system_, directory_, {store_, through_, place_}, budget_,
                             [this](Lsn lsn, const LogRecord& record) -> Status {
                               VECSTORE_TRY(live_.apply(lsn, record));
                               through_ = lsn;  // where to go on, should the next one find no room
                               return {};
                             });
  const bool missing = replayed ? replayed->number_max == 0 : replayed.error().code() == Code::kNotFound;
  if (missing) return Status(Code::kCorrupt, "the log is missing; restore it").about(directory_);
  if (!replayed) return replayed.error();
  memory_bytes_ += budget_.used_bytes() - std::min(budget_.used_bytes(), used_before);
  live_.applied(replayed->last_lsn);
  live_.safe(replayed->last_lsn);
  log_bytes_ = replayed->bytes;
  place_ = replayed->place;
  return replayed;
}

}  // namespace vecstore
