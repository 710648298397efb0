#include "exporters/pprof_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "exporters/gzip.h"
#include "exporters/pprof_writer.h"
#include "exporters/proto/profile.pb.h"
#include "tests/support/sample_profiles.h"

namespace whyslow {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// A small correct file, for tests to break.
class PprofReaderTest : public testing::Test {
 protected:
  PprofReaderTest() {
    for (const char* text : {"", "cpu", "count", "main", "/bin/main"}) {
      file_.add_string_table(text);
    }
    auto& type = *file_.add_sample_type();
    type.set_type(1);
    type.set_unit(2);
    auto& mapping = *file_.add_mapping();
    mapping.set_id(17);
    mapping.set_filename(4);
    auto& function = *file_.add_function();
    function.set_id(99);
    function.set_name(3);
    auto& location = *file_.add_location();
    location.set_id(uint64_t{1} << 63);
    location.set_mapping_id(17);
    location.add_line()->set_function_id(99);
    auto& sample = *file_.add_sample();
    sample.add_location_id(uint64_t{1} << 63);
    sample.add_value(5);
  }

  std::string Error() const {
    return std::string(ParsePprof(file_.SerializeAsString(), "x.pprof").status().message());
  }

  perftools::profiles::Profile file_;
};

TEST_F(PprofReaderTest, AnyIdsWillDoAndGzipIsOptional) {
  const absl::StatusOr<Profile> profile = ParsePprof(file_.SerializeAsString(), "x.pprof");

  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_EQ(profile->samples.size(), 1U);
  EXPECT_EQ(profile->Text(profile->functions.at(0).name), "main");
}

TEST_F(PprofReaderTest, UnknownMappingsAndFunctionsAreAllowed) {
  file_.mutable_location(0)->set_mapping_id(0);
  file_.mutable_location(0)->mutable_line(0)->set_function_id(0);

  const absl::StatusOr<Profile> profile = ParsePprof(file_.SerializeAsString(), "x.pprof");

  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_FALSE(profile->locations[0].module.valid());
  EXPECT_FALSE(profile->locations[0].lines[0].function.valid());
}

TEST_F(PprofReaderTest, IdsThatNobodyHasAreErrors) {
  file_.mutable_sample(0)->set_location_id(0, 1);
  EXPECT_THAT(Error(), AllOf(HasSubstr("x.pprof"), HasSubstr("no location with the id 1")));
}

TEST_F(PprofReaderTest, ALocationInNoMappingIsAnError) {
  file_.mutable_location(0)->set_mapping_id(3);
  EXPECT_THAT(Error(), HasSubstr("no mapping with the id 3"));
}

TEST_F(PprofReaderTest, ALineInNoFunctionIsAnError) {
  file_.mutable_location(0)->mutable_line(0)->set_function_id(3);
  EXPECT_THAT(Error(), HasSubstr("no function with the id 3"));
}

TEST_F(PprofReaderTest, ASampleAtLocationZeroIsAnError) {
  file_.mutable_sample(0)->set_location_id(0, 0);
  EXPECT_THAT(Error(), HasSubstr("no location with the id 0"));
}

TEST_F(PprofReaderTest, TheIdZeroIsAnError) {
  file_.mutable_mapping(0)->set_id(0);
  EXPECT_THAT(Error(), HasSubstr("a mapping has the id 0"));
}

TEST_F(PprofReaderTest, AnIdUsedTwiceIsAnError) {
  *file_.add_function() = file_.function(0);
  EXPECT_THAT(Error(), HasSubstr("two functions have the id 99"));
}

TEST_F(PprofReaderTest, TextsOutsideOfTheTableAreErrors) {
  file_.mutable_function(0)->set_name(5);
  EXPECT_THAT(Error(), HasSubstr("there is no text 5"));
  file_.mutable_function(0)->set_name(-1);
  EXPECT_THAT(Error(), HasSubstr("there is no text -1"));
}

TEST_F(PprofReaderTest, CommentsAndLabelsAreCheckedToo) {
  file_.add_comment(6);
  EXPECT_THAT(Error(), HasSubstr("there is no text 6"));
  file_.clear_comment();
  file_.mutable_sample(0)->add_label()->set_str(7);
  EXPECT_THAT(Error(), HasSubstr("there is no text 7"));
}

TEST_F(PprofReaderTest, AsManyValuesAsTypesAreNeeded) {
  file_.mutable_sample(0)->add_value(1);
  EXPECT_THAT(Error(), HasSubstr("2 values where the profile has 1 types"));
}

TEST_F(PprofReaderTest, SamplesWithoutTypesAreAnError) {
  file_.clear_sample_type();
  file_.mutable_sample(0)->clear_value();
  EXPECT_THAT(Error(), HasSubstr("0 values"));
}

TEST_F(PprofReaderTest, TheFirstTextMustBeEmpty) {
  file_.set_string_table(0, "x");
  EXPECT_THAT(Error(), HasSubstr("first text"));
  file_.clear_string_table();
  EXPECT_THAT(Error(), HasSubstr("no texts"));
}

TEST(PprofReader, OtherFilesAreNotProfiles) {
  EXPECT_FALSE(ParsePprof("", "x").ok());
  EXPECT_FALSE(ParsePprof("main;f 12\n", "x").ok());
  EXPECT_FALSE(ParsePprof("<svg xmlns=\"http://www.w3.org/2000/svg\"/>", "x").ok());
  EXPECT_FALSE(ParsePprof(std::string(1000, '\0'), "x").ok());
  EXPECT_FALSE(ParsePprof(std::string(1000, '\xff'), "x").ok());
}

TEST(PprofReader, EveryTruncationIsReadOrRefusedButNeverHalfRead) {
  std::ostringstream out;
  ASSERT_TRUE(PprofExporter().Write(ServerProfile(), out).ok());
  const std::string whole = *Gunzip(out.str());
  for (size_t size = 0; size < whole.size(); ++size) {
    const absl::StatusOr<Profile> profile = ParsePprof(whole.substr(0, size), "x");
    // Past the tables only header fields are missing, which protobuf cannot notice.
    EXPECT_TRUE(!profile.ok() || profile->samples.size() == ServerProfile().samples.size()) << size;
  }
}

TEST(PprofReader, EveryFlippedByteIsReadOrRefused) {
  std::ostringstream out;
  ASSERT_TRUE(PprofExporter().Write(ServerProfile(), out).ok());
  std::string bytes = *Gunzip(out.str());
  for (char& byte : bytes) {
    const char before = byte;
    byte = static_cast<char>(byte ^ 0x80);
    const absl::StatusOr<Profile> profile = ParsePprof(bytes, "x");
    std::ostringstream again;
    EXPECT_TRUE(!profile.ok() || PprofExporter().Write(*profile, again).ok());
    byte = before;
  }
}

TEST(PprofReader, AMissingFileIsNamed) {
  EXPECT_THAT(std::string(ReadPprofFile("/nowhere/x.pb.gz").status().message()),
              HasSubstr("/nowhere/x.pb.gz"));
}

}  // namespace
}  // namespace whyslow
