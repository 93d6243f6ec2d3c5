// SPDX-License-Identifier: Apache-2.0
#include "tests/soak/oracle.h"

#include <algorithm>

#include "base/random.h"

namespace vecstore::soak {
namespace {

constexpr std::uint64_t kErased = 1;  // lowest bit of a version as it is kept

std::uint64_t newest(const KeyHistory& history) {
  const std::uint64_t count = history.count.load(std::memory_order_acquire);
  return count == 0 ? kErased : history.versions[(count - 1) % KeyHistory::kKept].load(std::memory_order_relaxed);
}

bool is_live(std::uint64_t kept) { return (kept & kErased) == 0; }

}  // namespace

std::uint64_t Oracle::begin(std::span<const std::uint64_t> changed, bool erases) {
  const std::uint64_t batch = begun.load() + 1;
  std::ranges::copy(changed, pending_keys.begin());
  begun.store(batch, std::memory_order_release);
  pending.store(changed.size());
  for (const std::uint64_t key : changed) {
    KeyHistory& history = keys[key];
    const std::uint64_t count = history.count.load();
    history.versions[count % KeyHistory::kKept].store(batch << 1 | (erases ? kErased : 0));
    history.count.store(count + 1, std::memory_order_release);
  }
  return batch;
}

void Oracle::acknowledge() {
  acknowledged.store(begun.load(), std::memory_order_release);
  pending.store(0);
}

// Its number is not given again: who asks meanwhile takes it for one that may have happened.
void Oracle::withdraw() {
  for (const std::uint64_t key : std::span(pending_keys).first(pending.load())) {
    // A crash may have come before the last of them was noted.
    if (newest(keys[key]) >> 1 == begun.load()) keys[key].count.fetch_sub(1);
  }
  acknowledged.store(begun.load(), std::memory_order_release);
  pending.store(0);
}

Oracle::Possible Oracle::possible(std::uint64_t key, std::uint64_t before, std::uint64_t after) const {
  Possible possible;
  const KeyHistory& history = keys[key];
  const std::uint64_t count = history.count.load(std::memory_order_acquire);
  for (std::uint64_t back = 1; back <= std::min<std::uint64_t>(count, KeyHistory::kKept); ++back) {
    const std::uint64_t kept = history.versions[(count - back) % KeyHistory::kKept].load(std::memory_order_relaxed);
    if (kept >> 1 > after) continue;
    possible.versions[possible.count++] = is_live(kept) ? kept >> 1 : 0;
    if (kept >> 1 <= before) return possible;
  }
  if (count > KeyHistory::kKept || history.count.load(std::memory_order_acquire) != count) {
    possible.count = 0;
    return possible;
  }
  possible.versions[possible.count++] = 0;  // before the first
  return possible;
}

std::uint64_t Oracle::live() const {
  return static_cast<std::uint64_t>(
      std::ranges::count_if(keys, [](const KeyHistory& history) { return is_live(newest(history)); }));
}

std::uint64_t row_of(std::uint64_t key, std::uint64_t version, std::uint64_t rows) {
  return Random(key * 0x9E3779B97F4A7C15 + version).below(rows);
}

std::string document_of(std::uint64_t key, std::uint64_t version) {
  Random random(version * 0x9E3779B97F4A7C15 + key);
  std::string text = "key " + std::to_string(key) + ", batch " + std::to_string(version) + ".";
  for (std::uint64_t words = random.below(60); words != 0; --words) text += " word" + std::to_string(random.below(500));
  return text;
}

float squared_distance(const VectorView& base, std::uint64_t row, const std::byte* query) {
  const std::byte* values = base.row(row);
  std::int64_t sum = 0;
  for (std::uint32_t i = 0; i < base.dim; ++i) {
    const int difference = std::to_integer<int>(values[i]) - std::to_integer<int>(query[i]);
    sum += std::int64_t{difference} * difference;
  }
  return static_cast<float>(sum);
}

}  // namespace vecstore::soak
