#include "sampler/target/system_calls.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

namespace whyslow {
namespace {

TEST(SystemCalls, HaveTheNamesOfThisMachine) {
  EXPECT_EQ(SystemCallOf(SYS_read).name, "read");
  EXPECT_EQ(SystemCallOf(SYS_futex).name, "futex");
  EXPECT_EQ(SystemCallOf(SYS_getrandom).name, "getrandom");
  EXPECT_EQ(SystemCallOf(SYS_epoll_pwait).name, "epoll_pwait");
}

TEST(SystemCalls, TellWhereTheyNameWhatTheyWaitFor) {
  using On = SystemCall::WaitsOn;
  EXPECT_EQ(SystemCallOf(SYS_read).waits_on, On::kDescriptor);
  EXPECT_EQ(SystemCallOf(SYS_ppoll).waits_on, On::kPolled);
  EXPECT_EQ(SystemCallOf(SYS_pselect6).waits_on, On::kSelected);
  EXPECT_EQ(SystemCallOf(SYS_futex).waits_on, On::kLock);
  EXPECT_EQ(SystemCallOf(SYS_getpid).waits_on, On::kOther);
}

TEST(SystemCalls, OthersHaveNoName) {
  for (const int32_t number : {-1, 511, 512, 1'000'000}) {
    EXPECT_EQ(SystemCallOf(number).name, "") << number;
  }
}

}  // namespace
}  // namespace whyslow
