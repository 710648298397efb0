#include "profile/wait_kind.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace whyslow {
namespace {

constexpr size_t kKinds = static_cast<size_t>(kLastWaitKind) + 1;

WaitKind KindAt(size_t place) { return static_cast<WaitKind>(place); }

TEST(WaitKind, EveryNameIsFoundAgain) {
  for (size_t i = 0; i < kKinds; ++i) {
    EXPECT_EQ(WaitKindNamed(NameOf(KindAt(i))), KindAt(i));
  }
}

TEST(WaitKind, EveryFrameIsFoundAgainAndHoldsTheName) {
  for (size_t i = 0; i < kKinds; ++i) {
    EXPECT_EQ(WaitKindOfFrame(FrameNameOf(KindAt(i))), KindAt(i));
    EXPECT_EQ(FrameNameOf(KindAt(i)), "[wait: " + std::string(NameOf(KindAt(i))) + "]");
  }
}

TEST(WaitKind, NoTwoShareAName) {
  std::set<std::string_view> names;
  for (size_t i = 0; i < kKinds; ++i) {
    names.insert(NameOf(KindAt(i)));
  }

  EXPECT_EQ(names.size(), kKinds);
}

TEST(WaitKind, NamesAreThoseOfTheLabel) {
  EXPECT_EQ(NameOf(WaitKind::kPageFault), "page-fault");
  EXPECT_EQ(NameOf(WaitKind::kIoUring), "io_uring");
  EXPECT_EQ(NameOf(WaitKind::kRunQueue), "runqueue");
  EXPECT_EQ(NameOf(WaitKind::kGil), "gil");
}

TEST(WaitKind, OtherNamesAreNoKind) {
  EXPECT_EQ(WaitKindNamed(""), std::nullopt);
  EXPECT_EQ(WaitKindNamed("Socket"), std::nullopt);
  EXPECT_EQ(WaitKindNamed("socket "), std::nullopt);
  EXPECT_EQ(WaitKindNamed("run-queue"), std::nullopt);
}

TEST(WaitKind, AFrameMaySayMoreBehindItsKind) {
  EXPECT_EQ(WaitKindOfFrame("[wait: socket 10.0.0.1:5432 postgresql]"), WaitKind::kSocket);
  EXPECT_EQ(WaitKindOfFrame("[wait: page-fault]"), WaitKind::kPageFault);
}

TEST(WaitKind, OtherFramesAreNoWaits) {
  EXPECT_EQ(WaitKindOfFrame(""), std::nullopt);
  EXPECT_EQ(WaitKindOfFrame("[wait: ]"), std::nullopt);
  EXPECT_EQ(WaitKindOfFrame("[wait: sockets]"), std::nullopt);
  EXPECT_EQ(WaitKindOfFrame("wait: socket"), std::nullopt);
  EXPECT_EQ(WaitKindOfFrame("[truncated: wait: socket]"), std::nullopt);
  // Cut off: it cannot be known whether more of the kind's name stood there.
  EXPECT_EQ(WaitKindOfFrame("[wait: socket"), std::nullopt);
}

TEST(WaitKind, FamiliesHoldWhatBelongsTogether) {
  EXPECT_EQ(FamilyOf(WaitKind::kDns), WaitFamily::kNetwork);
  EXPECT_EQ(FamilyOf(WaitKind::kTls), WaitFamily::kNetwork);
  EXPECT_EQ(FamilyOf(WaitKind::kTimer), WaitFamily::kPoll);
  EXPECT_EQ(FamilyOf(WaitKind::kPageFault), WaitFamily::kDisk);
  EXPECT_EQ(FamilyOf(WaitKind::kGil), WaitFamily::kLock);
  EXPECT_EQ(FamilyOf(WaitKind::kPipe), WaitFamily::kProcess);
  EXPECT_EQ(FamilyOf(WaitKind::kSleep), WaitFamily::kSleep);
  EXPECT_EQ(FamilyOf(WaitKind::kStolen), WaitFamily::kScheduler);
  EXPECT_EQ(FamilyOf(WaitKind::kFrozen), WaitFamily::kHeld);
  EXPECT_EQ(FamilyOf(WaitKind::kUnknown), WaitFamily::kOther);
}

TEST(WaitKind, EveryFamilyHasANameOfItsOwn) {
  std::set<std::string_view> names;
  for (int i = 0; i <= static_cast<int>(kLastWaitFamily); ++i) {
    names.insert(NameOf(static_cast<WaitFamily>(i)));
  }

  EXPECT_EQ(names.size(), static_cast<size_t>(kLastWaitFamily) + 1);
}

}  // namespace
}  // namespace whyslow
