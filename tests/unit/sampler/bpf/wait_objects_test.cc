#include "sampler/bpf/wait_objects.h"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cstring>
#include <string_view>

namespace whyslow {
namespace {

wait_object_record Inet(uint16_t state) {
  wait_object_record record{};
  record.kind = WAIT_OBJECT_INET;
  record.mode = S_IFSOCK;
  record.family = AF_INET;
  record.socket_type = SOCK_STREAM;
  record.state = state;
  record.local[0] = 127;
  record.local[3] = 1;
  record.local_port = 40000;
  return record;
}

template <size_t n>
void Put(char (&field)[n], std::string_view text) {
  std::memcpy(field, text.data(), text.size());
}

TEST(ObjectOfRecord, AConnectionHasBothEnds) {
  wait_object_record record = Inet(TCP_ESTABLISHED);
  record.peer[0] = 10;
  record.peer[3] = 9;
  record.peer_port = htons(5432);

  const WaitObject object = ObjectOfRecord(record);
  EXPECT_EQ(object.kind, WaitObject::Kind::kSocket);
  EXPECT_EQ(object.local, "127.0.0.1:40000");
  EXPECT_EQ(object.peer, "10.0.0.9:5432");
  EXPECT_FALSE(object.is_udp);
}

TEST(ObjectOfRecord, WhatListensHasNoPeer) {
  const WaitObject object = ObjectOfRecord(Inet(TCP_LISTEN));
  EXPECT_EQ(object.kind, WaitObject::Kind::kListeningSocket);
  EXPECT_EQ(object.local, "127.0.0.1:40000");
  EXPECT_EQ(object.peer, "");
}

TEST(ObjectOfRecord, AddressesOfTheNewProtocolAreInBracketsUnlessTheyAreOldOnes) {
  wait_object_record record = Inet(TCP_ESTABLISHED);
  record.family = AF_INET6;
  std::memset(record.local, 0, sizeof(record.local));
  record.local[15] = 1;
  EXPECT_EQ(ObjectOfRecord(record).local, "[::1]:40000");

  record.local[10] = record.local[11] = 0xff;
  record.local[12] = 192;
  record.local[13] = 168;
  EXPECT_EQ(ObjectOfRecord(record).local, "192.168.0.1:40000");
}

TEST(ObjectOfRecord, UnixSocketsHaveNamesOfTheirOwnKind) {
  wait_object_record record{};
  record.kind = WAIT_OBJECT_UNIX;
  record.mode = S_IFSOCK;
  record.family = AF_UNIX;
  record.socket_type = SOCK_STREAM;
  record.state = TCP_ESTABLISHED;
  Put(record.peer_name, "/run/x.sock");
  record.peer_name_bytes = WAIT_NAME;  // padded with zeros
  EXPECT_EQ(ObjectOfRecord(record).peer, "/run/x.sock");
  EXPECT_FALSE(ObjectOfRecord(record).is_server_side);

  record.peer_name_bytes = 0;
  Put(record.name, std::string_view("\0bus", 4));
  record.name_bytes = 4;
  EXPECT_EQ(ObjectOfRecord(record).local, "@bus");
  EXPECT_TRUE(ObjectOfRecord(record).is_server_side);

  record.name_bytes = 60'000;  // more than there can be
  EXPECT_EQ(ObjectOfRecord(record).local.front(), '@');
}

TEST(ObjectOfRecord, OthersAreWhatTheirModeAndNameSay) {
  const struct {
    uint32_t mode;
    std::string_view name;
    WaitObject::Kind kind;
  } rows[] = {
      {S_IFIFO, "", WaitObject::Kind::kPipe},      {S_IFREG, "x.db", WaitObject::Kind::kFile},
      {S_IFCHR, "pts", WaitObject::Kind::kDevice}, {0, "[eventpoll]", WaitObject::Kind::kEpoll},
      {0, "[eventfd]", WaitObject::Kind::kEvent},  {0, "inotify", WaitObject::Kind::kEvent},
      {0, "[timerfd]", WaitObject::Kind::kTimer},  {0, "[userfaultfd]", WaitObject::Kind::kOther},
  };
  for (const auto& row : rows) {
    wait_object_record record{};
    record.kind = WAIT_OBJECT_FILE;
    record.mode = row.mode;
    Put(record.name, row.name);
    record.name_bytes = static_cast<uint16_t>(row.name.size());
    EXPECT_EQ(ObjectOfRecord(record).kind, row.kind) << row.name;
  }
}

TEST(WaitObjects, KeepsTheNewestOfTooMany) {
  WaitObjects objects;
  for (uint64_t number = 1; number <= 40'000; ++number) {
    wait_object_record record{};
    record.kind = WAIT_OBJECT_FILE;
    record.mode = S_IFIFO;
    record.object = number;
    objects.Add(record);
  }
  EXPECT_EQ(objects.Find(1), nullptr);
  ASSERT_NE(objects.Find(40'000), nullptr);
  EXPECT_EQ(objects.Find(40'000)->kind, WaitObject::Kind::kPipe);
}

}  // namespace
}  // namespace whyslow
