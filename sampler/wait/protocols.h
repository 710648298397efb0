// Which protocol is spoken at a well-known port or socket file.
#pragma once

#include <string_view>

namespace whyslow {

// `address`: "127.0.0.1:5432", "[::1]:80", "/run/postgresql/.s.PGSQL.5432". Empty: not well known.
std::string_view ProtocolAt(std::string_view address);

}  // namespace whyslow
