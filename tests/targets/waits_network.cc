// Waits for peers that answer slowly: TCP and Unix sockets, connections that are made and taken,
// UDP, a name server that does not know the name. Usage: waits_network FOLDER. The Unix socket
// stands in FOLDER.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <resolv.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "measured_waits.h"

using targets::Account;
using targets::Cast;
using targets::Meter;
using targets::Must;
using targets::Player;
using targets::Times;

extern "C" {

__attribute__((noinline)) ssize_t receive_answer(Account& account, int descriptor) {
  char byte = 0;
  const Meter meter(account);
  return recv(descriptor, &byte, 1, 0);
}

// With read and not recv: another system call, the same reason.
__attribute__((noinline)) ssize_t read_request(Account& account, int descriptor) {
  char byte = 0;
  const Meter meter(account);
  return read(descriptor, &byte, 1);
}

__attribute__((noinline)) ssize_t send_until_full(Account& account, int descriptor) {
  static char bytes[1 << 16];
  const Meter meter(account);
  return send(descriptor, bytes, sizeof bytes, MSG_NOSIGNAL);
}

__attribute__((noinline)) ssize_t receive_in_vain(Account& account, int descriptor) {
  char byte = 0;
  const Meter meter(account);
  return recv(descriptor, &byte, 1, 0);
}

__attribute__((noinline)) int accept_connection(Account& account, int descriptor) {
  const Meter meter(account);
  return accept(descriptor, nullptr, nullptr);
}

__attribute__((noinline)) int connect_to_peer(Account& account, int descriptor,
                                              const sockaddr* address, socklen_t size) {
  const Meter meter(account);
  return connect(descriptor, address, size);
}

__attribute__((noinline)) int poll_one_socket(Account& account, int descriptor, int milliseconds) {
  pollfd wanted{.fd = descriptor, .events = POLLIN, .revents = 0};
  const Meter meter(account);
  return poll(&wanted, 1, milliseconds);
}

__attribute__((noinline)) int look_up_name(Account& account, res_state resolver) {
  unsigned char answer[512];
  const Meter meter(account);
  return res_nquery(resolver, "nobody.invalid", 1, 1, answer, sizeof answer);
}

__attribute__((noinline)) void sleep_before_answer(Account& account, int64_t nanos) {
  const timespec span = targets::TimespecOf(nanos);
  const Meter meter(account);
  nanosleep(&span, nullptr);
}

}  // extern "C"

namespace {

constexpr int64_t kMillisecond = 1'000'000;

// Addresses of this machine that nobody else listens on.
struct Address {
  sockaddr_in in{};

  Address(const char* host, uint16_t port) {
    in.sin_family = AF_INET;
    in.sin_port = htons(port);
    inet_pton(AF_INET, host, &in.sin_addr);
  }
  const sockaddr* generic() const { return reinterpret_cast<const sockaddr*>(&in); }
  std::string Text() const {
    char host[INET_ADDRSTRLEN] = {};
    inet_ntop(AF_INET, &in.sin_addr, host, sizeof host);
    return std::string(host) + ":" + std::to_string(ntohs(in.sin_port));
  }
};

Address BoundTo(int descriptor) {
  Address bound("0.0.0.0", 0);
  socklen_t size = sizeof bound.in;
  getsockname(descriptor, reinterpret_cast<sockaddr*>(&bound.in), &size);
  return bound;
}

int BoundSocket(const Address& address, int type) {
  const int descriptor = Must(socket(AF_INET, type | SOCK_CLOEXEC, 0), "socket");
  const int yes = 1;
  setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  Must(bind(descriptor, address.generic(), sizeof address.in), address.Text().c_str());
  return descriptor;
}

int Listener(const Address& address, int backlog) {
  const int descriptor = BoundSocket(address, SOCK_STREAM);
  Must(listen(descriptor, backlog), "listen");
  return descriptor;
}

sockaddr_un UnixAddress(const std::string& path) {
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  return address;
}

int UnixListener(const std::string& path, int backlog) {
  const int descriptor = Must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
  const sockaddr_un address = UnixAddress(path);
  Must(bind(descriptor, reinterpret_cast<const sockaddr*>(&address), sizeof address), path.c_str());
  Must(listen(descriptor, backlog), "listen");
  return descriptor;
}

void GiveUpAfter(int descriptor, int option, int64_t nanos) {
  const timeval limit{.tv_sec = 0, .tv_usec = nanos / 1'000};
  Must(setsockopt(descriptor, SOL_SOCKET, option, &limit, sizeof limit), "setsockopt");
}

void SendByte(int descriptor) {
  Must(static_cast<int>(send(descriptor, "x", 1, MSG_NOSIGNAL)), "send");
}

// Two ends of a TCP connection whose server side is bound to `address`.
struct Connection {
  int client = -1;
  int server = -1;

  explicit Connection(const Address& address) {
    const int listener = Listener(address, 4);
    const Address bound = BoundTo(listener);
    client = Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    Must(connect(client, bound.generic(), sizeof bound.in), "connect");
    server = Must(accept(listener, nullptr, nullptr), "accept");
    const int yes = 1;
    for (const int end : {client, server}) {
      setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    }
    close(listener);
  }

  explicit Connection(const std::string& path) {
    const int listener = UnixListener(path, 4);
    const sockaddr_un address = UnixAddress(path);
    client = Must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
    Must(connect(client, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
    server = Must(accept(listener, nullptr, nullptr), "accept");
    close(listener);
  }
};

// Answers each request after a time that it knows too.
void Serve(Player& self, int descriptor, targets::Labels labels) {
  Account& requests = self.Open("read_request", "socket", std::move(labels));
  Account& asleep = self.Open("sleep_before_answer", "sleep");
  for (const Times& times : targets::kThreeLengths) {
    for (int i = 0; i < times.count; ++i) {
      read_request(requests, descriptor);
      sleep_before_answer(asleep, times.each);
      SendByte(descriptor);
    }
  }
}

void Ask(Player& self, int descriptor, targets::Labels labels) {
  Account& answers = self.Open("receive_answer", "socket", std::move(labels));
  for (const Times& times : targets::kThreeLengths) {
    for (int i = 0; i < times.count; ++i) {
      SendByte(descriptor);
      receive_answer(answers, descriptor);
    }
  }
}

void AddAnswering(Cast& cast, const char* name, int descriptor, const targets::Labels& labels) {
  cast.Add(name, [=](Player& self) { Serve(self, descriptor, labels); });
}

void AddAsking(Cast& cast, const char* name, int descriptor, const targets::Labels& labels) {
  cast.Add(name, [=](Player& self) { Ask(self, descriptor, labels); });
}

// One stack, two peers, in turn: they must not be taken for one.
void AskTwo(Player& self, const Connection& first, const Connection& second) {
  Account& one =
      self.Open("receive_in_vain", "socket", {.peer = "127.0.86.1:6379", .protocol = "redis"});
  Account& two =
      self.Open("receive_in_vain", "socket", {.peer = "127.0.86.2:3306", .protocol = "mysql"});
  GiveUpAfter(first.client, SO_RCVTIMEO, kMillisecond);
  GiveUpAfter(second.client, SO_RCVTIMEO, 2 * kMillisecond);
  for (int i = 0; i < 60; ++i) {
    receive_in_vain(one, first.client);
    receive_in_vain(two, second.client);
  }
}

void SendToSlowReader(Player& self, const Connection& connection) {
  Account& sends = self.Open("send_until_full", "socket", {.peer = "127.0.86.3:9042"});
  GiveUpAfter(connection.client, SO_SNDTIMEO, 2 * kMillisecond);
  for (int i = 0; i < 100; ++i) {
    send_until_full(sends, connection.client);
  }
}

void Accept(Player& self, int listener) {
  Account& accepts = self.Open("accept_connection", "accept", {.peer = BoundTo(listener).Text()});
  for (int i = 0; i < 60; ++i) {
    close(accept_connection(accepts, listener));
  }
}

void ConnectNowAndThen(Player& self, int listener) {
  Account& asleep = self.Open("sleep_before_answer", "sleep");
  const Address address = BoundTo(listener);
  for (int i = 0; i < 60; ++i) {
    sleep_before_answer(asleep, 5 * kMillisecond);
    const int descriptor = Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    Must(connect(descriptor, address.generic(), sizeof address.in), "connect");
    close(descriptor);
  }
}

// Where as many connections stand as may, the next one's request is dropped.
int FullListener(const Address& address) {
  const int listener = Listener(address, 0);
  const Address bound = BoundTo(listener);
  const int descriptor = Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
  Must(connect(descriptor, bound.generic(), sizeof bound.in), "connect");
  return listener;
}

void ConnectInVain(Player& self, const Address& address) {
  Account& connects = self.Open("connect_to_peer", "connect",
                                {.peer = "127.0.86.4:5432", .protocol = "postgresql"});
  for (int i = 0; i < 30; ++i) {
    const int descriptor = Must(socket(AF_INET, SOCK_STREAM, 0), "socket");
    GiveUpAfter(descriptor, SO_SNDTIMEO, 10 * kMillisecond);
    connect_to_peer(connects, descriptor, address.generic(), sizeof address.in);
    close(descriptor);
  }
}

void ConnectToFullUnixSocket(Player& self, const std::string& path) {
  Account& connects = self.Open("connect_to_peer", "connect", {.peer = path});
  const sockaddr_un address = UnixAddress(path);
  for (int i = 0; i < 30; ++i) {
    const int descriptor = Must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
    GiveUpAfter(descriptor, SO_SNDTIMEO, 5 * kMillisecond);
    connect_to_peer(connects, descriptor, reinterpret_cast<const sockaddr*>(&address),
                    sizeof address);
    close(descriptor);
  }
}

void PollThenReceive(Player& self, const Connection& connection) {
  Account& polls = self.Open("poll_one_socket", "socket|poll", {.peer = "127.0.86.5:9200"});
  for (int i = 0; i < 100; ++i) {
    poll_one_socket(polls, connection.client, 3);
  }
}

void LookUpNames(Player& self) {
  Account& names = self.Open("look_up_name", "dns", {.peer = "127.0.86.6:53"});
  struct __res_state resolver {};
  res_ninit(&resolver);
  resolver.nscount = 1;
  resolver.nsaddr_list[0] = Address("127.0.86.6", 53).in;
  for (int i = 0; i < 30; ++i) {
    look_up_name(names, &resolver);
  }
  res_nclose(&resolver);
}

// Sends each question back as an answer: there is no such name.
void AnswerNames(Player& self, int descriptor) {
  Account& asleep = self.Open("sleep_before_answer", "sleep");
  for (int i = 0; i < 30; ++i) {
    unsigned char packet[512];
    sockaddr_in asker{};
    socklen_t size = sizeof asker;
    const ssize_t length =
        recvfrom(descriptor, packet, sizeof packet, 0, reinterpret_cast<sockaddr*>(&asker), &size);
    sleep_before_answer(asleep, 8 * kMillisecond);
    packet[2] |= 0x80;                                                      // an answer
    packet[3] = static_cast<unsigned char>(0x80 | (packet[3] & 0x70) | 3);  // NXDOMAIN
    sendto(descriptor, packet, static_cast<size_t>(length), 0,
           reinterpret_cast<const sockaddr*>(&asker), size);
  }
}

}  // namespace

int main(int, char** argv) {
  const std::string folder = argv[1];
  Cast cast;
  const Connection tcp(Address("127.0.86.7", 5432));
  AddAsking(cast, "tcp_client", tcp.client, {.peer = "127.0.86.7:5432", .protocol = "postgresql"});
  AddAnswering(cast, "tcp_server", tcp.server, {.peer = "127.0.86.7:5432"});
  const std::string path = folder + "/slow.sock";
  const Connection local(path);
  AddAsking(cast, "unix_client", local.client, {.peer = path});
  AddAnswering(cast, "unix_server", local.server, {.peer = path});

  const Connection redis(Address("127.0.86.1", 6379));
  const Connection mysql(Address("127.0.86.2", 3306));
  cast.Add("two_peers", [&](Player& self) { AskTwo(self, redis, mysql); });
  const Connection reader(Address("127.0.86.3", 9042));
  cast.Add("sender", [&](Player& self) { SendToSlowReader(self, reader); });
  const int listener = Listener(Address("127.0.86.8", 0), 16);
  cast.Add("acceptor", [=](Player& self) { Accept(self, listener); });
  cast.Add("connector", [=](Player& self) { ConnectNowAndThen(self, listener); });
  const Address full("127.0.86.4", 5432);
  FullListener(full);
  cast.Add("connect_tcp", [&](Player& self) { ConnectInVain(self, full); });
  const std::string full_path = folder + "/full.sock";
  const Connection filler(path + "2");
  const int full_unix = UnixListener(full_path, 0);
  const sockaddr_un address = UnixAddress(full_path);
  const int first = Must(socket(AF_UNIX, SOCK_STREAM, 0), "socket");
  Must(connect(first, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
  cast.Add("connect_unix", [&](Player& self) { ConnectToFullUnixSocket(self, full_path); });
  const Connection polled(Address("127.0.86.5", 9200));
  cast.Add("poller", [&](Player& self) { PollThenReceive(self, polled); });
  const int names = socket(AF_INET, SOCK_DGRAM, 0);
  const Address name_server("127.0.86.6", 53);
  if (bind(names, name_server.generic(), sizeof name_server.in) == 0) {
    cast.Add("dns_client", LookUpNames);
    cast.Add("dns_server", [=](Player& self) { AnswerNames(self, names); });
  } else {
    cast.Skip("dns", std::string("no socket on port 53: ") + std::strerror(errno));
  }
  targets::sink ^= static_cast<uint64_t>(full_unix);
  return cast.Play();
}
