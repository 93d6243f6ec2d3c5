// SPDX-License-Identifier: Apache-2.0
#include "tests/test_util.h"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace vecstore::test {

TemporaryDirectory::TemporaryDirectory() {
  std::string pattern = (std::filesystem::temp_directory_path() / "vecstore-test-XXXXXX").string();
  BOOST_REQUIRE(::mkdtemp(pattern.data()) != nullptr);
  path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::vector<char> read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  BOOST_REQUIRE_MESSAGE(in.good(), "cannot open " << path);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

void write_file(const std::string& path, const std::vector<char>& bytes) {
  std::ofstream out(path, std::ios::binary | std::ios::trunc);
  out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  BOOST_REQUIRE_MESSAGE(out.good(), "cannot write " << path);
}

std::string shipped_data(const std::string& name) { return std::string(VECSTORE_SOURCE_DIR) + "/tests/data/" + name; }

std::string large_data(const std::string& name) {
  const char* root = std::getenv("VECSTORE_DATA");
  const std::string path =
      (root != nullptr ? std::string(root) : std::string(VECSTORE_SOURCE_DIR) + "/../shared/data") + "/" + name;
  return std::filesystem::exists(path) ? path : std::string();
}

}  // namespace vecstore::test
