#include "sampler/jit_processes.h"

#include <utility>

namespace whyslow {
namespace {

// As many dead processes as are remembered; one that dies may still have samples to come.
constexpr size_t kMaxRetired = 256;

}  // namespace

JitProcesses::JitProcess& JitProcesses::Get(Pid pid) {
  JitProcess& process = processes_[pid];
  if (process.files == nullptr) {
    process.files = std::make_shared<JitFiles>(pid, may_open_);
  }
  return process;
}

void JitProcesses::Apply(const MappingAdded& event) {
  if (event.file == nullptr || !IsJitDump(event.path)) {
    return;
  }
  JitProcess& process = Get(event.pid);
  process.files->SetDump(event.file);
  // What it inherited from its parent stays where it is.
  process.tail = JitDumpTail();
  process.next_look = Instant();
}

void JitProcesses::Apply(const ThreadStarted& event) {
  if (event.parent_pid == kNoPid || event.pid == event.parent_pid) {
    return;
  }
  processes_.erase(event.pid);  // the number may have been used before
  std::erase(retired_, event.pid);
  const auto parent = processes_.find(event.parent_pid);
  if (parent == processes_.end() || parent->second.files->dump() == nullptr) {
    return;
  }
  JitProcess child = parent->second;
  child.files = std::make_shared<JitFiles>(event.pid, may_open_);
  child.files->SetDump(parent->second.files->dump());
  processes_.emplace(event.pid, std::move(child));
}

void JitProcesses::Apply(const ThreadNamed& event) {
  if (event.exec) {
    processes_.erase(event.pid);
  }
}

void JitProcesses::Apply(const ThreadExited& event) {
  if (event.tid != MainThreadOf(event.pid) || !processes_.contains(event.pid)) {
    return;
  }
  retired_.push_back(event.pid);
  if (retired_.size() > kMaxRetired) {
    processes_.erase(retired_.front());
    retired_.pop_front();
  }
}

const JitUnwindTable* JitProcesses::UnwindTableOf(Pid pid, Instant when) {
  const auto found = processes_.find(pid);
  if (found == processes_.end()) {
    return nullptr;
  }
  JitProcess& process = found->second;
  if (process.files->dump() != nullptr && when >= process.next_look) {
    process.next_look = when + kInterval;
    process.tail.Follow(process.files->dump()->get(), process.table);
  }
  // Also when nothing is left in it: its version tells that what was found before holds no longer.
  return &process.table;
}

std::shared_ptr<JitFiles> JitProcesses::FilesOf(Pid pid) { return Get(pid).files; }

}  // namespace whyslow
