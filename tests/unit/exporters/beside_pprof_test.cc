#include "exporters/beside_pprof.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <sstream>

#include "exporters/pprof_fields.h"
#include "exporters/pprof_reader.h"
#include "exporters/pprof_writer.h"
#include "exporters/proto/whyslow.pb.h"
#include "profile/profile_builder.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

using beside_pprof::BesidePprof;

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

std::string AsField(const std::string& message) {
  std::string field;
  AppendProtoPrefix(kBesidePprofField, message.size(), field);
  return field + message;
}

BesidePprof MessageOf(const Profile& profile) {
  BesidePprof message;
  EXPECT_TRUE(message.ParseFromString(EncodeBesidePprof(profile)));
  return message;
}

// What is read from a file whose field 2000 is the message after `change`.
Profile ReadWith(const std::function<void(BesidePprof&)>& change) {
  Profile profile = WaitingProfile();
  BesidePprof message = MessageOf(profile);
  change(message);
  profile.wait_times.clear();
  profile.unknown_fields = AsField(message.SerializeAsString());
  Profile read = ReadBack(Written(profile));
  EXPECT_EQ(read.samples.size(), profile.samples.size());
  if (read.wait_times.empty()) {
    EXPECT_EQ(read.unknown_fields, profile.unknown_fields) << "a field that is not taken is kept";
  }
  return read;
}

Profile ProfileWithWaits(size_t samples) {
  ProfileBuilder builder;
  builder.SetValueTypes({{"wait", "nanoseconds"}});
  for (size_t i = 0; i < samples; ++i) {
    const StackIndex stack = builder.AddStack({{builder.AddLocation(ModuleIndex(), i)}});
    builder.AddSample(stack, LabelSetIndex(), {{static_cast<int64_t>(i)}});
    DurationHistogram times;
    times.Add(i);
    builder.AddWaitTimes(stack, LabelSetIndex(), times);
  }
  return std::move(builder).Build();
}

TEST(BesidePprof, DurationsComeBackFromAFile) {
  const Profile profile = WaitingProfile();
  const Profile read = ReadBack(Written(profile));

  EXPECT_EQ(read.wait_times, profile.wait_times);
  EXPECT_EQ(read.unknown_fields, "");
  EXPECT_EQ(Written(read), Written(profile));
}

TEST(BesidePprof, AProfileWithoutDurationsHasNoSuchField) {
  EXPECT_EQ(EncodeBesidePprof(CpuProfile()), "");
  EXPECT_TRUE(ReadBack(Written(CpuProfile())).wait_times.empty());
}

TEST(BesidePprof, NoMoreThanTheBoundAreKeptAndThoseWithTheMostTime) {
  const Profile read = ReadBack(Written(ProfileWithWaits(kMostWaitTimes + 10)));

  ASSERT_EQ(read.wait_times.size(), kMostWaitTimes);
  EXPECT_EQ(read.wait_times.begin()->first, 10U);
}

TEST(BesidePprof, WhatALaterVersionAddsStays) {
  Profile profile = WaitingProfile();
  BesidePprof message = MessageOf(profile);
  profile.unknown_fields =
      AsField(message.SerializeAsString() + std::string("\xfa\x01\x05later", 8));  // 31
  profile.wait_times.clear();

  const Profile once = ReadBack(Written(profile));
  const Profile twice = ReadBack(Written(once));

  EXPECT_EQ(once.wait_times, WaitingProfile().wait_times);
  EXPECT_EQ(twice.wait_times, once.wait_times);
  EXPECT_THAT(once.unknown_fields, testing::HasSubstr("later"));
  EXPECT_EQ(twice.unknown_fields, once.unknown_fields);
}

TEST(BesidePprof, AnotherFormatOrVersionIsNotOurs) {
  EXPECT_TRUE(ReadWith([](BesidePprof& m) { m.set_format("other"); }).wait_times.empty());
  EXPECT_TRUE(ReadWith([](BesidePprof& m) { m.set_version(2); }).wait_times.empty());
  EXPECT_FALSE(ReadWith([](BesidePprof&) {}).wait_times.empty());
}

TEST(BesidePprof, PositionsOfAnotherNumberOfSamplesMeanNothing) {
  EXPECT_TRUE(ReadWith([](BesidePprof& m) { m.set_samples(m.samples() - 1); }).wait_times.empty());
}

TEST(BesidePprof, WhatCannotBeRightIsNotTaken) {
  const auto last = [](BesidePprof& m) { return m.mutable_wait_times(m.wait_times_size() - 1); };
  const std::vector<std::function<void(BesidePprof&)>> changes = {
      [&](BesidePprof& m) { last(m)->set_sample(m.samples()); },
      [&](BesidePprof& m) { last(m)->set_sample(std::numeric_limits<uint64_t>::max()); },
      [&](BesidePprof& m) { last(m)->set_sample(0); },
      [&](BesidePprof& m) { last(m)->set_count(uint64_t{1} << 63); },
      [&](BesidePprof& m) { last(m)->set_total_nanos(uint64_t{1} << 63); },
      [&](BesidePprof& m) { last(m)->set_max_nanos(std::numeric_limits<uint64_t>::max()); },
      [&](BesidePprof& m) { last(m)->set_bucket(0, kDurationBuckets); },
      [&](BesidePprof& m) { last(m)->add_bucket(1); },
      [&](BesidePprof& m) {
        last(m)->add_bucket(0);
        last(m)->add_bucket_count(1);
      },
      [&](BesidePprof& m) {
        for (size_t i = 0; i <= kMostWaitTimes; ++i) {
          m.add_wait_times()->set_sample(1000 + i);
        }
        m.set_samples(1'000'000);
      }};
  for (size_t i = 0; i < changes.size(); ++i) {
    EXPECT_TRUE(ReadWith(changes[i]).wait_times.empty()) << "change " << i;
  }
}

TEST(BesidePprof, AnyBytesLeaveTheProfileReadable) {
  for (const std::string& bytes :
       {std::string("abc"), std::string("\x22\xff\xff\xff\xff\x0f", 6), std::string(100, '\xff'),
        std::string("\x0a\x07whyslow\x10\x01\x18", 12), std::string()}) {
    Profile profile = WaitingProfile();
    profile.wait_times.clear();
    profile.unknown_fields = AsField(bytes) + std::string("\x80\x7d\x05", 3);  // also as a number

    const Profile read = ReadBack(Written(profile));

    EXPECT_TRUE(read.wait_times.empty());
    EXPECT_EQ(read.unknown_fields, profile.unknown_fields);
  }
}

TEST(BesidePprof, ASecondMessageIsKeptAndNotTaken) {
  Profile profile = WaitingProfile();
  BesidePprof other = MessageOf(profile);
  other.mutable_wait_times(0)->set_count(77);
  profile.unknown_fields = AsField(other.SerializeAsString());

  const Profile read = ReadBack(Written(profile));

  EXPECT_EQ(read.wait_times, profile.wait_times);
  EXPECT_EQ(read.unknown_fields, profile.unknown_fields);
}

}  // namespace
}  // namespace whyslow
