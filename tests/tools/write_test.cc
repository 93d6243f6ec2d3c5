// SPDX-License-Identifier: Apache-2.0
//
// The promise as anybody can test it from outside: insert, be killed, look what is there.
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <thread>

#include "tests/tools/every_command.h"
#include "tests/tools/inserting.h"

namespace vecstore {
namespace {

using namespace test;

const std::string kBase = shipped_data("csift55k.base.u8bin");

std::string json_of(const std::string& arguments) {
  const Ran ran = run(arguments + " --json");
  BOOST_TEST(ran.exit_code == 0, ran.err);
  return ran.out;
}

BOOST_AUTO_TEST_SUITE(write_commands)

BOOST_AUTO_TEST_CASE(a_store_is_made_filled_searched_and_emptied) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s");
  BOOST_TEST(run("create " + store + " --dtype u8 --metric l2").exit_code == 0);
  BOOST_TEST(mentions(refused("create " + store, 1), "a store is there already"));
  const Ran inserted = run("insert " + store + " --input " + kBase + " --count 500 --batch 120 --ack");
  BOOST_TEST(inserted.exit_code == 0, inserted.err);
  BOOST_TEST(inserted.out == "acked 120 120\nacked 240 240\nacked 360 360\nacked 480 480\nacked 500 500\n");

  // A file of eleven vectors and their documents, on top.
  std::string documents;
  for (int i = 0; i < 11; ++i) documents += "{\"title\": \"number " + std::to_string(i) + "\"}\n";
  write_file(directory.path("documents"), {documents.begin(), documents.end()});
  BOOST_TEST(run("convert " + kBase + " " + directory.path("few.u8bin") + " --count 11 --first-row 600").exit_code ==
             0);
  BOOST_TEST(run("insert " + store + " --input " + directory.path("few.u8bin") + " --first-key 9000 --documents " +
                 directory.path("documents"))
                 .exit_code == 0);

  const auto stats = nlohmann::json::parse(json_of("stats " + store));
  BOOST_TEST(stats["rows"] == 511);
  BOOST_TEST(stats["delta_rows"] == 511);
  BOOST_TEST(stats["durable_lsn"] == 511);
  BOOST_TEST(stats["wal_bytes"].get<std::uint64_t>() >= 1u << 20);

  const auto item = nlohmann::json::parse(json_of("get " + store + " 9003"));
  BOOST_TEST(item["vector"].size() == 128u);
  BOOST_TEST(item["document"]["title"] == "number 3");
  const Ran query = run("query " + store + " --queries " + directory.path("few.u8bin") + " --row 3 --k 1");
  BOOST_TEST(mentions(query.out, "key 9003"), query.out);
  BOOST_TEST(mentions(query.out, "number 3"), query.out);

  BOOST_TEST(mentions(run("delete " + store + " 9003 0 77777").out, "2 deleted, 509 rows"));
  BOOST_TEST(mentions(refused("get " + store + " 9003", 1), "no such key"));
  BOOST_TEST(mentions(refused("get " + store + " word", 2), "numbers"));
  BOOST_TEST(run("export " + store + " --output " + directory.path("out.u8bin") + " --keys " + directory.path("keys"))
                 .exit_code == 0);
  const std::string keys = text_of(directory.path("keys"));
  BOOST_TEST(std::count(keys.begin(), keys.end(), '\n') == 509);
  BOOST_TEST(keys.starts_with("1\n2\n"));
  BOOST_TEST(keys.ends_with("9009\n9010\n"));
  BOOST_TEST(std::filesystem::file_size(directory.path("out.u8bin")) == 8 + 509 * 128u);
  BOOST_TEST(run("verify " + store + " --deep").exit_code == 0);
  BOOST_TEST(run("info " + store).exit_code == 0);
  BOOST_TEST(nlohmann::json::parse(json_of("info " + store))["n"] == 509);
}

// Keys of Windows had the carriage return, and the first one the mark, as a part of them, and no row was found by its
// key.
BOOST_AUTO_TEST_CASE(keys_and_documents_of_windows_are_found_by_their_keys) {
  const TemporaryDirectory directory;
  const std::string vectors = write_fbin(directory.path("v.fbin"), 2, 4), store = directory.path("store");
  const auto write = [&](const std::string& name, const std::string& text) {
    write_file(directory.path(name), {text.begin(), text.end()});
    return directory.path(name);
  };
  const std::string sides = " --quiet --input " + vectors + " --keys " +
                            write("keys",
                                  "\xEF\xBB\xBF"
                                  "a0\r\na1\r\n") +
                            " --documents " +
                            write("documents",
                                  "\xEF\xBB\xBF"
                                  "{\"n\": 0}\r\none\r\n");
  BOOST_TEST(run("create " + store + " --key-type bytes").exit_code == 0);
  BOOST_TEST(run("insert " + store + sides).exit_code == 0);
  BOOST_TEST(run("build --no-calibration --output " + directory.path("built") + sides).exit_code == 0);
  BOOST_TEST(run("import " + directory.path("imported") + " --key-type bytes" + sides).exit_code == 0);
  for (const char* name : {"store", "built", "imported"}) {
    BOOST_TEST(run("get " + directory.path(name) + " a0").out == "0.25 0.25 0.25 0.25\n{\"n\": 0}\n", name);
    BOOST_TEST(run("get " + directory.path(name) + " a1").out == "1.25 1.25 1.25 1.25\none\n", name);
  }
  BOOST_TEST(mentions(run("delete " + store + " --keys " + directory.path("keys")).out, "2 deleted, 0 rows"));

  const std::string numbers = directory.path("numbers");
  BOOST_TEST(run("create " + numbers).exit_code == 0);
  BOOST_TEST(run("insert " + numbers + " --quiet --input " + vectors + " --keys " +
                 write("k",
                       "\xEF\xBB\xBF"
                       "7\r\n8\r\n"))
                 .exit_code == 0);
  BOOST_TEST(run("get " + numbers + " 7").exit_code == 0);

  // The advice for text of two bytes a character, taken.
  const std::string wide = write("wide", std::string("\xFF\xFE"
                                                     "5\0\r\0\n\0"
                                                     "6\0\r\0\n\0",
                                                     14));
  const std::string insert = "insert " + numbers + " --quiet --input " + vectors + " --keys ";
  BOOST_TEST(mentions(refused(insert + wide, 1), "iconv -f UTF-16 -t UTF-8 FILE"));
  BOOST_TEST(std::system(("iconv -f UTF-16 -t UTF-8 " + wide + " >" + directory.path("narrow")).c_str()) == 0);
  BOOST_TEST(run(insert + directory.path("narrow")).exit_code == 0);
  BOOST_TEST(run("get " + numbers + " 6").out == "1.25 1.25 1.25 1.25\n");
}

BOOST_AUTO_TEST_CASE(what_was_exported_is_imported) {
  const TemporaryDirectory directory;
  const std::string first = directory.path("first");
  const auto files = [&](const std::string& name) {
    return " --keys " + directory.path(name + ".keys") + " --documents " + directory.path(name + ".documents");
  };
  std::string keys;
  std::string documents;
  for (int i = 0; i < 2500; ++i) {
    keys += "row " + std::to_string(i) + "\n";
    documents += i % 3 == 0 ? "\n" : "{\"n\": " + std::to_string(i) + "}\n";
  }
  write_file(directory.path("in.keys"), {keys.begin(), keys.end()});
  write_file(directory.path("in.documents"), {documents.begin(), documents.end()});
  const std::string in = directory.path("in.u8bin");
  BOOST_TEST(run("convert " + kBase + " " + in + " --count 2500").exit_code == 0);
  const Ran built = run("build --input " + in + files("in") + " --output " + first + " --quiet");
  BOOST_TEST(built.exit_code == 0, built.err);
  BOOST_TEST(run("delete " + first + " 'row 7' 'row 2499'").exit_code == 0);
  const std::string out = directory.path("out.u8bin");
  BOOST_TEST(run("export " + first + " --output " + out + files("out")).exit_code == 0);

  const std::string second = directory.path("second");
  const std::string import = "import " + second + " --input " + out + files("out");
  BOOST_TEST(mentions(refused(import, 2), "numbers"));
  BOOST_TEST(!std::filesystem::exists(second));
  BOOST_TEST(mentions(run(import + " --key-type bytes").out, "2498 imported, 2498 rows"));
  BOOST_TEST(mentions(run(import).out, "2498 imported, 2498 rows"));  // again, in the place of themselves
  const std::string back = directory.path("back.u8bin");
  BOOST_TEST(run("export " + second + " --output " + back + files("back")).exit_code == 0);
  BOOST_TEST((read_file(back) == read_file(out)));
  for (const char* ending : {".keys", ".documents"})
    BOOST_TEST((read_file(directory.path(std::string("back") + ending)) ==
                read_file(directory.path(std::string("out") + ending))));
}

// A text that ends in a carriage return lost it, and one that begins as UTF-16 or zstd does was refused.
BOOST_AUTO_TEST_CASE(texts_of_any_bytes_but_newlines_are_imported_as_they_were_exported) {
  const std::vector<std::string> texts = {"plain",
                                          "ends\r",
                                          "ends\r\r",
                                          "\r",
                                          "in\rside",
                                          "\xEF\xBB\xBFmark",
                                          "\xFF\xFE wide",
                                          "\xFE\xFF",
                                          "\x28\xB5\x2F\xFD frame",
                                          std::string(479, 'k') + "\r",
                                          std::string("\0\x80", 2)};
  const float vector[] = {1, 2};
  for (const std::string& first : texts) {
    const TemporaryDirectory directory;
    const std::string from = directory.path("from"), to = directory.path("to");
    std::vector<std::string> all{first};
    for (const std::string& text : texts)
      if (text != first) all.push_back(text);
    REQUIRE_OK(Store::create(from, {.keys = KeyKind::kBytes}));
    {
      auto store = Store::open(from, {.access = Access::kReadWrite, .sync = SyncMode::kNone});
      REQUIRE_OK(store);
      for (const std::string& text : all) REQUIRE_OK(store->put(text, {vector, DType::kF32, 1, 2}, text));
      REQUIRE_OK(store->close());
    }
    const std::string files = " --keys " + directory.path("keys") + " --documents " + directory.path("documents");
    const Ran exported = run("export " + from + " --output " + directory.path("v.fbin") + files);
    BOOST_TEST(exported.exit_code == 0, exported.err);
    const Ran imported = run("import " + to + " --key-type bytes --input " + directory.path("v.fbin") + files);
    BOOST_TEST(imported.exit_code == 0, imported.err);
    const auto store = Store::open(to);
    REQUIRE_OK(store);
    BOOST_TEST(store->size() == all.size());
    for (const std::string& text : all) {
      const auto item = store->get(text);
      REQUIRE_OK(item);
      BOOST_TEST((item->document == text));
    }
  }
}

BOOST_AUTO_TEST_CASE(a_text_with_a_newline_is_refused_with_its_key_and_what_to_do) {
  const TemporaryDirectory directory;
  const std::string path = directory.path("s"), vectors = directory.path("v.fbin");
  const float vector[] = {1, 2};
  REQUIRE_OK(Store::create(path, {.keys = KeyKind::kBytes}));
  const auto change = [&](const auto& what) {
    auto store = Store::open(path, {.access = Access::kReadWrite});
    REQUIRE_OK(store);
    what(*store);
    REQUIRE_OK(store->close());
  };
  const std::string keys = " --output " + vectors + " --keys " + directory.path("k");
  const std::string both = keys + " --documents " + directory.path("d");
  change([&](Store& store) { REQUIRE_OK(store.put("a", {vector, DType::kF32, 1, 2}, "two\nlines")); });
  const std::string line = refused("export " + path + both, 1);
  BOOST_TEST(mentions(line, directory.path("d") + " (key a): row 0: the document has a newline"), line);
  BOOST_TEST(!std::filesystem::exists(vectors));
  BOOST_TEST(run("export " + path + keys).exit_code == 0);  // as it says: documents left out
  change([&](Store& store) { REQUIRE_OK(store.put("a", {vector, DType::kF32, 1, 2}, "")); });
  BOOST_TEST(run("export " + path + both + " --overwrite").exit_code == 0);  // or put without
  change([&](Store& store) { REQUIRE_OK(store.put("b\nc", {vector, DType::kF32, 1, 2})); });
  BOOST_TEST(mentions(refused("export " + path + both + " --overwrite", 1), "the key has a newline"));
  change([&](Store& store) {
    REQUIRE_OK(store.put("bc", {vector, DType::kF32, 1, 2}));
    REQUIRE_OK(store.erase("b\nc"));
  });
  BOOST_TEST(run("export " + path + both + " --overwrite").exit_code == 0);
}

BOOST_AUTO_TEST_CASE(a_damaged_log_is_told_and_salvaged) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s");
  BOOST_TEST(run("create " + store + " --dtype u8").exit_code == 0);
  BOOST_TEST(run("insert " + store + " --input " + kBase + " --count 30 --batch 10").exit_code == 0);
  const std::string segment = store + "/wal/log-1";
  auto bytes = read_file(segment);
  bytes[4096 + 100] = static_cast<char>(bytes[4096 + 100] ^ 1);  // in the first batch
  write_file(segment, bytes);
  BOOST_TEST(mentions(refused("stats " + store, 3), "salvage"));
  const Ran salvaged = run("salvage " + store + " --output " + directory.path("t"));
  BOOST_TEST(mentions(salvaged.out, "20 rows; 20 records of the log took effect, 0 did not"),
             salvaged.out << salvaged.err);
  BOOST_TEST(mentions(refused("salvage " + store + " --output " + directory.path("t"), 1), "already"));
  BOOST_TEST(mentions(run("stats " + directory.path("t")).out, "rows                  20"));
}

BOOST_AUTO_TEST_CASE(wrong_use_is_told) {
  const TemporaryDirectory directory;
  const std::string store = directory.path("s");
  BOOST_TEST(run("create " + store + " --dtype f64").exit_code == 2);
  refused("create " + store + " --dim 5000", 2);
  BOOST_TEST(run("create " + store + " --dtype u8 --key-type bytes").exit_code == 0);
  const std::string insert = "insert " + store + " --input " + kBase + " --count 3 ";
  BOOST_TEST(mentions(refused(insert, 2), "byte strings"));
  BOOST_TEST(run(insert + "--sync sometimes").exit_code == 2);
  refused(insert + "--batch 0", 2);
  BOOST_TEST(mentions(refused(insert + "--keys /nonexistent", 1), "/nonexistent"));
  write_file(directory.path("keys"), {'a', '\n', 'b', '\n'});
  BOOST_TEST(mentions(refused(insert + "--batch 2 --quiet --keys " + directory.path("keys"), 1), "(2 lines, 55"));
  BOOST_TEST(mentions(run("stats " + store).out, "rows                  0"), run("stats " + store).out);
  BOOST_TEST(mentions(refused("insert " + store + " --input " + shipped_data("win384-8k.query.f16bin") +
                                  " --count 2 --quiet --keys " + directory.path("keys"),
                              2),
                      "element type"));
  BOOST_TEST(mentions(refused("delete " + store, 2), "name the keys"));
  BOOST_TEST(mentions(refused("insert /nonexistent --input " + kBase, 1), "/nonexistent"));
}

// The program is killed while it inserts, again and again, and goes on from what was acknowledged. VECSTORE_KILLS=<n>
// kills it more often.
BOOST_AUTO_TEST_CASE(what_was_acknowledged_survives_being_killed) {
  const char* kills = std::getenv("VECSTORE_KILLS");
  const int cycles = kills == nullptr ? 60 : std::atoi(kills);
  const TemporaryDirectory directory;
  const std::string path = directory.path("s");
  REQUIRE_OK(Store::create(path, {.dtype = DType::kU8}));
  const auto base = open_vector_file(kBase);
  REQUIRE_OK(base);
  Random random(11);
  std::uint64_t acknowledged = 0;
  for (int cycle = 0; cycle < cycles; ++cycle) {
    // A file of its own: a child that is killed before it gets there must not leave the one before to be read.
    const std::string out = directory.path("out" + std::to_string(cycle));
    write_file(out, {});
    const pid_t child = ::fork();
    BOOST_REQUIRE(child >= 0);
    if (child == 0) {
      const std::string first = std::to_string(acknowledged);
      if (std::freopen(out.c_str(), "w", stdout) == nullptr) ::_exit(1);
      ::execl(VECSTORE_CLI, VECSTORE_CLI, "insert", path.c_str(), "--input", kBase.c_str(), "--skip", first.c_str(),
              "--first-key", first.c_str(), "--batch", "7", "--ack", static_cast<char*>(nullptr));
      ::_exit(127);
    }
    std::this_thread::sleep_for(std::chrono::microseconds(3000 + random.below(25000)));
    ::kill(child, SIGKILL);
    int status = 0;
    BOOST_REQUIRE(::waitpid(child, &status, 0) == child);
    BOOST_REQUIRE(WIFSIGNALED(status));
    const std::uint64_t rows = acknowledged_in(out);
    const auto store = Store::open(path);
    BOOST_REQUIRE_MESSAGE(store.has_value(), "cycle " << cycle << ": " << message_of(store));
    const std::uint64_t there = store->size();
    BOOST_REQUIRE_MESSAGE(there >= acknowledged + rows && there <= acknowledged + rows + 7,
                          "cycle " << cycle << ": " << there << " rows, acknowledged " << acknowledged + rows);
    check_some_rows(*store, **base, random);
    acknowledged = there;
  }
  BOOST_TEST_MESSAGE(cycles << " kills, " << acknowledged << " rows");
  BOOST_TEST(acknowledged > 0u);
}

BOOST_AUTO_TEST_SUITE_END()

}  // namespace
}  // namespace vecstore
