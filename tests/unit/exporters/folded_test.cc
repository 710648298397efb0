#include "exporters/folded.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>
#include <sstream>

#include "profile/profile_builder.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

std::vector<std::string> Folded(const Profile& profile, const ExportOptions& options = {}) {
  std::ostringstream out;
  EXPECT_TRUE(FoldedExporter(options).Write(profile, out).ok());
  std::istringstream in(out.str());
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) {
    lines.push_back(line);
  }
  return lines;
}

int64_t ValueOf(const std::string& line) { return std::stoll(line.substr(line.rfind(' ') + 1)); }

int64_t TotalOf(const std::vector<std::string>& lines) {
  return std::accumulate(lines.begin(), lines.end(), int64_t{0},
                         [](int64_t sum, const std::string& line) { return sum + ValueOf(line); });
}

class FoldedTest : public testing::Test {
 protected:
  FoldedTest() { builder_.SetValueTypes({{"wall", "nanoseconds"}}); }

  LocationIndex Frame(std::string_view name, std::string_view file = "", int64_t line = 0,
                      ModuleKind kind = ModuleKind::kFile) {
    const ModuleIndex module =
        builder_.AddModule({.kind = kind, .path = builder_.AddString("/bin/app")});
    return builder_.AddNamedLocation(
        module,
        builder_.AddFunction({.name = builder_.AddString(name), .file = builder_.AddString(file)}),
        line);
  }
  void Add(std::vector<LocationIndex> leaf_first, int64_t nanoseconds,
           std::vector<Label> labels = {}) {
    builder_.AddSample(builder_.AddStack(leaf_first), builder_.AddLabels(labels), {{nanoseconds}});
  }
  std::vector<std::string> Lines(const ExportOptions& options = {}) {
    return Folded(builder_.profile(), options);
  }

  ProfileBuilder builder_;
};

TEST_F(FoldedTest, FramesGoFromTheRootToTheLeaf) {
  Add({Frame("leaf"), Frame("middle"), Frame("root")}, 5000);

  EXPECT_THAT(Lines(), ElementsAre("root;middle;leaf 5"));
}

TEST_F(FoldedTest, AThreadsNameLeadsAndTheMainThreadGoesByItsProcess) {
  Add({Frame("f")}, 1000,
      {builder_.TextLabel("thread", "io-1"), builder_.TextLabel("process", "server"),
       builder_.NumberLabel("pid", 7), builder_.NumberLabel("tid", 8)});
  Add({Frame("f")}, 2000,
      {builder_.TextLabel("thread", "renamed"), builder_.TextLabel("process", "server"),
       builder_.NumberLabel("pid", 7), builder_.NumberLabel("tid", 7)});

  EXPECT_THAT(Lines(), ElementsAre("io-1;f 1", "server;f 2"));
}

TEST_F(FoldedTest, OtherLeadingFramesComeInTheOrderGiven) {
  Add({Frame("f")}, 1000,
      {builder_.TextLabel("thread", "io-1"), builder_.TextLabel("process", "server")});

  EXPECT_THAT(Lines({.roots = {RootFrame::kProcess, RootFrame::kThread}}),
              ElementsAre("server;io-1;f 1"));
  EXPECT_THAT(Lines({.roots = {}}), ElementsAre("f 1"));
}

TEST_F(FoldedTest, AThreadWithoutANameGoesByItsNumber) {
  Add({Frame("f")}, 1000, {builder_.NumberLabel("tid", 9)});

  EXPECT_THAT(Lines(), ElementsAre("[thread 9];f 1"));
}

TEST_F(FoldedTest, KernelFramesAreMarked) {
  Add({Frame("vfs_read", "", 0, ModuleKind::kKernel)}, 1000);

  EXPECT_THAT(Lines(), ElementsAre("vfs_read_[k] 1"));
}

TEST_F(FoldedTest, PythonFramesNameTheirFileAndWhenAskedTheirLine) {
  Add({Frame("View.get", "/srv/app/views.py", 12, ModuleKind::kPython)}, 1000);

  EXPECT_THAT(Lines(), ElementsAre("View.get (views.py) 1"));
  EXPECT_THAT(Lines({.lines = true}), ElementsAre("View.get (views.py:12) 1"));
}

TEST_F(FoldedTest, TwoLinesOfOnePythonFunctionAreOneStackWithoutLines) {
  Add({Frame("f", "a.py", 1, ModuleKind::kPython)}, 1000);
  Add({Frame("f", "a.py", 2, ModuleKind::kPython)}, 2000);

  EXPECT_THAT(Lines(), ElementsAre("f (a.py) 3"));
  EXPECT_THAT(Lines({.lines = true}), ElementsAre("f (a.py:1) 1", "f (a.py:2) 2"));
}

TEST_F(FoldedTest, SeparatorsInNamesAreReplaced) {
  Add({Frame("a;b\nc\td")}, 1000, {builder_.TextLabel("thread", "x;y")});

  EXPECT_THAT(Lines(), ElementsAre("x:y;a:b c d 1"));
}

TEST_F(FoldedTest, AWaitNamesItsPeerAndProtocol) {
  Add({Frame("[wait: socket]", "", 0, ModuleKind::kWait), Frame("f")}, 1000,
      {builder_.TextLabel("peer", "127.0.0.1:5432"), builder_.TextLabel("protocol", "postgresql")});
  Add({Frame("[wait: sleep]", "", 0, ModuleKind::kWait), Frame("f")}, 1000);

  EXPECT_THAT(Lines(),
              ElementsAre("f;[wait: sleep] 1", "f;[wait: socket 127.0.0.1:5432 postgresql] 1"));
}

TEST(Folded, AWaitSaysWhatItsKindIsToldApartBy) {
  const std::vector<std::string> lines = Folded(WaitingProfile(), {.roots = {}});

  for (const char* frame :
       {"[wait: tls 10.0.0.1:443 https handshake] 80000", "[wait: file /var/lib/x.db] 20000",
        "[wait: syscall getrandom] 7000", "[wait: mutex] 200000",
        "[wait: accept 0.0.0.0:8080] 4000000", "[wait: socket 127.0.0.1:5432 postgresql] 1200000",
        "[wait: runqueue] 2000"}) {
    EXPECT_THAT(lines, testing::Contains(testing::EndsWith(frame)));
  }
}

TEST(Folded, AnotherProgramsWaitFrameStaysAsItIs) {
  Profile profile = WaitingProfile();
  for (std::string& text : profile.strings) {
    text = text == "[wait: sleep]" ? "[waiting] for rain" : text;
  }

  EXPECT_THAT(Folded(profile), testing::Contains(HasSubstr(";[waiting] for rain 200000")));
}

TEST(Folded, AProfileOfWaitsCountsMicroseconds) {
  Profile profile = WaitingProfile();
  profile.default_sample_type = profile.value_types[3].type;

  EXPECT_EQ(TotalOf(Folded(profile)), 15'159'000);
}

TEST_F(FoldedTest, UnresolvedFramesNameModuleAndOffset) {
  const ModuleIndex libc = builder_.AddModule({.path = builder_.AddString("/lib/libc.so.6")});
  Add({builder_.AddLocation(libc, 0x8a3f)}, 1000);

  EXPECT_THAT(Lines(), ElementsAre("[libc.so.6+0x8a3f] 1"));
}

TEST_F(FoldedTest, ASampleWithoutAStackIsNotLost) {
  Add({}, 1000);

  EXPECT_THAT(Lines(), ElementsAre("[no stack] 1"));
}

TEST_F(FoldedTest, TheTotalIsTheProfilesRoundedTotal) {
  Add({Frame("a")}, 333);
  Add({Frame("b")}, 333);
  Add({Frame("c")}, 334);
  Add({Frame("d")}, 1'000'499);

  EXPECT_EQ(TotalOf(Lines()), 1001);
}

TEST(Folded, AWallProfileSumsUpToItsMicroseconds) {
  EXPECT_EQ(TotalOf(Folded(ServerProfile())), 1'000'000);
}

TEST(Folded, ACpuProfileCountsSamples) {
  EXPECT_THAT(Folded(CpuProfile()),
              ElementsAre("gunicorn;main;copy_page_[k] 30", "gunicorn;main;sort 70"));
}

TEST(Folded, InlinedFunctionsAreFramesOfTheirOwn) {
  EXPECT_THAT(Folded(ServerProfile()),
              testing::Contains(HasSubstr(";json::Parse(std::basic_string_view<char>);"
                                          "std::vector<int, std::allocator<int> >::push_back")));
}

TEST(Folded, HostileNamesAddNoLinesAndNoControls) {
  const std::vector<std::string> lines = Folded(HostileProfile());

  EXPECT_EQ(lines.size(), 26U);
  EXPECT_THAT(lines, testing::Each(Not(testing::AnyOf(HasSubstr("\x1b"), HasSubstr("\xff")))));
}

TEST(Folded, AnEmptyProfileIsAnEmptyFile) { EXPECT_TRUE(Folded(Profile()).empty()); }

}  // namespace
}  // namespace whyslow
