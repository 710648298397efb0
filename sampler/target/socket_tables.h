// Sockets as the kernel lists them in /proc/PID/net, and how addresses are written. Pure.
#pragma once

#include <absl/container/flat_hash_set.h>

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "sampler/event.h"

namespace whyslow {

using AddressBytes = std::array<uint8_t, 16>;  // of IPv4 the first four; in network order

// "127.0.0.1:5432", "[::1]:80"; IPv4 within IPv6 as IPv4. `family` is AF_INET or AF_INET6.
std::string InetAddressText(uint16_t family, const AddressBytes& bytes, uint16_t port);

// As the kernel keeps it: an abstract name begins with a zero, shown as @.
std::string UnixAddressText(std::string_view name);

struct SocketRow {
  uint64_t inode = 0;
  uint16_t local_port = 0;  // 0: none, or no such kind
  WaitObject object;

  // Its addresses change no more.
  bool is_settled() const {
    return !object.peer.empty() || object.kind == WaitObject::Kind::kListeningSocket;
  }
};

// Of /proc/PID/net/tcp, tcp6, udp, udp6. Lines that do not parse are left out.
std::vector<SocketRow> ParseInetSockets(std::string_view text, bool is_udp);
// Of /proc/PID/net/unix, which does not say who the peer is.
std::vector<SocketRow> ParseUnixSockets(std::string_view text);

// Adds the ports that are listened on. Of /proc/PID/net/tcp and tcp6.
void AddListeningPorts(std::string_view text, absl::flat_hash_set<uint16_t>& ports);

}  // namespace whyslow
