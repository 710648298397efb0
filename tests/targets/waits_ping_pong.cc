// Two threads on one CPU that hand a byte to and fro: as many waits a second as there can be.
// Usage: waits_ping_pong [ROUNDS]; see measured_waits.h.
#include <sched.h>

#include "measured_waits.h"

using targets::Account;
using targets::Cast;
using targets::Meter;
using targets::Must;
using targets::Player;

extern "C" {

__attribute__((noinline)) void pass_to_and_fro(int from, int to, int rounds) {
  char byte = 0;
  for (int i = 0; i < rounds; ++i) {
    Must(static_cast<int>(write(to, &byte, 1)), "write");
    Must(static_cast<int>(read(from, &byte, 1)), "read");
  }
}

}  // extern "C"

namespace {

void Play(Player& self, int cpu, int from, int to, int rounds) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  Must(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
  Account& account = self.Open("pass_to_and_fro", "pipe");
  const Meter meter(account);
  pass_to_and_fro(from, to, rounds);
}

}  // namespace

int main(int argc, char** argv) {
  const int rounds = static_cast<int>(targets::NumberArgument(argc, argv, 1, 100'000));
  int there[2];
  int back[2];
  Must(pipe(there), "pipe");
  Must(pipe(back), "pipe");
  Cast cast;
  const int cpu = sched_getcpu();
  cast.Add("ping", [=](Player& self) { Play(self, cpu, back[0], there[1], rounds); });
  cast.Add("pong", [=](Player& self) { Play(self, cpu, there[0], back[1], rounds); });
  return cast.Play();
}
