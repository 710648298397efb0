#include "sampler/wait/system_call_kinds.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

TEST(SystemCallKinds, OfKnownCallsAndOfOthers) {
  EXPECT_EQ(KindOfSystemCall("recvfrom"), WaitKind::kSocket);
  EXPECT_EQ(KindOfSystemCall("epoll_pwait2"), WaitKind::kPoll);
  EXPECT_EQ(KindOfSystemCall("getrandom"), WaitKind::kSyscall);
  EXPECT_EQ(KindOfSystemCall(""), WaitKind::kSyscall);
}

}  // namespace
}  // namespace whyslow
