#include "sampler/target/socket_tables.h"

#include <absl/strings/str_format.h>
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "base/text.h"

namespace whyslow {
namespace {

using Words = std::vector<std::string_view>;

struct Endpoint {
  uint16_t family = AF_INET;
  AddressBytes bytes{};
  uint16_t port = 0;
};

// "0100007F:1538": words of 32 bits as this machine has them in memory, then the port.
std::optional<Endpoint> ParseEndpoint(std::string_view text) {
  constexpr size_t kDigits = 8;
  const size_t colon = text.find(':');
  if (colon != kDigits && colon != 4 * kDigits) {
    return std::nullopt;
  }
  Endpoint endpoint{.family = static_cast<uint16_t>(colon == kDigits ? AF_INET : AF_INET6)};
  for (size_t at = 0; at < colon; at += kDigits) {
    const auto word = ToNumber<uint32_t>(text.substr(at, kDigits), 16);
    if (!word) {
      return std::nullopt;
    }
    std::memcpy(endpoint.bytes.data() + at / 2, &*word, sizeof(*word));
  }
  const auto port = ToNumber<uint16_t>(text.substr(colon + 1), 16);
  if (!port) {
    return std::nullopt;
  }
  endpoint.port = *port;
  return endpoint;
}

std::string TextOf(const Endpoint& endpoint) {
  return endpoint.port == 0 ? std::string()
                            : InetAddressText(endpoint.family, endpoint.bytes, endpoint.port);
}

// "sl local remote state queues timer retransmits uid timeout inode ..."
std::optional<SocketRow> ParseInetLine(std::string_view line, bool is_udp) {
  const Words words = PartsOf(line, ' ');
  if (words.size() < 10) {
    return std::nullopt;
  }
  const auto local = ParseEndpoint(words[1]);
  const auto peer = ParseEndpoint(words[2]);
  const auto state = ToNumber<uint8_t>(words[3], 16);
  const auto inode = ToNumber<uint64_t>(words[9], 10);
  if (!local || !peer || !state || !inode) {
    return std::nullopt;
  }
  const bool listens = !is_udp && *state == TCP_LISTEN;
  SocketRow row{.inode = *inode, .local_port = local->port, .object = {}};
  row.object.kind = listens ? WaitObject::Kind::kListeningSocket : WaitObject::Kind::kSocket;
  row.object.is_udp = is_udp;
  row.object.local = TextOf(*local);
  row.object.peer = TextOf(*peer);
  return row;
}

// "address: count protocol flags type state inode path": the path is absent, or may hold blanks.
std::optional<SocketRow> ParseUnixLine(std::string_view line) {
  constexpr uint32_t kListens = 0x10000;  // __SO_ACCEPTCON
  constexpr size_t kWordsBeforePath = 7;
  const Words words = PartsOf(line, ' ');
  if (words.size() < kWordsBeforePath) {
    return std::nullopt;
  }
  const auto flags = ToNumber<uint32_t>(words[3], 16);
  const auto inode = ToNumber<uint64_t>(words[6], 10);
  if (!flags || !inode) {
    return std::nullopt;
  }
  SocketRow row{.inode = *inode, .local_port = 0, .object = {}};
  const bool listens = (*flags & kListens) != 0;
  row.object.kind = listens ? WaitObject::Kind::kListeningSocket : WaitObject::Kind::kSocket;
  if (words.size() > kWordsBeforePath) {
    row.object.local =
        line.substr(static_cast<size_t>(words[kWordsBeforePath].data() - line.data()));
  }
  row.object.is_server_side = !listens && !row.object.local.empty();
  return row;
}

template <class Parse>
std::vector<SocketRow> RowsOf(std::string_view text, const Parse& parse) {
  std::vector<SocketRow> rows;
  for (const std::string_view line : PartsOf(text, '\n')) {
    if (std::optional<SocketRow> row = parse(line)) {
      rows.push_back(*std::move(row));
    }
  }
  return rows;
}

}  // namespace

std::string InetAddressText(uint16_t family, const AddressBytes& bytes, uint16_t port) {
  constexpr std::array<uint8_t, 12> kMapped = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool is_mapped =
      family == AF_INET6 && std::equal(kMapped.begin(), kMapped.end(), bytes.begin());
  if (family == AF_INET || is_mapped) {
    inet_ntop(AF_INET, bytes.data() + (is_mapped ? kMapped.size() : 0), text.data(), text.size());
    return absl::StrFormat("%s:%d", text.data(), port);
  }
  inet_ntop(AF_INET6, bytes.data(), text.data(), text.size());
  return absl::StrFormat("[%s]:%d", text.data(), port);
}

std::string UnixAddressText(std::string_view name) {
  if (name.empty()) {
    return {};
  }
  if (name.front() == '\0') {
    return absl::StrFormat("@%s", name.substr(1));
  }
  return std::string(name.substr(0, name.find('\0')));
}

std::vector<SocketRow> ParseInetSockets(std::string_view text, bool is_udp) {
  return RowsOf(text, [is_udp](std::string_view line) { return ParseInetLine(line, is_udp); });
}

std::vector<SocketRow> ParseUnixSockets(std::string_view text) {
  return RowsOf(text, ParseUnixLine);
}

void AddListeningPorts(std::string_view text, absl::flat_hash_set<uint16_t>& ports) {
  for (const SocketRow& row : ParseInetSockets(text, /*is_udp=*/false)) {
    if (row.object.kind == WaitObject::Kind::kListeningSocket) {
      ports.insert(row.local_port);
    }
  }
}

}  // namespace whyslow
