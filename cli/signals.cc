#include "cli/signals.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>

#include "base/status.h"
#include "cli/exit_codes.h"

namespace whyslow {
namespace {

// Milliseconds that a writer has to clean up after the user gave up. It may hang for good: on a
// pipe that nobody reads, on a file server that is gone.
constexpr int kLastGrace = 2000;

sigset_t g_original_mask;  // NOLINT: a child has to find it between fork and exec

sigset_t WatchedSignals() {
  sigset_t watched;
  sigemptyset(&watched);
  sigaddset(&watched, SIGINT);
  sigaddset(&watched, SIGTERM);
  // Under nohup the terminal's end is not ours.
  struct sigaction hangup {};
  if (sigaction(SIGHUP, nullptr, &hangup) == 0 && hangup.sa_handler != SIG_IGN) {
    sigaddset(&watched, SIGHUP);
  }
  return watched;
}

void Raise(const UniqueFd& event) {
  const uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = write(event.get(), &one, sizeof(one));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SignalWatcher>> SignalWatcher::Start(FirstSignal meaning) {
  const sigset_t watched = WatchedSignals();
  if (const int error = pthread_sigmask(SIG_BLOCK, &watched, &g_original_mask)) {
    return ErrnoStatus(error, "blocking signals");
  }
  UniqueFd signals(signalfd(-1, &watched, SFD_CLOEXEC | SFD_NONBLOCK));
  UniqueFd stop_event(eventfd(0, EFD_CLOEXEC));
  UniqueFd end_event(eventfd(0, EFD_CLOEXEC));
  if (!signals || !stop_event || !end_event) {
    return ErrnoStatus(errno, "waiting for signals");
  }
  return std::unique_ptr<SignalWatcher>(
      new SignalWatcher(meaning, std::move(signals), std::move(stop_event), std::move(end_event)));
}

SignalWatcher::SignalWatcher(FirstSignal meaning, UniqueFd signals, UniqueFd stop_event,
                             UniqueFd end_event)
    : meaning_(meaning),
      signals_(std::move(signals)),
      stop_event_(std::move(stop_event)),
      end_event_(std::move(end_event)),
      thread_([this] { Watch(); }) {}

SignalWatcher::~SignalWatcher() {
  Raise(end_event_);
  thread_.join();
  pthread_sigmask(SIG_SETMASK, &g_original_mask, nullptr);
}

void SignalWatcher::Watch() {
  std::array<pollfd, 2> waiting = {pollfd{.fd = signals_.get(), .events = POLLIN},
                                   pollfd{.fd = end_event_.get(), .events = POLLIN}};
  for (;;) {
    const int ready = poll(waiting.data(), waiting.size(), gave_up_ ? kLastGrace : -1);
    if (ready < 0 && errno != EINTR) {
      return;
    }
    if (ready == 0) {
      ExitNow();
    }
    signalfd_siginfo info{};
    while (read(signals_.get(), &info, sizeof(info)) == sizeof(info)) {
      OnSignal(static_cast<int>(info.ssi_signo), info.ssi_code == SI_KERNEL);
    }
    if (waiting[1].revents != 0) {
      return;
    }
  }
}

void SignalWatcher::OnSignal(int number, bool from_terminal) {
  if (number_ == 0 && meaning_ == FirstSignal::kStops) {
    from_terminal_ = from_terminal;
    number_ = number;
    Raise(stop_event_);
    return;
  }
  // A third one does not wait even for files.
  if (gave_up_.exchange(true) || !writing_) {
    ExitNow();
  }
}

void SignalWatcher::ExitNow() {
  const std::lock_guard lock(mutex_);
  if (!removed_when_given_up_.empty()) {
    unlink(removed_when_given_up_.c_str());
  }
  _exit(static_cast<int>(ExitCode::kGivenUp));
}

void SignalWatcher::RemoveWhenGivenUp(const std::string& path) {
  const std::lock_guard lock(mutex_);
  removed_when_given_up_ = path;
}

bool SignalWatcher::WaitForStop(Nanoseconds timeout) const {
  // Rounded up: a wait of less than a millisecond must not become a busy loop.
  const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(timeout).count();
  const int milliseconds =
      static_cast<int>(std::clamp<int64_t>(rounded, 0, std::numeric_limits<int>::max()));
  pollfd waiting{.fd = stop_event_.get(), .events = POLLIN};
  return poll(&waiting, 1, milliseconds) > 0 || number_ != 0;
}

StopSignal SignalWatcher::stop_signal() const {
  return {.number = number_, .from_terminal = from_terminal_};
}

void RestoreSignalMask() { sigprocmask(SIG_SETMASK, &g_original_mask, nullptr); }

}  // namespace whyslow
