#include "exporters/flamegraph_svg.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "exporters/flame_colors.h"
#include "exporters/profile_title.h"
#include "exporters/shown_value.h"
#include "profile/profile_builder.h"
#include "profile/wait_kind.h"
#include "tests/support/sample_profiles.h"

// How the picture looks and behaves is asked in a browser: tests/integration/readers.
namespace whyslow {
namespace {

using testing::HasSubstr;
using testing::Pair;

std::string Svg(const Profile& profile, const ExportOptions& options = {}) {
  std::ostringstream out;
  EXPECT_TRUE(FlamegraphSvgExporter(options).Write(profile, out).ok());
  return out.str();
}

FlameTree TreeOf(const Profile& profile) {
  return MakeFlameTree(profile, 0, [&](size_t index, std::vector<FlameFrame>& out) {
    AppendFlameFrames(profile, profile.samples[index], out);
  });
}

TEST(FlamegraphSvg, AProfileWithoutSamplesSaysSo) {
  EXPECT_THAT(Svg(Profile()), HasSubstr("The profile has no samples."));
}

TEST(FlamegraphSvg, AChosenTitleReplacesTheTarget) {
  EXPECT_THAT(Svg(ServerProfile(), {.title = "before & after"}),
              HasSubstr("before &amp; after</text>"));
}

TEST(FlamegraphSvg, TimesBeyondExactNumbersGoInMicroseconds) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"wall", "nanoseconds"}});
  builder.AddSample(builder.AddStack({{builder.AddLocation(ModuleIndex(), 1)}}), LabelSetIndex(),
                    {{int64_t{1} << 60}});

  EXPECT_THAT(Svg(builder.profile()), HasSubstr("\"unit\":\"microseconds\""));
}

TEST(FlamegraphSvg, NegativeValuesAreLeftOutAndCounted) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"wall", "nanoseconds"}});
  builder.AddSample(StackIndex(), LabelSetIndex(), {{-7}});

  EXPECT_THAT(Svg(builder.profile()), HasSubstr("1 samples with negative values left out."));
}

TEST(FlameColors, SayWhatKindOfCodeRuns) {
  const FlameColors colors(TreeOf(ServerProfile()));

  EXPECT_EQ(colors.ClassOf({.kind = ModuleKind::kKernel}), "k");
  EXPECT_EQ(colors.ClassOf({.kind = ModuleKind::kPython}), "p");
  EXPECT_EQ(colors.ClassOf({.kind = ModuleKind::kJit}), "j");
  EXPECT_EQ(colors.ClassOf({.name = "[waiting]", .kind = ModuleKind::kWait}), "w");
  EXPECT_EQ(colors.ClassOf({.kind = ModuleKind::kNote}), "o");
  EXPECT_EQ(colors.ClassOf({.leading = true}), "t");
  EXPECT_THAT(colors.legend(), testing::Contains(Pair("p", "Python")));
}

TEST(FlameColors, WaitsHaveOneColourAFamilyAndIdleOnesAreApart) {
  const FlameColors colors(TreeOf(WaitingProfile()));
  const auto class_of = [&](const char* name, bool idle = false) {
    return colors.ClassOf({.name = name, .kind = ModuleKind::kWait, .idle = idle});
  };

  EXPECT_EQ(class_of("[wait: socket 127.0.0.1:5432 postgresql]"), class_of("[wait: dns]"));
  EXPECT_NE(class_of("[wait: socket]"), class_of("[wait: mutex]"));
  EXPECT_EQ(class_of("[wait: socket]", true), class_of("[wait: mutex]", true));
  EXPECT_NE(class_of("[wait: socket]", true), class_of("[wait: socket]"));
}

TEST(FlameColors, EveryFamilyHasAColourAndItsWords) {
  const std::string svg = Svg(WaitingProfile());
  for (size_t family = 0; family <= static_cast<size_t>(kLastWaitFamily); ++family) {
    const std::string color = "w" + std::to_string(family);
    const std::string words = "wait: " + std::string(NameOf(static_cast<WaitFamily>(family)));
    EXPECT_THAT(FlameKinds(), testing::Contains(Pair(color, words)));
    EXPECT_THAT(svg, HasSubstr("\n." + color + " { fill: #"));
    EXPECT_THAT(svg, HasSubstr("\n  ." + color + " { fill: #")) << "in the dark scheme";
  }
}

TEST(FlameColors, TheLegendNamesTheWaitsThatAreThere) {
  const std::string some = Svg(ServerProfile());

  EXPECT_THAT(some, HasSubstr("[\"w0\",\"wait: network\"]"));
  EXPECT_THAT(some, HasSubstr("[\"w5\",\"wait: sleep\"]"));
  EXPECT_THAT(some, testing::Not(HasSubstr("[\"w3\",")));
  EXPECT_THAT(some, testing::Not(HasSubstr("[\"wq\",")));
  EXPECT_THAT(Svg(WaitingProfile()), HasSubstr("[\"wq\",\"idle\"]"));
}

TEST(FlamegraphSvg, AnIdleWaitIsABoxApartFromABusyOneOfTheSameName) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"waits", "count"}, {"wall", "nanoseconds"}});
  const LocationIndex wait = builder.AddNamedLocation(
      builder.AddModule({.kind = ModuleKind::kWait, .path = builder.AddString("[wait]")}),
      builder.AddFunction({.name = builder.AddString("[wait: poll]")}), 0);
  const StackIndex stack = builder.AddStack({{wait}});
  const std::vector<Label> idle = {builder.TextLabel("idle", "yes")};
  builder.AddSample(stack, LabelSetIndex(), {{3, 3000}});
  builder.AddSample(stack, builder.AddLabels(idle), {{1, 5000}});

  const std::string svg = Svg(builder.profile());

  EXPECT_THAT(svg, HasSubstr("[\"[wait: poll]\",\"w1\","));
  EXPECT_THAT(svg, HasSubstr("[\"[wait: poll]\",\"wq\","));
  EXPECT_THAT(svg, HasSubstr("\"waits\":[1,3,2,1]"));
}

TEST(FlameColors, HeavyModulesHaveHuesOfTheirOwnAndInlinedCodeIsMarked) {
  const FlameColors colors(TreeOf(ServerProfile()));

  const std::string json = colors.ClassOf({.module_path = "/usr/lib/libjson.so.2"});
  const std::string python = colors.ClassOf({.module_path = "/usr/bin/python3.11"});

  EXPECT_NE(json, python);
  EXPECT_EQ(colors.ClassOf({.module_path = "/usr/lib/libjson.so.2", .inlined = true}), json + "i");
}

TEST(ProfileTitle, TellsTargetModeDurationTotalAndTime) {
  const Profile profile = ServerProfile();

  const ProfileTitle title = TitleOf(profile, ShownValueOf(profile), 1'234'000'000, "");

  EXPECT_EQ(title.target, "gunicorn (4711)");
  EXPECT_EQ(title.details, "wall · 1 s · 1.234 s in total · 2026-01-01 00:00:00 UTC");
}

TEST(ProfileTitle, TheModeIsOneWord) {
  Profile profile = CpuProfile();
  profile.strings[profile.comments[1].value()] = "mode: cpu, event: cycles";

  EXPECT_THAT(TitleOf(profile, ShownValueOf(profile), 100, "").details,
              HasSubstr("cpu · 1 s · 100 samples in total"));
}

TEST(ProfileTitle, WithoutACommentTheHeaviestProcessIsTheTarget) {
  Profile profile = ServerProfile();
  profile.comments.clear();

  EXPECT_EQ(TitleOf(profile, ShownValueOf(profile), 0, "").target, "gunicorn");
  EXPECT_EQ(TitleOf(Profile(), ShownValue(), 0, "").target, "Profile");
}

TEST(ProfileTitle, ValuesReadInTheirUnit) {
  const ShownValue samples{.type = "cpu_samples", .unit = "count"};
  const ShownValue bytes{.type = "space", .unit = "bytes"};
  const ShownValue time{.type = "wall", .unit = "nanoseconds"};

  EXPECT_EQ(ReadableValue(1'234'567, samples), "1,234,567 samples");
  EXPECT_EQ(ReadableValue(1, samples), "1 sample");
  EXPECT_EQ(ReadableValue(-1234, bytes), "-1,234 bytes");
  EXPECT_EQ(ReadableValue(1'500'000, time), "1.5 ms");
  EXPECT_EQ(ReadableValue(20, time), "20 ns");
}

}  // namespace
}  // namespace whyslow
