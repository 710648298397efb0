#include "cli/output_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace whyslow {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class OutputFilesTest : public ::testing::Test {
 protected:
  OutputFilesTest() {
    std::string name = (std::filesystem::temp_directory_path() / "whyslow-test.XXXXXX").string();
    folder_ = mkdtemp(name.data());
  }
  ~OutputFilesTest() override { std::filesystem::remove_all(folder_); }

  std::string In(const std::string& name) const { return (folder_ / name).string(); }
  std::vector<std::string> Files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      names.push_back(entry.path().filename().string());
    }
    return names;
  }

  static std::vector<std::string> Resolved(const OutputChoice& choice) {
    const auto outputs = ResolveOutputs(choice, "base");
    std::vector<std::string> texts;
    if (!outputs.ok()) {
      texts.emplace_back(outputs.status().message());
      return texts;
    }
    for (const OutputFile& output : *outputs) {
      texts.push_back(output.path + " " + std::string(output.format->name));
    }
    return texts;
  }

  static absl::Status Check(const std::string& path) {
    return CheckAllWritable(*ResolveOutputs({.paths = {path}}, ""), "");
  }

  std::filesystem::path folder_;
};

TEST_F(OutputFilesTest, TheDefaultNameHasPidAndUtcTime) {
  EXPECT_EQ(DefaultBaseName("4711", 1767225600), "whyslow-4711-20260101T000000Z");
  EXPECT_THAT(Resolved({}), ElementsAre("base.pb.gz pprof"));
  EXPECT_THAT(Resolved({.format = "folded"}), ElementsAre("base.folded folded"));
}

TEST_F(OutputFilesTest, FormatsFollowNamesAndFormatServesTheRest) {
  EXPECT_THAT(Resolved({.paths = {"a.pprof", "x.folded", "-", "odd"}, .format = "folded"}),
              ElementsAre("a.pprof pprof", "x.folded folded", "- folded", "odd folded"));
}

TEST_F(OutputFilesTest, NamesThatDoNotTellAreWrongUsage) {
  EXPECT_THAT(Resolved({.paths = {"x.gif"}}), ElementsAre(HasSubstr("--format NAME")));
  EXPECT_THAT(Resolved({.paths = {"-"}}), ElementsAre(HasSubstr("--format NAME")));
}

TEST_F(OutputFilesTest, AFormatThatNoOutputUsesIsWrongUsage) {
  EXPECT_THAT(Resolved({.paths = {"x.pb.gz"}, .format = "folded"}),
              ElementsAre(HasSubstr("the names of all outputs tell another format")));
}

TEST_F(OutputFilesTest, OneFileTwiceIsWrongUsage) {
  EXPECT_THAT(Resolved({.paths = {"x.folded", "./x.folded"}}),
              ElementsAre(HasSubstr("x.folded: it is given twice")));
}

TEST_F(OutputFilesTest, AFolderThatIsMissingIsFoundBeforehand) {
  const absl::Status status = Check(In("missing/x.folded"));

  EXPECT_THAT(std::string(status.message()), HasSubstr("No such file or directory"));
  EXPECT_THAT(std::string(status.message()), HasSubstr("Create the folder first"));
}

TEST_F(OutputFilesTest, AFolderInThePlaceOfTheFileIsFoundBeforehand) {
  std::filesystem::create_directory(In("x.folded"));

  EXPECT_THAT(std::string(Check(In("x.folded")).message()), HasSubstr("Is a directory"));
}

TEST_F(OutputFilesTest, TryingLeavesNothingBehind) {
  EXPECT_TRUE(Check(In("x.folded")).ok());
  EXPECT_THAT(Files(), IsEmpty());
}

TEST_F(OutputFilesTest, AFileInPlaceOfAFolderIsFoundBeforehand) {
  std::ofstream(In("file")) << "x";

  EXPECT_THAT(std::string(Check(In("file/x.folded")).message()), HasSubstr("Not a directory"));
}

TEST_F(OutputFilesTest, OneFailingOutputDoesNotKeepTheOthersFromBeingWritten) {
  const auto signals = *SignalWatcher::Start();
  const auto outputs = *ResolveOutputs({.paths = {In("missing/a.folded"), In("b.folded")}}, "");

  const WriteResult result = WriteOutputs(Profile(), outputs, ExportOptions(), *signals);

  EXPECT_THAT(result.written, ElementsAre(In("b.folded")));
  EXPECT_THAT(result.failed, SizeIs(1));
  EXPECT_THAT(Files(), ElementsAre("b.folded"));
}

TEST_F(OutputFilesTest, FilesAreForTheUserAlone) {
  const auto signals = *SignalWatcher::Start();
  const auto outputs = *ResolveOutputs({.paths = {In("b.folded")}}, "");

  WriteOutputs(Profile(), outputs, ExportOptions(), *signals);

  struct stat info {};
  ASSERT_EQ(stat(In("b.folded").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777u, 0600u);
}

TEST_F(OutputFilesTest, AProfileIsRescuedToTheTemporaryFolder) {
  setenv("TMPDIR", folder_.c_str(), 1);

  const absl::StatusOr<std::string> path = RescueProfile(Profile(), "whyslow-1-x");

  unsetenv("TMPDIR");
  ASSERT_TRUE(path.ok());
  EXPECT_THAT(*path, EndsWith("/whyslow-1-x.pb.gz"));
  EXPECT_THAT(Files(), ElementsAre("whyslow-1-x.pb.gz"));
}

}  // namespace
}  // namespace whyslow
