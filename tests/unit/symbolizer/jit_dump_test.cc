#include "symbolizer/jit_dump.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace whyslow {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class Bytes {
 public:
  template <class T>
  Bytes& Put(T value) {
    const size_t at = text_.size();
    text_.resize(at + sizeof(T));
    std::memcpy(text_.data() + at, &value, sizeof(T));
    return *this;
  }
  Bytes& Text(std::string_view text) {
    text_ += text;
    text_ += '\0';
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

std::string Header() {
  return Bytes()
      .Put<uint32_t>(0x4A695444)
      .Put<uint32_t>(1)
      .Put<uint32_t>(40)
      .Put<uint32_t>(62)
      .Put<uint32_t>(0)
      .Put<uint32_t>(4711)
      .Put<uint64_t>(0)
      .Put<uint64_t>(0)
      .text();
}

std::string Record(uint32_t type, const std::string& body) {
  return Bytes().Put(type).Put(static_cast<uint32_t>(16 + body.size())).Put<uint64_t>(0).text() +
         body;
}

std::string Load(uint64_t start, uint64_t size, uint64_t index, std::string_view name) {
  return Record(
      0, Bytes().Put<uint64_t>(0).Put(start).Put(start).Put(size).Put(index).Text(name).text() +
             std::string(size, '\x90'));
}

std::string Move(uint64_t from, uint64_t to, uint64_t size, uint64_t index) {
  return Record(1, Bytes().Put<uint64_t>(0).Put(to).Put(from).Put(to).Put(size).Put(index).text());
}

std::vector<std::string> Found(const std::string& dump, const std::vector<uint64_t>& wanted) {
  std::vector<std::string> found;
  for (const JitHit& hit :
       FindJitCode(ReadJitDump(std::as_bytes(std::span(dump.data(), dump.size()))), wanted)) {
    found.push_back(hit.file.empty() ? hit.name
                                     : hit.name + " " + hit.file + ":" + std::to_string(hit.line));
  }
  return found;
}

TEST(JitDump, CodeHasItsName) {
  EXPECT_THAT(Found(Header() + Load(0x1000, 16, 1, "one") + Load(0x1010, 16, 2, "two"),
                    {0xfff, 0x1000, 0x100f, 0x1010, 0x1020}),
              ElementsAre("", "one", "one", "two", ""));
}

TEST(JitDump, LaterCodeTakesThePlaceOfEarlier) {
  EXPECT_THAT(Found(Header() + Load(0x1000, 32, 1, "old") + Load(0x1008, 8, 2, "new"),
                    {0x1000, 0x1008, 0x1010}),
              ElementsAre("old", "new", "old"));
}

TEST(JitDump, LinesComeBeforeTheirCode) {
  const std::string lines = Record(2, Bytes()
                                          .Put<uint64_t>(0x1000)
                                          .Put<uint64_t>(2)
                                          .Put<uint64_t>(0x1000)
                                          .Put<int32_t>(7)
                                          .Put<int32_t>(0)
                                          .Text("app.js")
                                          .Put<uint64_t>(0x1008)
                                          .Put<int32_t>(9)
                                          .Put<int32_t>(0)
                                          .Text("\xff")
                                          .text());
  EXPECT_THAT(Found(Header() + lines + Load(0x1000, 16, 1, "f"), {0x1000, 0x1007, 0x1008}),
              ElementsAre("f app.js:7", "f app.js:7", "f app.js:9"));
  EXPECT_THAT(Found(Header() + lines + Load(0x1000, 16, 1, "f") + Move(0x1000, 0x5000, 16, 1),
                    {0x5000, 0x5008}),
              ElementsAre("f app.js:7", "f app.js:9"));
}

// As V8 writes the name of a script when its memory was freed: the beginning is anything.
TEST(JitDump, LinesWhoseFileIsDamagedHaveThatOfTheFunction) {
  const std::string damaged = std::string("^)\1\0\0\0\0\0;7\x94u\xfe", 13) + "rv/app.js";
  const auto lines = [&](uint64_t first, uint64_t second) {
    return Record(2, Bytes().Put<uint64_t>(0x1000)
                             .Put<uint64_t>(2)
                             .Put<uint64_t>(first)
                             .Put<int32_t>(7)
                             .Put<int32_t>(0)
                             .Text(damaged)
                             .Put<uint64_t>(second)
                             .Put<int32_t>(9)
                             .Put<int32_t>(0)
                             .Text(damaged)
                             .text() +
                         std::string(5, '\0'));
  };
  EXPECT_THAT(
      Found(Header() + lines(0x1000, 0x1008) + Load(0x1000, 16, 1, "JS:*f /srv/app.js:2:18"),
            {0x1007, 0x1008}),
      ElementsAre("JS:*f /srv/app.js:2:18 /srv/app.js:7", "JS:*f /srv/app.js:2:18 /srv/app.js:9"));
  // Nothing is guessed where the function names no file, or the lines are not of its code.
  EXPECT_THAT(Found(Header() + lines(0x1000, 0x1008) + Load(0x1000, 16, 1, "f"), {0x1008}),
              ElementsAre("f"));
  EXPECT_THAT(
      Found(Header() + lines(0x1000, 0x9008) + Load(0x1000, 16, 1, "JS:*f /srv/app.js:2:18"),
            {0x1008}),
      ElementsAre("JS:*f /srv/app.js:2:18"));
}

TEST(JitDump, UnknownRecordsAreSkipped) {
  EXPECT_THAT(Found(Header() + Record(4, "unwinding") + Record(99, "?") + Load(0x1000, 8, 1, "f"),
                    {0x1000}),
              ElementsAre("f"));
}

TEST(JitDump, WhatIsCutOffGivesWhatCameBefore) {
  const std::string whole = Header() + Load(0x1000, 8, 1, "f") + Load(0x2000, 8, 2, "g");
  for (size_t size = 0; size <= whole.size(); ++size) {
    const std::vector<std::string> found = Found(whole.substr(0, size), {0x1000, 0x2000});
    EXPECT_EQ(found[0], size >= Header().size() + Load(0x1000, 8, 1, "f").size() ? "f" : "");
    EXPECT_EQ(found[1], size == whole.size() ? "g" : "");
  }
}

TEST(JitDump, OtherFilesAreNone) {
  EXPECT_THAT(ReadJitDump({}), IsEmpty());
  std::string swapped = Header() + Load(0x1000, 8, 1, "f");
  std::swap(swapped[0], swapped[3]);
  EXPECT_THAT(Found(swapped, {0x1000}), ElementsAre(""));
  // A count of lines that no file could hold.
  const std::string lines =
      Record(2, Bytes().Put<uint64_t>(0x1000).Put<uint64_t>(~uint64_t{0}).text());
  EXPECT_THAT(Found(Header() + lines + Load(0x1000, 8, 1, "f"), {0x1000}), ElementsAre("f"));
}

}  // namespace
}  // namespace whyslow
