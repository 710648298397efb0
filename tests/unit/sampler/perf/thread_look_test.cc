#include "sampler/perf/thread_look.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <thread>

namespace whyslow {
namespace {

TEST(ThreadSyscall, ASleepInASystemCallHasItsArguments) {
  const auto call = ParseThreadSyscall(
      "230 0x0 0x1 0x7ffdbda35950 0x7ffdbda35990 0x4 0x5 0x7ffdbda35938 0x7f1710979503\n");

  ASSERT_TRUE(call);
  EXPECT_EQ(call->number, 230);
  EXPECT_EQ(call->arguments, (std::array<uint64_t, 6>{0, 1, 0x7ffdbda35950, 0x7ffdbda35990, 4, 5}));
  EXPECT_EQ(call->sp, 0x7ffdbda35938);
  EXPECT_EQ(call->pc, 0x7f1710979503);
}

TEST(ThreadSyscall, ASleepOutsideHasNoNumber) {
  const auto call = ParseThreadSyscall("-1 0x7ffdbda35938 0x7f1710979503\n");

  ASSERT_TRUE(call);
  EXPECT_EQ(call->number, -1);
}

TEST(ThreadSyscall, WhatRunsOrIsDamagedIsNone) {
  for (const char* const text :
       {"", "running\n", "230 0x0 0x0\n", "-1 7ffd 0x0\n", "x 0x1 0x2\n", "1 2 3 4\n"}) {
    EXPECT_FALSE(ParseThreadSyscall(text)) << text;
  }
}

TEST(TimesRun, IsTheThirdNumber) {
  EXPECT_EQ(ParseTimesRun("1234 55 42\n"), 42);
  EXPECT_FALSE(ParseTimesRun("1234 55\n"));
  EXPECT_FALSE(ParseTimesRun(""));
}

TEST(LookAt, OneWhoSleepsShowsItsStack) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const pid_t child = fork();
  if (child == 0) {
    close(ends[1]);
    char byte = 0;
    _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
  }
  close(ends[0]);
  StopSeen seen;
  LookOutcome outcome = LookOutcome::kWentOn;
  for (int tries = 0; tries < 500; ++tries) {
    outcome = LookAt(Pid{child}, Tid{child}, 512, seen);
    if (outcome != LookOutcome::kWentOn && seen.stack.system_call == SYS_read) {
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  close(ends[1]);
  if (outcome == LookOutcome::kDenied) {
    GTEST_SKIP() << "reading a child's memory is not permitted here";
  }

  EXPECT_EQ(outcome, LookOutcome::kSeen);
  EXPECT_EQ(seen.stack.system_call, SYS_read);
  EXPECT_EQ(seen.stack.arguments[0], static_cast<uint64_t>(ends[0]));
  EXPECT_EQ(seen.stack.stack.size(), 512);
  EXPECT_EQ(seen.why, OffCpu::kBlocked);
}

TEST(LookAt, NobodyIsGone) {
  StopSeen seen;
  EXPECT_NE(LookAt(Pid{0x7ffffff}, Tid{0x7ffffff}, 512, seen), LookOutcome::kSeen);
}

}  // namespace
}  // namespace whyslow
