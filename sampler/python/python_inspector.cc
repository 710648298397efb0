#include "sampler/python/python_inspector.h"

#include <algorithm>
#include <array>
#include <span>
#include <utility>

#include "sampler/python/thread_names.h"
#include "sampler/python/thread_numbers.h"

namespace whyslow {

absl::StatusOr<std::unique_ptr<PythonInspector>> PythonInspector::Open(Pid pid,
                                                                       const Mapping& mapping,
                                                                       const TargetMemory& memory) {
  absl::StatusOr<std::optional<Interpreter>> found = FindInterpreter(mapping, memory);
  if (!found.ok()) {
    return found.status();
  }
  if (!found->has_value()) {
    return nullptr;
  }
  const absl::StatusOr<InterpreterState> state = CheckInterpreter(**found, memory);
  if (!state.ok()) {
    return state.status();
  }
  if (*state != InterpreterState::kReady) {
    return nullptr;
  }
  std::unique_ptr<PythonInspector> inspector(new PythonInspector(pid, **std::move(found), memory));
  inspector->ReadInspectionLayout();
  return inspector;
}

PythonInspector::PythonInspector(Pid pid, Interpreter interpreter, const TargetMemory& memory)
    : pid_(pid),
      interpreter_(std::move(interpreter)),
      objects_(memory, interpreter_.layout),
      codes_(objects_) {}

void PythonInspector::ReadInspectionLayout() {
  std::array<std::byte, kPythonDebugOffsetsSize> buffer;
  const size_t size = objects_.memory().Read(interpreter_.runtime, buffer);
  layout_ = InspectionLayoutOf(interpreter_.layout, std::span(buffer).first(size));
}

std::optional<std::vector<PythonInspector::GilHolder>> PythonInspector::GilHolders() const {
  const auto gils = layout_ ? ReadGils(objects_, *layout_, interpreter_.runtime) : std::nullopt;
  if (!gils) {
    return std::nullopt;
  }
  ThreadNumbers numbers(pid_);
  numbers.Refresh();
  const std::vector<PythonThread> threads = ListPythonThreads(objects_);
  std::vector<GilHolder> holders;
  for (const PythonGil& gil : *gils) {
    GilHolder holder{.lock = gil.lock, .thread = std::nullopt};
    if (gil.holder.value() != 0) {
      const auto thread = std::ranges::find(threads, gil.holder, &PythonThread::state);
      holder.thread =
          thread == threads.end() ? std::nullopt : numbers.Find(*thread, objects_.memory());
      if (!holder.thread) {
        return std::nullopt;  // it has just ended, or no lock is there
      }
    }
    holders.push_back(holder);
  }
  return holders;
}

void PythonInspector::Refresh() {
  ThreadNumbers numbers(pid_);
  numbers.Refresh();
  threads_.clear();
  for (const PythonThread& thread : ListPythonThreads(objects_)) {
    if (const std::optional<Tid> tid = numbers.Find(thread, objects_.memory())) {
      threads_.emplace_back(*tid, thread);
    }
  }
}

std::optional<PythonWalk> PythonInspector::Walk(Tid tid) const {
  // A thread may have a state in each of several interpreters: the one with frames counts.
  const auto found = std::ranges::find_if(threads_, [tid](const auto& row) {
    return row.first == tid && row.second.frame.value() != 0;
  });
  const auto thread =
      found == threads_.end() ? std::nullopt : ReadPythonThreadAgain(objects_, found->second);
  if (!thread) {
    return std::nullopt;
  }
  PythonWalk walk = WalkPythonThread(objects_, *thread);
  const PythonWalkFault fault = CheckPythonWalk(objects_, interpreter_.code_type, *thread, walk);
  const bool is_deep = fault == PythonWalkFault::kNotEnded && walk.end == PythonWalkEnd::kTooDeep;
  return fault == PythonWalkFault::kNone || is_deep ? std::optional(std::move(walk)) : std::nullopt;
}

std::optional<std::string> PythonInspector::NameOfThread(Tid tid) {
  const std::optional<PythonWalk> walk = Walk(tid);
  return walk ? NameOfPythonThread(objects_, codes_, *walk) : std::nullopt;
}

std::vector<InspectedFrame> PythonInspector::FramesOf(Tid tid, bool with_locals) {
  const std::optional<PythonWalk> walk = Walk(tid);
  std::vector<InspectedFrame> frames;
  if (!walk) {
    return frames;
  }
  size_t next = 0;
  for (const PythonWalkStep& step : walk->steps) {
    if (step.is_own || next >= walk->frames.size()) {
      continue;
    }
    InspectedFrame& frame = frames.emplace_back();
    frame.frame = codes_.Read(walk->frames[next++]);
    if (with_locals && layout_) {
      frame.locals = ReadFrameLocals(objects_, *layout_, step.frame, step.code);
    }
  }
  return frames;
}

}  // namespace whyslow
