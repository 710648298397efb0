#include "cli/recording.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/progress.h"
#include "profile/profile_builder.h"

namespace whyslow {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::Contains;
using ::testing::HasSubstr;

TEST(ProgressText, SaysHowFarHowManyAndHowMuchWasLost) {
  EXPECT_EQ(ProgressText(milliseconds(12'900), seconds(30), {.samples = 1188, .lost = 3}),
            "12 s of 30 s, 1,188 samples, 3 lost");
}

TEST(ProgressText, WithoutAnEndSaysHowToEndIt) {
  EXPECT_EQ(ProgressText(seconds(5), std::nullopt, {}), "5 s, 0 samples, 0 lost; Ctrl-C ends");
}

TEST(SummaryLine, TellsWhatHowGoodAndWhere) {
  Summary summary;
  summary.audit.samples = 2000;
  summary.audit.lost_in_kernel = 5;
  summary.audit.truncated = {{"stack copy ended", 20}};
  summary.audit.exact_cpu = seconds(20);
  summary.audit.own_cpu = milliseconds(100);
  summary.audit.duration = seconds(10);
  summary.unresolved_share = 0.005;
  summary.written = {"a.pb.gz", "b.svg"};

  EXPECT_EQ(SummaryLine(summary),
            "2,000 samples (20.00 s of CPU) in 10.0 s, waits not measured, 5 lost, 1.0 % "
            "truncated, 0.5 % of frames unresolved, own CPU 1.0 %; wrote a.pb.gz, b.svg");
}

TEST(SummaryLine, NamesTheChildsEndAndThatNothingWasWritten) {
  Summary summary;
  summary.child = "make exited with status 2";

  EXPECT_THAT(SummaryLine(summary), HasSubstr("; make exited with status 2; wrote nothing"));
}

TEST(UnresolvedShare, IsTheShareOfFramesWithoutAName) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"cpu_samples", "count"}, {"cpu", "nanoseconds"}});
  const ModuleIndex module = builder.AddModule({.path = builder.AddString("/bin/app")});
  const LocationIndex nameless = builder.AddLocation(module, 0x10);
  const LocationIndex named =
      builder.AddNamedLocation(module, builder.AddFunction({.name = builder.AddString("main")}), 0);
  builder.AddSample(builder.AddStack(std::vector{nameless, named}), LabelSetIndex(), {{1, 1}});
  builder.AddSample(builder.AddStack(std::vector{named}), LabelSetIndex(), {{3, 1}});

  // Five frames in four samples, one of them without a name.
  EXPECT_DOUBLE_EQ(UnresolvedShare(builder.profile()), 0.2);
  EXPECT_DOUBLE_EQ(UnresolvedShare(Profile()), 0);
}

TEST(HeadComments, TellWhatWasAskedFor) {
  Options options;
  options.command_line = "whyslow attach --pid 7";

  EXPECT_THAT(HeadComments(options, "process 7"), Contains("command: whyslow attach --pid 7"));
  EXPECT_THAT(HeadComments(options, "process 7"), Contains("target: process 7"));
  EXPECT_THAT(HeadComments(options, "process 7"), Contains("frequency: 99 Hz"));
}

}  // namespace
}  // namespace whyslow
