// A C++20 coroutine that is resumed by outer and burns in a call of its own.
#include <coroutine>
#include <exception>

#include "burn.h"

struct Task {
  struct promise_type {
    Task get_return_object() { return {std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_always initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() { std::terminate(); }
  };
  std::coroutine_handle<promise_type> handle;
};

NOINLINE unsigned long leaf(unsigned long x) {
  BURN(x, kLong);
  return x;
}

NOINLINE Task Middle(unsigned long x) {
  for (;;) {
    x = leaf(x) + 1;
    sink = x;
    co_await std::suspend_always{};
  }
}

NOINLINE void outer(Task& task) {
  task.handle.resume();
  sink = sink + 1;
}

int main() {
  Task task = Middle(sink);
  Ready();
  for (;;) {
    outer(task);
  }
}
