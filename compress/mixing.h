// SPDX-License-Identifier: Apache-2.0
//
// The random rotation of RaBitQ, in a form that takes n log n steps and next to no memory: kMixingRounds times a signed
// permutation and then normalised Walsh–Hadamard transforms over the powers of two that sum to the dimension. The
// permutation lets what lay in a small transform in one round lie in a large one in the next. So no dimension needs
// padding. Every round is orthogonal, and so is the whole.
//
// A mixing is [kMixingRounds × dim] u16: the element that comes to place i of a round, with kMixingTurned set where its
// sign turns. Thread safety: pure functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace vecstore {

inline constexpr std::size_t kMixingRounds = 3;
inline constexpr std::uint16_t kMixingTurned = 0x8000;

// mixing: [kMixingRounds × dim], 1 ≤ dim ≤ kDimMax. The same on every machine.
void draw_mixing(std::uint32_t dim, std::uint64_t seed, std::uint16_t* mixing);

// Whether every round names every element once.
bool is_mixing(std::span<const std::uint16_t> mixing, std::uint32_t dim);

// values → mixed, both [dim] and not the same memory; values are overwritten.
void mix(const std::uint16_t* mixing, std::size_t dim, float* values, float* mixed);

}  // namespace vecstore
