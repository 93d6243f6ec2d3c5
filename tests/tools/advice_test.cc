// SPDX-License-Identifier: Apache-2.0
//
// What the program advises is taken here word for word, and works.
#include <cstring>
#include <filesystem>
#include <set>

#include "tests/tools/every_command.h"

namespace vecstore {
namespace {

using namespace test;

bool shell(const std::string& command) { return WEXITSTATUS(std::system(command.c_str())) == 0; }

// Python, if it has these modules, which are else put on the list of what is missing; VECSTORE_PYTHON names another
// than the first in the path.
std::string python_with(const std::string& modules, std::set<std::string>& missing) {
  const char* named = std::getenv("VECSTORE_PYTHON");
  const std::string python = named == nullptr ? "python3" : named;
  if (shell(python + " -c 'import " + modules + "' >/dev/null 2>&1")) return python;
  missing.insert(python + " with " + modules);
  return "";
}

void tell_missing(const std::set<std::string>& missing) {
  std::string list;
  for (const std::string& one : missing) list += (list.empty() ? "" : "; ") + one;
  if (!list.empty()) BOOST_TEST_MESSAGE("skipped: this machine lacks " << list);
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + by.size()))
    text.replace(at, part.size(), by);
  return text;
}

std::uint64_t number_after(const std::string& text, const std::string& words) {
  const std::size_t at = text.find(words);
  BOOST_REQUIRE_MESSAGE(at != std::string::npos, text);
  return std::stoull(text.substr(at + words.size()));
}

struct Files {
  TemporaryDirectory directory;
  std::string whole = write_fbin(directory.path("whole.fbin"), 10, 4);

  std::string path(const std::string& name) const { return directory.path(name); }
  // The rows of `whole` come out of this file.
  void check_rows(const std::string& name) const {
    const Ran ran = run("convert " + path(name) + " " + path("out.fbin") + " --overwrite");
    BOOST_TEST(ran.exit_code == 0, name << ": " << ran.err);
    BOOST_TEST((read_file(path("out.fbin")) == read_file(whole)), name);
  }
  // What is advised about this file, as a command that can be run: FILE and OUT.npy are names of this directory.
  std::string advice_for(const std::string& name, const std::string& begins) const {
    const std::string message = refused("convert " + path(name) + " " + path("out.fbin"), 1);
    const std::size_t at = message.find(begins);
    BOOST_REQUIRE_MESSAGE(at != std::string::npos, message);
    const std::string command = message.substr(at, message.size() - at - 1);
    return replaced(replaced(command, "FILE", path(name)), "OUT.npy", path("OUT.npy"));
  }
};

BOOST_AUTO_TEST_SUITE(advice)

BOOST_AUTO_TEST_CASE(a_cut_file_is_taken_by_the_count_in_the_message) {
  const Files files;
  auto bytes = read_file(files.whole);
  const std::uint32_t said = 1000;
  std::memcpy(bytes.data(), &said, 4);
  bytes.resize(bytes.size() + 5);
  write_file(files.path("cut.fbin"), bytes);
  for (const std::string& command : {"convert " + files.path("cut.fbin") + " " + files.path("out.fbin"),
                                     "build --input " + files.path("cut.fbin") + " --output " + files.path("index"),
                                     "groundtruth --base " + files.path("cut.fbin") + " --queries " + files.whole +
                                         " --output " + files.path("gt")}) {
    const std::string message = refused(command, 1);
    BOOST_TEST(mentions(message, "take the whole rows with convert --count"), message);
    const std::string count = std::to_string(number_after(message, "whole rows: "));
    const Ran ran =
        run("convert " + files.path("cut.fbin") + " " + files.path("taken.fbin") + " --overwrite --count " + count);
    BOOST_TEST(ran.exit_code == 0, ran.err);
    BOOST_TEST((read_file(files.path("taken.fbin")) == read_file(files.whole)));
  }
}

BOOST_AUTO_TEST_CASE(names_of_either_case_and_of_crops_are_taken_as_they_are) {
  const Files files;
  for (const char* name : {"A.FBIN", "a.Fbin", "base.1B.fbin.crop_nb_10"}) {
    auto bytes = read_file(files.whole);
    const std::uint32_t said = 1000000000;
    if (std::string(name).ends_with("10")) std::memcpy(bytes.data(), &said, 4);
    write_file(files.path(name), bytes);
    files.check_rows(name);
  }
  // Ground truth of big-ann-benchmarks has a name without an ending.
  BOOST_TEST(run("groundtruth --k 3 --base " + files.whole + " --queries " + files.whole + " --output " +
                 files.path("bigann-10M"))
                 .exit_code == 0);
  BOOST_TEST(run("build --quiet --no-calibration --input " + files.path("A.FBIN") + " --output " + files.path("index"))
                 .exit_code == 0);
  const Ran searched = run("search " + files.path("index") + " --k 3 --queries " +
                           files.path("base.1B.fbin.crop_nb_10") + " --groundtruth " + files.path("bigann-10M"));
  BOOST_TEST(searched.exit_code == 0, searched.err);
  BOOST_TEST(mentions(searched.out, "recall@3"));
}

BOOST_AUTO_TEST_CASE(packed_files_are_unpacked_as_advised) {
  const Files files;
  std::set<std::string> missing;
  const std::vector<std::pair<std::string, std::string>> packers = {
      {"gzip", "gz"}, {"bzip2", "bz2"}, {"xz", "xz"}, {"zstd", "zst"}};
  for (const auto& [packer, ending] : packers) {
    if (!shell("command -v " + packer + " >/dev/null")) {
      missing.insert(packer);
      continue;
    }
    const std::string plain = files.path("a-" + ending + ".fbin"), packed = "a-" + ending + ".fbin." + ending;
    std::filesystem::copy_file(files.whole, plain);
    BOOST_REQUIRE(shell(packer + " -q " + plain));
    std::filesystem::remove(plain);
    const std::string advised = files.advice_for(packed, packer + " -dk");
    BOOST_TEST(shell(advised + " >/dev/null 2>&1"), advised);
    files.check_rows("a-" + ending + ".fbin");
  }
  tell_missing(missing);
  BOOST_REQUIRE(shell(
      "cd " + files.path("") +
      " && mkdir sub && cp whole.fbin sub/in.fbin && cd sub && tar -cf ../a.tar in.fbin && tar -czf ../a.tgz in.fbin"));
  for (const char* name : {"a.tar", "a.tgz"}) {
    BOOST_TEST(shell("cd " + files.path("") + " && rm -f in.fbin && " + files.advice_for(name, "tar -x")));
    files.check_rows("in.fbin");
  }
}

BOOST_AUTO_TEST_CASE(arrays_of_others_are_saved_as_advised) {
  const Files files;
  std::set<std::string> missing;
  struct Format {
    const char* name;
    const char* modules;
    const char* make;  // of the array a, in Python
  };
  for (const Format& format :
       {Format{"a.npz", "numpy", "numpy.savez('FILE', a)"},
        Format{"a.h5", "numpy, h5py", "h5py.File('FILE', 'w')['train'] = a"},
        Format{"a.hdf5", "numpy, h5py", "h5py.File('FILE', 'w')['train'] = a"},
        Format{"a.parquet", "numpy, pandas, pyarrow", "pandas.DataFrame({'emb': list(a)}).to_parquet('FILE')"},
        Format{"a.pt", "numpy, torch", "torch.save(torch.from_numpy(a), 'FILE')"},
        Format{"a.csv", "numpy", "numpy.savetxt('FILE', a, delimiter=',')"},
        Format{"a.tsv", "numpy", "numpy.savetxt('FILE', a)"}, Format{"a.txt", "numpy", "numpy.savetxt('FILE', a)"}}) {
    const std::string python = python_with(format.modules, missing);
    if (python.empty()) continue;
    const std::string make = std::string("import ") + format.modules + "; a = numpy.fromfile('" + files.whole +
                             "', '<f4', offset=8).reshape(10, 4); " +
                             replaced(format.make, "FILE", files.path(format.name));
    BOOST_REQUIRE(shell(python + " -c \"" + make + "\""));
    const std::string advised = replaced(files.advice_for(format.name, "python3 -c "), "python3 ", python + " ");
    BOOST_TEST(shell(advised), advised);
    files.check_rows("OUT.npy");
    std::filesystem::remove(files.path("OUT.npy"));
  }
  tell_missing(missing);
}

// Of an array that numpy.save() made, and that is not read as it is.
BOOST_AUTO_TEST_CASE(arrays_of_numpy_are_saved_again_as_advised) {
  std::set<std::string> missing;
  const std::string python = python_with("numpy", missing);
  tell_missing(missing);
  if (python.empty()) return;
  const Files files;
  struct Array {
    const char* make;
    const char* advised;
  };
  for (const Array& array :
       {Array{"a.astype('>f4')", "array.astype('<f4')"}, Array{"a.astype('<f8')", "array.astype('<f4')"},
        Array{"a.astype('>f8')", "array.astype('<f4')"}, Array{"a.astype('<c8')", "array.astype('<f4')"},
        Array{"numpy.asfortranarray(a)", "numpy.ascontiguousarray(array)"},
        Array{"numpy.array([(r,) for r in a], dtype=[('NAME', '<f4', (4,))])", "array['NAME']"},
        Array{"numpy.array([None] + list(a), dtype=object)[1:]", "numpy.stack(array).astype('<f4')"}}) {
    const std::string load = python + " -W ignore -c \"import numpy; a = numpy.fromfile('" + files.whole +
                             "', '<f4', offset=8).reshape(10, 4); numpy.save('" + files.path("a.npy") + "', " +
                             array.make + ")\"";
    BOOST_REQUIRE_MESSAGE(shell(load), load);
    BOOST_TEST(mentions(files.advice_for("a.npy", ": the "), array.advised), array.make);
    const std::string save = python + " -W ignore -c \"import numpy; array = numpy.load('" + files.path("a.npy") +
                             "', allow_pickle=True); numpy.save('" + files.path("again.npy") + "', " + array.advised +
                             ")\"";
    BOOST_TEST(shell(save), save);
    files.check_rows("again.npy");
  }
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
