// SPDX-License-Identifier: Apache-2.0
//
// Every number of every command is a number, and means what it says; every side file has a line for each row. What is
// wrong is said before anything is written.
#include "tools/numbers.h"

#include <cstring>
#include <filesystem>
#include <sstream>

#include "engine/vecstore.hpp"
#include "tests/tools/every_command.h"

using namespace vecstore;
using namespace vecstore::tools;
using test::commands_in_help;
using test::EveryCommand;
using test::mentions;
using test::refused;
using test::run;
using test::TemporaryDirectory;
using test::write_fbin;

namespace {

std::string write_lines(const std::string& path, int lines, const std::string& start = "") {
  std::string text;
  for (int i = 0; i < lines; ++i) text += start + std::to_string(i) + "\n";
  test::write_file(path, {text.begin(), text.end()});
  return path;
}

}  // namespace

BOOST_AUTO_TEST_SUITE(numbers)

BOOST_AUTO_TEST_CASE(numbers_are_decimal_whole_texts) {
  BOOST_TEST(parse_whole("0").value() == 0u);
  BOOST_TEST(parse_whole("18446744073709551615").value() == ~std::uint64_t{0});
  for (const char* bad : {"", " ", "-1", "-0", "+1", "18446744073709551616", "99999999999999999999999", "1x", "x1",
                          "0x10", "1.0", "1e3", " 1", "1 ", "nan", "inf"})
    BOOST_TEST(!parse_whole(bad).has_value(), bad);
  BOOST_TEST(parse_whole("010").value() == 10u);  // not octal
  BOOST_TEST(parse_real("-2.5e-1").value() == -0.25);
  for (const char* bad :
       {"", " ", "nan", "-nan", "nan(1)", "inf", "-inf", "infinity", "1e999", "1.5x", "0x1p3", "+1", " 1", "1 ", "1,5"})
    BOOST_TEST(!parse_real(bad).has_value(), bad);
}

// All of them, so that a new option cannot forget it: those of the help that take a number.
BOOST_AUTO_TEST_CASE(every_number_of_every_command_is_checked) {
  EveryCommand every;
  int checked = 0;
  for (const std::string& command : commands_in_help()) {
    const std::string arguments = every.arguments_of(command);
    std::istringstream help(run(command + " --help").out);
    for (std::string line; std::getline(help, line);) {
      std::istringstream words(line);
      std::string option, type;
      words >> option >> type;
      if (!option.starts_with("--")) continue;
      const bool whole = type == "UINT", real = type == "FLOAT", size = type.starts_with("SIZE");
      BOOST_TEST(type != "INT", line);  // CLI11's own conversion
      if (!whole && !real && !size) continue;
      for (const std::string bad :
           {"''", "-1", "-0.5", "nan", "inf", "-inf", "5x", "x", "18446744073709551616000", "' 1'"}) {
        const bool is_number = bad.size() > 1 && bad.find_first_not_of("-.0123456789") == std::string::npos;
        if (option == "--radius" && is_number) continue;  // a distance may be any
        const auto ran = run(command + arguments + " " + option + " " + bad);
        BOOST_TEST(ran.exit_code == 2,
                   command << " " << option << " " << bad << ": " << ran.exit_code << " " << ran.err);
        BOOST_TEST(mentions(ran.err, option), ran.err);
      }
      if (whole) BOOST_TEST(run(command + arguments + " " + option + " 1.5").exit_code == 2);
      ++checked;
    }
  }
  BOOST_TEST(checked >= 40, checked);
}

BOOST_AUTO_TEST_CASE(numbers_out_of_range_are_wrong_usage) {
  const TemporaryDirectory directory;
  const std::string file = write_fbin(directory.path("v.fbin"), 4, 3);
  const std::string search = "search " + directory.path("none") + " --queries " + file;
  BOOST_TEST(mentions(run(search + " --bound 1e7").err, "from 0 to 1000000"));
  for (const char* bad :
       {" --bound nan", " --bound 1e7", " --recall-target 1.5", " --k 4294967296", " --threads 4294967297"})
    BOOST_TEST(run(search + bad).exit_code == 2, bad);
  const std::string build = "build --input " + file + " --output " + directory.path("ix");
  for (const char* bad : {" --alpha 0.5", " --alpha 4.5", " --alpha nan", " --max-degree 256", " --threads 257",
                          " --code-bytes 4294967300"})
    BOOST_TEST(run(build + bad).exit_code == 2, bad);
  BOOST_TEST(run("create " + directory.path("c") + " --dim 4294967300").exit_code == 2);
  BOOST_TEST(
      run("groundtruth --base " + file + " --queries " + file + " --output " + directory.path("gt") + " --threads 257")
          .exit_code == 2);
}

// Keys 0 and 1 were overwritten by rows whose keys passed 2^64 - 1.
BOOST_AUTO_TEST_CASE(keys_do_not_pass_the_last_number) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s");
  const std::string file = write_fbin(directory.path("v.fbin"), 8, 3);
  BOOST_TEST(run("create " + store).exit_code == 0);
  const std::string insert = "insert " + store + " --quiet --input " + file;
  BOOST_TEST(run(insert + " --count 2").exit_code == 0);
  const std::string before = run("get " + store + " 0").out;
  BOOST_TEST(
      mentions(refused(insert + " --skip 4 --count 4 --first-key 18446744073709551614", 2), "would pass 2^64 - 1"));
  BOOST_TEST(mentions(refused(insert + " --first-key 18446744073709551609", 2), "would pass"));
  BOOST_TEST(run(insert + " --count 1 --first-key -5").exit_code == 2);
  BOOST_TEST(mentions(refused(insert + " --count 9", 2), "(8 rows)"));
  BOOST_TEST(mentions(refused(insert + " --skip 4 --count 5", 2), "fewer rows"));
  BOOST_TEST(mentions(refused(insert + " --skip 9", 2), "fewer rows"));
  BOOST_TEST(mentions(refused(insert + " --batch 18446744073709551615", 2), "from 1 to 1000000"));
  BOOST_TEST(run("get " + store + " 0").out == before);
  BOOST_TEST(mentions(run("stats " + store).out, "rows                  2"));
  BOOST_TEST(run(insert + " --skip 4 --count 4 --first-key 18446744073709551612").exit_code ==
             0);  // the last there are
  BOOST_TEST(run("get " + store + " 18446744073709551615").out == "7.25 7.25 7.25\n");
  BOOST_TEST(run(insert + " --skip 8 --count 0 --first-key 18446744073709551615").exit_code == 0);
  BOOST_TEST(mentions(run("stats " + store).out, "rows                  6"));
}

BOOST_AUTO_TEST_CASE(side_files_have_a_line_for_each_row) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s");
  const std::string file = write_fbin(directory.path("v.fbin"), 10, 3);
  BOOST_TEST(run("create " + store).exit_code == 0);
  const std::string good = write_lines(directory.path("good"), 10);
  for (const int lines : {0, 1, 9, 11, 20}) {
    const std::string wrong = write_lines(directory.path("wrong"), lines);
    const std::string counts = "(" + std::to_string(lines) + " lines, 10 rows)";
    const std::string made = directory.path("made");
    for (const std::string& part : {" --keys " + wrong, " --keys " + good + " --documents " + wrong})
      for (const std::string& start : {"insert " + store, "insert " + store + " --batch 3",
                                       "insert " + store + " --skip 2 --count 3", "import " + store, "import " + made,
                                       "build --quiet --no-calibration --output " + directory.path("built")}) {
        const auto ran = run(start + " --input " + file + part);
        BOOST_TEST(ran.exit_code == 1, start << part << ": " << ran.err);
        BOOST_TEST(mentions(ran.err, counts), start << part << ": " << ran.err);
        BOOST_TEST(mentions(ran.err, wrong), ran.err);
        BOOST_TEST(!std::filesystem::exists(made + "/superblock"));
      }
    BOOST_TEST(run("insert " + store + " --input " + file + " --documents " + wrong).exit_code == 1);
  }
  BOOST_TEST(mentions(run("stats " + store).out, "rows                  0"));
  // A file of keys is one of all rows of the file of vectors, so that it can be named again with another --skip.
  BOOST_TEST(run("insert " + store + " --quiet --input " + file + " --skip 2 --count 3 --keys " +
                 write_lines(directory.path("k"), 10, "10") + " --documents " +
                 write_lines(directory.path("d"), 10, "text "))
                 .exit_code == 0);
  BOOST_TEST(run("get " + store + " 103").out == "3.25 3.25 3.25\ntext 3\n");
  BOOST_TEST(mentions(run("stats " + store).out, "rows                  3"));
}

BOOST_AUTO_TEST_CASE(a_key_that_is_none_is_told_by_its_line_before_anything_is_put) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s"), bytes = directory.path("b");
  const std::string file = write_fbin(directory.path("v.fbin"), 6, 3);
  BOOST_TEST(run("create " + store).exit_code == 0);
  BOOST_TEST(run("create " + bytes + " --key-type bytes").exit_code == 0);
  for (const std::string bad : {"-1", "18446744073709551616", "x", "", "4 ", "05", "+5"}) {
    const std::string text = "0\n1\n2\n3\n" + bad + "\n5\n";
    test::write_file(directory.path("keys"), {text.begin(), text.end()});
    for (const std::string& start :
         {"insert " + store + " --batch 2", "import " + store, "import " + directory.path("new")}) {
      const auto ran = run(start + " --input " + file + " --keys " + directory.path("keys"));
      BOOST_TEST(ran.exit_code == 2, ran.err);
      BOOST_TEST(mentions(ran.err, "keys: line 5: "), ran.err);
    }
    BOOST_TEST(mentions(refused("delete " + store + " 7 --keys " + directory.path("keys"), 2), "keys: line 5: "));
  }
  BOOST_TEST(!std::filesystem::exists(directory.path("new")));
  BOOST_TEST(mentions(run("stats " + store).out, "rows                  0"));
  for (const std::string& bad : {std::string(), std::string(481, 'k')}) {
    const std::string text = "0\n1\n2\n3\n" + bad + "\n5\n";
    test::write_file(directory.path("keys"), {text.begin(), text.end()});
    BOOST_TEST(
        mentions(refused("insert " + bytes + " --batch 2 --input " + file + " --keys " + directory.path("keys"), 1),
                 "line 5: "));
  }
  BOOST_TEST(mentions(run("stats " + bytes).out, "rows                  0"));
}

// "007" and "7" named one row, and the second of them took the place of the first.
BOOST_AUTO_TEST_CASE(a_number_names_a_row_only_as_it_is_printed) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s"), bytes = directory.path("b");
  const std::string file = write_fbin(directory.path("v.fbin"), 10, 3);
  BOOST_TEST(run("create " + store).exit_code == 0);
  BOOST_TEST(run("insert " + store + " --quiet --input " + file).exit_code == 0);
  BOOST_TEST(run("get " + store + " 0").exit_code == 0);
  for (const char* other : {"007", "07", "00", "+7", "' 7'", "7.0", "0x7", "7e0", "''", "-- -0"}) {
    BOOST_TEST(refused("get " + store + " " + other, 2).size() > 0u);
    BOOST_TEST(refused("delete " + store + " 7 " + other, 2).size() > 0u);
  }
  BOOST_TEST(mentions(refused("get " + store + " 007", 2), "007: write the key without zeros in front"));
  BOOST_TEST(mentions(run("stats " + store).out, "rows                  10"));
  BOOST_TEST(run("get " + store + " 7").out == "7.25 7.25 7.25\n");

  // The advice: such keys are two there.
  std::string keys = "7\n007\n";
  for (int i = 2; i < 10; ++i) keys += std::to_string(i) + "x\n";
  test::write_file(directory.path("keys"), {keys.begin(), keys.end()});
  BOOST_TEST(run("create " + bytes + " --key-type bytes").exit_code == 0);
  BOOST_TEST(run("insert " + bytes + " --quiet --input " + file + " --keys " + directory.path("keys")).exit_code == 0);
  BOOST_TEST(run("get " + bytes + " 7").out == "0.25 0.25 0.25\n");
  BOOST_TEST(run("get " + bytes + " 007").out == "1.25 1.25 1.25\n");
}

BOOST_AUTO_TEST_CASE(a_vector_that_is_refused_is_told_by_its_row_in_the_file) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s");
  const std::string file = write_fbin(directory.path("v.fbin"), 20, 3);
  BOOST_TEST(run("create " + store).exit_code == 0);
  BOOST_TEST(run("insert " + store + " --quiet --input " + file).exit_code == 0);
  auto bytes = test::read_file(file);
  const float huge = 1e30f;
  std::memcpy(bytes.data() + 8 + 17 * 12, &huge, 4);
  test::write_file(directory.path("huge.fbin"), bytes);
  const std::string name = directory.path("huge.fbin");
  for (const std::string& arguments :
       {"insert " + store + " --quiet --batch 4 --input " + name, "search " + store + " --quiet --queries " + name,
        "search " + store + " --quiet --clients 2 --queries " + name, "query " + store + " --row 17 --queries " + name,
        "build --quiet --output " + directory.path("ix") + " --input " + name,
        "groundtruth --base " + name + " --queries " + file + " --output " + directory.path("gt"),
        "groundtruth --base " + file + " --queries " + name + " --output " + directory.path("gt")}) {
    const auto ran = run(arguments);
    BOOST_TEST(ran.exit_code == 1, arguments << ran.err);
    BOOST_TEST(mentions(ran.err, "huge.fbin: row 17: the vector has values so large"), arguments << ran.err);
  }
}

BOOST_AUTO_TEST_CASE(numbers_on_standard_input_are_finite_and_fit) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s");
  BOOST_TEST(run("create " + store).exit_code == 0);
  BOOST_TEST(run("insert " + store + " --quiet --input " + write_fbin(directory.path("v.fbin"), 5, 3)).exit_code == 0);
  const auto query = [&](const std::string& text) {
    test::write_file(directory.path("in"), {text.begin(), text.end()});
    return run("query " + store + " --k 1", directory.path("in"));
  };
  BOOST_TEST(query("1 2e0, [3]").exit_code == 0);
  BOOST_TEST(query("\xEF\xBB\xBF"
                   "1 2\r\n3\r\n")
                 .exit_code == 0);
  BOOST_TEST(mentions(query("\xFF\xFE"
                            "1 2 3")
                          .err,
                      "iconv -f UTF-16 -t UTF-8"));
  for (const char* bad : {"1 nan 3", "1 inf 3", "1 1e39 3", "1 2x 3", "1 1e999 3"}) {
    const auto ran = query(bad);
    BOOST_TEST(ran.exit_code == 1, bad);
    BOOST_TEST(mentions(ran.err, "standard input: offset 2"), ran.err);
  }
  BOOST_TEST(mentions(query("1e30 1 1").err, "standard input: row 0: the vector has values so large"));
}

BOOST_AUTO_TEST_SUITE_END()
