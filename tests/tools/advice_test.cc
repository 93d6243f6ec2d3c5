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

void write_lines(const std::string& path) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += "key " + std::to_string(i) + "\n";
  write_file(path, {text.begin(), text.end()});
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

// A command that is refused, what the refusal advises, and the command that follows it.
struct Advised {
  std::string refused, advice, taken;
  int exit_code = 1;
};

void follow(const std::vector<Advised>& all) {
  for (const Advised& each : all) {
    const std::string message = refused(each.refused, each.exit_code);
    BOOST_TEST(mentions(message, each.advice), each.refused << ": " << message);
    const Ran ran = run(each.taken);
    BOOST_TEST(ran.exit_code == 0, each.taken << ": " << ran.err);
  }
}

BOOST_AUTO_TEST_CASE(what_is_there_already_is_replaced_as_advised) {
  const Files files;
  const std::string in = files.whole, out = files.path("out.fbin"), truth = files.path("gt"), index = files.path("ix");
  const std::string convert = "convert " + in + " " + out,
                    build = "build -q --no-calibration --input " + in + " --output " + index;
  const std::string groundtruth = "groundtruth --k 3 --base " + in + " --queries " + in + " --output " + truth;
  const std::string exports = "export " + index + " --output " + out + " --keys " + files.path("keys");
  for (const std::string& command : {convert, groundtruth, build}) BOOST_TEST(run(command).exit_code == 0);
  follow({{convert, "overwrit", convert + " --overwrite"},
          {groundtruth, "--overwrite", groundtruth + " --overwrite"},
          {build + " --json", "overwritten", build + " --overwrite"},
          {exports, "overwrit", exports + " --overwrite"},
          {"create " + index, "choose another path", "create " + files.path("another")},
          {"salvage " + index + " --output " + index, "choose another path",
           "salvage " + index + " --output " + files.path("salvaged")}});
}

BOOST_AUTO_TEST_CASE(element_types_are_converted_as_advised) {
  const Files files;
  const std::string floats = files.whole, bytes = files.path("b.u8bin"), other = files.path("f.fbin");
  auto whole = read_file(files.whole);
  for (std::size_t i = 0; i < 40; ++i) {
    const float number = static_cast<float>(i);
    std::memcpy(whole.data() + 8 + 4 * i, &number, 4);
  }
  write_file(floats, whole);
  BOOST_TEST(run("convert " + floats + " " + bytes).exit_code == 0);
  BOOST_TEST(run("convert " + bytes + " " + other).exit_code == 0);
  const std::string store = files.path("s"), index = files.path("ix"), truth = files.path("gt");
  BOOST_TEST(run("create " + store).exit_code == 0);
  BOOST_TEST(run("build -q --no-calibration --input " + floats + " --output " + index).exit_code == 0);
  const std::string insert = "insert -q " + store + " --input ", search = "search -q " + index + " --queries ";
  const std::string groundtruth = "groundtruth --k 3 --base " + floats + " --output " + truth + " --queries ";
  const std::string calibrated =
      "build -q --overwrite --output " + index + " --input " + floats + " --calibration-queries ";
  const std::string exports = "export " + index + " --keys " + files.path("keys") + " --overwrite --output ";
  follow({{insert + bytes, "convert them first", insert + other, 2},
          {search + bytes, "convert them first", search + other, 2},
          {groundtruth + bytes, "convert one of them", groundtruth + other, 2},
          {calibrated + bytes, "convert them first", calibrated + other, 2},
          {exports + files.path("x.u8bin"), "choose another, or npy", exports + files.path("x.npy")}});
}

BOOST_AUTO_TEST_CASE(numbers_are_lowered_as_advised) {
  const Files files;
  const std::string in = files.whole, store = files.path("s"), bytes = files.path("b"), wide = files.path("wide.fbin");
  BOOST_TEST(run("create " + store).exit_code == 0);
  BOOST_TEST(run("create --key-type bytes " + bytes).exit_code == 0);
  write_lines(files.path("keys"));
  write_fbin(wide, 10, 3000);
  const std::string insert = "insert -q --input " + in + " ",
                    build = "build -q --no-calibration --overwrite --output " + files.path("ix") + " --input ";
  follow(
      {{insert + store + " --count 11", "lower --count or --skip", insert + store + " --count 10", 2},
       {insert + store + " --skip 5 --count 6", "lower --count or --skip", insert + store + " --skip 4 --count 6", 2},
       {insert + store + " --first-key 18446744073709551607", "lower --first-key or --count",
        insert + store + " --first-key 18446744073709551607 --count 9", 2},
       {insert + bytes, "name their file", insert + bytes + " --keys " + files.path("keys"), 2},
       {build + in + " --code-bytes 5", "lower --code-bytes", build + in + " --code-bytes 4", 2},
       {build + wide + " --vectors 32 --page-size 4096", "larger --page-size",
        build + wide + " --vectors 32 --page-size 16384"},
       {"get " + store + " 007", "without zeros in front", "get " + store + " 7", 2}});
}

BOOST_AUTO_TEST_CASE(a_file_of_too_many_queries_is_cut_as_advised) {
  const Files files;
  constexpr std::uint32_t kRows = (1u << 24) + 1;
  std::vector<char> many(8 + std::size_t{kRows}, 1);
  const std::uint32_t header[2] = {kRows, 1};
  std::memcpy(many.data(), header, 8);
  write_file(files.path("many.u8bin"), many);
  const std::string few = files.path("few.u8bin"), index = files.path("ix");
  BOOST_TEST(run("convert " + files.path("many.u8bin") + " " + few + " --count 20").exit_code == 0);
  BOOST_TEST(run("build -q --no-calibration --input " + few + " --output " + index).exit_code == 0);
  const std::string groundtruth = "groundtruth --k 1 --base " + few + " --output " + files.path("gt") + " --queries ";
  const std::string search = "search -q " + index + " --queries ";
  follow({{groundtruth + files.path("many.u8bin"), "cut the file with convert", groundtruth + few},
          {search + files.path("many.u8bin"), "cut the file with convert", search + few, 2}});
}

// It was told to be built again, which takes the vectors and the time, where the next write makes it good.
BOOST_AUTO_TEST_CASE(damage_that_a_write_repairs_is_repaired_by_one) {
  const Files files;
  write_lines(files.path("keys"));
  const std::string index = files.path("index"), verify = "verify " + index + " --deep --quiet";
  BOOST_REQUIRE(run("build --quiet --no-calibration --input " + files.whole + " --keys " + files.path("keys") +
                    " --output " + index)
                    .exit_code == 0);
  BOOST_REQUIRE(run(verify).exit_code == 0);
  const auto flip = [&](const std::string& name, std::size_t at) {
    auto bytes = read_file(index + "/" + name);
    BOOST_REQUIRE(at < bytes.size());
    bytes[at] = static_cast<char>(bytes[at] ^ 1);
    write_file(index + "/" + name, bytes);
  };
  const auto check_repaired = [&](const std::string& what) {
    const Ran told = run(verify);
    BOOST_TEST(told.exit_code == 3, what << told.err);
    BOOST_TEST(mentions(told.err, "nothing is lost, and the next write by key repairs"), what << told.err);
    BOOST_TEST(!mentions(told.err + told.out, "build it again"), what << told.err << told.out);
    const Ran written = run("delete " + index + " 'a key that no row has'");
    BOOST_TEST(written.exit_code == 0, what << written.err);
    const Ran again = run(verify);
    BOOST_TEST(again.exit_code == 0, what << again.err << again.out);
  };
  for (const std::string name : {"catalog/data.mdb", "catalog/data.sums"}) {
    flip(name, std::filesystem::file_size(index + "/" + name) / 2);
    check_repaired(name + " damaged: ");
    std::filesystem::remove(index + "/" + name);
    check_repaired(name + " missing: ");
  }
  flip("superblock", 20);
  check_repaired("superblock: ");
  // What only a build or a copy makes good is told as that.
  for (const auto& entry : std::filesystem::directory_iterator(index))
    if (entry.path().filename().string().starts_with("graph")) flip(entry.path().filename().string(), 4096 + 100);
  BOOST_TEST(mentions(run(verify).err, "build it again from the vectors"));
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
