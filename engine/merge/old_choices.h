// SPDX-License-Identifier: Apache-2.0
//
// What a store was asked for when it was built, where a version built it that did not note it (properties up to 5).
#pragma once

#include "engine/content/content.h"
#include "engine/generation/properties.h"

namespace vecstore {

// What the properties say. Where they say nothing but the default: what the graph of a build has, and would not have by
// default.
// Slack, list and memory for searches cannot be told from a graph.
BuildChoices choices_of(const Content& content);

}  // namespace vecstore
