#include "exporters/gzip.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <sstream>

namespace whyslow {
namespace {

using testing::HasSubstr;

std::string Gzipped(std::string_view text) {
  std::ostringstream out;
  GzipWriter writer(out);
  writer.Append(text);
  EXPECT_TRUE(writer.Finish().ok());
  return out.str();
}

std::string ErrorOf(std::string_view bytes, const GzipLimits& limits = {}) {
  return std::string(Gunzip(bytes, limits).status().message());
}

TEST(Gzip, WhatGoesInComesOut) {
  const std::string text(300'000, 'x');

  EXPECT_EQ(*Gunzip(Gzipped(text)), text);
  EXPECT_EQ(*Gunzip(Gzipped("")), "");
}

TEST(Gzip, TheHeaderCarriesNoTime) { EXPECT_EQ(Gzipped("x").substr(4, 4), std::string(4, '\0')); }

TEST(Gzip, SeveralMembersAreOneText) { EXPECT_EQ(*Gunzip(Gzipped("a") + Gzipped("b")), "ab"); }

TEST(Gzip, EveryTruncationIsAnError) {
  const std::string bytes = Gzipped("some text that is long enough to have a body");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_THAT(ErrorOf(std::string_view(bytes).substr(0, size)), HasSubstr("truncated")) << size;
  }
}

TEST(Gzip, AWrongChecksumIsAnError) {
  std::string bytes = Gzipped("text");
  bytes[bytes.size() - 8] ^= 1;

  EXPECT_THAT(ErrorOf(bytes), HasSubstr("damaged"));
}

TEST(Gzip, BytesBehindTheEndAreAnError) {
  EXPECT_THAT(ErrorOf(Gzipped("text") + "garbage"), HasSubstr("damaged"));
}

TEST(Gzip, AFileMadeToExhaustMemoryIsAnError) {
  const std::string bomb = Gzipped(std::string(10'000'000, '\0'));

  EXPECT_THAT(ErrorOf(bomb, {.ratio = 250, .ratio_from = 1 << 20}), HasSubstr("unpacks to more"));
  EXPECT_THAT(ErrorOf(bomb, {.bytes = 9'000'000}), HasSubstr("unpacks to more than 9000000"));
  EXPECT_TRUE(Gunzip(bomb).ok());
}

}  // namespace
}  // namespace whyslow
