#include "cli/text.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

TEST(Printable, LeavesOrdinaryTextAlone) {
  EXPECT_EQ(Printable("std::vector<int>::push_back(int&&)"), "std::vector<int>::push_back(int&&)");
  EXPECT_EQ(Printable("gr\u00f6\u00dfe_\u4f60\u597d"), "gr\u00f6\u00dfe_\u4f60\u597d");
}

TEST(Printable, ShowsEscapeSequencesInsteadOfSendingThem) {
  EXPECT_EQ(Printable("\x1b]0;owned\x07"), "\\x1b]0;owned\\x07");
  EXPECT_EQ(Printable("a\rb\x7f"), "a\\x0db\\x7f");
  EXPECT_EQ(Printable("\xc2\x9b[31m"), "\\x9b[31m");  // CSI as one C1 character
}

TEST(Printable, MakesOneLineOfSeveral) { EXPECT_EQ(Printable("a\nb\tc"), "a b c"); }

TEST(Printable, ShowsMarksThatTurnTheDirectionOfWriting) {
  EXPECT_EQ(Printable("a\u202eb\u2066c"), "a\\u202eb\\u2066c");
}

TEST(Printable, ReplacesBytesThatAreNoUtf8) {
  EXPECT_EQ(Printable("a\xffz"), "a\ufffdz");
  EXPECT_EQ(Printable("\xc0\xaf"), "\ufffd\ufffd");            // an overlong slash
  EXPECT_EQ(Printable("\xe2\x82"), "\ufffd\ufffd");            // cut short
  EXPECT_EQ(Printable("\xed\xa0\x80"), "\ufffd\ufffd\ufffd");  // a surrogate
}

TEST(DisplayWidth, CountsColumnsNotBytes) {
  EXPECT_EQ(DisplayWidth("abc"), 3u);
  EXPECT_EQ(DisplayWidth("gr\u00f6\u00dfe"), 5u);
  EXPECT_EQ(DisplayWidth("\u4f60\u597d"), 4u);
  EXPECT_EQ(DisplayWidth("e\u0301"), 1u);
}

TEST(CutMiddle, KeepsBothEnds) {
  EXPECT_EQ(CutMiddle("abcdefghij", 10), "abcdefghij");
  EXPECT_EQ(CutMiddle("abcdefghijk", 10), "abcd...ijk");
  EXPECT_EQ(CutMiddle("abcdefghijk", 5), "a...k");
  EXPECT_EQ(CutMiddle("abcdefghijk", 3), "...");
  EXPECT_EQ(CutMiddle("abcdefghijk", 0), "");
}

TEST(CutMiddle, NeverCutsThroughACharacter) {
  const std::string cut = CutMiddle("\u4f60\u597d\u4f60\u597d\u4f60\u597d", 8);

  EXPECT_EQ(cut, "\u4f60...\u597d");
}

}  // namespace
}  // namespace whyslow
