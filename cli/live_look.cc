// The look at processes that the binary takes: /proc, and CPython's memory.
#include <absl/strings/ascii.h>
#include <absl/strings/str_format.h>

#include <algorithm>
#include <utility>

#include "base/file_io.h"
#include "cli/process_look.h"
#include "sampler/perf/mapped_file_opener.h"
#include "sampler/perf/proc_scan.h"
#include "sampler/perf/sleep_clock.h"
#include "sampler/python/python_inspector.h"
#include "sampler/target/module_table.h"
#include "sampler/target/target_memory.h"

namespace whyslow {
namespace {

// The arguments, separated by blanks; of a program that has wiped them its name.
std::string CommandOf(Pid pid) {
  constexpr size_t kMost = 4096;
  std::string command =
      ReadFile(absl::StrFormat("/proc/%d/cmdline", Number(pid))).value_or(std::string());
  command.resize(std::min(command.size(), kMost));
  std::ranges::replace(command, '\0', ' ');
  absl::StripTrailingAsciiWhitespace(&command);
  const auto stat = command.empty() ? ReadProcStat(pid) : std::nullopt;
  return stat ? stat->name : command;
}

// A holder of a lock, and how often it was seen.
struct Watched {
  RuntimeAddress lock;
  std::optional<Tid> holder;
  int count = 0;
};

class LookAtProcess {
 public:
  explicit LookAtProcess(Pid pid) : pid_(pid), memory_(pid) {}

  void FindPython(ModuleTable& modules, std::vector<std::string>& notes) {
    MappedFileOpener opener;
    for (MappingAdded& added : ReadExecutableMappings(pid_)) {
      opener.Open(added);
      auto found = PythonInspector::Open(pid_, modules.Resolve(added), memory_);
      if (!found.ok()) {
        notes.emplace_back(found.status().message());
      } else if (*found != nullptr) {
        python_ = *std::move(found);
        return;
      }
    }
  }

  void Watch() {
    latest_ = python_ == nullptr ? std::nullopt : python_->GilHolders();
    looks_ += latest_ ? 1 : 0;
    for (const PythonInspector::GilHolder& gil :
         latest_.value_or(std::vector<PythonInspector::GilHolder>())) {
      const auto same = std::ranges::find_if(watched_, [&gil](const Watched& row) {
        return row.lock == gil.lock && row.holder == gil.thread;
      });
      if (same != watched_.end()) {
        ++same->count;
      } else {
        watched_.push_back({.lock = gil.lock, .holder = gil.thread, .count = 1});
      }
    }
  }

  SeenProcess Look(const LookOptions& options, SleepClock& clock) {
    Watch();
    SeenProcess seen{.pid = pid_, .command = CommandOf(pid_)};
    if (python_ != nullptr) {
      python_->Refresh();
      seen.python = python_->version();
      seen.gils = Gils();
    }
    seen.has_ended = true;
    for (const Tid tid : ReadThreads(pid_)) {
      const bool is_wanted = options.threads.empty() ||
                             std::ranges::find(options.threads, tid) != options.threads.end();
      SeenThread thread{.tid = tid};
      const bool lives = is_wanted ? LookAtThread(options, clock, thread) : Lives(tid);
      seen.has_ended = seen.has_ended && !lives;
      if (is_wanted && lives) {
        seen.threads.push_back(std::move(thread));
      }
    }
    return seen;
  }

 private:
  std::optional<std::vector<SeenGil>> Gils() const {
    if (!latest_) {
      return std::nullopt;
    }
    std::vector<SeenGil> gils;
    for (const PythonInspector::GilHolder& gil : *latest_) {
      SeenGil& seen = gils.emplace_back(SeenGil{.holder = gil.thread, .looks = looks_});
      for (const Watched& row : watched_) {
        seen.same += row.lock == gil.lock && row.holder == gil.thread ? row.count : 0;
      }
    }
    return gils;
  }

  // False: it has ended.
  bool LookAtThread(const LookOptions& options, SleepClock& clock, SeenThread& thread) {
    const auto stat = ReadProcStat(pid_, thread.tid);
    if (!stat || stat->has_ended()) {
      return false;
    }
    thread.name = stat->name;
    thread.state = stat->state;
    if (python_ != nullptr) {
      // At the outer end of its frames, which do not change while it runs.
      thread.python_name = python_->NameOfThread(thread.tid).value_or("");
    }
    // One that waits for the global lock wakes every 5 ms.
    constexpr int kTries = 4;
    for (int i = 0; i < kTries && !LookAtSleeper(options, clock, thread); ++i) {
    }
    return true;
  }

  // False: it went on, so nothing was read.
  bool LookAtSleeper(const LookOptions& options, SleepClock& clock, SeenThread& thread) {
    const auto ran = ReadRunTime(pid_, thread.tid);
    if (!SleepsNow(thread.tid)) {
      return false;
    }
    const auto rest = clock.RestOf(pid_, thread.tid);
    std::vector<InspectedFrame> frames;
    if (python_ != nullptr) {
      frames = python_->FramesOf(thread.tid, options.locals);
    }
    // It changes nothing while it sleeps.
    if (!SleepsNow(thread.tid) || ReadRunTime(pid_, thread.tid) != ran) {
      return false;
    }
    thread.rest = rest ? std::optional(rest->time) : std::nullopt;
    thread.rest_may_be_longer = rest && rest->may_be_longer;
    AddFrames(frames, thread);
    return true;
  }

  bool Lives(Tid tid) const {
    const auto stat = ReadProcStat(pid_, tid);
    return stat && !stat->has_ended();
  }

  bool SleepsNow(Tid tid) const {
    const auto stat = ReadProcStat(pid_, tid);
    return stat && stat->state != 'R';
  }

  static void AddFrames(std::vector<InspectedFrame>& frames, SeenThread& thread) {
    for (InspectedFrame& frame : frames) {
      SeenPythonFrame& seen = thread.python.emplace_back();
      if (frame.frame.function != nullptr) {
        seen.function = frame.frame.function->name;
        seen.file = frame.frame.function->file;
      }
      seen.line = frame.frame.line;
      seen.is_entry = frame.frame.is_entry;
      for (PythonLocal& local : frame.locals) {
        seen.locals.push_back({.name = std::move(local.name), .value = std::move(local.value)});
      }
    }
  }

  Pid pid_;
  LiveMemory memory_;
  std::unique_ptr<PythonInspector> python_;  // null: none
  std::optional<std::vector<PythonInspector::GilHolder>> latest_;
  std::vector<Watched> watched_;
  int looks_ = 0;
};

class LiveLook final : public ProcessLook {
 public:
  LiveLook(const std::vector<Pid>& pids, const LookOptions& options) : options_(options) {
    for (const Pid pid : pids) {
      processes_.push_back(std::make_unique<LookAtProcess>(pid));
      if (options.python) {
        processes_.back()->FindPython(modules_, notes_);
      }
    }
  }

  void Watch() override {
    for (const auto& process : processes_) {
      process->Watch();
    }
  }

  std::vector<SeenProcess> Look() override {
    std::vector<SeenProcess> seen;
    for (const auto& process : processes_) {
      seen.push_back(process->Look(options_, clock_));
    }
    return seen;
  }

  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  LookOptions options_;
  ModuleTable modules_;
  SleepClock clock_;
  std::vector<std::unique_ptr<LookAtProcess>> processes_;
  std::vector<std::string> notes_;
};

}  // namespace

std::unique_ptr<ProcessLook> OpenProcessLook(const std::vector<Pid>& pids,
                                             const LookOptions& options) {
  return std::make_unique<LiveLook>(pids, options);
}

}  // namespace whyslow
