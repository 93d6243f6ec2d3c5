// SPDX-License-Identifier: Apache-2.0
//
// A simulated disk on which something happens once, right before a file is opened.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/forwarding_files.h"
#include "tests/sim/sim_disk.h"

namespace vecstore::test {

class Interrupting final : public ForwardingFiles {
 public:
  // `name`: what the path of the file has in it.
  Interrupting(SimDisk& disk, std::string name, std::function<void()> happens)
      : ForwardingFiles(disk), name_(std::move(name)), happens_(std::move(happens)) {}
  bool has_happened() const { return !happens_; }

  Result<std::unique_ptr<File>> open(const std::string& path, const FileOptions& options) override {
    if (happens_ && path.find(name_) != std::string::npos) std::exchange(happens_, nullptr)();
    return ForwardingFiles::open(path, options);
  }

 private:
  const std::string name_;
  std::function<void()> happens_;
};

}  // namespace vecstore::test
