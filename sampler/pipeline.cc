#include "sampler/pipeline.h"

#include <algorithm>
#include <utility>

#include "sampler/unwind/cfi_cache.h"

namespace whyslow {
namespace {

// Between the new program's mappings and its first instruction, the registers of user mode are
// those of the old one's call of execve.
bool IsInExec(Process& process, const UserStack& stack) {
  process.is_in_exec =
      process.is_in_exec && stack.in_kernel &&
      process.space.Find(RuntimeAddress(stack.registers->pc().value_or(0))) == nullptr;
  return process.is_in_exec;
}

FramePointerChain ChainOf(std::span<const RuntimeAddress> kernel,
                          std::span<const RuntimeAddress> user) {
  // kernel.perf_event_max_stack, unless somebody changed it.
  constexpr size_t kMostEntries = 127;
  return {.addresses = user, .is_whole = kernel.size() + user.size() < kMostEntries};
}

// The kernel's frames may differ: it may wait in several places of one system call.
bool HaveEqualUserFrames(const Profile& profile, StackIndex a, StackIndex b) {
  const auto user_frames = [&profile](StackIndex node) {
    std::vector<LocationIndex> frames;
    AppendLocations(profile, node, frames);
    std::erase_if(frames, [&](LocationIndex frame) {
      const ModuleIndex module = profile.LocationAt(frame).module;
      return module.valid() && profile.ModuleAt(module).kind == ModuleKind::kKernel;
    });
    return frames;
  };
  return a == b || user_frames(a) == user_frames(b);
}

}  // namespace

Pipeline::Pipeline(PipelineOptions options)
    : options_(std::move(options)),
      jit_(options_.is_live),
      unwinder_(options_.unwind, options_.table_cache.get()),
      writer_(jit_),
      python_(writer_, options_.python_internals),
      waits_(writer_, python_) {
  audit_.waits_measured = options_.mode != CaptureMode::kCpu;
  audit_.samples_all_modes = options_.samples_all_modes;
  audit_.table_cache_problem = options_.table_cache_problem;
}

void Pipeline::Handle(Event& event) {
  std::visit([&](auto& what) { On(event.when, what); }, event.what);
}

StringIndex Pipeline::NameOfThread(Pid pid, Tid tid) {
  const Process& process = processes_.Get(pid);
  const std::string& name = process.NameOf(tid);
  return writer_.AddString(name.empty() ? process.name() : name);
}

bool Pipeline::IsWanted(Tid tid) const {
  return options_.only_threads.empty() ||
         std::ranges::find(options_.only_threads, tid) != options_.only_threads.end();
}

void Pipeline::On(Instant when, const SwitchIn& event) {
  if (IsWanted(event.tid)) {
    cpu_time_.Apply(when, event);
  }
}

void Pipeline::On(Instant when, const SwitchOut& event) {
  if (IsWanted(event.tid)) {
    cpu_time_.Apply(when, event);
  }
}

void Pipeline::On(Instant when, const ThreadRunTime& event) {
  if (IsWanted(event.tid)) {
    cpu_time_.Apply(when, event);
  }
}

void Pipeline::On(Instant when, StackSample& sample) {
  if (!IsWanted(sample.tid) || options_.mode == CaptureMode::kOffCpu) {
    return;
  }
  Process& process = processes_.Get(sample.pid);
  AddFrames(when, process, sample, sample.in_kernel, sample.stack_was_shortened);
  const auto outcome = python_.Merge(sample.pid, sample.python, frames_);
  audit_.python_stacks += outcome == PythonStacks::Outcome::kNone ? 0 : 1;
  audit_.python_stacks_apart += outcome == PythonStacks::Outcome::kApart ? 1 : 0;
  const StringIndex name = NameOfThread(sample.pid, sample.tid);
  const StackIndex stack = writer_.AddStack(frames_);
  cpu_time_.Add(when, sample.pid, sample.tid, name, stack, sample.period);
  if (options_.latest_only) {
    latest_.Sampled({.pid = sample.pid,
                     .tid = sample.tid,
                     .thread_name = name,
                     .stack = stack,
                     .samples = 1,
                     .time = sample.period});
  }
  if (audit_.samples++ == 0) {
    first_stack_at_ = MonotonicClock::now();
  }
  MoveFinishedRows();
}

void Pipeline::On(Instant when, const WaitStack& event) {
  if (!IsWanted(event.tid)) {
    return;
  }
  AddFrames(when, processes_.Get(event.pid), event, /*in_kernel=*/true, false);
  const StackIndex stack = writer_.AddStack(frames_);
  if (event.same_as != kNoWaitStack) {
    CheckWaitStack(event, stack);
    return;
  }
  waits_.AddStack(event.tid, event.id, stack, event.python);
  ++audit_.wait_stacks;
  // Nothing can be known again by a stack of which nothing was copied.
  if (options_.learner != nullptr && !event.stack.empty()) {
    options_.learner->Learn(event, native_.return_addresses);
  }
}

void Pipeline::CheckWaitStack(const WaitStack& event, StackIndex stack) {
  const StackIndex taken_for = waits_.FindStack(event.same_as);
  if (!taken_for.valid()) {
    waits_.AddStack(event.tid, event.same_as, stack, event.python);  // it was lost, or is long ago
    return;
  }
  ++audit_.wait_stacks_checked;
  if (!HaveEqualUserFrames(writer_.profile(), taken_for, stack)) {
    ++audit_.wait_stacks_wrong;
  }
}

void Pipeline::On(Instant /*when*/, const WaitsEnded& event) {
  if (!IsWanted(event.tid)) {
    return;
  }
  audit_.waits += event.times.count;
  if (!options_.latest_only) {
    waits_.Add(event);
  } else if (const std::optional<WaitsEnded> waits = latest_.Waited(event)) {
    waits_.Add(*waits);
    if (waits_.FindStack(waits->stack).valid()) {
      latest_.WaitsAt(waits->tid);
    }
  }
}

template <class HasStack>
void Pipeline::AddFrames(Instant when, Process& process, const HasStack& event, bool in_kernel,
                         bool stack_was_shortened) {
  frames_.clear();
  native_.frames.clear();
  native_.return_addresses.clear();
  AddKernelFrames(event.kernel_callchain);
  AddUserFrames(when, process,
                {.pid = event.pid,
                 .registers = event.registers,
                 .copy = event.stack,
                 .chain = ChainOf(event.kernel_callchain, event.user_callchain),
                 .in_kernel = in_kernel,
                 .was_shortened = stack_was_shortened});
}

void Pipeline::AddKernelFrames(std::span<const RuntimeAddress> callchain) {
  bool is_leaf = true;
  for (const RuntimeAddress ip : callchain) {
    const auto code = is_leaf ? RuntimeCodeAddress::At(ip) : RuntimeCodeAddress::ReturnTo(ip);
    frames_.push_back(writer_.AddKernelFrame(code.ForLookup()));
    is_leaf = false;
  }
}

void Pipeline::AddUserFrames(Instant when, Process& process, const UserStack& stack) {
  if (!stack.registers && !frames_.empty()) {
    return;  // a thread without user memory any more: the kernel's frames are the whole stack
  }
  native_.end = StackEnd::kNoRegisters;
  if (stack.registers && IsInExec(process, stack)) {
    native_.end = StackEnd::kMemoryGone;
  } else if (stack.registers) {
    const RuntimeAddress stack_start(stack.registers->sp().value_or(0));
    unwinder_.Unwind(*stack.registers, process.space, StackCopy(stack_start, stack.copy), native_,
                     {.jit = jit_.UnwindTableOf(stack.pid, when), .chain = stack.chain});
    if (native_.end == StackEnd::kBadMemory && stack.in_kernel && stack.copy.empty()) {
      native_.end = StackEnd::kMemoryGone;
    }
  }
  for (const RuntimeCodeAddress frame : native_.frames) {
    const RuntimeAddress address = frame.ForLookup();
    frames_.push_back(writer_.AddUserFrame(process, process.space.Find(address), address));
    MarkPythonLoop(process, address, frames_.back());
  }
  if (native_.end != StackEnd::kRoot) {
    std::string reason(ReasonFor(native_.end));
    if (native_.end == StackEnd::kCopyEnded && stack.was_shortened) {
      reason = "stack copy shortened under load";
    }
    ++audit_.truncated[reason];
    frames_.push_back(writer_.AddNote("[truncated: " + reason + "]"));
  }
}

void Pipeline::MarkPythonLoop(const Process& process, RuntimeAddress address, LocationIndex frame) {
  for (const PythonFound::Range& range : process.python_loop) {
    if (range.start <= address && address < range.end) {
      python_.MarkLoop(frame);
    }
  }
}

void Pipeline::On(Instant /*when*/, const PythonFound& event) { processes_.Apply(event); }

void Pipeline::On(Instant /*when*/, const PythonStack& event) {
  if (IsWanted(event.tid)) {
    python_.Add(event);
  }
}

void Pipeline::On(Instant /*when*/, const PythonThreadNamed& event) {
  writer_.NamePythonThread(event.tid, event.name);
}

void Pipeline::On(Instant /*when*/, const MappingAdded& event) {
  processes_.Apply(event);
  jit_.Apply(event);
  if (writer_.profile().modules.empty()) {
    if (const Mapping* mapping = processes_.Get(event.pid).space.Find(event.start)) {
      writer_.AddModuleOf(*mapping);
    }
  }
}

void Pipeline::On(Instant when, const ThreadStarted& event) {
  processes_.Apply(event);
  jit_.Apply(event);
  const StringIndex name = NameOfThread(event.pid, event.tid);
  writer_.ForgetPythonThread(event.tid);  // the number may have been used before
  cpu_time_.Apply(when, event, name);
  waits_.NameThread(event.tid, name);
  if (event.parent_pid != kNoPid) {
    waits_.StartThread(event.tid);
  }
  if (event.tid == MainThreadOf(event.pid)) {
    writer_.NameProcess(event.pid, name);
  }
}

void Pipeline::On(Instant when, const ThreadExited& event) {
  processes_.Apply(event);
  jit_.Apply(event);
  cpu_time_.Apply(when, event);
  waits_.EndThread(event.tid);
}

void Pipeline::On(Instant /*when*/, const ThreadNamed& event) {
  processes_.Apply(event);
  jit_.Apply(event);
  const StringIndex name = NameOfThread(event.pid, event.tid);
  cpu_time_.Rename(event.tid, name);
  waits_.NameThread(event.tid, name);
  if (event.exec) {
    waits_.ExecThread(event.tid);
  }
  if (event.tid == MainThreadOf(event.pid)) {
    writer_.NameProcess(event.pid, name);
  }
}

void Pipeline::On(Instant /*when*/, const KernelCodeChanged& event) {
  writer_.AddKernelCode(event);
}

void Pipeline::On(Instant /*when*/, const EventsLost& event) {
  switch (event.kind) {
    case LossKind::kRingFull:
      audit_.lost_in_kernel += event.count;
      break;
    case LossKind::kSampleShed:
      audit_.shed_samples += event.count;
      break;
    case LossKind::kStackShortened:
      audit_.shortened_stacks += event.count;
      break;
    case LossKind::kThrottled:
      audit_.throttled += event.count;
      break;
    case LossKind::kWaitStack:
      audit_.waits_without_stack += event.count;
      break;
    case LossKind::kWait:
      audit_.lost_waits += event.count;
      break;
  }
}

void Pipeline::MoveFinishedRows() {
  for (const CpuTimeRow& row : cpu_time_.TakeRows()) {
    if (options_.mode != CaptureMode::kOffCpu && !options_.latest_only) {
      writer_.AddCpuRow(row);
    }
  }
}

void Pipeline::Finish(Instant when) {
  cpu_time_.Finish(when);
  MoveFinishedRows();
  latest_.Write(writer_);
  audit_.exact_cpu = cpu_time_.exact_time();
  audit_.sampled_cpu = cpu_time_.sampled_time();
  if (options_.table_cache != nullptr) {
    audit_.tables_compiled = options_.table_cache->compiled();
    audit_.tables_loaded = options_.table_cache->loaded();
    audit_.table_cache_problem = options_.table_cache->problem();
  }
}

}  // namespace whyslow
