// SPDX-License-Identifier: Apache-2.0
//
// Whether what threads saw of one key can be explained by an order of their operations: each takes effect at one moment
// between its call and its answer. Keys are registers of their own, so that each is looked at alone.
//
// J. M. Wing, C. Gong, "Testing and Verifying Concurrent Objects", 1993; G. Lowe, "Testing for Linearizability", 2017:
// an operation takes effect just before the answer of one, so that few orders are left to try.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <set>
#include <utility>
#include <vector>

namespace vecstore::test {

struct Operation {
  enum class Kind : std::uint8_t {
    kPut,       // of `value`
    kErase,     // value: 0 where there was nothing to erase
    kRead,      // value: that was read; 0: there was none
    kContains,  // value: 0 where there was none
  };
  Kind kind = Kind::kRead;
  std::uint64_t value = 0;
  std::uint64_t called = 0;  // by a clock that all threads share and no two stamps of which are equal
  std::uint64_t answered = 0;

  // Whether its answer is right where the key has the value `now`.
  bool is_right(std::uint64_t now) const {
    if (kind == Kind::kPut) return true;
    return kind == Kind::kRead ? value == now : (value != 0) == (now != 0);
  }
  std::uint64_t value_after(std::uint64_t now) const {
    if (kind == Kind::kPut) return value;
    return kind == Kind::kErase ? 0 : now;
  }
};

inline std::ostream& operator<<(std::ostream& out, const Operation& operation) {
  constexpr const char* kNames[] = {"put", "erase", "read", "contains"};
  return out << kNames[static_cast<std::size_t>(operation.kind)] << ' ' << operation.value << " [" << operation.called
             << ", " << operation.answered << ']';
}

// Looks at the operations on a key, which has no value at first, in the order of their calls and answers.
class OrderSearch {
 public:
  explicit OrderSearch(std::vector<Operation> history) : history_(std::move(history)) {}

  // The first operation whose answer no order explains; nullopt: there is an order for all.
  std::optional<Operation> run() {
    struct Event {
      std::uint64_t stamp;
      std::size_t operation;
      bool is_answer;
    };
    std::vector<Event> events;
    for (std::size_t i = 0; i < history_.size(); ++i) {
      events.push_back({history_[i].called, i, false});
      events.push_back({history_[i].answered, i, true});
    }
    std::ranges::sort(events, {}, &Event::stamp);
    possible_ = {{{}, 0}};
    for (const Event& event : events) {
      if (!event.is_answer) {
        under_way_.push_back(event.operation);
        continue;
      }
      answer(event.operation);
      if (possible_.empty()) return history_[event.operation];
    }
    return std::nullopt;
  }

 private:
  // The operations under way that have taken effect, in order of their places, and the value that they left.
  using State = std::pair<std::vector<std::size_t>, std::uint64_t>;

  // Whatever is under way may take effect before this one, which does so now at the latest.
  void answer(std::size_t answered) {
    std::set<State> seen = possible_;
    std::vector<State> open(possible_.begin(), possible_.end());
    possible_.clear();
    while (!open.empty()) {
      State state = std::move(open.back());
      open.pop_back();
      auto& done = state.first;
      if (const auto at = std::ranges::lower_bound(done, answered); at != done.end() && *at == answered) {
        done.erase(at);
        possible_.insert(std::move(state));
        continue;
      }
      for (const std::size_t next : under_way_) {
        const auto place = std::ranges::lower_bound(done, next);
        if ((place != done.end() && *place == next) || !history_[next].is_right(state.second)) continue;
        State after{done, history_[next].value_after(state.second)};
        after.first.insert(after.first.begin() + (place - done.begin()), next);
        if (seen.insert(after).second) open.push_back(std::move(after));
      }
    }
    std::erase(under_way_, answered);
  }

  const std::vector<Operation> history_;
  std::vector<std::size_t> under_way_;
  std::set<State> possible_;
};

}  // namespace vecstore::test
