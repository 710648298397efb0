// The live source on this kernel, against truths by counts. Skipped where events are refused.
#include "sampler/perf/perf_event_source.h"

#include <gmock/gmock.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "sampler/perf/check_target.h"

namespace whyslow {
namespace {

using std::chrono::milliseconds;
using testing::Ge;
using testing::SizeIs;

// A child process that does something once it is told to, and ends by itself or with this object.
class Target {
 public:
  explicit Target(const std::function<void()>& work) {
    EXPECT_EQ(pipe(go_.data()), 0);
    EXPECT_EQ(pipe(ready_.data()), 0);
    pid_ = fork();
    if (pid_ == 0) {
      alarm(60);
      close(go_[1]);
      work_pipe_ = this;
      work();
      _exit(0);
    }
    close(go_[0]);
    close(ready_[1]);
    char byte = 0;
    EXPECT_EQ(read(ready_[0], &byte, 1), 1);
  }
  ~Target() {
    kill(pid_, SIGKILL);
    Wait();
    close(go_[1]);
    close(ready_[0]);
  }
  Target(const Target&) = delete;
  Target& operator=(const Target&) = delete;

  Pid pid() const { return Pid{pid_}; }
  void Go() {
    close(go_[1]);
    go_[1] = -1;
  }
  void Wait() {
    if (!waited_) {
      waitpid(pid_, nullptr, 0);
      waited_ = true;
    }
  }

  // In the child: everything is set up; returns when the parent says Go.
  static void ReadyThenWait() {
    char byte = 0;
    if (write(work_pipe_->ready_[1], &byte, 1) != 1) {
      _exit(1);
    }
    (void)!read(work_pipe_->go_[0], &byte, 1);
  }

 private:
  static inline Target* work_pipe_ = nullptr;
  std::array<int, 2> go_{}, ready_{};
  pid_t pid_ = -1;
  bool waited_ = false;
};

void BurnCpu(milliseconds time) {
  const auto used = [] {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return std::chrono::seconds(now.tv_sec) + Nanoseconds(now.tv_nsec);
  };
  const Nanoseconds end = used() + time;
  while (used() < end) {
    volatile unsigned sum = 0;
    for (unsigned i = 0; i < 2000; ++i) {
      sum = sum + i;
    }
  }
}

struct Seen {
  size_t samples = 0;
  std::map<Tid, size_t> samples_of;
  std::map<Tid, Nanoseconds> baseline, total;
  std::set<Tid> started, exited;
  std::set<Pid> processes;
  std::map<Tid, std::string> names;
  std::vector<MappingAdded> mappings;
  uint64_t lost = 0;
  bool in_order = true;

  void Add(const Event& event) {
    if (const auto* sample = std::get_if<StackSample>(&event.what)) {
      ++samples;
      ++samples_of[sample->tid];
    } else if (const auto* time = std::get_if<ThreadRunTime>(&event.what)) {
      (time->is_baseline ? baseline : total)[time->tid] = time->total;
    } else if (const auto* start = std::get_if<ThreadStarted>(&event.what)) {
      started.insert(start->tid);
      processes.insert(start->pid);
    } else if (const auto* exit = std::get_if<ThreadExited>(&event.what)) {
      exited.insert(exit->tid);
    } else if (const auto* named = std::get_if<ThreadNamed>(&event.what)) {
      names[named->tid] = named->name;
    } else if (const auto* mapping = std::get_if<MappingAdded>(&event.what)) {
      mappings.push_back(*mapping);
    } else if (const auto* loss = std::get_if<EventsLost>(&event.what)) {
      lost += loss->count;
    }
  }

  Nanoseconds RunTime() const {
    Nanoseconds sum{};
    for (const auto& [tid, time] : total) {
      const auto before = baseline.find(tid);
      sum += time - (before == baseline.end() ? Nanoseconds() : before->second);
    }
    return sum;
  }
};

struct Variant {
  std::string name;
  SamplerOptions options;
};

class PerfEventSourceTest : public testing::TestWithParam<Variant> {
 protected:
  // Attaches, lets the target go, reads to its end.
  void Profile(Target& target) {
    SamplerOptions options = GetParam().options;
    options.frequency_hz = 999;
    auto source = PerfEventSource::Open(options, {target.pid()});
    if (absl::IsPermissionDenied(source.status()) || absl::IsUnimplemented(source.status())) {
      GTEST_SKIP() << source.status();
    }
    ASSERT_TRUE(source.ok()) << source.status();
    target.Go();
    std::vector<Event> events;
    Instant last = Instant::min();
    while ((*source)->Read(events)) {
      for (const Event& event : events) {
        seen_.in_order &= event.when >= last;
        last = event.when;
        seen_.Add(event);
      }
      events.clear();
    }
    target.Wait();
    has_kernel_mode_ = (*source)->facts().kernel_mode;
  }

  Seen seen_;
  bool has_kernel_mode_ = false;
};

void* WaitForTheSignal(void* /*unused*/) {
  pause();
  return nullptr;
}

TEST_P(PerfEventSourceTest, WhatIsThereAtTheAttachIsDescribed) {
  Target target([] {
    pthread_t thread{};
    pthread_create(&thread, nullptr, WaitForTheSignal, nullptr);
    pthread_setname_np(thread, "sleeper");
    Target::ReadyThenWait();
  });

  Profile(target);

  EXPECT_THAT(seen_.started, SizeIs(2));
  EXPECT_THAT(seen_.exited, SizeIs(2));
  EXPECT_THAT(seen_.baseline, SizeIs(2));
  EXPECT_THAT(seen_.names, testing::Contains(testing::Pair(testing::_, "sleeper")));
  EXPECT_THAT(seen_.mappings, testing::Contains(testing::Field(&MappingAdded::path, "[vdso]")));
  EXPECT_THAT(seen_.mappings,
              testing::Contains(testing::Field(&MappingAdded::file, testing::NotNull())));
  EXPECT_TRUE(seen_.in_order);
}

TEST_P(PerfEventSourceTest, SamplesAreInProportionToCpuTime) {
  // The timers of busy virtual CPUs skip ticks now and then; a fault of ours would show each time.
  constexpr int kMostTries = 3;
  double run_ms = 0;
  for (int tries = 0; tries < kMostTries; ++tries) {
    seen_ = {};
    Target target([] {
      Target::ReadyThenWait();
      BurnCpu(milliseconds(500));
    });
    Profile(target);
    if (IsSkipped()) {
      return;
    }
    run_ms = static_cast<double>(seen_.RunTime().count()) / 1e6;
    EXPECT_NEAR(run_ms, 500, 25);
    EXPECT_EQ(seen_.lost, 0);
    if (!has_kernel_mode_ || static_cast<double>(seen_.samples) > run_ms - 50) {
      break;
    }
  }
  if (has_kernel_mode_) {
    EXPECT_NEAR(static_cast<double>(seen_.samples), run_ms, 50);
  }
}

// Each lives for five milliseconds of CPU time, one after the other: a timer that starts anew with
// each thread would miss most of it.
TEST_P(PerfEventSourceTest, AStormOfShortThreadsIsSeenInProportion) {
  constexpr int kThreads = 100;
  Target target([] {
    Target::ReadyThenWait();
    for (int i = 0; i < kThreads; ++i) {
      std::thread([] { BurnCpu(milliseconds(5)); }).join();
    }
  });

  Profile(target);

  EXPECT_THAT(seen_.started, SizeIs(kThreads + 1));
  EXPECT_THAT(seen_.exited, SizeIs(kThreads + 1));
  EXPECT_THAT(seen_.total, SizeIs(Ge(kThreads)));
  const double run_ms = static_cast<double>(seen_.RunTime().count()) / 1e6;
  EXPECT_NEAR(run_ms, 5.0 * kThreads, 0.1 * 5.0 * kThreads);
  if (has_kernel_mode_) {
    EXPECT_NEAR(static_cast<double>(seen_.samples), run_ms, 0.1 * run_ms);
  }
}

TEST_P(PerfEventSourceTest, ChildrenThatExistAndChildrenToComeAreFollowed) {
  Target target([] {
    if (fork() == 0) {  // there at the attach, and has a child of its own later
      Target::ReadyThenWait();
      if (fork() == 0) {
        BurnCpu(milliseconds(50));
        _exit(0);
      }
      wait(nullptr);
      _exit(0);
    }
    wait(nullptr);
    if (fork() == 0) {
      BurnCpu(milliseconds(50));
      _exit(0);
    }
    wait(nullptr);
  });

  Profile(target);

  EXPECT_THAT(seen_.processes, SizeIs(4));
  EXPECT_THAT(seen_.exited, SizeIs(4));
  EXPECT_THAT(seen_.samples_of, SizeIs(Ge(2)));
}

TEST_P(PerfEventSourceTest, ANewProgramBringsItsNameAndMappings) {
  Target target([] {
    Target::ReadyThenWait();
    execl("/bin/true", "true", nullptr);
  });

  Profile(target);

  EXPECT_EQ(seen_.names[MainThreadOf(target.pid())], "true");
  EXPECT_THAT(seen_.mappings, testing::Contains(testing::AllOf(
                                  testing::Field(&MappingAdded::path, testing::EndsWith("/true")),
                                  testing::Field(&MappingAdded::file, testing::NotNull()))));
}

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

INSTANTIATE_TEST_SUITE_P(Ways, PerfEventSourceTest,
                         testing::Values(Variant{"PerCpuWithBpf", {.bpf = BpfUse::kAuto}},
                                         Variant{"PerCpuWithoutBpf", {.bpf = BpfUse::kNo}},
                                         Variant{"PerTask", {.attachment = Attachment::kPerTask}}),
                         [](const testing::TestParamInfo<Variant>& variant) {
                           return variant.param.name;
                         });

TEST(PerfEventSourceStop, ItEndsTheReadingAndWhatHasHappenedIsGiven) {
  Target target([] {
    Target::ReadyThenWait();
    pause();
  });
  auto source = PerfEventSource::Open({}, {target.pid()});
  if (!source.ok()) {
    GTEST_SKIP() << source.status();
  }

  (*source)->Stop();
  std::vector<Event> events;
  while ((*source)->Read(events)) {
  }

  Seen seen;
  for (const Event& event : events) {
    seen.Add(event);
  }
  EXPECT_EQ(seen.started, std::set<Tid>{MainThreadOf(target.pid())});
  EXPECT_FALSE((*source)->Read(events));
}

TEST(PerfEventSourceChildren, AreLeftOutWhereNotWanted) {
  Target target([] {
    Target::ReadyThenWait();
    if (fork() == 0) {
      BurnCpu(milliseconds(20));
      _exit(0);
    }
    wait(nullptr);
  });
  auto source = PerfEventSource::Open({.follow_children = false}, {target.pid()});
  if (!source.ok()) {
    GTEST_SKIP() << source.status();
  }
  target.Go();
  Seen seen;
  std::vector<Event> events;
  while ((*source)->Read(events)) {
  }
  for (const Event& event : events) {
    seen.Add(event);
  }

  EXPECT_EQ(seen.processes, std::set<Pid>{target.pid()});
}

TEST(CheckTargetLive, AZombieIsNotFound) {
  const pid_t child = fork();
  if (child == 0) {
    _exit(0);
  }
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT), 0);

  EXPECT_TRUE(absl::IsNotFound(CheckTarget(Pid{child})));
  waitpid(child, nullptr, 0);
}

TEST(CheckTargetLive, AThreadsNumberIsAnsweredWithItsProcess) {
  std::thread thread;
  std::atomic<pid_t> tid = 0;
  std::atomic<bool> done = false;
  thread = std::thread([&] {
    tid = gettid();
    tid.notify_one();
    done.wait(false);
  });
  tid.wait(0);

  const absl::Status status = CheckTarget(Pid{tid.load()});

  done = true;
  done.notify_one();
  thread.join();
  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), testing::HasSubstr("--pid"));
}

}  // namespace
}  // namespace whyslow
