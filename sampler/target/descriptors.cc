#include "sampler/target/descriptors.h"

#include <absl/container/flat_hash_set.h>
#include <absl/strings/str_format.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "base/file_io.h"
#include "base/text.h"
#include "sampler/target/system_calls.h"

namespace whyslow {
namespace {

constexpr size_t kMostFiles = 16'384;
constexpr size_t kMostNetworks = 64;
constexpr size_t kMostSockets = 262'144;  // in one namespace
constexpr size_t kLongestTable = 64 << 20;

std::optional<int> PolledDescriptor(const std::array<uint64_t, 6>& arguments,
                                    const TargetMemory& memory) {
  if (arguments[1] != 1) {
    return std::nullopt;
  }
  const auto entry = memory.ReadValue<pollfd>(RuntimeAddress(arguments[0]));
  return entry ? std::optional(entry->fd) : std::nullopt;
}

// The only bit in the sets to be read and to be written.
std::optional<int> SelectedDescriptor(const std::array<uint64_t, 6>& arguments,
                                      const TargetMemory& memory) {
  constexpr uint64_t kWordBits = 64;
  constexpr uint64_t kMostBits = 1024;
  std::optional<int> found;
  for (const uint64_t set : {arguments[1], arguments[2]}) {
    for (uint64_t bit = 0; set != 0 && bit < std::min(arguments[0], kMostBits); bit += kWordBits) {
      const auto word = memory.ReadValue<uint64_t>(RuntimeAddress(set + bit / 8));
      if (!word || *word == 0) {
        continue;
      }
      const int number = static_cast<int>(bit) + std::countr_zero(*word);
      if (!std::has_single_bit(*word) || found.value_or(number) != number) {
        return std::nullopt;
      }
      found = number;
    }
  }
  return found;
}

}  // namespace

WaitObject::Kind KindOfFile(uint32_t mode, std::string_view name) {
  using Kind = WaitObject::Kind;
  if (S_ISFIFO(mode)) {
    return Kind::kPipe;
  }
  if (S_ISREG(mode) || S_ISDIR(mode)) {
    return Kind::kFile;
  }
  if (S_ISCHR(mode) || S_ISBLK(mode)) {
    return Kind::kDevice;
  }
  if (name == "[eventpoll]") {
    return Kind::kEpoll;
  }
  if (name == "[timerfd]") {
    return Kind::kTimer;
  }
  if (name == "[eventfd]" || name == "[signalfd]" || name.find("inotify") != name.npos ||
      name.find("fanotify") != name.npos) {
    return Kind::kEvent;
  }
  return Kind::kOther;
}

std::optional<uint64_t> SocketOfLink(std::string_view link) {
  constexpr std::string_view kBefore = "socket:[";
  if (!link.starts_with(kBefore) || !link.ends_with(']')) {
    return std::nullopt;
  }
  link.remove_prefix(kBefore.size());
  link.remove_suffix(1);
  return ToNumber<uint64_t>(link);
}

std::vector<int> ParseWatched(std::string_view fdinfo) {
  std::vector<int> watched;
  for (std::string_view line : PartsOf(fdinfo, '\n')) {
    if (TakeWord(line) != "tfd:") {
      continue;
    }
    if (const auto descriptor = ToNumber<int>(TakeWord(line))) {
      watched.push_back(*descriptor);
    }
  }
  return watched;
}

std::optional<int> WaitedDescriptor(int32_t system_call, const std::array<uint64_t, 6>& arguments,
                                    const TargetMemory& memory) {
  std::optional<int> descriptor;
  switch (SystemCallOf(system_call).waits_on) {
    case SystemCall::WaitsOn::kDescriptor:
      descriptor = static_cast<int>(arguments[0]);
      break;
    case SystemCall::WaitsOn::kPolled:
      descriptor = PolledDescriptor(arguments, memory);
      break;
    case SystemCall::WaitsOn::kSelected:
      descriptor = SelectedDescriptor(arguments, memory);
      break;
    case SystemCall::WaitsOn::kLock:
    case SystemCall::WaitsOn::kOther:
      break;
  }
  return descriptor.value_or(-1) >= 0 ? descriptor : std::nullopt;
}

void Descriptors::ReadTables(Pid pid, Network& network) {
  const Instant began = MonotonicClock::now();
  std::vector<SocketRow> rows;
  absl::flat_hash_set<uint16_t> listening;
  const auto add = [&rows](std::vector<SocketRow> more) {
    std::ranges::move(more, std::back_inserter(rows));
  };
  for (const char* const name : {"tcp", "tcp6", "udp", "udp6", "unix"}) {
    const auto text =
        ReadFile(absl::StrFormat("/proc/%d/net/%s", Number(pid), name), kLongestTable);
    if (!text.ok()) {
      continue;
    }
    const std::string_view kind = name;
    add(kind == "unix" ? ParseUnixSockets(*text) : ParseInetSockets(*text, kind[0] == 'u'));
    if (kind[0] == 't') {
      AddListeningPorts(*text, listening);
    }
  }
  network.sockets.clear();
  for (SocketRow& row : rows) {
    if (network.sockets.size() >= kMostSockets) {
      break;
    }
    row.object.is_server_side |= row.object.kind == WaitObject::Kind::kSocket &&
                                 !row.object.is_udp && listening.contains(row.local_port);
    const bool is_settled = row.is_settled();
    network.sockets[row.inode] = {std::make_shared<const WaitObject>(std::move(row.object)),
                                  is_settled};
  }
  // Servers with many connections have long tables: a fiftieth of our time at most is for them.
  constexpr int kShare = 50;
  const Instant now = MonotonicClock::now();
  network.next_read =
      now + std::max<Nanoseconds>((now - began) * kShare, std::chrono::milliseconds(20));
}

Descriptors::ObjectRef Descriptors::FindSocket(Pid pid, uint64_t inode) {
  const std::string name = ReadLink(absl::StrFormat("/proc/%d/ns/net", Number(pid)));
  if (networks_.size() >= kMostNetworks && !networks_.contains(name)) {
    networks_.clear();
  }
  Network& network = networks_[name];
  auto socket = network.sockets.find(inode);
  const bool is_settled = socket != network.sockets.end() && socket->second.second;
  if (!is_settled && MonotonicClock::now() >= network.next_read) {
    ReadTables(pid, network);
    socket = network.sockets.find(inode);
  }
  if (socket != network.sockets.end()) {
    return socket->second.first;
  }
  static const auto& unknown = *new ObjectRef(new WaitObject{.kind = WaitObject::Kind::kSocket});
  return unknown;
}

Descriptors::ObjectRef Descriptors::FindFile(const std::string& path, const std::string& link) {
  if (const auto known = files_.find(link); known != files_.end()) {
    return known->second;
  }
  // Without asking the file system anew: a dead server of files would not answer.
  struct statx info {};
  if (statx(AT_FDCWD, path.c_str(), AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT, STATX_TYPE, &info) != 0) {
    return nullptr;
  }
  constexpr std::string_view kNameless = "anon_inode:";
  const std::string_view name =
      link.starts_with(kNameless) ? std::string_view(link).substr(kNameless.size()) : link;
  WaitObject object;
  object.kind = KindOfFile(info.stx_mode, name);
  if (object.kind == WaitObject::Kind::kFile || object.kind == WaitObject::Kind::kDevice) {
    object.path = link;
  }
  if (files_.size() >= kMostFiles) {
    files_.clear();
  }
  return files_[link] = std::make_shared<const WaitObject>(std::move(object));
}

// Beside pipes and the like: then whoever waits for the epoll waits for that one.
Descriptors::ObjectRef Descriptors::OnlySocketOf(Pid pid, int epoll) {
  constexpr size_t kFew = 3;
  const auto text = ReadFile(absl::StrFormat("/proc/%d/fdinfo/%d", Number(pid), epoll));
  const std::vector<int> watched = ParseWatched(text.value_or(std::string()));
  ObjectRef found;
  for (const int descriptor : watched.size() <= kFew ? watched : std::vector<int>()) {
    const std::string link = ReadLink(absl::StrFormat("/proc/%d/fd/%d", Number(pid), descriptor));
    const auto inode = SocketOfLink(link);
    const ObjectRef object = inode ? FindSocket(pid, *inode) : nullptr;
    if (object != nullptr && !object->peer.empty()) {
      if (found != nullptr) {
        return nullptr;
      }
      found = object;
    }
  }
  return found;
}

std::shared_ptr<const WaitObject> Descriptors::Find(Pid pid, int descriptor) {
  const std::string path = absl::StrFormat("/proc/%d/fd/%d", Number(pid), descriptor);
  const std::string link = ReadLink(path);
  if (link.empty()) {
    return nullptr;
  }
  if (const auto inode = SocketOfLink(link)) {
    return FindSocket(pid, *inode);
  }
  ObjectRef object = FindFile(path, link);
  if (object != nullptr && object->kind == WaitObject::Kind::kEpoll) {
    if (ObjectRef socket = OnlySocketOf(pid, descriptor)) {
      return socket;
    }
  }
  return object;
}

}  // namespace whyslow
