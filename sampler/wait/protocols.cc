#include "sampler/wait/protocols.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <iterator>

namespace whyslow {
namespace {

struct PortRow {
  uint16_t port;
  std::string_view protocol;
};

// Ports that stand for one protocol in practice; in order.
constexpr PortRow kPorts[] = {
    {21, "ftp"},
    {22, "ssh"},
    {25, "smtp"},
    {53, "dns"},
    {80, "http"},
    {110, "pop3"},
    {111, "rpcbind"},
    {123, "ntp"},
    {143, "imap"},
    {389, "ldap"},
    {443, "https"},
    {465, "smtps"},
    {514, "syslog"},
    {587, "smtp"},
    {636, "ldaps"},
    {853, "dns"},
    {873, "rsync"},
    {993, "imaps"},
    {995, "pop3s"},
    {1433, "sqlserver"},
    {1521, "oracle"},
    {1883, "mqtt"},
    {2049, "nfs"},
    {2181, "zookeeper"},
    {2379, "etcd"},
    {3306, "mysql"},
    {4222, "nats"},
    {4317, "otlp"},
    {4318, "otlp"},
    {5432, "postgresql"},
    {5433, "postgresql"},
    {5672, "amqp"},
    {5984, "couchdb"},
    {6379, "redis"},
    {6380, "redis"},
    {6432, "postgresql"},
    {7687, "neo4j"},
    {8086, "influxdb"},
    {8123, "clickhouse"},
    {8125, "statsd"},
    {8126, "datadog"},
    {8200, "vault"},
    {8500, "consul"},
    {8883, "mqtts"},
    {9042, "cassandra"},
    {9092, "kafka"},
    {9200, "elasticsearch"},
    {9300, "elasticsearch"},
    {11211, "memcached"},
    {26257, "postgresql"},
    {26379, "redis"},
    {27017, "mongodb"},
    {27018, "mongodb"},
    {33060, "mysqlx"},
    {50051, "grpc"},
    {61613, "stomp"},
};
static_assert(std::ranges::is_sorted(kPorts, {}, &PortRow::port));

struct PathRow {
  std::string_view part;
  std::string_view protocol;
};

constexpr PathRow kPaths[] = {
    {".s.PGSQL.", "postgresql"},
    {"mysql", "mysql"},
    {"mariadb", "mysql"},
    {"redis", "redis"},
    {"memcached", "memcached"},
    {"mongodb-", "mongodb"},
    {"php", "fastcgi"},
    {"/dev/log", "syslog"},
    {"journal", "syslog"},
    {"docker.sock", "http"},
    {"io.systemd.Resolve", "dns"},
    {"nscd/socket", "dns"},
};

}  // namespace

std::string_view ProtocolAt(std::string_view address) {
  if (address.starts_with('/') || address.starts_with('@')) {
    const auto* const row = std::ranges::find_if(kPaths, [address](const PathRow& each) {
      return address.find(each.part) != std::string_view::npos;
    });
    return row == std::end(kPaths) ? std::string_view() : row->protocol;
  }
  const size_t colon = address.rfind(':');
  uint16_t port = 0;
  if (colon == std::string_view::npos ||
      std::from_chars(address.data() + colon + 1, address.data() + address.size(), port).ec !=
          std::errc()) {
    return {};
  }
  const auto* const row = std::ranges::lower_bound(kPorts, port, {}, &PortRow::port);
  return row != std::end(kPorts) && row->port == port ? row->protocol : std::string_view();
}

}  // namespace whyslow
