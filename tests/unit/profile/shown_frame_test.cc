#include <gtest/gtest.h>

#include "profile/profile.h"
#include "profile/profile_builder.h"

namespace whyslow {
namespace {

TEST(ShownFrame, InlinedFunctionsComeAfterTheirCaller) {
  ProfileBuilder builder;
  const FunctionIndex inner = builder.AddFunction({.name = builder.AddString("inner")});
  const FunctionIndex outer = builder.AddFunction({.name = builder.AddString("outer")});
  const LocationIndex location = builder.AddLocation(Location{
      .address = 1, .lines = {{.function = inner, .line = 3}, {.function = outer, .line = 9}}});
  std::vector<ShownFrame> frames;

  AppendShownFrames(builder.profile(), location, frames);

  ASSERT_EQ(frames.size(), 2U);
  EXPECT_EQ(frames[0].name, "outer");
  EXPECT_FALSE(frames[0].inlined);
  EXPECT_EQ(frames[1].name, "inner");
  EXPECT_TRUE(frames[1].inlined);
}

TEST(ShownFrame, AnUnresolvedAddressNamesItsModuleAndOffset) {
  ProfileBuilder builder;
  const ModuleIndex libc = builder.AddModule({.path = builder.AddString("/lib/libc.so.6")});
  const ModuleIndex vdso = builder.AddModule({.path = builder.AddString("[vdso]")});
  const ModuleIndex nameless = builder.AddModule({.memory_start = 1});
  std::vector<ShownFrame> frames;

  AppendShownFrames(builder.profile(), builder.AddLocation(libc, 0x8a3f), frames);
  AppendShownFrames(builder.profile(), builder.AddLocation(vdso, 0x10), frames);
  AppendShownFrames(builder.profile(), builder.AddLocation(nameless, 0x20), frames);
  AppendShownFrames(builder.profile(), builder.AddLocation(ModuleIndex(), 0x30), frames);

  ASSERT_EQ(frames.size(), 4U);
  EXPECT_EQ(frames[0].name, "[libc.so.6+0x8a3f]");
  EXPECT_EQ(frames[1].name, "[vdso+0x10]");
  EXPECT_EQ(frames[2].name, "[0x20]");
  EXPECT_EQ(frames[3].name, "[0x30]");
}

TEST(ShownFrame, ALineWithoutAFunctionIsAnUnresolvedFrame) {
  ProfileBuilder builder;
  const ModuleIndex module = builder.AddModule({.path = builder.AddString("/bin/a")});
  const LocationIndex location =
      builder.AddLocation(Location{.module = module, .address = 7, .lines = {{.line = 3}}});
  std::vector<ShownFrame> frames;

  AppendShownFrames(builder.profile(), location, frames);

  ASSERT_EQ(frames.size(), 1U);
  EXPECT_EQ(frames[0].name, "[a+0x7]");
}

TEST(ShownFrame, AFunctionWithoutANameShowsItsSymbol) {
  ProfileBuilder builder;
  const FunctionIndex function = builder.AddFunction({.system_name = builder.AddString("_Z1fv")});
  std::vector<ShownFrame> frames;

  AppendShownFrames(builder.profile(), builder.AddNamedLocation(ModuleIndex(), function, 0),
                    frames);

  EXPECT_EQ(frames.at(0).name, "_Z1fv");
}

}  // namespace
}  // namespace whyslow
