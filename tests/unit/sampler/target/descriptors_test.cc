#include "sampler/target/descriptors.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/unique_fd.h"
#include "sampler/target/system_calls.h"

namespace whyslow {
namespace {

using Kind = WaitObject::Kind;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr std::string_view kTcp =
    "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout "
    "inode\n"
    "   0: 0100007F:1538 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 "
    "11 1 0000000000000000 100 0 0 10 0\n"
    "   1: 0100007F:1538 0200007F:D431 01 00000000:00000000 00:00000000 00000000     0        0 "
    "12 1 0000000000000000 20 4 30 10 -1\n"
    "   2: damaged\n";

TEST(SocketTables, ListenersAndConnectionsHaveTheirAddresses) {
  const std::vector<SocketRow> rows = ParseInetSockets(kTcp, false);

  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].inode, 11);
  EXPECT_EQ(rows[0].object.kind, Kind::kListeningSocket);
  EXPECT_EQ(rows[0].object.local, "127.0.0.1:5432");
  EXPECT_EQ(rows[0].object.peer, "");
  EXPECT_EQ(rows[1].object.kind, Kind::kSocket);
  EXPECT_EQ(rows[1].object.peer, "127.0.0.2:54321");
  EXPECT_TRUE(rows[1].is_settled());
}

TEST(SocketTables, PortsThatAreListenedOn) {
  absl::flat_hash_set<uint16_t> ports;
  AddListeningPorts(kTcp, ports);

  EXPECT_THAT(ports, UnorderedElementsAre(5432));
}

TEST(SocketTables, Ipv6AndIpv4WithinIt) {
  const std::vector<SocketRow> rows = ParseInetSockets(
      " 0: 00000000000000000000000001000000:0050 00000000000000000000000000000000:0000 0A "
      "0:0 0:0 0 0 0 21 1\n"
      " 1: 0000000000000000FFFF00000100007F:0050 0000000000000000FFFF00000300007F:1234 01 "
      "0:0 0:0 0 0 0 22 1\n",
      false);

  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_EQ(rows[0].object.local, "[::1]:80");
  EXPECT_EQ(rows[1].object.local, "127.0.0.1:80");
  EXPECT_EQ(rows[1].object.peer, "127.0.0.3:4660");
}

TEST(SocketTables, UnixSocketsHaveTheirPaths) {
  const std::vector<SocketRow> rows = ParseUnixSockets(
      "Num       RefCount Protocol Flags    Type St Inode Path\n"
      "0000000000000000: 00000002 00000000 00010000 0001 01  31 /run/a b.sock\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03  32 @/abstract\n"
      "0000000000000000: 00000003 00000000 00000000 0001 03  33\n");

  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0].object.kind, Kind::kListeningSocket);
  EXPECT_EQ(rows[0].object.local, "/run/a b.sock");
  EXPECT_EQ(rows[1].object.local, "@/abstract");
  EXPECT_TRUE(rows[1].object.is_server_side);
  EXPECT_EQ(rows[2].object, WaitObject{.kind = Kind::kSocket});
}

TEST(SocketTables, NamesOfUnixSocketsAsTheKernelKeepsThem) {
  EXPECT_EQ(UnixAddressText({"/run/x\0\0", 8}), "/run/x");
  EXPECT_EQ(UnixAddressText({"\0bus", 4}), "@bus");
  EXPECT_EQ(UnixAddressText(""), "");
}

TEST(Descriptors, LinksOfSockets) {
  EXPECT_EQ(SocketOfLink("socket:[4711]"), 4711);
  EXPECT_FALSE(SocketOfLink("socket:[x]"));
  EXPECT_FALSE(SocketOfLink("pipe:[4711]"));
}

TEST(Descriptors, WhatAnEpollWatches) {
  EXPECT_THAT(ParseWatched("pos:\t0\nflags:\t02\n"
                           "tfd:        5 events:       19 data:  5  pos:0 ino:61af sdev:7\n"
                           "tfd:       17 events:       19 data: 11  pos:0 ino:61af sdev:7\n"),
              ElementsAre(5, 17));
  EXPECT_THAT(ParseWatched(""), IsEmpty());
}

int32_t Number(std::string_view name) { return SystemCallNamed(name).value_or(-1); }

std::optional<int> Waited(std::string_view call, std::array<uint64_t, 6> arguments) {
  return WaitedDescriptor(Number(call), arguments, LiveMemory(Pid{getpid()}));
}

TEST(Descriptors, TheOneThatASystemCallWaitsOn) {
  pollfd entries[2] = {{.fd = 9, .events = POLLIN}, {.fd = 4, .events = POLLIN}};
  const auto at = reinterpret_cast<uint64_t>(entries);

  EXPECT_EQ(Waited("read", {7}), 7);
  EXPECT_EQ(Waited("ppoll", {at, 1}), 9);
  EXPECT_EQ(Waited("ppoll", {at, 2}), std::nullopt);
  EXPECT_EQ(Waited("futex", {7}), std::nullopt);
  EXPECT_EQ(Waited("read", {0xffffffff}), std::nullopt);
}

TEST(Descriptors, TheOnlyBitOfSelect) {
  uint64_t to_read[2] = {0, 2};
  uint64_t to_write[2] = {0, 2};
  const auto read_set = reinterpret_cast<uint64_t>(to_read);
  const auto write_set = reinterpret_cast<uint64_t>(to_write);

  EXPECT_EQ(Waited("pselect6", {66, read_set, write_set}), 65);
  EXPECT_EQ(Waited("pselect6", {66, read_set, 0}), 65);
  to_write[0] = 1;
  EXPECT_EQ(Waited("pselect6", {66, read_set, write_set}), std::nullopt);
}

// The live table: sockets of this process.
TEST(Descriptors, ConnectionsOfAProcessAreFound) {
  const UniqueFd listener(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  ASSERT_EQ(bind(listener.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(listen(listener.get(), 1), 0);
  ASSERT_EQ(getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size), 0);
  const UniqueFd client(socket(AF_INET, SOCK_STREAM, 0));
  ASSERT_EQ(connect(client.get(), reinterpret_cast<sockaddr*>(&address), size), 0);
  const UniqueFd server(accept(listener.get(), nullptr, nullptr));
  const std::string name = InetAddressText(AF_INET, {127, 0, 0, 1}, ntohs(address.sin_port));
  Descriptors descriptors;
  const Pid self{getpid()};

  const auto listening = descriptors.Find(self, listener.get());
  const auto of_client = descriptors.Find(self, client.get());
  const auto of_server = descriptors.Find(self, server.get());

  ASSERT_TRUE(listening && of_client && of_server);
  EXPECT_EQ(listening->kind, Kind::kListeningSocket);
  EXPECT_EQ(of_client->peer, name);
  EXPECT_FALSE(of_client->is_server_side);
  EXPECT_EQ(of_server->local, name);
  EXPECT_TRUE(of_server->is_server_side);
}

TEST(Descriptors, PipesEventsAndWhatIsClosed) {
  std::array<int, 2> ends{};
  ASSERT_EQ(pipe(ends.data()), 0);
  const UniqueFd reads(ends[0]);
  UniqueFd writes(ends[1]);
  const UniqueFd event(eventfd(0, 0));
  const UniqueFd epoll(epoll_create1(0));
  Descriptors descriptors;
  const Pid self{getpid()};

  EXPECT_EQ(descriptors.Find(self, reads.get())->kind, Kind::kPipe);
  EXPECT_EQ(descriptors.Find(self, event.get())->kind, Kind::kEvent);
  EXPECT_EQ(descriptors.Find(self, epoll.get())->kind, Kind::kEpoll);
  writes = UniqueFd();
  EXPECT_EQ(descriptors.Find(self, ends[1]), nullptr);
}

}  // namespace
}  // namespace whyslow
