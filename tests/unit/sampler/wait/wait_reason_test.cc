#include "sampler/wait/wait_reason.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include <utility>

namespace whyslow {
namespace {

using Kind = WaitObject::Kind;

constexpr WaitStackId kSomeStack{7};

WaitsEnded Blocked(int32_t system_call, WaitObject object) {
  return {.stack = kSomeStack,
          .system_call = system_call,
          .object = std::make_shared<const WaitObject>(std::move(object))};
}

WaitsEnded Blocked(int32_t system_call) {
  return {.stack = kSomeStack, .system_call = system_call};
}

TEST(WaitReason, OfASocketIsThePeerAndWhatIsSpokenThere) {
  const WaitReason reason = ReasonOf(Blocked(
      SYS_recvfrom, {.kind = Kind::kSocket, .local = "127.0.0.1:40000", .peer = "127.0.0.1:5432"}));

  EXPECT_EQ(reason.kind, WaitKind::kSocket);
  EXPECT_EQ(reason.peer, "127.0.0.1:5432");
  EXPECT_EQ(reason.protocol, "postgresql");
  EXPECT_EQ(reason.system_call, "recvfrom");
}

TEST(WaitReason, OfWhatListensOrWasAcceptedIsTheOwnAddress) {
  const WaitReason listening =
      ReasonOf(Blocked(SYS_accept4, {.kind = Kind::kListeningSocket, .local = "0.0.0.0:80"}));
  EXPECT_EQ(listening.kind, WaitKind::kAccept);
  EXPECT_EQ(listening.peer, "0.0.0.0:80");
  EXPECT_EQ(listening.protocol, "http");

  const WaitReason accepted = ReasonOf(Blocked(SYS_read, {.kind = Kind::kSocket,
                                                          .local = "10.0.0.1:80",
                                                          .peer = "10.0.0.9:51000",
                                                          .is_server_side = true}));
  EXPECT_EQ(accepted.kind, WaitKind::kSocket);
  EXPECT_EQ(accepted.peer, "10.0.0.1:80");
}

TEST(WaitReason, OfAPollOfNothingIsTime) {
  WaitsEnded waits = Blocked(SYS_pselect6);
  EXPECT_EQ(ReasonOf(waits).kind, WaitKind::kPoll);
  waits.for_time = true;
  EXPECT_EQ(ReasonOf(waits).kind, WaitKind::kSleep);
  EXPECT_EQ(ReasonOf(waits).system_call, "pselect6");
}

TEST(WaitReason, OfAWordOfTheInterpreterIsTheGil) {
  WaitsEnded waits = Blocked(SYS_futex);
  EXPECT_EQ(ReasonOf(waits).kind, WaitKind::kFutex);
  waits.for_gil = true;
  EXPECT_EQ(ReasonOf(waits).kind, WaitKind::kGil);
}

TEST(WaitReason, OfReadAndPollIsWhatTheDescriptorIs) {
  const std::pair<Kind, WaitKind> read[] = {
      {Kind::kSocket, WaitKind::kSocket}, {Kind::kPipe, WaitKind::kPipe},
      {Kind::kFile, WaitKind::kFile},     {Kind::kDevice, WaitKind::kPipe},
      {Kind::kEvent, WaitKind::kEvent},   {Kind::kTimer, WaitKind::kTimer},
  };
  for (const auto& [object, kind] : read) {
    EXPECT_EQ(ReasonOf(Blocked(SYS_read, {.kind = object})).kind, kind) << NameOf(kind);
  }
  EXPECT_EQ(ReasonOf(Blocked(SYS_ppoll, {.kind = Kind::kSocket})).kind, WaitKind::kSocket);
  EXPECT_EQ(ReasonOf(Blocked(SYS_ppoll, {.kind = Kind::kListeningSocket})).kind, WaitKind::kAccept);
  EXPECT_EQ(ReasonOf(Blocked(SYS_ppoll)).kind, WaitKind::kPoll);
  EXPECT_EQ(ReasonOf(Blocked(SYS_epoll_pwait, {.kind = Kind::kEpoll})).kind, WaitKind::kPoll);
  EXPECT_EQ(ReasonOf(Blocked(SYS_connect, {.kind = Kind::kSocket})).kind, WaitKind::kConnect);
}

TEST(WaitReason, AnAnswerFromAResolverIsDns) {
  EXPECT_EQ(ReasonOf(Blocked(SYS_recvfrom, {.kind = Kind::kSocket, .peer = "10.0.0.2:53"})).kind,
            WaitKind::kDns);
  EXPECT_EQ(ReasonOf(Blocked(SYS_read, {.kind = Kind::kSocket, .peer = "/run/nscd/socket"})).kind,
            WaitKind::kDns);
}

TEST(WaitReason, AFileHasItsPathAndADeviceIsTold) {
  WaitsEnded waits = Blocked(SYS_pread64, {.kind = Kind::kFile, .path = "/var/lib/x.db"});
  EXPECT_EQ(ReasonOf(waits).kind, WaitKind::kFile);
  EXPECT_EQ(ReasonOf(waits).file, "/var/lib/x.db");

  waits.for_device = true;
  waits.uninterruptible = true;
  EXPECT_EQ(ReasonOf(waits).kind, WaitKind::kDisk);
  EXPECT_EQ(ReasonOf(waits).state, "");
}

TEST(WaitReason, ByTheSystemCallAlone) {
  const std::pair<int32_t, WaitKind> calls[] = {
      {SYS_futex, WaitKind::kFutex},
      {SYS_clock_nanosleep, WaitKind::kSleep},
      {SYS_wait4, WaitKind::kChild},
      {SYS_io_uring_enter, WaitKind::kIoUring},
      {SYS_rt_sigtimedwait, WaitKind::kSignal},
      {SYS_getrandom, WaitKind::kSyscall},
  };
  for (const auto& [call, kind] : calls) {
    EXPECT_EQ(ReasonOf(Blocked(call)).kind, kind) << call;
  }
  EXPECT_EQ(ReasonOf(Blocked(SYS_getrandom)).system_call, "getrandom");
  EXPECT_EQ(ReasonOf(Blocked(100'000)).system_call, "");
}

TEST(WaitReason, OutsideOfSystemCallsMemoryIsReadOrNobodyKnows) {
  WaitsEnded fault = Blocked(-1);
  fault.uninterruptible = true;
  EXPECT_EQ(ReasonOf(fault).kind, WaitKind::kPageFault);
  EXPECT_EQ(ReasonOf(Blocked(-1)).kind, WaitKind::kKernel);
  EXPECT_EQ(ReasonOf({}).kind, WaitKind::kUnknown);
}

TEST(WaitReason, WhereNoSignalEndsItTheStateSaysSo) {
  WaitsEnded vfork = Blocked(SYS_clone);
  vfork.uninterruptible = true;
  EXPECT_EQ(ReasonOf(vfork).kind, WaitKind::kChild);
  EXPECT_EQ(ReasonOf(vfork).state, "uninterruptible");

  WaitsEnded other = Blocked(SYS_mmap);
  other.uninterruptible = true;
  EXPECT_EQ(ReasonOf(other).kind, WaitKind::kUninterruptible);
}

TEST(WaitReason, WhatIsDoneToAThreadIsNoReasonOfItsOwn) {
  const std::pair<OffCpu, WaitKind> holds[] = {
      {OffCpu::kRunnable, WaitKind::kRunQueue},   {OffCpu::kPreempted, WaitKind::kPreempted},
      {OffCpu::kThrottled, WaitKind::kThrottled}, {OffCpu::kStopped, WaitKind::kStopped},
      {OffCpu::kTraced, WaitKind::kTraced},       {OffCpu::kFrozen, WaitKind::kFrozen},
      {OffCpu::kStolen, WaitKind::kStolen},
  };
  for (const auto& [why, kind] : holds) {
    WaitsEnded waits = Blocked(SYS_read, {.kind = Kind::kSocket, .peer = "10.0.0.1:80"});
    waits.why = why;
    EXPECT_EQ(ReasonOf(waits).kind, kind);
    EXPECT_EQ(ReasonOf(waits).peer, "");
  }
}

}  // namespace
}  // namespace whyslow
