#include "exporters/clean_text.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

TEST(CleanText, LineBreaksAndTabsBecomeSpaces) {
  EXPECT_EQ(CleanText("a\nb\tc\r\nd"), "a b c  d");
  EXPECT_EQ(CleanText("a\xe2\x80\xa8z"), "a z");
}

TEST(CleanText, ControlsBecomeVisible) {
  EXPECT_EQ(CleanText(std::string_view("\0\x1b[31m\x7f", 7)), "\\x00\\x1b[31m\\x7f");
  EXPECT_EQ(CleanText("\xc2\x9b"), "\\x9b");
}

TEST(CleanText, BytesThatAreNoUtf8BecomeVisible) {
  EXPECT_EQ(CleanText("\xff"), "\\xff");
  EXPECT_EQ(CleanText("\xc3"), "\\xc3");
  EXPECT_EQ(CleanText("\xc3("), "\\xc3(");
  EXPECT_EQ(CleanText("\xc0\xaf"), "\\xc0\\xaf") << "an overlong slash";
  EXPECT_EQ(CleanText("\xed\xa0\x80"), "\\xed\\xa0\\x80") << "half of a surrogate pair";
  EXPECT_EQ(CleanText("\xf4\x90\x80\x80"), "\\xf4\\x90\\x80\\x80") << "beyond Unicode";
  EXPECT_EQ(CleanText("\xe6\x97"), "\\xe6\\x97") << "a character cut in the middle";
}

TEST(CleanText, LettersOfAllScriptsStay) { EXPECT_EQ(CleanText("größe 日本 😀"), "größe 日本 😀"); }

TEST(CleanText, MarksThatTurnTextAroundBecomeVisible) {
  EXPECT_EQ(CleanText("a\xe2\x80\xae z"), "a\\u202e z");
  EXPECT_EQ(CleanText("\xef\xbf\xbf"), "\\uffff") << "not allowed in XML";
}

TEST(EscapeXml, MarkupBecomesText) {
  EXPECT_EQ(EscapeXml("<a b=\"c\" d='e'>&]]>"),
            "&lt;a b=&quot;c&quot; d=&#39;e&#39;&gt;&amp;]]&gt;");
}

TEST(QuoteJson, NothingEndsTheStringOrTheScript) {
  EXPECT_EQ(QuoteJson("a\"b\\c"), "\"a\\\"b\\\\c\"");
  EXPECT_EQ(QuoteJson("</script>]]>"), "\"\\u003c/script\\u003e]]\\u003e\"");
  EXPECT_EQ(QuoteJson("\xff"), "\"\\\\xff\"");
}

TEST(ValidUtf8, OnlyBadBytesChange) {
  EXPECT_EQ(ValidUtf8("a\n\x1b 日本"), "a\n\x1b 日本");
  EXPECT_EQ(ValidUtf8("worker \xe6\x97"), "worker \\xe6\\x97");
}

TEST(Characters, AreCountedAndCutAsWholes) {
  EXPECT_EQ(CountCharacters("日本x"), 3U);
  EXPECT_EQ(FirstCharacters("日本x", 1), "日");
  EXPECT_EQ(FirstCharacters("日本x", 2), "日本");
  EXPECT_EQ(FirstCharacters("ab", 5), "ab");
}

}  // namespace
}  // namespace whyslow
