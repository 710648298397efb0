// Ctrl-C and SIGTERM: the first one ends the capture and everything is written; a second one gives
// up.
#pragma once

#include <absl/status/statusor.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "base/time.h"
#include "base/unique_fd.h"

namespace whyslow {

// What the first signal was.
struct StopSignal {
  int number = 0;              // 0: none has come
  bool from_terminal = false;  // the terminal sent it to the whole foreground group
};

enum class FirstSignal {
  kStops,   // WaitForStop() tells it; what was captured is written
  kGivesUp  // for commands with nothing to save: as if it were the second
};

// Blocks SIGINT, SIGTERM and SIGHUP in the calling thread and those it will start, and takes them
// on a thread of its own: no other thread is ever interrupted. Make one before any other thread.
class SignalWatcher {
 public:
  static absl::StatusOr<std::unique_ptr<SignalWatcher>> Start(
      FirstSignal meaning = FirstSignal::kStops);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

  // Waits at most `timeout` for the first signal. False: none has come.
  bool WaitForStop(Nanoseconds timeout) const;
  StopSignal stop_signal() const;
  // A second signal has come.
  bool gave_up() const { return gave_up_; }

  // A file that is being written during the capture (--record): it goes away when the user gives
  // up.
  void RemoveWhenGivenUp(const std::string& path);

  // While alive, a second signal only sets gave_up(): files are being written and have to be
  // cleaned up by who writes them. At all other times it ends the process at once, exit code 130.
  class WritingScope {
   public:
    explicit WritingScope(SignalWatcher& watcher) : watcher_(watcher) { watcher_.writing_ = true; }
    ~WritingScope() { watcher_.writing_ = false; }
    WritingScope(const WritingScope&) = delete;
    WritingScope& operator=(const WritingScope&) = delete;

   private:
    SignalWatcher& watcher_;
  };

 private:
  SignalWatcher(FirstSignal meaning, UniqueFd signals, UniqueFd stop_event, UniqueFd end_event);
  void Watch();
  void OnSignal(int number, bool from_terminal);
  [[noreturn]] void ExitNow();

  FirstSignal meaning_;
  UniqueFd signals_;
  UniqueFd stop_event_;  // readable once a signal has come
  UniqueFd end_event_;   // wakes the watching thread to end
  std::atomic<int> number_ = 0;
  std::atomic<bool> from_terminal_ = false;
  std::atomic<bool> gave_up_ = false;
  std::atomic<bool> writing_ = false;
  std::mutex mutex_;
  std::string removed_when_given_up_;  // under mutex_
  std::thread thread_;
};

// For a child between fork and exec: the signal mask that whyslow was started with.
void RestoreSignalMask();

}  // namespace whyslow
