#include "sampler/perf/thread_look.h"

#include <absl/strings/str_format.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string>
#include <vector>

#include "base/text.h"
#include "base/time.h"
#include "base/unique_fd.h"
#include "sampler/perf/proc_scan.h"
#include "sampler/target/target_memory.h"

namespace whyslow {
namespace {

// "0x7ffc0"
uint64_t Word(std::string_view text) {
  return ToNumber<uint64_t>(text.substr(std::min<size_t>(text.size(), 2)), 16).value_or(0);
}

struct SmallFile {
  std::string text;
  int error = 0;
};

// Files of one line; the reason of a failure matters here.
SmallFile ReadThreadFile(Pid pid, Tid tid, const char* name) {
  const std::string path = absl::StrFormat("/proc/%d/task/%d/%s", Number(pid), Number(tid), name);
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  SmallFile result{.text = std::string(512, '\0')};
  const ssize_t size = file ? read(file.get(), result.text.data(), result.text.size()) : -1;
  result.error = size < 0 ? errno : 0;
  result.text.resize(static_cast<size_t>(std::max<ssize_t>(size, 0)));
  return result;
}

OffCpu ReasonOfState(char state) {
  return state == 'T' ? OffCpu::kStopped : state == 't' ? OffCpu::kTraced : OffCpu::kBlocked;
}

LookOutcome OutcomeOf(int error) {
  return error == EPERM || error == EACCES ? LookOutcome::kDenied : LookOutcome::kGone;
}

}  // namespace

std::optional<ThreadSyscall> ParseThreadSyscall(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  const std::vector<std::string_view> words = PartsOf(text, ' ');
  constexpr size_t kInCall = 9;
  constexpr size_t kOutside = 3;
  ThreadSyscall call;
  if (words.size() != kInCall && words.size() != kOutside) {
    return std::nullopt;
  }
  const auto number = ToNumber<int32_t>(words.front());
  call.sp = Word(words[words.size() - 2]);
  call.pc = Word(words.back());
  if (!number || call.sp == 0 || call.pc == 0) {
    return std::nullopt;
  }
  call.number = *number;
  for (size_t i = 0; words.size() == kInCall && i < call.arguments.size(); ++i) {
    call.arguments[i] = Word(words[i + 1]);
  }
  return call;
}

std::optional<uint64_t> ParseTimesRun(std::string_view text) {
  text = text.substr(0, text.find('\n'));
  const std::vector<std::string_view> words = PartsOf(text, ' ');
  return words.size() < 3 ? std::nullopt : ToNumber<uint64_t>(words[2]);
}

bool MayLookAt(Pid pid) {
  const int error = ReadThreadFile(pid, MainThreadOf(pid), "syscall").error;
  return error != EPERM && error != EACCES;
}

LookOutcome LookAt(Pid pid, Tid tid, uint32_t stack_bytes, StopSeen& seen) {
  const auto before = ParseTimesRun(ReadThreadFile(pid, tid, "schedstat").text);
  seen.when = MonotonicClock::now();
  const SmallFile call_file = ReadThreadFile(pid, tid, "syscall");
  if (call_file.error != 0) {
    return OutcomeOf(call_file.error);
  }
  const auto call = ParseThreadSyscall(call_file.text);
  const auto stat = ReadProcStat(pid, tid);
  if (!before || !call || !stat || stat->state == 'R') {
    return LookOutcome::kWentOn;
  }
  std::vector<std::byte> bytes(stack_bytes);
  errno = 0;
  bytes.resize(LiveMemory(pid).Read(RuntimeAddress(call->sp), bytes));
  if (bytes.empty() && errno == EPERM) {
    return LookOutcome::kDenied;
  }
  if (ParseTimesRun(ReadThreadFile(pid, tid, "schedstat").text) != before) {
    return LookOutcome::kWentOn;
  }
  seen.why = ReasonOfState(stat->state);
  seen.uninterruptible = stat->state == 'D';
  seen.has_copy = true;
  seen.stack.pid = pid;
  seen.stack.tid = tid;
  seen.stack.system_call = call->number;
  seen.stack.arguments = call->arguments;
  seen.stack.registers.emplace();
  seen.stack.registers->Set(seen.stack.registers->sp_number(), call->sp);
  seen.stack.registers->Set(seen.stack.registers->pc_number(), call->pc);
  seen.stack.stack = std::move(bytes);
  return LookOutcome::kSeen;
}

}  // namespace whyslow
