#include "symbolizer/profile_interner.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

TEST(ProfileInterner, KnowsWhatTheProfileHolds) {
  Profile profile;
  profile.strings.push_back("main");
  ProfileInterner interner(profile);

  EXPECT_EQ(interner.InternString("main"), StringIndex(1));
  EXPECT_EQ(interner.InternString(""), kEmptyString);
  EXPECT_EQ(interner.InternString("new"), StringIndex(2));
  EXPECT_EQ(profile.strings.size(), 3U);
}

TEST(ProfileInterner, EqualFunctionsAreOne) {
  Profile profile;
  ProfileInterner interner(profile);

  const FunctionIndex first = interner.InternFunction({.name = "f", .file = "a.cc"});

  EXPECT_EQ(interner.InternFunction({.name = "f", .file = "a.cc"}), first);
  EXPECT_NE(interner.InternFunction({.name = "f", .file = "b.cc"}), first);
}

TEST(PrintableText, KeepsUtf8AndReplacesTheRest) {
  EXPECT_EQ(PrintableText("caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80"),
            "caf\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x98\x80");
  EXPECT_EQ(PrintableText("a\nb\x7F\x1B[31m"), "a?b??[31m");
  EXPECT_EQ(PrintableText("\xFF\xC3"), "??");
  EXPECT_EQ(PrintableText("\xC0\xAF\xED\xA0\x80"), "?????");
}

}  // namespace
}  // namespace whyslow
