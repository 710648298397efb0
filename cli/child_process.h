// The command of `whyslow run`: started but held before its first instruction, then let go.
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "base/unique_fd.h"

namespace whyslow {

// As waitpid tells it.
struct ChildEnd {
  int status = 0;  // the wait status

  // "exited with status 3", "was ended by signal 11 (Segmentation fault)".
  std::string Describe() const;
  // As a shell has it: the status, or 128 + the signal's number.
  int ExitStatus() const;
};

class ChildProcess {
 public:
  // Forks; the child waits. kNotFound: no such command. kPermissionDenied: not executable.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Prepare(
      const std::vector<std::string>& command);
  // A child that was never let go ends without having run anything. One that runs is left alone.
  ~ChildProcess();
  ChildProcess(const ChildProcess&) = delete;
  ChildProcess& operator=(const ChildProcess&) = delete;

  Pid pid() const { return pid_; }
  // Lets it execute the command; why it could not, when it could not.
  absl::Status Release();
  // Waits for its end at most `timeout` (nullopt: as long as it takes).
  std::optional<ChildEnd> WaitForEnd(std::optional<Nanoseconds> timeout);
  void Signal(int number) const;

 private:
  ChildProcess(Pid pid, std::string name, UniqueFd go, UniqueFd problem, UniqueFd process);

  Pid pid_;
  std::string name_;
  UniqueFd go_;       // closing it without writing ends the child
  UniqueFd problem_;  // the errno of a failed exec; closed by a successful one
  UniqueFd process_;  // pidfd, readable at the end
  std::optional<ChildEnd> end_;
};

}  // namespace whyslow
