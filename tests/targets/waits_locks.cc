// Waits for locks, conditions, semaphores and threads, each of known lengths and counts.
// Usage: see measured_waits.h.
#include <linux/futex.h>

#include <atomic>
#include <ctime>

#include "measured_waits.h"

using targets::Account;
using targets::Cast;
using targets::Meter;
using targets::Player;
using targets::Times;

extern "C" {

__attribute__((noinline)) void wait_for_mutex(Account& account, pthread_mutex_t* mutex) {
  const Meter meter(account);
  pthread_mutex_lock(mutex);
}

__attribute__((noinline)) void wait_for_turn(Account& account, sem_t* turn) {
  const Meter meter(account);
  sem_wait(turn);
}

__attribute__((noinline)) void wait_for_condition(Account& account, pthread_cond_t* condition,
                                                  pthread_mutex_t* mutex, const int& value,
                                                  int wanted) {
  const Meter meter(account);
  while (value != wanted) {
    pthread_cond_wait(condition, mutex);
  }
}

__attribute__((noinline)) void wait_for_condition_in_vain(Account& account,
                                                          pthread_cond_t* condition,
                                                          pthread_mutex_t* mutex, int64_t nanos) {
  const timespec deadline = targets::DeadlineAfter(nanos, CLOCK_REALTIME);
  const Meter meter(account);
  while (pthread_cond_timedwait(condition, mutex, &deadline) == 0) {
  }
}

__attribute__((noinline)) void wait_for_semaphore_in_vain(Account& account, sem_t* semaphore,
                                                          int64_t nanos) {
  const timespec deadline = targets::DeadlineAfter(nanos, CLOCK_REALTIME);
  const Meter meter(account);
  while (sem_timedwait(semaphore, &deadline) == 0) {
  }
}

__attribute__((noinline)) void wait_for_thread(Account& account, pthread_t thread) {
  const Meter meter(account);
  pthread_join(thread, nullptr);
}

__attribute__((noinline)) void wait_for_bare_futex(Account& account, std::atomic<uint32_t>* word,
                                                   int64_t nanos) {
  const timespec span = targets::TimespecOf(nanos);
  const Meter meter(account);
  syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, 0, &span, nullptr, 0);
}

__attribute__((noinline)) void sleep_while_others_wait(Account& account, int64_t nanos) {
  const timespec span = targets::TimespecOf(nanos);
  const Meter meter(account);
  nanosleep(&span, nullptr);
}

}  // extern "C"

namespace {

struct Lock {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
  int round = 0;
  sem_t waiters_turn;
  sem_t holders_turn;

  Lock() {
    sem_init(&waiters_turn, 0, 0);
    sem_init(&holders_turn, 0, 0);
  }
};

void HoldMutex(Player& self, Lock& lock) {
  Account& asleep = self.Open("sleep_while_others_wait", "sleep");
  Account& turns = self.Open("wait_for_turn", "semaphore", {.waker = "mutex_waiter"});
  for (const Times& times : targets::kThreeLengths) {
    for (int i = 0; i < times.count; ++i) {
      pthread_mutex_lock(&lock.mutex);
      sem_post(&lock.waiters_turn);
      sleep_while_others_wait(asleep, times.each);
      pthread_mutex_unlock(&lock.mutex);
      wait_for_turn(turns, &lock.holders_turn);
    }
  }
}

void WaitForMutex(Player& self, Lock& lock) {
  Account& turns = self.Open("wait_for_turn", "semaphore", {.waker = "mutex_holder"});
  Account& locks = self.Open("wait_for_mutex", "mutex", {.waker = "mutex_holder"});
  for (const Times& times : targets::kThreeLengths) {
    for (int i = 0; i < times.count; ++i) {
      wait_for_turn(turns, &lock.waiters_turn);
      wait_for_mutex(locks, &lock.mutex);
      pthread_mutex_unlock(&lock.mutex);
      sem_post(&lock.holders_turn);
    }
  }
}

// The condition is signalled without the lock held, so that who wakes has not to wait for it too.
void SignalCondition(Player& self, Lock& lock) {
  Account& asleep = self.Open("sleep_while_others_wait", "sleep");
  Account& turns = self.Open("wait_for_turn", "semaphore", {.waker = "cond_waiter"});
  for (const Times& times : targets::kThreeLengths) {
    for (int i = 0; i < times.count; ++i) {
      wait_for_turn(turns, &lock.holders_turn);
      sleep_while_others_wait(asleep, times.each);
      pthread_mutex_lock(&lock.mutex);
      ++lock.round;
      pthread_mutex_unlock(&lock.mutex);
      pthread_cond_signal(&lock.condition);
    }
  }
}

void WaitForCondition(Player& self, Lock& lock) {
  Account& conditions = self.Open("wait_for_condition", "condition", {.waker = "cond_signaller"});
  int round = 0;
  for (const Times& times : targets::kThreeLengths) {
    for (int i = 0; i < times.count; ++i) {
      pthread_mutex_lock(&lock.mutex);
      sem_post(&lock.holders_turn);
      wait_for_condition(conditions, &lock.condition, &lock.mutex, lock.round, ++round);
      pthread_mutex_unlock(&lock.mutex);
    }
  }
}

void WaitInVain(Player& self) {
  Account& conditions = self.Open("wait_for_condition_in_vain", "condition", {.waker = "nobody"});
  Account& semaphores = self.Open("wait_for_semaphore_in_vain", "semaphore", {.waker = "nobody"});
  Account& futexes = self.Open("wait_for_bare_futex", "futex", {.waker = "nobody"});
  Lock lock;
  std::atomic<uint32_t> word = 0;
  for (int i = 0; i < 100; ++i) {
    pthread_mutex_lock(&lock.mutex);
    wait_for_condition_in_vain(conditions, &lock.condition, &lock.mutex, 2'000'000);
    pthread_mutex_unlock(&lock.mutex);
    wait_for_semaphore_in_vain(semaphores, &lock.holders_turn, 1'000'000);
    wait_for_bare_futex(futexes, &word, 500'000);
  }
}

void Join(Player& self, Cast& cast) {
  Account& joins = self.Open("wait_for_thread", "join", {.waker = "joined"});
  for (int i = 0; i < 40; ++i) {
    const pthread_t guest = cast.StartGuest("joined", [](Player& joined) {
      sleep_while_others_wait(joined.Open("sleep_while_others_wait", "sleep"), 5'000'000);
    });
    wait_for_thread(joins, guest);
  }
}

}  // namespace

int main() {
  Cast cast;
  Lock mutex;
  Lock condition;
  cast.Add("mutex_holder", [&](Player& self) { HoldMutex(self, mutex); });
  cast.Add("mutex_waiter", [&](Player& self) { WaitForMutex(self, mutex); });
  cast.Add("cond_signaller", [&](Player& self) { SignalCondition(self, condition); });
  cast.Add("cond_waiter", [&](Player& self) { WaitForCondition(self, condition); });
  cast.Add("in_vain", WaitInVain);
  cast.Add("joiner", [&](Player& self) { Join(self, cast); });
  return cast.Play();
}
