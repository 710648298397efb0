#include "profile/wait_facts.h"

#include <gtest/gtest.h>

#include "profile/profile_builder.h"

namespace whyslow {
namespace {

class WaitFactsTest : public ::testing::Test {
 protected:
  WaitFactsTest() { builder_.SetValueTypes({{"wait", "nanoseconds"}}); }

  // The facts of one sample with this leaf and these labels.
  std::optional<WaitFacts> Facts(
      std::string_view leaf, ModuleKind kind,
      const std::vector<std::pair<std::string_view, std::string_view>>& texts = {}) {
    const ModuleIndex module = builder_.AddModule({.kind = kind});
    const LocationIndex location = builder_.AddNamedLocation(
        module, builder_.AddFunction({.name = builder_.AddString(leaf)}), 0);
    std::vector<Label> labels;
    for (const auto& [key, text] : texts) {
      labels.push_back(builder_.TextLabel(key, text));
    }
    builder_.AddSample(builder_.AddStack({{location}}), builder_.AddLabels(labels), {{1}});
    return WaitFactsOf(builder_.profile(), builder_.profile().samples.back());
  }
  std::string Words(std::string_view kind,
                    const std::vector<std::pair<std::string_view, std::string_view>>& texts) {
    const auto facts = Facts("[wait: " + std::string(kind) + "]", ModuleKind::kWait, texts);
    return facts ? WaitWords(*facts) : "no wait";
  }

  ProfileBuilder builder_;
};

TEST_F(WaitFactsTest, TheLeafTellsTheKind) {
  const auto facts = Facts("[wait: socket]", ModuleKind::kWait, {{"idle", "yes"}});

  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->kind, WaitKind::kSocket);
  EXPECT_EQ(FamilyOf(*facts), WaitFamily::kNetwork);
  EXPECT_TRUE(facts->idle);
}

TEST_F(WaitFactsTest, WhereTheLeafIsHiddenTheLabelTells) {
  const auto facts = Facts("main", ModuleKind::kFile, {{"wait", "mutex"}});

  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->kind, WaitKind::kMutex);
  EXPECT_FALSE(facts->idle);
}

TEST_F(WaitFactsTest, OtherSamplesDoNotWait) {
  EXPECT_FALSE(Facts("[wait: socket]", ModuleKind::kFile));
  EXPECT_FALSE(Facts("main", ModuleKind::kFile, {{"wait", "what another tool means by it"}}));
  EXPECT_FALSE(WaitFactsOf(builder_.profile(), Sample()));
}

TEST_F(WaitFactsTest, AnotherProgramsKindKeepsItsName) {
  const auto facts = Facts("[wait: coffee]", ModuleKind::kWait);

  ASSERT_TRUE(facts);
  EXPECT_EQ(facts->kind_name, "coffee");
  EXPECT_FALSE(facts->kind);
  EXPECT_EQ(FamilyOf(*facts), WaitFamily::kOther);
}

TEST_F(WaitFactsTest, WordsTellWhatMattersForTheKind) {
  EXPECT_EQ(
      Words("socket",
            {{"peer", "127.0.0.1:5432"}, {"protocol", "postgresql"}, {"syscall", "recvfrom"}}),
      "socket 127.0.0.1:5432 postgresql");
  EXPECT_EQ(Words("file", {{"file", "/var/lib/x.db"}, {"syscall", "fsync"}}), "file /var/lib/x.db");
  EXPECT_EQ(Words("disk", {{"file", "/var/lib/x.db"}}), "disk /var/lib/x.db");
  EXPECT_EQ(Words("syscall", {{"syscall", "getrandom"}}), "syscall getrandom");
  EXPECT_EQ(Words("tls", {{"peer", "10.0.0.1:443"}, {"tls", "handshake"}}),
            "tls 10.0.0.1:443 handshake");
  EXPECT_EQ(Words("mutex", {{"waker", "worker-9"}, {"idle", "yes"}}), "mutex");
}

TEST_F(WaitFactsTest, AThreadInTheRunQueueWaitsForNoPeer) {
  EXPECT_EQ(Words("runqueue", {{"peer", "127.0.0.1:5432"}, {"protocol", "postgresql"}}),
            "runqueue");
}

}  // namespace
}  // namespace whyslow
