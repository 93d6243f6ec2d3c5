// SPDX-License-Identifier: Apache-2.0
//
// What the superblock of a directory says, and whether that can be the newest content. Internal to pagestore.
//
// Both slots name the content after a publish, so a slot that is damaged is no reason to serve anything older. An older
// content is served in one case only: a publish died within its commit, which its intent tells.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/io.h"
#include "base/status.h"
#include "pagestore/intent.h"
#include "pagestore/manifest.h"
#include "pagestore/store_names.h"
#include "pagestore/superblock.h"

namespace vecstore {

// What a slot of the superblock says, and the manifest that it names.
struct LoadedSlot {
  SlotState state = SlotState::kEmpty;
  Slot slot;
  std::optional<Manifest> manifest;
  Status problem;  // why an older, intact slot has no manifest
};

struct StoreState {
  std::array<LoadedSlot, kSlots> slots;
  std::size_t current = 0;  // the slot of the content, with its manifest

  const LoadedSlot& content() const { return slots[current]; }
  const LoadedSlot& other() const { return slots[1 - current]; }
  std::uint64_t sequence() const { return content().slot.sequence; }
  // Both slots say the same, and say so in the format of today.
  bool is_mirrored() const {
    return other().state == SlotState::kIntact && content().slot.mirrored && other().slot == content().slot;
  }
  // The other slot should say something, and does not. Before slots were mirrored it was empty until the second
  // publish.
  bool has_lost_a_slot() const {
    const bool may_be_empty = !content().slot.mirrored && sequence() <= 1;
    return other().state == SlotState::kDamaged || (other().state == SlotState::kEmpty && !may_be_empty);
  }
  // The content before, where the other slot still keeps it; nullptr: it does not.
  const Manifest* previous() const {
    const bool older = other().manifest && other().slot.sequence < sequence();
    return older ? &*other().manifest : nullptr;
  }
  // The names of all files that the slots need, manifests included.
  std::set<std::string> referenced() const;
};

void add_files_of(const Manifest& manifest, std::set<std::string>& names);

// Errors: kCorrupt (neither slot is intact; the newest one's manifest is missing or is another; a slot is damaged and
// files that nothing accounts for are newer than the other one), kNewerFormat, kIo, kPermission.
Result<StoreState> load_state(FileSystem& file_system, const StoreNames& names, const std::string& directory);

// The first file that is newer than the content although no writer is known to be at work on it; empty: none. A store
// of before intents may have such: of these it only tells where a slot is lost.
Result<std::string> unaccounted_file(FileSystem& file_system, const StoreNames& names, const std::string& directory,
                                     const StoreState& state);

// The content of a directory whose superblock or manifest is lost: the newest manifest that is whole and whose files
// have the size that it states. Errors: kCorrupt (there is none), kIo.
Result<Manifest> newest_whole_manifest(FileSystem& file_system, const std::string& directory);

}  // namespace vecstore
