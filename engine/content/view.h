// SPDX-License-Identifier: Apache-2.0
//
// A store as of one moment: the content of a publish, what was written since, and how much of that counts. Whoever
// reads a store pins one of these, and sees the same rows whatever is written meanwhile.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/status.h"
#include "engine/content/content.h"
#include "engine/live/live_state.h"

namespace vecstore {

// A value: copy it freely. Thread-safe.
class View {
 public:
  View(std::shared_ptr<const Content> content, std::shared_ptr<const LiveState> live,
       std::shared_ptr<const LivePin> pin)
      : content_(std::move(content)), live_(std::move(live)), pin_(std::move(pin)) {}

  const Content& content() const { return *content_; }
  const LiveState& live() const { return *live_; }
  const DeltaRows* delta() const { return pin_->delta(); }  // nullptr: no row was put yet
  Lsn moment() const { return pin_->moment(); }
  std::uint32_t dim() const;  // 0: not known yet

  // The live row that has the key. Errors: as of Content::check_key(), kIo, kCorrupt, kMemoryBudget.
  Result<std::optional<RowId>> row_of(const Key& key) const;
  Status check_row(RowId row) const;  // kNotFound where it is not live
  // These take rows of graph or delta, live or not. Errors: kIo, kCorrupt, kMemoryBudget.
  Result<std::string> key_of(RowId row) const;
  Status read_vector(RowId row, std::byte* out) const;
  Result<std::string> read_document(RowId row) const;
  // Both with one read where they lie together; nullptr: not wanted.
  Status read_item(RowId row, std::vector<std::byte>* vector, std::string* document) const;
  // The live rows in order, until visit() returns an error, which is then returned.
  Status for_each_row(const std::function<Status(const Key&, RowId)>& visit) const;

 private:
  std::shared_ptr<const Content> content_;
  std::shared_ptr<const LiveState> live_;
  std::shared_ptr<const LivePin> pin_;  // goes before what it pins
};

}  // namespace vecstore
