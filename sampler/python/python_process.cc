#include "sampler/python/python_process.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "base/status.h"
#include "sampler/python/thread_names.h"

namespace whyslow {
namespace {

constexpr int kMostChecks = 10;
constexpr auto kBetweenChecks = std::chrono::milliseconds(1);
// Asked about threads that Python does not know, the list of those that it knows would be read
// again and again.
constexpr Nanoseconds kListHolds = std::chrono::milliseconds(50);
// Memory of a thread state that is gone can look as if it were still there.
constexpr Nanoseconds kMostAge = std::chrono::seconds(1);

// "Python 3.7.16: WHY" becomes "Python 3.7.16 of process 12: WHY: native frames only".
absl::Status ForUser(Pid pid, const absl::Status& problem) {
  const std::string text(problem.message());
  const size_t colon = std::min(text.find(':'), text.size());
  return MakeStatus(problem.code(), absl::StrCat(text.substr(0, colon), " of process ", Number(pid),
                                                 text.substr(colon), ": native frames only"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<PythonProcess>> PythonProcess::Open(Pid pid, const Mapping& mapping,
                                                                   const TargetMemory& memory) {
  absl::StatusOr<std::optional<Interpreter>> found = FindInterpreter(mapping, memory);
  if (!found.ok()) {
    return ForUser(pid, found.status());
  }
  if (!found->has_value()) {
    return nullptr;
  }
  return std::unique_ptr<PythonProcess>(new PythonProcess(pid, **std::move(found), memory));
}

PythonProcess::PythonProcess(Pid pid, Interpreter interpreter, const TargetMemory& memory)
    : pid_(pid),
      interpreter_(std::move(interpreter)),
      objects_(memory, interpreter_.layout),
      codes_(objects_),
      numbers_(pid) {}

absl::StatusOr<InterpreterState> PythonProcess::Check() {
  if (state_ == InterpreterState::kReady) {
    return state_;
  }
  if (!problem_.ok()) {
    return problem_;
  }
  // The target runs meanwhile: what was read may not fit together only because it changed.
  absl::StatusOr<InterpreterState> state = CheckInterpreter(interpreter_, objects_.memory());
  for (int tries = 1; !state.ok() && tries < kMostChecks; ++tries) {
    std::this_thread::sleep_for(kBetweenChecks);
    state = CheckInterpreter(interpreter_, objects_.memory());
  }
  if (!state.ok()) {
    problem_ = ForUser(pid_, state.status());
    return problem_;
  }
  state_ = *state;
  return state_;
}

std::vector<PythonFrame> PythonProcess::Resolve(std::span<const python_raw_frame> frames) {
  std::vector<PythonFrame> resolved;
  resolved.reserve(frames.size());
  codes_.BeginStack();
  for (const python_raw_frame& frame : frames) {
    resolved.push_back(codes_.Read(frame));
  }
  return resolved;
}

void PythonProcess::ListThreads() {
  numbers_.Refresh();
  threads_.clear();
  for (const PythonThread& thread : ListPythonThreads(objects_)) {
    if (const std::optional<Tid> tid = numbers_.Find(thread, objects_.memory())) {
      threads_[*tid].push_back(thread);
    }
  }
  listed_at_ = MonotonicClock::now();
}

std::optional<PythonThread> PythonProcess::FindRemembered(Tid tid) const {
  const auto found = threads_.find(tid);
  if (found == threads_.end()) {
    return std::nullopt;
  }
  std::optional<PythonThread> any;
  for (const PythonThread& remembered : found->second) {
    const std::optional<PythonThread> thread = ReadPythonThreadAgain(objects_, remembered);
    if (!thread) {
      return std::nullopt;
    }
    if (!any || any->frame.value() == 0) {
      any = thread;
    }
  }
  return any;
}

std::optional<PythonThread> PythonProcess::FindThread(Tid tid) {
  const Instant now = MonotonicClock::now();
  if (!listed_at_ || now - *listed_at_ > kMostAge) {
    ListThreads();
  }
  std::optional<PythonThread> thread = FindRemembered(tid);
  if (!thread && now - *listed_at_ > kListHolds) {
    ListThreads();
    thread = FindRemembered(tid);
  }
  return thread;
}

std::optional<PythonWalk> PythonProcess::WalkChecked(Tid tid) {
  const absl::StatusOr<InterpreterState> state = Check();
  if (!state.ok() || *state != InterpreterState::kReady) {
    return std::nullopt;
  }
  const std::optional<PythonThread> thread = FindThread(tid);
  if (!thread) {
    return std::nullopt;
  }
  PythonWalk walk = WalkPythonThread(objects_, *thread);
  const PythonWalkFault fault = CheckPythonWalk(objects_, interpreter_.code_type, *thread, walk);
  ++rejections_.walks;
  if (fault != PythonWalkFault::kNone) {
    ++rejections_.rejected;
    rejections_.last = fault;
    return std::nullopt;
  }
  return walk;
}

std::optional<std::vector<python_raw_frame>> PythonProcess::WalkThread(Tid tid) {
  std::optional<PythonWalk> walk = WalkChecked(tid);
  return walk ? std::optional(std::move(walk->frames)) : std::nullopt;
}

std::optional<std::string> PythonProcess::NameOfThread(Tid tid) {
  const std::optional<PythonWalk> walk = WalkChecked(tid);
  codes_.BeginStack();
  return walk ? NameOfPythonThread(objects_, codes_, *walk) : std::nullopt;
}

}  // namespace whyslow
