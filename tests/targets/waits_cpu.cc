// Threads that have work to do: one works and sleeps in turn, two share a CPU, two give it to each
// other, one has been blocked since long before. Usage: see measured_waits.h.
#include <sched.h>

#include "measured_waits.h"

using targets::Account;
using targets::Cast;
using targets::Meter;
using targets::Must;
using targets::Player;

extern "C" {

__attribute__((noinline)) void sleep_between_work(Account& account, int64_t nanos) {
  const timespec span = targets::TimespecOf(nanos);
  const Meter meter(account);
  nanosleep(&span, nullptr);
}

__attribute__((noinline)) void work_between_sleeps(int64_t nanos) { targets::BurnCpuFor(nanos); }

__attribute__((noinline)) void work_on_shared_cpu(Account& account, int64_t nanos) {
  const Meter meter(account);
  targets::BurnCpuFor(nanos);
}

__attribute__((noinline)) void give_cpu_away(Account& account) {
  const Meter meter(account);
  sched_yield();
}

__attribute__((noinline)) void blocked_since_yesterday(int pipe) {
  char byte = 0;
  while (read(pipe, &byte, 1) < 0) {
  }
  targets::sink ^= 1;
}

}  // extern "C"

namespace {

void WorkAndSleep(Player& self) {
  Account& sleeps = self.Open("sleep_between_work", "sleep");
  for (int i = 0; i < 200; ++i) {
    work_between_sleeps(2'000'000);
    sleep_between_work(sleeps, 3'000'000);
  }
}

void StayOn(int cpu) {
  cpu_set_t one;
  CPU_ZERO(&one);
  CPU_SET(cpu, &one);
  Must(sched_setaffinity(0, sizeof one, &one), "sched_setaffinity");
}

void WorkBesideAnother(Player& self, int cpu) {
  Account& work = self.Open("work_on_shared_cpu", "preempted");
  StayOn(cpu);
  work_on_shared_cpu(work, 1'000'000'000);
}

void Yield(Player& self, int cpu) {
  Account& yields = self.Open("give_cpu_away", "runqueue");
  StayOn(cpu);
  for (int i = 0; i < 2'000; ++i) {
    give_cpu_away(yields);
  }
}

int FirstCpu() {
  cpu_set_t allowed;
  Must(sched_getaffinity(0, sizeof allowed, &allowed), "sched_getaffinity");
  int cpu = 0;
  while (!CPU_ISSET(cpu, &allowed)) {
    ++cpu;
  }
  return cpu;
}

}  // namespace

int main() {
  int never_written[2];
  Must(pipe(never_written), "pipe");
  pthread_t blocked{};
  pthread_create(
      &blocked, nullptr,
      [](void* ends) -> void* {
        pthread_setname_np(pthread_self(), "yesterday");
        blocked_since_yesterday(static_cast<int*>(ends)[0]);
        return nullptr;
      },
      never_written);

  Cast cast;
  const int cpu = FirstCpu();
  cast.Add("worker", WorkAndSleep);
  cast.Add("shares_cpu_1", [=](Player& self) { WorkBesideAnother(self, cpu); });
  cast.Add("shares_cpu_2", [=](Player& self) { WorkBesideAnother(self, cpu); });
  cast.Add("yields_1", [=](Player& self) { Yield(self, cpu); });
  cast.Add("yields_2", [=](Player& self) { Yield(self, cpu); });
  const int status = cast.Play();
  close(never_written[1]);
  pthread_join(blocked, nullptr);
  return status;
}
