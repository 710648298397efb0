#include "sampler/bpf/wait_objects.h"

#include <absl/strings/str_format.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "base/file_io.h"
#include "sampler/target/descriptors.h"
#include "sampler/target/socket_tables.h"

namespace whyslow {
namespace {

constexpr int kOnlyWhatIsKnown = AT_STATX_DONT_SYNC | AT_NO_AUTOMOUNT;
// The BPF programs remember half as many as sent, those that were used last.
constexpr size_t kMostOfAGeneration = 16'384;
constexpr Nanoseconds kListeningIsFresh = std::chrono::seconds(1);

AddressBytes BytesOf(const __u8 (&bytes)[16]) {
  AddressBytes copy{};
  std::copy_n(bytes, copy.size(), copy.begin());
  return copy;
}

std::string UnixText(const char (&name)[WAIT_NAME], size_t bytes) {
  return UnixAddressText({name, std::min(bytes, sizeof(name))});
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
    object.local = InetAddressText(record.family, BytesOf(record.local), record.local_port);
  }
  if (record.peer_port != 0) {
    object.peer = InetAddressText(record.family, BytesOf(record.peer), ntohs(record.peer_port));
  }
  return object;
}

// The path of the descriptor, if it still is the same file.
std::string PathOf(const wait_object_record& record) {
  const std::string link = absl::StrFormat("/proc/%d/fd/%d", record.head.process, record.fd);
  // Without asking the file system anew: a dead server of files would not answer.
  struct statx info {};
  std::string path = ReadLink(link);
  if (path.empty() || statx(AT_FDCWD, link.c_str(), kOnlyWhatIsKnown, STATX_INO, &info) != 0 ||
      info.stx_ino != record.inode) {
    return {};
  }
  return path;
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
  Keep(record.object, std::make_shared<const WaitObject>(std::move(object)));
}

void WaitObjects::Keep(uint64_t number, std::shared_ptr<const WaitObject> object) {
  if (young_.size() >= kMostOfAGeneration) {
    old_ = std::exchange(young_, {});
  }
  young_[number] = std::move(object);
}

std::shared_ptr<const WaitObject> WaitObjects::Find(uint64_t number) {
  if (const auto object = young_.find(number); object != young_.end()) {
    return object->second;
  }
  const auto object = old_.find(number);
  if (object == old_.end()) {
    return nullptr;
  }
  std::shared_ptr<const WaitObject> found = object->second;
  Keep(number, found);
  return found;
}

}  // namespace whyslow
