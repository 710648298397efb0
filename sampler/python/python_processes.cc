#include "sampler/python/python_processes.h"

#include <absl/hash/hash.h>
#include <absl/strings/str_cat.h>
#include <unistd.h>

#include <chrono>
#include <span>
#include <thread>
#include <variant>

namespace whyslow {
namespace {

// Programs give their threads names late, and other ones.
constexpr size_t kMostEnded = 64;
constexpr int kMostTries = 5;
constexpr auto kBetweenTries = std::chrono::milliseconds(1);
constexpr Nanoseconds kNameComes = std::chrono::milliseconds(5);
constexpr int kTimesAtFirst = 16;
constexpr Nanoseconds kNameHolds = std::chrono::seconds(1);

// For stacks that were walked from outside; those that the kernel walks have numbers of its making.
PythonStackId NumberOf(Pid pid, std::span<const python_raw_frame> frames) {
  uint64_t hash = absl::HashOf(Number(pid));
  for (const python_raw_frame& frame : frames) {
    hash = absl::HashOf(hash, frame.code, frame.instruction, frame.check, frame.is_entry);
  }
  return PythonStackId{hash | 1};
}

bool IsThere(Pid pid, Tid tid) {
  const std::string path = absl::StrCat("/proc/", Number(pid), "/task/", Number(tid));
  return access(path.c_str(), F_OK) == 0;
}

bool IsShim(const PythonFrame& frame) {
  if (frame.function == nullptr) {
    return false;
  }
  const PythonFunction& function = *frame.function;
  return function.file == "<shim>" || (function.file == "__init__" && function.name == "__init__");
}

// Code of the interpreter's own that stands in frames of the program's kind: what a call from C
// begins with, and what cleans up behind a constructor.
void RemoveShims(std::vector<PythonFrame>& frames) {
  size_t kept = 0;
  for (PythonFrame& frame : frames) {
    if (!IsShim(frame)) {
      frames[kept++] = std::move(frame);
    } else if (kept > 0) {
      frames[kept - 1].is_entry |= frame.is_entry || frame.function->file == "<shim>";
    }
  }
  frames.resize(kept);
}

}  // namespace

void PythonProcesses::AddProblem(const absl::Status& status) {
  std::string text(status.message());
  if (told_.insert(text).second) {
    problems_.push_back(std::move(text));
  }
}

const python_walk_layout* PythonProcesses::Open(Pid pid, const Mapping& mapping) {
  if (mapping.module == nullptr || not_python_.contains(mapping.module.get())) {
    return nullptr;
  }
  auto row = std::make_unique<Row>(pid);
  row->mapping = mapping;
  auto process = PythonProcess::Open(pid, mapping, row->memory);
  // A program that just begins has its code mapped before its data.
  for (int tries = 1; !process.ok() && tries < kMostTries; ++tries) {
    std::this_thread::sleep_for(kBetweenTries);
    process = PythonProcess::Open(pid, mapping, row->memory);
  }
  if (!process.ok()) {
    AddProblem(process.status());
    return nullptr;
  }
  if (*process == nullptr) {
    not_python_.insert(mapping.module.get());
    return nullptr;
  }
  row->process = *std::move(process);
  if (const auto state = row->process->Check(); !state.ok()) {
    AddProblem(state.status());
    return nullptr;
  }
  std::unique_ptr<Row>& place = rows_[pid];
  place = std::move(row);
  return &place->process->walk_layout();
}

void PythonProcesses::Fork(Pid parent, Pid child) {
  const auto known = rows_.find(parent);
  if (known != rows_.end()) {
    const Mapping mapping = known->second->mapping;
    if (Open(child, mapping) != nullptr) {
      rows_[child]->parent = parent;
    }
  }
}

void PythonProcesses::End(Pid pid) {
  if (!rows_.contains(pid)) {
    return;
  }
  ended_.push_back(pid);
  if (ended_.size() > kMostEnded) {
    rows_.erase(ended_.front());
    ended_.pop_front();
  }
}

const python_walk_layout* PythonProcesses::Look(const Event& event) {
  if (const auto* mapping = std::get_if<MappingAdded>(&event.what)) {
    return rows_.contains(mapping->pid) ? nullptr : Open(mapping->pid, modules_.Resolve(*mapping));
  }
  if (const auto* started = std::get_if<ThreadStarted>(&event.what)) {
    if (started->parent_pid != kNoPid && started->pid != started->parent_pid) {
      std::erase(ended_, started->pid);  // the number may have been used before
      rows_.erase(started->pid);
      Fork(started->parent_pid, started->pid);  // the kernel's programs have told each other
    }
  } else if (const auto* named = std::get_if<ThreadNamed>(&event.what)) {
    if (named->exec) {
      rows_.erase(named->pid);
    }
  } else if (const auto* exited = std::get_if<ThreadExited>(&event.what)) {
    const auto row = rows_.find(exited->pid);
    if (exited->tid == MainThreadOf(exited->pid)) {
      End(exited->pid);
    } else if (row != rows_.end()) {
      row->second->threads.erase(exited->tid);
    }
  }
  return nullptr;
}

void PythonProcesses::Tell(const MappingAdded& mapping, Instant when, std::vector<Event>& out) {
  const auto row = rows_.find(mapping.pid);
  if (row == rows_.end() || row->second->mapping.start != mapping.start) {
    return;
  }
  PythonFound found{.pid = mapping.pid, .version = row->second->process->version()};
  for (const CodeRange& range : row->second->process->loop()) {
    found.loop.push_back({range.runtime, range.runtime + range.size});
  }
  out.push_back({.when = when, .what = std::move(found)});
}

void PythonProcesses::NameThread(Row& row, const PythonStack& stack, Instant when,
                                 std::vector<Event>& out) {
  if (stack.raw.empty() || stack.is_cut) {
    return;
  }
  ThreadName& thread = row.threads[stack.tid];
  const bool is_early = thread.name.empty() && thread.times_asked < kTimesAtFirst;
  if (when - thread.asked_at < (is_early ? kNameComes : kNameHolds)) {
    return;
  }
  thread.asked_at = when;
  ++thread.times_asked;
  std::optional<std::string> name = row.process->NameByOutermost(stack.raw.back(), stack.outermost);
  // Of one that has ended the frame's memory may be another thread's by now.
  if (name && thread.name != *name && IsThere(stack.pid, stack.tid)) {
    thread.name = *name;
    out.push_back(
        {.when = when,
         .what = PythonThreadNamed{.pid = stack.pid, .tid = stack.tid, .name = *std::move(name)}});
  }
}

// Of a child that has ended already: what it ran was mostly its parent's code.
void PythonProcesses::AskParent(const Row& row, PythonStack& stack) {
  const auto parent = rows_.find(row.parent);
  for (size_t i = 0; parent != rows_.end() && i < stack.frames.size(); ++i) {
    if (stack.frames[i].function == nullptr) {
      const bool is_entry = stack.frames[i].is_entry;
      stack.frames[i] = parent->second->process->Resolve({&stack.raw[i], 1}).front();
      stack.frames[i].is_entry = is_entry;
    }
  }
}

void PythonProcesses::Read(PythonStack& stack, Instant when, std::vector<Event>& out) {
  const auto row = rows_.find(stack.pid);
  if (row == rows_.end()) {
    stack.frames.resize(stack.raw.size());
    stack.raw.clear();
    return;
  }
  stack.frames = row->second->process->Resolve(stack.raw);
  AskParent(*row->second, stack);
  RemoveShims(stack.frames);
  if (stack.outermost.value() != 0) {
    NameThread(*row->second, stack, when, out);
  }
  stack.raw.clear();
}

std::optional<PythonStack> PythonProcesses::Walk(Pid pid, Tid tid) {
  const auto row = rows_.find(pid);
  if (row == rows_.end()) {
    return std::nullopt;
  }
  std::optional<PythonWalk> walk = row->second->process->WalkChecked(tid);
  if (!walk || walk->frames.empty()) {
    return std::nullopt;
  }
  PythonStack stack{.pid = pid, .tid = tid, .id = NumberOf(pid, walk->frames)};
  stack.is_cut = walk->end != PythonWalkEnd::kRoot;
  stack.outermost = OutermostFrame(*walk);
  stack.raw = std::move(walk->frames);
  return stack;
}

}  // namespace whyslow
