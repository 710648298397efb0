#include "sampler/bpf/wait_objects.h"

#include <absl/strings/str_format.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>

#include "base/file_io.h"

namespace whyslow {
namespace {

// The BPF programs remember half as many as sent.
constexpr size_t kMostObjects = 16'384;
constexpr Nanoseconds kListeningIsFresh = std::chrono::seconds(1);

std::string AddressText(uint16_t family, const __u8 (&bytes)[16], uint16_t port) {
  constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool is_mapped =
      family == AF_INET6 && std::memcmp(bytes, kMapped.data(), kMapped.size()) == 0;
  if (family == AF_INET || is_mapped) {
    inet_ntop(AF_INET, bytes + (is_mapped ? kMapped.size() : 0), text.data(), text.size());
    return absl::StrFormat("%s:%d", text.data(), port);
  }
  inet_ntop(AF_INET6, bytes, text.data(), text.size());
  return absl::StrFormat("[%s]:%d", text.data(), port);
}

// As the kernel keeps it: an abstract name begins with a zero.
std::string UnixText(const char (&name)[WAIT_NAME], size_t bytes) {
  const std::string_view text(name, std::min(bytes, sizeof(name)));
  if (text.empty()) {
    return {};
  }
  if (text.front() == '\0') {
    return absl::StrFormat("@%s", text.substr(1));
  }
  return std::string(text.substr(0, text.find('\0')));
}

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

WaitObject SocketOfRecord(const wait_object_record& record) {
  WaitObject object;
  const bool listens = record.state == TCP_LISTEN && record.socket_type == SOCK_STREAM;
  object.kind = listens ? WaitObject::Kind::kListeningSocket : WaitObject::Kind::kSocket;
  if (record.kind == WAIT_OBJECT_UNIX) {
    object.local = UnixText(record.name, record.name_bytes);
    object.peer = UnixText(record.peer_name, record.peer_name_bytes);
    object.is_server_side = object.peer.empty() && !object.local.empty();
    return object;
  }
  object.is_udp = record.socket_type == SOCK_DGRAM;
  if (record.local_port != 0) {
    object.local = AddressText(record.family, record.local, record.local_port);
  }
  if (record.peer_port != 0) {
    object.peer = AddressText(record.family, record.peer, ntohs(record.peer_port));
  }
  return object;
}

// The path of the descriptor, if it still is the same file.
std::string PathOf(const wait_object_record& record) {
  const std::string link = absl::StrFormat("/proc/%d/fd/%d", record.head.process, record.fd);
  struct stat info {};
  std::array<char, PATH_MAX> path{};
  const ssize_t size = readlink(link.c_str(), path.data(), path.size());
  if (size <= 0 || stat(link.c_str(), &info) != 0 || info.st_ino != record.inode) {
    return {};
  }
  return {path.data(), static_cast<size_t>(size)};
}

// Ports of /proc/PID/net/tcp and tcp6 that are listened on: "  0: 0100007F:1538 00000000:0000 0A".
void AddListeningPorts(const std::string& text, absl::flat_hash_set<uint16_t>& ports) {
  std::istringstream lines(text);
  std::string line;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string number;
    std::string local;
    std::string peer;
    std::string state;
    words >> number >> local >> peer >> state;
    const size_t colon = local.rfind(':');
    if (state == "0A" && colon != std::string::npos) {
      ports.insert(static_cast<uint16_t>(strtoul(local.c_str() + colon + 1, nullptr, 16)));
    }
  }
}

}  // namespace

WaitObject ObjectOfRecord(const wait_object_record& record) {
  if (record.kind == WAIT_OBJECT_INET || record.kind == WAIT_OBJECT_UNIX) {
    return SocketOfRecord(record);
  }
  WaitObject object;
  if (S_ISSOCK(record.mode)) {
    object.kind = WaitObject::Kind::kSocket;
    return object;
  }
  const std::string_view name(record.name,
                              std::min<size_t>(record.name_bytes, sizeof(record.name)));
  object.kind = KindOfFile(record.mode, name);
  if (object.kind == WaitObject::Kind::kFile || object.kind == WaitObject::Kind::kDevice) {
    object.path = name;
  }
  return object;
}

bool WaitObjects::IsListeningPort(Pid pid, uint16_t port) {
  const Instant now = MonotonicClock::now();
  if (!listening_.contains(port) && now - listening_read_at_ > kListeningIsFresh) {
    listening_read_at_ = now;
    for (const char* const name : {"tcp", "tcp6"}) {
      const auto text = ReadFile(absl::StrFormat("/proc/%d/net/%s", Number(pid), name));
      if (text.ok()) {
        AddListeningPorts(*text, listening_);
      }
    }
  }
  return listening_.contains(port);
}

void WaitObjects::Add(const wait_object_record& record) {
  WaitObject object = ObjectOfRecord(record);
  if (!object.path.empty()) {
    if (std::string path = PathOf(record); !path.empty()) {
      object.path = std::move(path);
    }
  }
  if (record.kind == WAIT_OBJECT_INET && record.socket_type == SOCK_STREAM) {
    if (object.kind == WaitObject::Kind::kListeningSocket) {
      listening_.insert(record.local_port);
    } else {
      object.is_server_side =
          IsListeningPort(Pid{static_cast<int32_t>(record.head.process)}, record.local_port);
    }
  }
  if (!objects_.contains(record.object)) {
    by_age_.push_back(record.object);
  }
  objects_[record.object] = std::make_shared<const WaitObject>(std::move(object));
  while (by_age_.size() > kMostObjects) {
    objects_.erase(by_age_.front());
    by_age_.pop_front();
  }
}

std::shared_ptr<const WaitObject> WaitObjects::Find(uint64_t number) const {
  const auto object = objects_.find(number);
  return object == objects_.end() ? nullptr : object->second;
}

}  // namespace whyslow
