#include "exporters/exporter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>
#include <streambuf>

#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

using testing::HasSubstr;

std::string NameFor(std::string_view path) {
  const absl::StatusOr<const Format*> format = FindFormatForFile(path);
  return format.ok() ? std::string((*format)->name) : std::string();
}

// A disk that is full after some bytes.
class FullDisk : public std::streambuf {
 public:
  explicit FullDisk(std::streamsize room) : room_(room) {}

 protected:
  int_type overflow(int_type character) override {
    return room_-- > 0 ? traits_type::not_eof(character) : traits_type::eof();
  }
  std::streamsize xsputn(const char*, std::streamsize count) override {
    const std::streamsize taken = std::min(count, std::max<std::streamsize>(room_, 0));
    room_ -= taken;
    return taken;
  }

 private:
  std::streamsize room_;
};

TEST(Formats, FollowTheNameOfTheFile) {
  EXPECT_EQ(NameFor("whyslow-1-20260101T000000Z.pb.gz"), "pprof");
  EXPECT_EQ(NameFor("/a/b.pprof"), "pprof");
  EXPECT_EQ(NameFor("a.folded"), "folded");
  EXPECT_EQ(NameFor("a.collapsed"), "folded");
  EXPECT_EQ(NameFor("a.txt"), "folded");
  EXPECT_EQ(NameFor("a.b.svg"), "svg");
  EXPECT_EQ(NameFor("a.json"), "json");
}

TEST(Formats, AnUnknownNameIsAnErrorThatNamesWhatThereIs) {
  const absl::StatusOr<const Format*> by_file = FindFormatForFile("out.gz");
  const absl::StatusOr<const Format*> by_name = FindFormatByName("PDF");

  EXPECT_THAT(std::string(by_file.status().message()), HasSubstr(".pb.gz"));
  EXPECT_THAT(std::string(by_name.status().message()), HasSubstr("folded"));
  EXPECT_TRUE(FindFormatByName("svg").ok());
}

class EveryFormat : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Exporter> Make() const {
    return (*FindFormatByName(GetParam()))->make(ExportOptions());
  }
};

TEST_P(EveryFormat, WritesTheSameBytesTwice) {
  std::ostringstream first;
  std::ostringstream second;

  ASSERT_TRUE(Make()->Write(ServerProfile(), first).ok());
  ASSERT_TRUE(Make()->Write(ServerProfile(), second).ok());

  EXPECT_EQ(first.str(), second.str());
  EXPECT_FALSE(first.str().empty());
}

TEST_P(EveryFormat, TellsThatTheDiskIsFull) {
  FullDisk at_once(0);
  FullDisk later(100);
  std::ostream first(&at_once);
  std::ostream second(&later);

  EXPECT_FALSE(Make()->Write(ServerProfile(), first).ok());
  EXPECT_FALSE(Make()->Write(ServerProfile(), second).ok());
}

TEST_P(EveryFormat, TakesAProfileWithoutAnything) {
  std::ostringstream out;

  EXPECT_TRUE(Make()->Write(Profile(), out).ok());
}

TEST_P(EveryFormat, TakesAVeryDeepStack) {
  std::ostringstream out;

  EXPECT_TRUE(Make()->Write(LargeProfile(/*frames=*/20'000, /*depth=*/20'000), out).ok());
}

INSTANTIATE_TEST_SUITE_P(All, EveryFormat, testing::Values("pprof", "folded", "svg", "json"),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace whyslow
