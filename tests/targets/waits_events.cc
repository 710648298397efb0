// Waits for time, pipes, signals, processes and descriptors of many kinds; and two callers of one
// wait. Usage: see measured_waits.h.
#include <fcntl.h>
#include <linux/io_uring.h>
#include <poll.h>
#include <spawn.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <optional>

#include "measured_waits.h"

using targets::Account;
using targets::Cast;
using targets::Meter;
using targets::Must;
using targets::Player;
using targets::Times;

extern "C" {

__attribute__((noinline)) void sleep_for(Account& account, int64_t nanos) {
  const timespec span = targets::TimespecOf(nanos);
  const Meter meter(account);
  nanosleep(&span, nullptr);
}

__attribute__((noinline)) void sleep_until(Account& account, timespec moment) {
  const Meter meter(account);
  clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &moment, nullptr);
}

__attribute__((noinline)) ssize_t read_pipe(Account& account, int pipe) {
  char byte = 0;
  const Meter meter(account);
  return read(pipe, &byte, 1);
}

__attribute__((noinline)) ssize_t write_full_pipe(Account& account, int pipe) {
  static const char bytes[4096] = {};
  const Meter meter(account);
  return write(pipe, bytes, sizeof bytes);
}

__attribute__((noinline)) int poll_two(Account& account, int first, int second, int milliseconds) {
  pollfd wanted[2] = {{first, POLLIN, 0}, {second, POLLIN, 0}};
  const Meter meter(account);
  return poll(wanted, 2, milliseconds);
}

__attribute__((noinline)) int select_two(Account& account, int first, int second,
                                         int milliseconds) {
  fd_set wanted;
  FD_ZERO(&wanted);
  FD_SET(first, &wanted);
  FD_SET(second, &wanted);
  timeval limit{.tv_sec = 0, .tv_usec = milliseconds * 1'000};
  const Meter meter(account);
  return select(std::max(first, second) + 1, &wanted, nullptr, nullptr, &limit);
}

__attribute__((noinline)) int wait_for_epoll(Account& account, int epoll, int milliseconds) {
  epoll_event event{};
  const Meter meter(account);
  return epoll_wait(epoll, &event, 1, milliseconds);
}

__attribute__((noinline)) ssize_t read_eventfd(Account& account, int descriptor) {
  uint64_t value = 0;
  const Meter meter(account);
  return read(descriptor, &value, sizeof value);
}

__attribute__((noinline)) ssize_t read_timerfd(Account& account, int descriptor) {
  uint64_t value = 0;
  const Meter meter(account);
  return read(descriptor, &value, sizeof value);
}

__attribute__((noinline)) int wait_for_signal(Account& account, const sigset_t* wanted) {
  int number = 0;
  const Meter meter(account);
  sigwait(wanted, &number);
  return number;
}

__attribute__((noinline)) int wait_for_child(Account& account, pid_t child) {
  int status = 0;
  const Meter meter(account);
  waitpid(child, &status, 0);
  return status;
}

__attribute__((noinline)) int wait_for_ring(Account& account, int ring) {
  const Meter meter(account);
  return static_cast<int>(
      syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, nullptr, 0));
}

// Two callers that a hasty eye takes for one: equal frames, and the wait returns to one place only.
__attribute__((noinline)) void shared_wait(Account& account, int64_t nanos) {
  const timespec span = targets::TimespecOf(nanos);
  const Meter meter(account);
  nanosleep(&span, nullptr);
}
__attribute__((noinline)) void first_caller(Account& account) {
  shared_wait(account, 300'000);
  targets::sink ^= 1;
}
__attribute__((noinline)) void second_caller(Account& account) {
  shared_wait(account, 700'000);
  targets::sink ^= 2;
}

}  // extern "C"

namespace {

constexpr int64_t kMillisecond = 1'000'000;

struct Pipe {
  int ends[2] = {-1, -1};
  Pipe() { Must(pipe(ends), "pipe"); }
};

void Sleep(Player& self) {
  Account& sleeps = self.Open("sleep_for", "sleep");
  Account& until = self.Open("sleep_until", "sleep");
  for (const Times& times : targets::kThreeLengths) {
    for (int i = 0; i < times.count; ++i) {
      sleep_for(sleeps, times.each);
    }
  }
  for (int i = 0; i < 100; ++i) {
    sleep_until(until, targets::DeadlineAfter(kMillisecond, CLOCK_MONOTONIC));
  }
}

void ReadPipe(Player& self, const Pipe& pipe) {
  Account& reads = self.Open("read_pipe", "pipe");
  for (const Times& times : targets::kThreeLengths) {
    for (int i = 0; i < times.count; ++i) {
      read_pipe(reads, pipe.ends[0]);
    }
  }
}

void WritePipe(Player& self, const Pipe& pipe) {
  Account& asleep = self.Open("sleep_for", "sleep");
  for (const Times& times : targets::kThreeLengths) {
    for (int i = 0; i < times.count; ++i) {
      sleep_for(asleep, times.each);
      Must(static_cast<int>(write(pipe.ends[1], "x", 1)), "write");
    }
  }
}

void FillPipe(Player& self, const Pipe& pipe) {
  Account& writes = self.Open("write_full_pipe", "pipe");
  for (int i = 0; i < 100; ++i) {
    write_full_pipe(writes, pipe.ends[1]);
  }
}

void DrainPipe(Player&, const Pipe& pipe) {
  static char bytes[4096];
  for (int64_t left = 100 * 4096; left > 0;) {
    targets::Pause(3 * kMillisecond);
    left -= Must(static_cast<int>(read(pipe.ends[0], bytes, sizeof bytes)), "read");
  }
}

void PollMany(Player& self) {
  Account& polls = self.Open("poll_two", "poll");
  Account& selects = self.Open("select_two", "poll");
  Account& epolls = self.Open("wait_for_epoll", "poll");
  const Pipe first;
  const Pipe second;
  const int epoll = Must(epoll_create1(0), "epoll_create1");
  for (const int end : {first.ends[0], second.ends[0]}) {
    epoll_event event{.events = EPOLLIN, .data = {.fd = end}};
    Must(epoll_ctl(epoll, EPOLL_CTL_ADD, end, &event), "epoll_ctl");
  }
  for (int i = 0; i < 60; ++i) {
    poll_two(polls, first.ends[0], second.ends[0], 2);
    select_two(selects, first.ends[0], second.ends[0], 3);
    wait_for_epoll(epolls, epoll, 4);
  }
}

void ReadEvents(Player& self, int descriptor) {
  Account& events = self.Open("read_eventfd", "event");
  for (int i = 0; i < 100; ++i) {
    read_eventfd(events, descriptor);
  }
}

void WriteEvents(Player&, int descriptor) {
  const uint64_t one = 1;
  for (int i = 0; i < 100; ++i) {
    targets::Pause(3 * kMillisecond);
    Must(static_cast<int>(write(descriptor, &one, sizeof one)), "write");
  }
}

void ReadTimer(Player& self) {
  Account& timers = self.Open("read_timerfd", "timer");
  const int descriptor = Must(timerfd_create(CLOCK_MONOTONIC, 0), "timerfd_create");
  const itimerspec every{.it_interval = targets::TimespecOf(2 * kMillisecond),
                         .it_value = targets::TimespecOf(2 * kMillisecond)};
  Must(timerfd_settime(descriptor, 0, &every, nullptr), "timerfd_settime");
  for (int i = 0; i < 150; ++i) {
    read_timerfd(timers, descriptor);
  }
}

// SIGUSR1 is blocked in every thread.
void WaitForSignals(Player& self, sem_t* turn, pthread_t* thread) {
  Account& signals = self.Open("wait_for_signal", "signal");
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGUSR1);
  *thread = pthread_self();
  for (int i = 0; i < 60; ++i) {
    sem_post(turn);
    wait_for_signal(signals, &wanted);
  }
}

void SendSignals(Player&, sem_t* turn, const pthread_t* thread) {
  for (int i = 0; i < 60; ++i) {
    sem_wait(turn);
    targets::Pause(4 * kMillisecond);
    pthread_kill(*thread, SIGUSR1);
  }
}

void WaitForChildren(Player& self) {
  Account& children = self.Open("wait_for_child", "child");
  for (int i = 0; i < 10; ++i) {
    // Without a copy of the memory, which would make pages of all threads fault.
    char program[] = "sleep";
    char seconds[] = "0.02";
    char* const words[] = {program, seconds, nullptr};
    pid_t child = 0;
    Must(-posix_spawnp(&child, program, nullptr, nullptr, words, environ), "posix_spawnp");
    wait_for_child(children, child);
  }
}

// The raw interface: one entry, a timer, again and again.
class Ring {
 public:
  static std::optional<Ring> Open() {
    Ring ring;
    ring.descriptor_ = static_cast<int>(syscall(SYS_io_uring_setup, 1, &ring.parameters_));
    if (ring.descriptor_ < 0) {
      return std::nullopt;
    }
    ring.queue_ = ring.Map(1 << 12, IORING_OFF_SQ_RING);
    ring.entry_ = static_cast<io_uring_sqe*>(ring.Map(sizeof(io_uring_sqe), IORING_OFF_SQES));
    ring.completions_ = ring.Map(1 << 12, IORING_OFF_CQ_RING);
    return ring;
  }

  int descriptor() const { return descriptor_; }

  void SubmitTimer(const timespec* span) {
    *entry_ = {};
    entry_->opcode = IORING_OP_TIMEOUT;
    entry_->addr = reinterpret_cast<uint64_t>(span);
    entry_->len = 1;
    Word(queue_, parameters_.sq_off.array) = 0;
    ++Word(queue_, parameters_.sq_off.tail);
  }

  void TakeCompletion() { ++Word(completions_, parameters_.cq_off.head); }

 private:
  void* Map(size_t size, int64_t offset) const {
    void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor_, offset);
    Must(memory == MAP_FAILED ? -1 : 0, "mmap of io_uring");
    return memory;
  }
  static uint32_t& Word(void* memory, uint32_t offset) {
    return *reinterpret_cast<uint32_t*>(static_cast<char*>(memory) + offset);
  }

  io_uring_params parameters_{};
  int descriptor_ = -1;
  void* queue_ = nullptr;
  io_uring_sqe* entry_ = nullptr;
  void* completions_ = nullptr;
};

void WaitForRing(Player& self, Ring& ring) {
  Account& rings = self.Open("wait_for_ring", "io_uring");
  const timespec span = targets::TimespecOf(3 * kMillisecond);
  for (int i = 0; i < 100; ++i) {
    ring.SubmitTimer(&span);
    wait_for_ring(rings, ring.descriptor());
    ring.TakeCompletion();
  }
}

void CallBoth(Player& self) {
  Account& first = self.Open("first_caller", "sleep");
  Account& second = self.Open("second_caller", "sleep");
  for (int i = 0; i < 500; ++i) {
    first_caller(first);
    second_caller(second);
  }
}

}  // namespace

int main() {
  Cast cast;
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGUSR1);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);

  cast.Add("sleeper", Sleep);
  const Pipe slow;
  cast.Add("pipe_reader", [&](Player& self) { ReadPipe(self, slow); });
  cast.Add("pipe_writer", [&](Player& self) { WritePipe(self, slow); });
  const Pipe full;
  Must(fcntl(full.ends[1], F_SETPIPE_SZ, 4096), "F_SETPIPE_SZ");
  cast.Add("pipe_filler", [&](Player& self) { FillPipe(self, full); });
  cast.Add("pipe_drainer", [&](Player& self) { DrainPipe(self, full); });
  cast.Add("poller", PollMany);
  const int events = Must(eventfd(0, 0), "eventfd");
  cast.Add("event_reader", [=](Player& self) { ReadEvents(self, events); });
  cast.Add("event_writer", [=](Player& self) { WriteEvents(self, events); });
  cast.Add("timer_reader", ReadTimer);
  sem_t turn;
  sem_init(&turn, 0, 0);
  pthread_t waits_for_signals{};
  cast.Add("signal_waiter", [&](Player& self) { WaitForSignals(self, &turn, &waits_for_signals); });
  cast.Add("signal_sender", [&](Player& self) { SendSignals(self, &turn, &waits_for_signals); });
  cast.Add("parent", WaitForChildren);
  cast.Add("two_callers", CallBoth);
  std::optional<Ring> ring = Ring::Open();
  if (ring) {
    cast.Add("ring_user", [&](Player& self) { WaitForRing(self, *ring); });
  } else {
    cast.Skip("io_uring", std::string("io_uring_setup: ") + std::strerror(errno));
  }
  return cast.Play();
}
