// SPDX-License-Identifier: Apache-2.0
//
// Ctrl-C, SIGTERM and SIGHUP. A command that leaves things behind when it is killed hands this token to what it calls.
#pragma once

#include "base/cancel_token.h"

namespace vecstore::tools {

// Is cancelled by the first of these signals; the second ends the process at once. A signal that was ignored when the
// process began stays ignored. Commands that never ask for the token are ended by the first.
const CancelToken* interruption();

// Ends the process by the signal that came, as its parent expects. Returns where none came.
void end_by_signal();

}  // namespace vecstore::tools
