// SPDX-License-Identifier: Apache-2.0
#include "tools/output.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <fstream>

namespace vecstore::tools {
namespace {

struct OptionName {
  std::string_view api, command;
};
// Those that texts of the library name.
constexpr auto kOptionNames = std::to_array<OptionName>({{"delta_bytes", "--delta"}, {"log_bytes", "--log"}});

int first_error_of_output = 0;  // errno; stdio itself keeps no more than that there was one

void note_output(bool written) {
  if (!written && first_error_of_output == 0) first_error_of_output = errno != 0 ? errno : EIO;
}

}  // namespace

void hold_standard_streams() {
  std::signal(SIGPIPE, SIG_IGN);
  // Opened in order, so that each gets the lowest free number, its own. Reading from stdin and writing to the others
  // then fails as it does where they are closed.
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
    if (::fcntl(stream, F_GETFD) == -1 && ::open("/dev/null", stream == STDIN_FILENO ? O_WRONLY : O_RDONLY) != stream)
      return;
}

void write_out(std::string_view text) {
  errno = 0;
  note_output(std::fwrite(text.data(), 1, text.size(), stdout) == text.size());
}

void write_error(std::string_view text) noexcept {
  // stderr has no buffer: one call, so that lines of two processes do not mix.
  static_cast<void>(std::fwrite(text.data(), 1, text.size(), stderr));
}

void Table::print() const {
  std::size_t width = 0;
  for (const auto& [name, value] : lines_) width = std::max(width, name.size());
  for (const auto& [name, value] : lines_) print_out("{:<{}}  {}\n", name, width, value);
}

std::string error_text(const Status& status) {
  std::string line = status.message();
  // The subject is a person's own name for something and stays as it is.
  const std::size_t begin = line.find(status.text(), status.subject().size());
  for (const OptionName& name : kOptionNames)
    for (std::size_t at = line.find(name.api, begin); at != std::string::npos; at = line.find(name.api, at))
      line.replace(at, name.api.size(), name.command);
  return line;
}

void print_json(const Json& json) { print_out("{}\n", json.text()); }

Status finish_output() {
  errno = 0;
  note_output(std::fflush(stdout) == 0 && std::ferror(stdout) == 0);
  if (first_error_of_output == 0) return {};
  return errno_status(first_error_of_output, "the results could not be written", "standard output");
}

std::uint64_t rss_peak_bytes() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    constexpr std::string_view kName = "VmHWM:";
    if (line.starts_with(kName)) return std::stoull(line.substr(kName.size())) * 1024;
  }
  return 0;
}

}  // namespace vecstore::tools
