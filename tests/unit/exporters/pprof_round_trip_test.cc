#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

#include "exporters/gzip.h"
#include "exporters/pprof_reader.h"
#include "exporters/pprof_writer.h"
#include "exporters/proto/profile.pb.h"
#include "profile/profile_builder.h"
#include "tests/support/sample_profiles.h"
#include "tests/unit/exporters/profile_text.h"

namespace whyslow {
namespace {

std::string Written(const Profile& profile) {
  std::ostringstream out;
  EXPECT_TRUE(PprofExporter().Write(profile, out).ok());
  return out.str();
}

Profile ReadBack(const std::string& bytes) {
  absl::StatusOr<Profile> profile = ParsePprof(bytes, "test");
  EXPECT_TRUE(profile.ok()) << profile.status();
  return profile.ok() ? *std::move(profile) : Profile();
}

perftools::profiles::Profile Parsed(const std::string& bytes) {
  perftools::profiles::Profile message;
  EXPECT_TRUE(message.ParseFromString(*Gunzip(bytes)));
  return message;
}

TEST(PprofRoundTrip, WhatIsReadSaysWhatWasWritten) {
  EXPECT_EQ(TextOf(ReadBack(Written(ServerProfile()))), TextOf(ServerProfile()));
  EXPECT_EQ(TextOf(ReadBack(Written(CpuProfile()))), TextOf(CpuProfile()));
}

TEST(PprofRoundTrip, WritingAgainGivesTheSameBytes) {
  const std::string once = Written(LargeProfile(5000, 40));

  EXPECT_EQ(Written(ReadBack(once)), once);
}

TEST(PprofRoundTrip, TextsThatAreNoUtf8BecomeVisibleAndStaySo) {
  const std::string once = Written(HostileProfile());

  EXPECT_THAT(ReadBack(once).strings, testing::Contains("bad utf-8 \\xff\\xc3(\\xed\\xa0\\x80"));
  EXPECT_EQ(Written(ReadBack(once)), once);
}

TEST(PprofRoundTrip, FieldsThatWeDoNotKnowStayByteForByte) {
  Profile profile = CpuProfile();
  profile.unknown_fields = std::string(
      "\x82\x7d\x03"
      "abc"
      "\x80\x01\x07",
      9);  // 2000 and 16

  EXPECT_EQ(ReadBack(Written(profile)).unknown_fields, profile.unknown_fields);
}

TEST(PprofRoundTrip, EqualSamplesOfOtherToolsStayApart) {
  Profile profile = CpuProfile();
  profile.samples.push_back(profile.samples[0]);
  profile.values.insert(profile.values.end(), profile.values.begin(), profile.values.begin() + 5);

  EXPECT_EQ(ReadBack(Written(profile)).samples.size(), 3U);
}

TEST(PprofRoundTrip, RowsThatNoSampleUsesStay) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"cpu", "nanoseconds"}});
  builder.AddModule({.path = builder.AddString("/bin/unused")});
  builder.AddFunction({.name = builder.AddString("unused")});

  const Profile profile = ReadBack(Written(builder.profile()));

  EXPECT_EQ(profile.modules.size(), 1U);
  EXPECT_EQ(profile.functions.size(), 1U);
}

TEST(PprofWriter, TheMainBinaryIsMappingOne) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"cpu", "nanoseconds"}});
  const ModuleIndex kernel = builder.AddModule(
      {.kind = ModuleKind::kKernel, .path = builder.AddString("[kernel.kallsyms]")});
  const ModuleIndex main = builder.AddModule({.path = builder.AddString("/bin/main")});
  builder.AddLocation(kernel, 1);
  builder.AddLocation(main, 2);

  const auto message = Parsed(Written(builder.profile()));

  ASSERT_EQ(message.mapping_size(), 2);
  EXPECT_EQ(message.mapping(0).id(), 1U);
  EXPECT_EQ(message.string_table(static_cast<int>(message.mapping(0).filename())), "/bin/main");
  EXPECT_EQ(message.location(0).mapping_id(), 2U);
  EXPECT_EQ(message.location(1).mapping_id(), 1U);
}

TEST(PprofWriter, IdsCountFromOneAndTheFirstTextIsEmpty) {
  const auto message = Parsed(Written(ServerProfile()));

  EXPECT_EQ(message.string_table(0), "");
  EXPECT_EQ(message.location(0).id(), 1U);
  EXPECT_EQ(message.function(0).id(), 1U);
  EXPECT_EQ(message.location(message.location_size() - 1).id(),
            static_cast<uint64_t>(message.location_size()));
}

TEST(PprofReader, KindsOfMappingsComeFromTheirNames) {
  const Profile profile = ReadBack(Written(ServerProfile()));
  std::vector<ModuleKind> kinds;
  for (const Module& module : profile.modules) {
    kinds.push_back(module.kind);
  }

  EXPECT_THAT(kinds,
              testing::ElementsAre(ModuleKind::kFile, ModuleKind::kPython, ModuleKind::kKernel,
                                   ModuleKind::kFile, ModuleKind::kFile, ModuleKind::kFile,
                                   ModuleKind::kWait, ModuleKind::kJit, ModuleKind::kNote));
}

}  // namespace
}  // namespace whyslow
