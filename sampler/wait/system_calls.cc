#include "sampler/wait/system_calls.h"

#include <algorithm>
#include <array>
#include <cstddef>
#include <iterator>

namespace whyslow {
namespace {

constexpr int32_t kMostCalls = 512;

struct NumberedName {
  int32_t number;
  std::string_view name;
};

constexpr NumberedName kNames[] = {
#include "system_call_names.inc"
};

using On = SystemCall::WaitsOn;

constexpr SystemCall kKnown[] = {
    {"read", On::kDescriptor, WaitKind::kFile},
    {"readv", On::kDescriptor, WaitKind::kFile},
    {"pread64", On::kDescriptor, WaitKind::kFile},
    {"preadv", On::kDescriptor, WaitKind::kFile},
    {"preadv2", On::kDescriptor, WaitKind::kFile},
    {"write", On::kDescriptor, WaitKind::kFile},
    {"writev", On::kDescriptor, WaitKind::kFile},
    {"pwrite64", On::kDescriptor, WaitKind::kFile},
    {"pwritev", On::kDescriptor, WaitKind::kFile},
    {"pwritev2", On::kDescriptor, WaitKind::kFile},
    {"sendfile", On::kDescriptor, WaitKind::kFile},
    {"splice", On::kDescriptor, WaitKind::kPipe},
    {"tee", On::kDescriptor, WaitKind::kPipe},
    {"vmsplice", On::kDescriptor, WaitKind::kPipe},
    {"copy_file_range", On::kDescriptor, WaitKind::kFile},
    {"fsync", On::kDescriptor, WaitKind::kFile},
    {"fdatasync", On::kDescriptor, WaitKind::kFile},
    {"sync_file_range", On::kDescriptor, WaitKind::kFile},
    {"syncfs", On::kDescriptor, WaitKind::kFile},
    {"ftruncate", On::kDescriptor, WaitKind::kFile},
    {"fallocate", On::kDescriptor, WaitKind::kFile},
    {"flock", On::kDescriptor, WaitKind::kFile},
    {"fcntl", On::kDescriptor, WaitKind::kFile},
    {"fstat", On::kDescriptor, WaitKind::kFile},
    {"getdents64", On::kDescriptor, WaitKind::kFile},
    {"readahead", On::kDescriptor, WaitKind::kFile},
    {"ioctl", On::kDescriptor, WaitKind::kSyscall},
    {"close", On::kOther, WaitKind::kFile},
    {"sync", On::kOther, WaitKind::kFile},
    {"open", On::kOther, WaitKind::kFile},
    {"openat", On::kOther, WaitKind::kFile},
    {"openat2", On::kOther, WaitKind::kFile},
    {"creat", On::kOther, WaitKind::kFile},
    {"stat", On::kOther, WaitKind::kFile},
    {"lstat", On::kOther, WaitKind::kFile},
    {"newfstatat", On::kOther, WaitKind::kFile},
    {"statx", On::kOther, WaitKind::kFile},
    {"access", On::kOther, WaitKind::kFile},
    {"faccessat", On::kOther, WaitKind::kFile},
    {"readlink", On::kOther, WaitKind::kFile},
    {"readlinkat", On::kOther, WaitKind::kFile},
    {"unlink", On::kOther, WaitKind::kFile},
    {"unlinkat", On::kOther, WaitKind::kFile},
    {"rename", On::kOther, WaitKind::kFile},
    {"renameat", On::kOther, WaitKind::kFile},
    {"renameat2", On::kOther, WaitKind::kFile},
    {"mkdir", On::kOther, WaitKind::kFile},
    {"mkdirat", On::kOther, WaitKind::kFile},
    {"rmdir", On::kOther, WaitKind::kFile},
    {"truncate", On::kOther, WaitKind::kFile},
    {"msync", On::kOther, WaitKind::kFile},
    {"madvise", On::kOther, WaitKind::kPageFault},
    {"accept", On::kDescriptor, WaitKind::kAccept},
    {"accept4", On::kDescriptor, WaitKind::kAccept},
    {"connect", On::kDescriptor, WaitKind::kConnect},
    {"recvfrom", On::kDescriptor, WaitKind::kSocket},
    {"recvmsg", On::kDescriptor, WaitKind::kSocket},
    {"recvmmsg", On::kDescriptor, WaitKind::kSocket},
    {"sendto", On::kDescriptor, WaitKind::kSocket},
    {"sendmsg", On::kDescriptor, WaitKind::kSocket},
    {"sendmmsg", On::kDescriptor, WaitKind::kSocket},
    {"shutdown", On::kDescriptor, WaitKind::kSocket},
    {"poll", On::kPolled, WaitKind::kPoll},
    {"ppoll", On::kPolled, WaitKind::kPoll},
    {"select", On::kSelected, WaitKind::kPoll},
    {"pselect6", On::kSelected, WaitKind::kPoll},
    {"epoll_wait", On::kDescriptor, WaitKind::kPoll},
    {"epoll_pwait", On::kDescriptor, WaitKind::kPoll},
    {"epoll_pwait2", On::kDescriptor, WaitKind::kPoll},
    {"io_uring_enter", On::kOther, WaitKind::kIoUring},
    {"io_getevents", On::kOther, WaitKind::kDisk},
    {"io_pgetevents", On::kOther, WaitKind::kDisk},
    {"futex", On::kLock, WaitKind::kFutex},
    {"futex_wait", On::kLock, WaitKind::kFutex},
    {"futex_wake", On::kLock, WaitKind::kFutex},
    {"futex_requeue", On::kLock, WaitKind::kFutex},
    {"futex_waitv", On::kLock, WaitKind::kFutex},
    {"semop", On::kOther, WaitKind::kSemaphore},
    {"semtimedop", On::kOther, WaitKind::kSemaphore},
    {"msgrcv", On::kOther, WaitKind::kPipe},
    {"msgsnd", On::kOther, WaitKind::kPipe},
    {"mq_timedreceive", On::kOther, WaitKind::kPipe},
    {"mq_timedsend", On::kOther, WaitKind::kPipe},
    {"nanosleep", On::kOther, WaitKind::kSleep},
    {"clock_nanosleep", On::kOther, WaitKind::kSleep},
    {"wait4", On::kOther, WaitKind::kChild},
    {"waitid", On::kOther, WaitKind::kChild},
    {"vfork", On::kOther, WaitKind::kChild},
    {"clone", On::kOther, WaitKind::kChild},
    {"clone3", On::kOther, WaitKind::kChild},
    {"pause", On::kOther, WaitKind::kSignal},
    {"rt_sigsuspend", On::kOther, WaitKind::kSignal},
    {"rt_sigtimedwait", On::kOther, WaitKind::kSignal},
};

std::array<SystemCall, kMostCalls> MakeTable() {
  std::array<SystemCall, kMostCalls> table{};
  for (const NumberedName& named : kNames) {
    if (named.number < 0 || named.number >= kMostCalls) {
      continue;
    }
    const auto* const known = std::ranges::find_if(
        kKnown, [&](const SystemCall& call) { return call.name == named.name; });
    SystemCall& row = table[static_cast<size_t>(named.number)];
    row = known == std::end(kKnown) ? SystemCall{.name = named.name} : *known;
  }
  return table;
}

}  // namespace

SystemCall SystemCallOf(int32_t number) {
  static const auto& table = *new std::array<SystemCall, kMostCalls>(MakeTable());
  return number >= 0 && number < kMostCalls ? table[static_cast<size_t>(number)] : SystemCall();
}

}  // namespace whyslow
