#include "cli/dump.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <utility>

#include "profile/wait_facts.h"

namespace whyslow {
namespace {

constexpr std::string_view kLoop = "_PyEval_EvalFrameDefault";

// The rows of one thread in the profile.
struct ThreadRows {
  const Sample* sampled = nullptr;
  const Sample* waits = nullptr;
  const Sample* ready = nullptr;  // the wait is over, but it has no CPU yet
};

ThreadState StateOfWait(WaitKind kind) {
  switch (kind) {
    case WaitKind::kRunQueue:
    case WaitKind::kPreempted:
    case WaitKind::kThrottled:
    case WaitKind::kStolen:
      return ThreadState::kRunnable;
    case WaitKind::kStopped:
      return ThreadState::kStopped;
    case WaitKind::kTraced:
      return ThreadState::kTraced;
    case WaitKind::kFrozen:
      return ThreadState::kFrozen;
    default:
      return ThreadState::kWaiting;
  }
}

ThreadState StateOfLetter(char letter) {
  switch (letter) {
    case 'R':
      return ThreadState::kRunning;
    case 'T':
      return ThreadState::kStopped;
    case 't':
      return ThreadState::kTraced;
    default:
      return ThreadState::kWaiting;
  }
}

class DumpMaker {
 public:
  DumpMaker(const Profile& profile, const DumpChoice& choice) : profile_(profile), choice_(choice) {
    for (const Sample& sample : profile.samples) {
      const auto tid = profile.NumberLabel(sample, "tid");
      const auto pid = profile.NumberLabel(sample, "pid");
      if (!tid || !pid) {
        continue;
      }
      ThreadRows& rows = rows_[{*pid, *tid}];
      const std::optional<WaitFacts> facts = WaitFactsOf(profile, sample);
      if (!facts) {
        rows.sampled = &sample;
      } else if (facts->kind && StateOfWait(*facts->kind) == ThreadState::kRunnable) {
        rows.ready = &sample;
      } else {
        rows.waits = &sample;
      }
    }
  }

  DumpThread Make(Pid pid, const SeenThread& seen) const {
    DumpThread thread{.tid = seen.tid, .name = seen.name, .python_name = seen.python_name};
    const auto found = rows_.find({Number(pid), Number(seen.tid)});
    const ThreadRows rows = found == rows_.end() ? ThreadRows() : found->second;
    SetState(rows, seen, thread);
    SetStack(rows, thread);
    for (const Sample* row : {rows.waits, rows.ready, rows.sampled}) {
      if (thread.python_name.empty() && row != nullptr) {
        thread.python_name = profile_.TextLabel(*row, "python_thread");
      }
    }
    // Of a thread that runs by now they are those of its sleep before.
    if (thread.state == ThreadState::kWaiting) {
      AddPython(seen, thread);
    }
    return thread;
  }

 private:
  int64_t TimeOf(const Sample& sample, std::string_view type) const {
    const auto column = profile_.FindValueType(type);
    return column
               ? profile_.ValuesOf(static_cast<size_t>(&sample - profile_.samples.data()))[*column]
               : 0;
  }

  void SetState(const ThreadRows& rows, const SeenThread& seen, DumpThread& thread) const {
    const Sample* row = rows.ready != nullptr ? rows.ready : rows.waits;
    if (row == nullptr) {
      const bool is_known = rows.sampled == nullptr;
      thread.state = is_known ? StateOfLetter(seen.state) : ThreadState::kRunning;
      if (thread.state != ThreadState::kRunning && seen.rest) {
        thread.for_nanos = seen.rest->count();
        thread.is_at_least = seen.rest_may_be_longer;
      }
      return;
    }
    const WaitFacts facts = *WaitFactsOf(profile_, *row);
    thread.state = StateOfWait(facts.kind.value_or(WaitKind::kUnknown));
    thread.wait =
        DumpWait{.kind = std::string(facts.kind_name),
                 .words = WaitWords(facts),
                 .peer = std::string(facts.peer),
                 .protocol = std::string(facts.protocol),
                 .file = std::string(facts.file),
                 .syscall = std::string(facts.syscall),
                 .tls = std::string(facts.tls),
                 .uninterruptible = profile_.TextLabel(*row, "state") == "uninterruptible"};
    SetDuration(*row, facts.kind == WaitKind::kGil, seen, thread);
  }

  // What began while we looked is known exactly. Else the scheduler knows when it ran last. A
  // length of zero: nobody has watched.
  void SetDuration(const Sample& row, bool is_gil, const SeenThread& seen,
                   DumpThread& thread) const {
    constexpr int64_t kShort = 1'000'000;
    const int64_t watched = TimeOf(row, "wait");
    const int64_t count = TimeOf(row, "waits");
    const bool began_before = watched + kShort >= profile_.duration_nanos;
    if (count <= 1 && watched > 0 && !began_before) {
      thread.for_nanos = watched;
    } else if (is_gil) {
      // It wakes every 5 ms to ask for the lock: all these waits are one.
      thread.for_nanos = std::max(watched, seen.rest ? seen.rest->count() : 0);
      thread.is_at_least = true;
    } else if (seen.rest && (!began_before || seen.rest->count() + kShort >= watched)) {
      thread.for_nanos = seen.rest->count();
      thread.is_at_least = seen.rest_may_be_longer;
    } else if (began_before && thread.state != ThreadState::kRunnable) {
      thread.for_nanos = watched;
      thread.is_at_least = true;
    }
  }

  void SetStack(const ThreadRows& rows, DumpThread& thread) const {
    for (const Sample* row : {rows.waits, rows.ready, rows.sampled}) {
      if (row == nullptr || !row->stack.valid()) {
        continue;
      }
      AppendFrames(row->stack, thread.frames);
      thread.has_stack = !thread.frames.empty();
      if (thread.has_stack) {
        return;
      }
    }
  }

  void AppendFrames(StackIndex stack, std::vector<DumpFrame>& frames) const {
    std::vector<LocationIndex> locations;
    AppendLocations(profile_, stack, locations);
    std::vector<ShownFrame> shown;
    for (const LocationIndex location : locations) {
      shown.clear();
      AppendShownFrames(profile_, location, shown);
      for (size_t i = shown.size(); i-- > 0;) {
        ShownFrame& frame = shown[i];
        const bool is_left_out = frame.kind == ModuleKind::kWait ||
                                 (frame.kind == ModuleKind::kKernel && !choice_.kernel);
        if (!is_left_out) {
          frames.push_back({.name = std::move(frame.name),
                            .file = std::string(frame.file),
                            .line = frame.line,
                            .kind = frame.kind,
                            .module = std::string(frame.module_path),
                            .inlined = frame.inlined});
        }
      }
    }
  }

  void AddPython(const SeenThread& seen, DumpThread& thread) const {
    std::vector<DumpFrame*> shown;
    for (DumpFrame& frame : thread.frames) {
      if (frame.kind == ModuleKind::kPython) {
        shown.push_back(&frame);
      }
    }
    if (shown.empty() && !seen.python.empty()) {
      PutInPlaceOfLoops(seen, thread);
      return;
    }
    const bool are_same = std::ranges::equal(
        shown, seen.python, [](const DumpFrame* frame, const SeenPythonFrame& other) {
          return frame->name == other.function && frame->line == other.line;
        });
    thread.locals_are_missing = choice_.locals && !are_same;
    for (size_t i = 0; are_same && i < shown.size(); ++i) {
      shown[i]->locals = seen.python[i].locals;
    }
  }

  // Where only the look has shown Python frames: each loop of the interpreter on the native stack
  // gives way to those that it ran. Where the loops are not all there (the native stack is cut, or
  // they have no name), only the native frames above the innermost are known to be in their place.
  static void PutInPlaceOfLoops(const SeenThread& seen, DumpThread& thread) {
    const auto is_loop = [](const DumpFrame& frame) { return frame.name.starts_with(kLoop); };
    const bool are_all = std::ranges::count_if(thread.frames, is_loop) ==
                         std::ranges::count_if(seen.python, &SeenPythonFrame::is_entry);
    std::vector<DumpFrame> merged;
    size_t next = 0;
    const auto append_next = [&] {
      const SeenPythonFrame& frame = seen.python[next++];
      merged.push_back({.name = frame.function,
                        .file = frame.file,
                        .line = frame.line,
                        .kind = ModuleKind::kPython,
                        .module = "[python]",
                        .locals = frame.locals});
      return !frame.is_entry;
    };
    for (DumpFrame& frame : thread.frames) {
      if (!is_loop(frame)) {
        merged.push_back(std::move(frame));
      } else if (are_all) {
        while (next < seen.python.size() && append_next()) {
        }
      } else {
        break;
      }
    }
    while (next < seen.python.size()) {
      append_next();
    }
    thread.frames = std::move(merged);
    thread.has_stack = true;
    thread.native_is_partial = !are_all;
  }

  const Profile& profile_;
  const DumpChoice& choice_;
  absl::flat_hash_map<std::pair<int64_t, int64_t>, ThreadRows> rows_;
};

}  // namespace

std::string_view NameOf(ThreadState state) {
  switch (state) {
    case ThreadState::kRunning:
      return "running";
    case ThreadState::kRunnable:
      return "runnable";
    case ThreadState::kWaiting:
      return "waiting";
    case ThreadState::kStopped:
      return "stopped";
    case ThreadState::kTraced:
      return "traced";
    case ThreadState::kFrozen:
      return "frozen";
  }
  return "unknown";
}

Dump MakeDump(const Profile& profile, const std::vector<SeenProcess>& seen,
              const DumpChoice& choice) {
  const DumpMaker maker(profile, choice);
  Dump dump{.time_nanos = profile.time_nanos + profile.duration_nanos};
  for (const SeenProcess& process : seen) {
    if (process.has_ended || process.threads.empty()) {
      continue;
    }
    DumpProcess& shown = dump.processes.emplace_back();
    shown.pid = process.pid;
    shown.command = process.command;
    shown.python = process.python;
    shown.gils = process.gils;
    for (const SeenThread& thread : process.threads) {
      shown.threads.push_back(maker.Make(process.pid, thread));
      for (const SeenGil& gil : process.gils.value_or(std::vector<SeenGil>())) {
        shown.threads.back().holds_gil |= gil.holder == thread.tid;
      }
    }
  }
  return dump;
}

}  // namespace whyslow
