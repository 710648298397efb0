#include "sampler/wait/protocols.h"

#include <gtest/gtest.h>

namespace whyslow {
namespace {

TEST(ProtocolAt, KnowsPortsOfBothFamilies) {
  EXPECT_EQ(ProtocolAt("127.0.0.1:5432"), "postgresql");
  EXPECT_EQ(ProtocolAt("[::1]:3306"), "mysql");
  EXPECT_EQ(ProtocolAt("10.0.0.1:53"), "dns");
  EXPECT_EQ(ProtocolAt("10.0.0.1:443"), "https");
}

TEST(ProtocolAt, KnowsSocketFiles) {
  EXPECT_EQ(ProtocolAt("/var/run/postgresql/.s.PGSQL.5433"), "postgresql");
  EXPECT_EQ(ProtocolAt("/run/mysqld/mysqld.sock"), "mysql");
  EXPECT_EQ(ProtocolAt("@redis-cache"), "redis");
}

TEST(ProtocolAt, SaysNothingOfOthers) {
  for (const char* const address : {"", "127.0.0.1:40000", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x",
                                    "[::1]:99999", "/run/something.sock", "@x"}) {
    EXPECT_EQ(ProtocolAt(address), "") << address;
  }
}

}  // namespace
}  // namespace whyslow
