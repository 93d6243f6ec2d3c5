// SPDX-License-Identifier: Apache-2.0
//
// What a refusal for too little memory names, given to the option that it names, suffices the first time.

#include "tests/tools/every_command.h"

namespace vecstore {
namespace {

using namespace test;

const std::string kBase = shipped_data("csift55k.base.u8bin");

void must(const std::string& arguments) {
  const Ran ran = run(arguments);
  BOOST_REQUIRE_MESSAGE(ran.exit_code == 0, arguments << ": " << ran.err);
}

// "41MiB", behind "OPTION needs at least" or, of a log that was only counted, "OPTION does with".
std::string least_in(const std::string& message, const std::string& option) {
  std::string words = option + " needs at least ";
  if (!mentions(message, words)) words = option + " does with ";
  const std::size_t at = message.find(words);
  BOOST_REQUIRE_MESSAGE(at != std::string::npos, message);
  const std::string size = message.substr(at + words.size(), message.find(' ', at + words.size()) - at - words.size());
  BOOST_TEST(size.ends_with("MiB"), message);
  return size;
}

void take_advice(const std::string& arguments, const std::string& option) {
  const std::string message = refused(arguments + " " + option + " 1KiB", 1);
  const std::string least = least_in(message, option);
  const Ran ran = run(arguments + " " + option + " " + least);
  BOOST_TEST(ran.exit_code == 0, arguments << " " << option << " " << least << ": " << ran.err);
}

struct Stores {
  TemporaryDirectory directory;
  std::string base = path("base.u8bin"), texts = path("texts.f16bin"), sides;
  std::string index = path("index"), log = path("log"), exported = path("out.u8bin");

  Stores() {
    must("convert " + kBase + " " + base + " --count 1500");
    must("convert " + shipped_data("win384-8k.base.f16bin") + " " + texts + " --count 500");
    std::string keys, documents;
    for (int i = 0; i < 500; ++i) {
      keys += "key " + std::to_string(i) + "\n";
      documents += "{\"text\": \"" + std::string(static_cast<std::size_t>(i), 'x') + "\"}\n";
    }
    write_file(path("keys"), {keys.begin(), keys.end()});
    write_file(path("documents"), {documents.begin(), documents.end()});
    sides = " --keys " + path("keys") + " --documents " + path("documents");
    must("build --quiet --no-calibration --input " + base + " --output " + index);
    must("create --dtype u8 " + log);
    must("insert --quiet " + log + " --input " + base);
    must("export " + log + " --output " + exported + " --keys " + path("numbers"));
  }
  std::string path(const std::string& name) const { return directory.path(name); }
};

BOOST_AUTO_TEST_SUITE(budgets)

BOOST_AUTO_TEST_CASE(a_build_does_with_what_its_refusal_names) {
  const Stores stores;
  const std::string build = "build --quiet --overwrite --threads 2 --output " + stores.path("built") + " --input ";
  for (const std::string& more : {std::string(" --no-calibration"), std::string(" --codec rabitq"),
                                  std::string(" --no-calibration --max-degree 255 --build-list 400")})
    take_advice(build + stores.base + more, "--ram");
  const std::string texts = build + stores.texts + " --metric cosine";
  take_advice(texts + stores.sides, "--ram");
  take_advice(texts + " --vectors 32 --calibration-queries " + stores.texts, "--ram");
  take_advice(texts + " --dry-run", "--ram");
  take_advice(texts, "--search-ram");
  take_advice(build + stores.base + " --dry-run", "--search-ram");
}

BOOST_AUTO_TEST_CASE(a_search_does_with_what_its_refusal_names) {
  const Stores stores;
  must("build --quiet --input " + stores.texts + " --metric cosine --output " + stores.path("built") + stores.sides);
  for (const std::string how : {" --threads 1", " --threads 7", " --clients 5", " --k 1000 --L 4096 --blocks 100"}) {
    for (const std::string& store : {stores.index, stores.log})
      take_advice("search --quiet " + store + " --queries " + stores.base + how, "--ram");
    take_advice("search --quiet " + stores.path("built") + " --queries " + stores.texts + " --full-precision" + how,
                "--ram");
  }
  for (const std::string& store : {stores.index, stores.log})
    take_advice("query " + store + " --k 1000 --queries " + stores.base, "--ram");
}

BOOST_AUTO_TEST_CASE(a_writer_does_with_what_its_refusal_names) {
  const Stores stores;
  for (const std::string& store : {stores.index, stores.log})
    for (const std::string delta : {"", " --delta 8MiB"}) {
      take_advice("insert --quiet " + store + " --input " + stores.base + " --batch 1000" + delta, "--ram");
      take_advice("delete " + store + " 1 2 3" + delta, "--ram");
    }
  take_advice(
      "import --quiet " + stores.path("made") + " --input " + stores.exported + " --keys " + stores.path("numbers"),
      "--ram");
}

// The options are named where more memory has to be given to a part of it.
BOOST_AUTO_TEST_CASE(a_full_delta_takes_more_until_it_suffices) {
  const Stores stores;
  int refusals = 0;
  std::string ram = "--ram 1KiB";
  for (int delta = 1; delta <= 64;) {
    const std::string store = stores.path("s" + std::to_string(refusals));
    must("create --dtype u8 " + store);
    const Ran ran = run("insert --quiet --merge manual --batch 50 " + store + " --input " + kBase +
                        " --count 6000 --delta " + std::to_string(delta) + "MiB " + ram);
    if (ran.exit_code == 0) break;
    BOOST_REQUIRE(++refusals < 20);
    if (mentions(ran.err, "--ram needs at least")) {
      ram = "--ram " + least_in(ran.err, "--ram");
      continue;
    }
    BOOST_TEST(mentions(ran.err, "(--delta " + std::to_string(delta) + ".0 MiB, --ram "), ran.err);
    delta *= 2;
  }
  BOOST_TEST(refusals >= 2);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
