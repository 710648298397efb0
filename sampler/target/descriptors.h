// What a process's descriptors lead to, from /proc: for where the kernel's own structs are out of
// reach.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "sampler/event.h"
#include "sampler/target/socket_tables.h"
#include "sampler/target/target_memory.h"

namespace whyslow {

// By the type in an inode's mode, and for what has no type the name: "[eventpoll]", "inotify".
WaitObject::Kind KindOfFile(uint32_t mode, std::string_view name);

// The number in "socket:[4711]"; nullopt: the link leads to something else.
std::optional<uint64_t> SocketOfLink(std::string_view link);

// The descriptors that an epoll watches, from its /proc/PID/fdinfo.
std::vector<int> ParseWatched(std::string_view fdinfo);

// The descriptor that a system call waits on; nullopt: none, or several.
std::optional<int> WaitedDescriptor(int32_t system_call, const std::array<uint64_t, 6>& arguments,
                                    const TargetMemory& memory);

// Used by one thread. Descriptors are looked at each time, because numbers are used again; what
// they lead to is remembered.
class Descriptors {
 public:
  // Null: gone, or not permitted.
  std::shared_ptr<const WaitObject> Find(Pid pid, int descriptor);

 private:
  using ObjectRef = std::shared_ptr<const WaitObject>;
  // Sockets of one network namespace when its tables were last read.
  struct Network {
    absl::flat_hash_map<uint64_t, std::pair<ObjectRef, bool>> sockets;  // true: settled
    Instant next_read;
  };

  ObjectRef FindSocket(Pid pid, uint64_t inode);
  ObjectRef FindFile(const std::string& path, const std::string& link);
  ObjectRef OnlySocketOf(Pid pid, int epoll);
  void ReadTables(Pid pid, Network& network);

  absl::flat_hash_map<std::string, Network> networks_;  // by the link of /proc/PID/ns/net
  absl::flat_hash_map<std::string, ObjectRef> files_;   // by the link of the descriptor
};

}  // namespace whyslow
