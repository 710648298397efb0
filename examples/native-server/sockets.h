// The few socket calls that server and load generator need, on loopback only.
#pragma once

#include <cstdint>

namespace example {

// A listening TCP socket on 127.0.0.1; port 0 takes a free one. -1 with a message on failure.
int ListenOnLoopback(uint16_t port);
uint16_t PortOf(int socket);
// -1 on failure.
int ConnectToLoopback(uint16_t port);
// Small answers at once.
void DisableDelay(int socket);

}  // namespace example
