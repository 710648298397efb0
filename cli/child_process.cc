#include "cli/child_process.h"

#include <absl/strings/str_format.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <limits>

#include "base/status.h"
#include "cli/console.h"
#include "cli/signals.h"

namespace whyslow {
namespace {

// Could not execute: what shells return for it.
constexpr int kExecFailed = 127;

struct Pipe {
  UniqueFd read_end;
  UniqueFd write_end;
};

absl::StatusOr<Pipe> MakePipe() {
  std::array<int, 2> ends{};
  if (pipe2(ends.data(), O_CLOEXEC) != 0) {
    return ErrnoStatus(errno, "making a pipe");
  }
  return Pipe{.read_end = UniqueFd(ends[0]), .write_end = UniqueFd(ends[1])};
}

absl::Status ExecProblem(const std::string& name, int error) {
  return WithRemedy(ErrnoStatus(error, name), error == ENOENT
                                                  ? "Give its path, or set PATH."
                                                  : "Name a program that you may execute.");
}

// Runs in the child, where only a few calls are allowed: whyslow may have other threads.
[[noreturn]] void WaitAndExecute(char* const* arguments, int go, int problem) {
  RestoreSignalMask();
  signal(SIGPIPE, SIG_DFL);
  char token = 0;
  ssize_t got = 0;
  do {
    got = read(go, &token, 1);
  } while (got < 0 && errno == EINTR);
  if (got != 1) {
    _exit(0);  // whyslow gave up or is gone
  }
  execvp(arguments[0], arguments);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(problem, &error, sizeof(error));
  _exit(kExecFailed);
}

// Whether the program is there, asked before anything is started or written. What the shell's rules
// leave open (a script without an interpreter) is found by executing.
absl::Status CheckExecutable(const std::string& name) {
  if (name.empty()) {
    return ExecProblem("run: an empty command", ENOENT);
  }
  if (name.find('/') != std::string::npos) {
    return access(name.c_str(), X_OK) == 0 ? absl::OkStatus() : ExecProblem(name, errno);
  }
  const char* path = std::getenv("PATH");
  std::string folders = path == nullptr ? "/bin:/usr/bin" : path;
  int error = ENOENT;
  for (size_t start = 0; start <= folders.size();) {
    const size_t colon = std::min(folders.find(':', start), folders.size());
    std::string folder = folders.substr(start, colon - start);
    if (folder.empty()) {
      folder = ".";
    }
    if (access((folder + "/" + name).c_str(), X_OK) == 0) {
      return absl::OkStatus();
    }
    error = errno == EACCES ? EACCES : error;
    start = colon + 1;
  }
  return ExecProblem(name, error);
}

}  // namespace

std::string ChildEnd::Describe() const {
  if (WIFSIGNALED(status)) {
    const char* name = sigdescr_np(WTERMSIG(status));
    return absl::StrFormat("was ended by signal %d (%s)", WTERMSIG(status),
                           name == nullptr ? "unknown" : name);
  }
  return absl::StrFormat("exited with status %d", WEXITSTATUS(status));
}

int ChildEnd::ExitStatus() const {
  constexpr int kSignalBase = 128;
  return WIFSIGNALED(status) ? kSignalBase + WTERMSIG(status) : WEXITSTATUS(status);
}

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Prepare(
    const std::vector<std::string>& command) {
  RETURN_IF_ERROR(CheckExecutable(command.front()));
  ASSIGN_OR_RETURN(Pipe go, MakePipe());
  ASSIGN_OR_RETURN(Pipe problem, MakePipe());
  std::vector<char*> arguments;
  for (const std::string& argument : command) {
    arguments.push_back(const_cast<char*>(argument.c_str()));  // execvp changes nothing
  }
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  if (pid < 0) {
    return ErrnoStatus(errno, "starting " + command.front());
  }
  if (pid == 0) {
    close(go.write_end.get());  // else its own copy would keep it waiting after whyslow's end
    WaitAndExecute(arguments.data(), go.read_end.get(), problem.write_end.get());
  }
  UniqueFd process(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  return std::unique_ptr<ChildProcess>(
      new ChildProcess(Pid{pid}, command.front(), std::move(go.write_end),
                       std::move(problem.read_end), std::move(process)));
}

ChildProcess::ChildProcess(Pid pid, std::string name, UniqueFd go, UniqueFd problem,
                           UniqueFd process)
    : pid_(pid),
      name_(std::move(name)),
      go_(std::move(go)),
      problem_(std::move(problem)),
      process_(std::move(process)) {}

ChildProcess::~ChildProcess() {
  const bool never_ran = static_cast<bool>(go_);
  go_.Reset();
  if (never_ran) {
    WaitForEnd(std::nullopt);
  }
}

absl::Status ChildProcess::Release() {
  const char token = 1;
  if (write(go_.get(), &token, 1) != 1) {
    return ErrnoStatus(errno, "starting " + name_);
  }
  go_.Reset();
  int error = 0;
  ssize_t got = 0;
  do {
    got = read(problem_.get(), &error, sizeof(error));
  } while (got < 0 && errno == EINTR);
  if (got == sizeof(error)) {
    WaitForEnd(std::nullopt);
    return ExecProblem(name_, error);
  }
  return absl::OkStatus();
}

std::optional<ChildEnd> ChildProcess::WaitForEnd(std::optional<Nanoseconds> timeout) {
  if (end_) {
    return end_;
  }
  if (timeout && process_) {
    const auto rounded = std::chrono::ceil<std::chrono::milliseconds>(*timeout).count();
    pollfd waiting{.fd = process_.get(), .events = POLLIN};
    poll(&waiting, 1,
         static_cast<int>(std::clamp<int64_t>(rounded, 0, std::numeric_limits<int>::max())));
  }
  int status = 0;
  pid_t waited = 0;
  do {
    waited = waitpid(Number(pid_), &status, timeout ? WNOHANG : 0);
  } while (waited < 0 && errno == EINTR);
  if (waited == Number(pid_)) {
    end_ = ChildEnd{.status = status};
  }
  return end_;
}

void ChildProcess::Signal(int number) const {
  if (!end_) {
    kill(Number(pid_), number);
  }
}

}  // namespace whyslow
