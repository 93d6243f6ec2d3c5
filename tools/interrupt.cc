// SPDX-License-Identifier: Apache-2.0
#include "tools/interrupt.h"

#include <csignal>

namespace vecstore::tools {
namespace {

constinit CancelToken token;
volatile std::sig_atomic_t received = 0;

extern "C" void take_signal(int signal) {
  if (received != 0) {  // of another kind
    std::signal(signal, SIG_DFL);
    std::raise(signal);
  }
  received = signal;
  token.cancel();
}

void listen_for(int signal) {
  struct sigaction before{};
  if (sigaction(signal, nullptr, &before) != 0 || before.sa_handler == SIG_IGN) return;
  struct sigaction action{};
  action.sa_handler = take_signal;
  action.sa_flags = SA_RESTART | static_cast<int>(SA_RESETHAND);
  static_cast<void>(sigaction(signal, &action, nullptr));
}

}  // namespace

const CancelToken* interruption() {
  static const bool listens = [] {
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) listen_for(signal);
    return true;
  }();
  static_cast<void>(listens);
  return &token;
}

void end_by_signal() {
  if (received == 0) return;
  std::signal(received, SIG_DFL);
  std::raise(received);
}

}  // namespace vecstore::tools
