// Threads that wait on purpose and keep their own accounts of it, so that a test can compare a
// profile with them.
//
// A program has a cast of threads. All stand at a gate until a line comes on standard input, play
// their parts and stand at a gate again; then the accounts are printed as one line of JSON, and the
// next line on standard input ends the program. So a profile that begins before the first line and
// ends before the second one has every wait of every part in it.
#pragma once

#include <pthread.h>
#include <semaphore.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <cinttypes>
#include <cstring>
#include <deque>
#include <functional>
#include <list>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "target_support.h"

namespace targets {

// What a profile should say of the waits in an account. Empty: the test does not ask.
struct Labels {
  std::string peer = {};
  std::string protocol = {};
  std::string file = {};
  std::string waker = {};  // "nobody": a timer
};

// The kernel's figures for the calling thread, and the clocks'.
struct Usage {
  int64_t wall = 0;
  int64_t cpu = 0;
  int64_t voluntary = 0;    // times that it left its CPU because it had to wait
  int64_t involuntary = 0;  // times that it could have gone on
  int64_t major_faults = 0;

  void Count() {
    rusage now{};
    getrusage(RUSAGE_THREAD, &now);
    voluntary = now.ru_nvcsw;
    involuntary = now.ru_nivcsw;
    major_faults = now.ru_majflt;
  }

  void AddDifference(const Usage& from, const Usage& to) {
    wall += to.wall - from.wall;
    cpu += to.cpu - from.cpu;
    voluntary += to.voluntary - from.voluntary;
    involuntary += to.involuntary - from.involuntary;
    major_faults += to.major_faults - from.major_faults;
  }
};

struct Account {
  const char* function;  // on the stack
  const char* kind;      // several with a | between them: any of these
  Labels labels;
  int64_t operations = 0;
  Usage sum = {};
};

// Stands in the function that waits, around the wait. The two clocks are the innermost, so that
// wall - cpu of an account is the time off the CPU.
class Meter {
 public:
  __attribute__((always_inline)) explicit Meter(Account& account) : account_(account) {
    begin_.Count();
    begin_.wall = WallNanos();
    begin_.cpu = ThreadCpuNanos();
  }
  __attribute__((always_inline)) ~Meter() {
    Usage end;
    end.cpu = ThreadCpuNanos();
    end.wall = WallNanos();
    end.Count();
    ++account_.operations;
    account_.sum.AddDifference(begin_, end);
  }
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

 private:
  Account& account_;
  Usage begin_;
};

// A thread of the cast.
struct Player {
  std::string name;
  std::function<void(Player&)> part;
  int tid = 0;
  bool is_guest = false;  // comes and goes within the play
  std::deque<Account> accounts = {};
  Usage sum = {};          // of the whole part
  int64_t run_delay = -1;  // nanoseconds that it could have run and did not; -1: not known

  // The reference stays good.
  Account& Open(const char* function, const char* kind, Labels labels = {}) {
    accounts.push_back({.function = function, .kind = kind, .labels = std::move(labels)});
    return accounts.back();
  }
};

// "CPU-TIME RUN-DELAY SLICES"
inline int64_t RunDelayNanos() {
  int64_t cpu = 0;
  int64_t delay = -1;
  if (FILE* file = std::fopen("/proc/thread-self/schedstat", "r")) {
    if (std::fscanf(file, "%" SCNd64 " %" SCNd64, &cpu, &delay) != 2) {
      delay = -1;
    }
    std::fclose(file);
  }
  return delay;
}

inline void PlayPart(Player& player) {
  Usage begin;
  begin.Count();
  begin.wall = WallNanos();
  begin.cpu = ThreadCpuNanos();
  const int64_t delay_before = RunDelayNanos();
  pthread_setname_np(pthread_self(), player.name.c_str());
  player.tid = static_cast<int>(syscall(SYS_gettid));
  player.part(player);
  player.run_delay = delay_before < 0 ? -1 : RunDelayNanos() - delay_before;
  Usage end;
  end.cpu = ThreadCpuNanos();
  end.wall = WallNanos();
  end.Count();
  player.sum.AddDifference(begin, end);
}

}  // namespace targets

// Where every thread of a cast begins, and what it does before and after its part: reads a pipe
// until its other end is closed.
extern "C" {
__attribute__((noinline)) inline void stand_at_gate(int pipe) {
  char byte = 0;
  while (read(pipe, &byte, 1) < 0) {
  }
  targets::sink ^= static_cast<unsigned char>(byte);
}
__attribute__((noinline)) inline void play_as_guest(targets::Player* player) {
  targets::PlayPart(*player);
  targets::sink ^= 1;
}
}

namespace targets {

class Cast {
 public:
  Cast() {
    if (pipe(entrance_) != 0 || pipe(exit_) != 0 || sem_init(&done_, 0, 0) != 0) {
      std::abort();
    }
  }

  void Add(std::string name, std::function<void(Player&)> part) {
    players_.push_back({.name = std::move(name), .part = std::move(part)});
  }

  // What this machine does not permit.
  void Skip(const std::string& what, const std::string& why) {
    skipped_.push_back(what + ": " + why);
  }

  // A thread that is in the play for its part only; to be joined by who called. Any thread.
  pthread_t StartGuest(std::string name, std::function<void(Player&)> part) {
    Player* guest = nullptr;
    {
      const std::lock_guard lock(guests_mutex_);
      guests_.push_back({.name = std::move(name), .part = std::move(part), .is_guest = true});
      guest = &guests_.back();
    }
    pthread_t thread{};
    const auto begin = [](void* player) -> void* {
      play_as_guest(static_cast<Player*>(player));
      return nullptr;
    };
    if (pthread_create(&thread, nullptr, begin, guest) != 0) {
      std::abort();
    }
    return thread;
  }

  // main's last act; returns its status.
  int Play() {
    EndBySignalAfter(60);
    std::vector<pthread_t> threads(players_.size());
    std::list<Entry> entries;
    for (size_t i = 0; i < threads.size(); ++i) {
      entries.push_back({this, &players_[i]});
      if (pthread_create(&threads[i], nullptr, Begin, &entries.back()) != 0) {
        std::abort();
      }
    }
    SayReady();
    WaitForLine();
    const int64_t begin = WallNanos();
    close(entrance_[1]);
    for (size_t i = 0; i < threads.size(); ++i) {
      sem_wait(&done_);
    }
    Print(begin, WallNanos());
    WaitForLine();
    close(exit_[1]);
    for (const pthread_t thread : threads) {
      pthread_join(thread, nullptr);
    }
    return 0;
  }

 private:
  struct Entry {
    Cast* cast;
    Player* player;
  };

  static void* Begin(void* argument) {
    auto& [cast, player] = *static_cast<Entry*>(argument);
    pthread_setname_np(pthread_self(), player->name.c_str());
    stand_at_gate(cast->entrance_[0]);
    PlayPart(*player);
    sem_post(&cast->done_);
    stand_at_gate(cast->exit_[0]);
    return nullptr;
  }

  static void WaitForLine() {
    char byte = 0;
    while (read(STDIN_FILENO, &byte, 1) == 1 && byte != '\n') {
    }
  }

  void Print(int64_t begin, int64_t end) const {
    std::printf("TRUTH {\"begin\": %" PRId64 ", \"end\": %" PRId64 ", \"skipped\": [", begin, end);
    const char* comma = "";
    for (const std::string& reason : skipped_) {
      std::printf("%s\"%s\"", std::exchange(comma, ", "), reason.c_str());
    }
    std::printf("], \"threads\": [");
    comma = "";
    for (const Player& player : players_) {
      PrintPlayer(player, std::exchange(comma, ", "));
    }
    for (const Player& guest : guests_) {
      PrintPlayer(guest, std::exchange(comma, ", "));
    }
    std::printf("]}\n");
    std::fflush(stdout);
  }

  static void PrintPlayer(const Player& player, const char* comma) {
    std::printf("%s{\"name\": \"%s\", \"tid\": %d, \"guest\": %s, \"run_delay\": %" PRId64 ", ",
                comma, player.name.c_str(), player.tid, player.is_guest ? "true" : "false",
                player.run_delay);
    PrintUsage(player.sum);
    std::printf(", \"accounts\": [");
    const char* separator = "";
    for (const Account& account : player.accounts) {
      std::printf("%s{\"function\": \"%s\", \"kind\": \"%s\", \"operations\": %" PRId64
                  ", \"peer\": \"%s\", \"protocol\": \"%s\", \"file\": \"%s\", \"waker\": \"%s\", ",
                  std::exchange(separator, ", "), account.function, account.kind,
                  account.operations, account.labels.peer.c_str(), account.labels.protocol.c_str(),
                  account.labels.file.c_str(), account.labels.waker.c_str());
      PrintUsage(account.sum);
      std::printf("}");
    }
    std::printf("]}");
  }

  static void PrintUsage(const Usage& usage) {
    std::printf("\"wall\": %" PRId64 ", \"cpu\": %" PRId64 ", \"voluntary\": %" PRId64
                ", \"involuntary\": %" PRId64 ", \"major_faults\": %" PRId64,
                usage.wall, usage.cpu, usage.voluntary, usage.involuntary, usage.major_faults);
  }

  int entrance_[2] = {-1, -1};
  int exit_[2] = {-1, -1};
  sem_t done_;
  std::deque<Player> players_;
  std::mutex guests_mutex_;
  std::list<Player> guests_;
  std::vector<std::string> skipped_;
};

// Ends the program with what was tried: a target that goes on without what it is for would make a
// test pass that tests nothing.
inline int Must(int result, const char* what) {
  if (result < 0) {
    std::perror(what);
    std::exit(1);
  }
  return result;
}

inline timespec TimespecOf(int64_t nanos) {
  return {.tv_sec = static_cast<time_t>(nanos / 1'000'000'000), .tv_nsec = nanos % 1'000'000'000};
}

// Not measured; in parts, to let another thread come first.
inline void Pause(int64_t nanos) {
  const timespec span = TimespecOf(nanos);
  nanosleep(&span, nullptr);
}

inline timespec DeadlineAfter(int64_t nanos, clockid_t clock) {
  return TimespecOf(ClockNanos(clock) + nanos);
}

// How long one wait takes, and how often.
struct Times {
  int64_t each;
  int count;
};
inline constexpr Times kThreeLengths[] = {{200'000, 400}, {3'000'000, 60}, {40'000'000, 5}};

}  // namespace targets
