#include "cli/targets.h"

#include <absl/strings/str_format.h>
#include <unistd.h>

#include "base/status.h"

namespace whyslow {
namespace {

bool HasThread(Pid pid, Tid tid) {
  return access(absl::StrFormat("/proc/%d/task/%d", Number(pid), Number(tid)).c_str(), F_OK) == 0;
}

}  // namespace

absl::Status CheckTargets(const SessionOptions& target) {
  for (const Pid pid : target.pids) {
    RETURN_IF_ERROR(CheckSessionTarget(pid));
  }
  for (const Tid tid : target.threads) {
    bool found = false;
    for (const Pid pid : target.pids) {
      found = found || HasThread(pid, tid);
    }
    if (!found) {
      return MakeStatus(absl::StatusCode::kNotFound,
                        absl::StrFormat("--threads %d: the target has no such thread. "
                                        "`ls /proc/%d/task` lists them",
                                        Number(tid), Number(target.pids.front())));
    }
  }
  return absl::OkStatus();
}

}  // namespace whyslow
