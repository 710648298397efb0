#include "sampler/target/system_calls.h"

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
    {"read", On::kDescriptor},
    {"readv", On::kDescriptor},
    {"pread64", On::kDescriptor},
    {"preadv", On::kDescriptor},
    {"preadv2", On::kDescriptor},
    {"write", On::kDescriptor},
    {"writev", On::kDescriptor},
    {"pwrite64", On::kDescriptor},
    {"pwritev", On::kDescriptor},
    {"pwritev2", On::kDescriptor},
    {"sendfile", On::kDescriptor},
    {"splice", On::kDescriptor},
    {"tee", On::kDescriptor},
    {"vmsplice", On::kDescriptor},
    {"copy_file_range", On::kDescriptor},
    {"fsync", On::kDescriptor},
    {"fdatasync", On::kDescriptor},
    {"sync_file_range", On::kDescriptor},
    {"syncfs", On::kDescriptor},
    {"ftruncate", On::kDescriptor},
    {"fallocate", On::kDescriptor},
    {"flock", On::kDescriptor},
    {"fcntl", On::kDescriptor},
    {"fstat", On::kDescriptor},
    {"getdents64", On::kDescriptor},
    {"readahead", On::kDescriptor},
    {"ioctl", On::kDescriptor},
    {"accept", On::kDescriptor},
    {"accept4", On::kDescriptor},
    {"connect", On::kDescriptor},
    {"recvfrom", On::kDescriptor},
    {"recvmsg", On::kDescriptor},
    {"recvmmsg", On::kDescriptor},
    {"sendto", On::kDescriptor},
    {"sendmsg", On::kDescriptor},
    {"sendmmsg", On::kDescriptor},
    {"shutdown", On::kDescriptor},
    {"poll", On::kPolled},
    {"ppoll", On::kPolled},
    {"select", On::kSelected},
    {"pselect6", On::kSelected},
    {"epoll_wait", On::kDescriptor},
    {"epoll_pwait", On::kDescriptor},
    {"epoll_pwait2", On::kDescriptor},
    {"futex", On::kLock},
    {"futex_wait", On::kLock},
    {"futex_wake", On::kLock},
    {"futex_requeue", On::kLock},
    {"futex_waitv", On::kLock},
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

std::optional<int32_t> SystemCallNamed(std::string_view name) {
  const auto* const row =
      std::ranges::find_if(kNames, [name](const NumberedName& each) { return each.name == name; });
  return row == std::end(kNames) ? std::nullopt : std::optional(row->number);
}

}  // namespace whyslow
