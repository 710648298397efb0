#include "sampler/wait/system_call_kinds.h"

#include <algorithm>
#include <iterator>

namespace whyslow {
namespace {

struct KindRow {
  std::string_view name;
  WaitKind kind;
};

// In order of their names.
constexpr KindRow kKinds[] = {
    {"accept", WaitKind::kAccept},
    {"accept4", WaitKind::kAccept},
    {"access", WaitKind::kFile},
    {"clock_nanosleep", WaitKind::kSleep},
    {"clone", WaitKind::kChild},
    {"clone3", WaitKind::kChild},
    {"close", WaitKind::kFile},
    {"connect", WaitKind::kConnect},
    {"copy_file_range", WaitKind::kFile},
    {"creat", WaitKind::kFile},
    {"epoll_pwait", WaitKind::kPoll},
    {"epoll_pwait2", WaitKind::kPoll},
    {"epoll_wait", WaitKind::kPoll},
    {"faccessat", WaitKind::kFile},
    {"fallocate", WaitKind::kFile},
    {"fcntl", WaitKind::kFile},
    {"fdatasync", WaitKind::kFile},
    {"flock", WaitKind::kFile},
    {"fstat", WaitKind::kFile},
    {"fsync", WaitKind::kFile},
    {"ftruncate", WaitKind::kFile},
    {"futex", WaitKind::kFutex},
    {"futex_requeue", WaitKind::kFutex},
    {"futex_wait", WaitKind::kFutex},
    {"futex_waitv", WaitKind::kFutex},
    {"futex_wake", WaitKind::kFutex},
    {"getdents64", WaitKind::kFile},
    {"io_getevents", WaitKind::kDisk},
    {"io_pgetevents", WaitKind::kDisk},
    {"io_uring_enter", WaitKind::kIoUring},
    {"lstat", WaitKind::kFile},
    {"madvise", WaitKind::kPageFault},
    {"mkdir", WaitKind::kFile},
    {"mkdirat", WaitKind::kFile},
    {"mq_timedreceive", WaitKind::kPipe},
    {"mq_timedsend", WaitKind::kPipe},
    {"msgrcv", WaitKind::kPipe},
    {"msgsnd", WaitKind::kPipe},
    {"msync", WaitKind::kFile},
    {"nanosleep", WaitKind::kSleep},
    {"newfstatat", WaitKind::kFile},
    {"open", WaitKind::kFile},
    {"openat", WaitKind::kFile},
    {"openat2", WaitKind::kFile},
    {"pause", WaitKind::kSignal},
    {"poll", WaitKind::kPoll},
    {"ppoll", WaitKind::kPoll},
    {"pread64", WaitKind::kFile},
    {"preadv", WaitKind::kFile},
    {"preadv2", WaitKind::kFile},
    {"pselect6", WaitKind::kPoll},
    {"pwrite64", WaitKind::kFile},
    {"pwritev", WaitKind::kFile},
    {"pwritev2", WaitKind::kFile},
    {"read", WaitKind::kFile},
    {"readahead", WaitKind::kFile},
    {"readlink", WaitKind::kFile},
    {"readlinkat", WaitKind::kFile},
    {"readv", WaitKind::kFile},
    {"recvfrom", WaitKind::kSocket},
    {"recvmmsg", WaitKind::kSocket},
    {"recvmsg", WaitKind::kSocket},
    {"rename", WaitKind::kFile},
    {"renameat", WaitKind::kFile},
    {"renameat2", WaitKind::kFile},
    {"rmdir", WaitKind::kFile},
    {"rt_sigsuspend", WaitKind::kSignal},
    {"rt_sigtimedwait", WaitKind::kSignal},
    {"select", WaitKind::kPoll},
    {"semop", WaitKind::kSemaphore},
    {"semtimedop", WaitKind::kSemaphore},
    {"sendfile", WaitKind::kFile},
    {"sendmmsg", WaitKind::kSocket},
    {"sendmsg", WaitKind::kSocket},
    {"sendto", WaitKind::kSocket},
    {"shutdown", WaitKind::kSocket},
    {"splice", WaitKind::kPipe},
    {"stat", WaitKind::kFile},
    {"statx", WaitKind::kFile},
    {"sync", WaitKind::kFile},
    {"sync_file_range", WaitKind::kFile},
    {"syncfs", WaitKind::kFile},
    {"tee", WaitKind::kPipe},
    {"truncate", WaitKind::kFile},
    {"unlink", WaitKind::kFile},
    {"unlinkat", WaitKind::kFile},
    {"vfork", WaitKind::kChild},
    {"vmsplice", WaitKind::kPipe},
    {"wait4", WaitKind::kChild},
    {"waitid", WaitKind::kChild},
    {"write", WaitKind::kFile},
    {"writev", WaitKind::kFile},
};
static_assert(std::ranges::is_sorted(kKinds, {}, &KindRow::name));

}  // namespace

WaitKind KindOfSystemCall(std::string_view name) {
  const auto* const row = std::ranges::lower_bound(kKinds, name, {}, &KindRow::name);
  return row != std::end(kKinds) && row->name == name ? row->kind : WaitKind::kSyscall;
}

}  // namespace whyslow
