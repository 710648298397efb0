#include "sampler/target/process_table.h"

#include <algorithm>
#include <utility>

namespace whyslow {
namespace {

// As many dead processes as are remembered; each costs its mapping table.
constexpr size_t kMaxRetired = 256;

const std::string& NoName() {
  static const std::string kEmpty;
  return kEmpty;
}

}  // namespace

const std::string& Process::name() const { return NameOf(MainThreadOf(pid)); }

const std::string& Process::NameOf(Tid tid) const {
  const auto found = thread_names.find(tid);
  return found != thread_names.end() ? found->second : NoName();
}

Process& ProcessTable::Get(Pid pid) {
  const auto [row, is_new] = processes_.try_emplace(pid);
  if (is_new) {
    row->second.pid = pid;
  }
  return row->second;
}

void ProcessTable::Apply(const MappingAdded& event) {
  Get(event.pid).space.Add(modules_.Resolve(event));
}

void ProcessTable::Apply(const PythonFound& event) { Get(event.pid).python_loop = event.loop; }

void ProcessTable::Apply(const ThreadStarted& event) {
  if (event.parent_pid == kNoPid) {
    Get(event.pid).thread_names.try_emplace(event.tid);
    return;
  }
  // A new thread is called as the one that made it, until it says otherwise; so is a new process.
  Process& parent = Get(event.parent_pid);
  std::string name = parent.NameOf(event.parent_tid);
  if (name.empty()) {
    name = parent.name();
  }
  if (event.pid == event.parent_pid) {
    parent.thread_names[event.tid] = std::move(name);
    return;
  }
  AddressSpace inherited = parent.space;
  std::vector<PythonFound::Range> python_loop = parent.python_loop;
  std::erase(retired_, event.pid);  // the number may have been used before
  Process child;
  child.pid = event.pid;
  child.space = std::move(inherited);
  child.python_loop = std::move(python_loop);
  child.thread_names[event.tid] = std::move(name);
  processes_[event.pid] = std::move(child);
}

void ProcessTable::Apply(const ThreadNamed& event) {
  Process& process = Get(event.pid);
  if (event.exec) {
    process.space.Clear();
    process.python_loop.clear();
    process.thread_names.clear();
    process.is_in_exec = true;
  }
  process.thread_names[event.tid] = event.name;
}

void ProcessTable::Apply(const ThreadExited& event) {
  // The leader is the last to be forgotten by the kernel, but not always the last to end.
  if (event.tid == MainThreadOf(event.pid)) {
    Retire(event.pid);
    return;
  }
  const auto process = processes_.find(event.pid);
  if (process != processes_.end()) {
    process->second.thread_names.erase(event.tid);
  }
}

void ProcessTable::Retire(Pid pid) {
  retired_.push_back(pid);
  if (retired_.size() > kMaxRetired) {
    processes_.erase(retired_.front());
    retired_.pop_front();
  }
}

}  // namespace whyslow
