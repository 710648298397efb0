#include "sampler/pipeline.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>

#include "profile/profile.h"
#include "sampler/capture.h"

namespace whyslow {
namespace {

using std::chrono::milliseconds;

constexpr Pid kServer{100};
constexpr Tid kMain{100};
constexpr Tid kWorker{101};

Instant At(int ms) { return Instant(milliseconds(ms)); }

class ScriptedSource final : public EventSource {
 public:
  explicit ScriptedSource(std::vector<Event> events) : events_(std::move(events)) {}
  bool Read(std::vector<Event>& out) override {
    out = std::exchange(events_, {});
    return false;
  }
  void Stop() override {}
  Instant ended_at() const override { return At(1000); }

 private:
  std::vector<Event> events_;
};

StackSample KernelSample(Tid tid, uint64_t address) {
  return {.pid = kServer,
          .tid = tid,
          .period = milliseconds(10),
          .in_kernel = true,
          .kernel_callchain = {RuntimeAddress(address), RuntimeAddress(0xffffffff81000010)}};
}

std::vector<Event> AttachedServer() {
  std::vector<Event> events;
  events.push_back({At(0), ThreadStarted{kServer, kMain}});
  events.push_back({At(0), ThreadNamed{kServer, kMain, "server", false}});
  events.push_back({At(0), ThreadStarted{kServer, kWorker}});
  events.push_back({At(0), ThreadNamed{kServer, kWorker, "worker", false}});
  return events;
}

CaptureResult ProfileOf(std::vector<Event> events, PipelineOptions options = {}) {
  CaptureHeader header;
  header.start = At(0);
  header.start_utc_nanos = 5'000'000'000;
  header.is_replay = true;
  Capture capture(std::make_unique<ScriptedSource>(std::move(events)), std::move(options),
                  std::move(header));
  return capture.Stop();
}

int64_t Total(const Profile& profile, std::string_view type) {
  const size_t column = profile.FindValueType(type).value();
  int64_t total = 0;
  for (size_t i = 0; i < profile.samples.size(); ++i) {
    total += profile.ValuesOf(i)[column];
  }
  return total;
}

TEST(Pipeline, SamplesCarryTheirThreadAndProcess) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(10), KernelSample(kWorker, 0xffffffff81000100)});

  const Profile profile = ProfileOf(std::move(events)).profile;

  ASSERT_EQ(profile.samples.size(), 1u);
  const Sample& sample = profile.samples[0];
  EXPECT_EQ(profile.TextLabel(sample, "thread"), "worker");
  EXPECT_EQ(profile.TextLabel(sample, "process"), "server");
  EXPECT_EQ(profile.NumberLabel(sample, "pid"), 100);
  EXPECT_EQ(profile.NumberLabel(sample, "tid"), 101);
}

PythonStack PythonStackOf(Tid tid, PythonStackId id, std::string name) {
  PythonStack stack{.pid = kServer, .tid = tid, .id = id};
  stack.frames.push_back({.function = std::make_shared<const PythonFunction>(PythonFunction{
                              .name = std::move(name), .file = "/srv/app.py", .first_line = 3}),
                          .line = 5,
                          .is_entry = true});
  return stack;
}

std::string RootNameOf(const Profile& profile, const Sample& sample) {
  std::vector<LocationIndex> frames;
  AppendLocations(profile, sample.stack, frames);
  const Location& root = profile.LocationAt(frames.back());
  return root.lines.empty()
             ? ""
             : std::string(profile.Text(profile.FunctionAt(root.lines[0].function).name));
}

TEST(Pipeline, PythonFramesAndNamesReachSamplesAndWaits) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(9), PythonStackOf(kWorker, PythonStackId{7}, "running")});
  StackSample sample = KernelSample(kWorker, 0xffffffff81000100);
  sample.python = PythonStackId{7};
  events.push_back({At(10), std::move(sample)});
  events.push_back({At(11), PythonThreadNamed{kServer, kWorker, "pool 1"}});
  WaitStack wait{.pid = kServer, .tid = kWorker, .id = WaitStackId{1}};
  wait.kernel_callchain = {RuntimeAddress(0xffffffff81000010)};
  events.push_back({At(12), std::move(wait)});
  for (const uint64_t python : {8, 9}) {
    const PythonStackId id{python};
    events.push_back({At(13), PythonStackOf(kWorker, id, "waiting " + std::to_string(python))});
    WaitsEnded waits{.pid = kServer, .tid = kWorker, .stack = WaitStackId{1}, .python = id};
    waits.times.Add(1'000'000);
    events.push_back({At(14), std::move(waits)});
  }

  const CaptureResult result = ProfileOf(std::move(events), {.mode = CaptureMode::kWall});

  const Profile& profile = result.profile;
  std::vector<std::string> roots;
  for (const Sample& row : profile.samples) {
    EXPECT_EQ(profile.TextLabel(row, "python_thread"), "pool 1");
    roots.push_back(RootNameOf(profile, row));
  }
  std::ranges::sort(roots);
  // One native stack, two of Python code.
  EXPECT_EQ(roots, (std::vector<std::string>{"running", "waiting 8", "waiting 9"}));
  EXPECT_EQ(result.audit.python_stacks, 1u);
}

TEST(Pipeline, AThreadsNumberMayBeUsedAgainByOneOfAnotherName) {
  std::vector<Event> events = AttachedServer();
  const auto add = [&events](int ms, const char* name) {
    events.push_back({At(ms), PythonThreadNamed{kServer, kWorker, name}});
    events.push_back({At(ms + 1), KernelSample(kWorker, 0xffffffff81000100)});
    events.push_back({At(ms + 2), ThreadExited{kServer, kWorker}});
    events.push_back({At(ms + 2), ThreadRunTime{kServer, kWorker, milliseconds(ms)}});
  };
  add(10, "first");
  events.push_back({At(20), ThreadStarted{kServer, kWorker, kServer, kMain}});
  add(30, "second");

  const Profile profile = ProfileOf(std::move(events)).profile;

  for (const Sample& row : profile.samples) {
    EXPECT_NE(profile.TextLabel(row, "python_thread"), "first");  // not known to be its own
  }
}

TEST(Pipeline, CodeOfTheKernelHasTheNameThatItHadAtTheTime) {
  constexpr uint64_t kPlace = 0xffffffffc0001000;
  KernelCodeChanged code;
  code.start = RuntimeAddress(kPlace);
  code.size = 0x100;
  std::vector<Event> events = AttachedServer();
  for (const char* name : {"bpf_prog_1_first", "bpf_prog_2_second"}) {
    code.name = name;
    code.is_gone = false;
    events.push_back({At(10), code});
    events.push_back({At(10), KernelSample(kMain, kPlace + 0x10)});
    code.is_gone = true;
    events.push_back({At(10), code});
  }
  events.push_back({At(20), KernelSample(kMain, kPlace + 0x10)});

  const Profile profile = ProfileOf(std::move(events)).profile;

  std::vector<std::string> names;
  for (const Location& location : profile.locations) {
    if (location.address == kPlace + 0x10) {
      names.emplace_back(location.lines.empty()
                             ? std::string_view()
                             : profile.Text(profile.FunctionAt(location.lines[0].function).name));
    }
  }
  EXPECT_EQ(names, (std::vector<std::string>{"bpf_prog_1_first", "bpf_prog_2_second", ""}));
}

TEST(Pipeline, TheFiveValuesComeInTheContractsOrder) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(10), KernelSample(kMain, 0xffffffff81000100)});

  const Profile profile = ProfileOf(std::move(events)).profile;

  ASSERT_EQ(profile.value_types.size(), 5u);
  EXPECT_EQ(profile.Text(profile.value_types[0].type), "cpu_samples");
  EXPECT_EQ(profile.Text(profile.value_types[1].type), "cpu");
  EXPECT_EQ(profile.Text(profile.value_types[2].type), "waits");
  EXPECT_EQ(profile.Text(profile.value_types[3].type), "wait");
  EXPECT_EQ(profile.Text(profile.value_types[4].type), "wall");
  EXPECT_EQ(Total(profile, "cpu_samples"), 1);
  EXPECT_EQ(Total(profile, "cpu"), 10'000'000);
  EXPECT_EQ(profile.time_nanos, 5'000'000'000);
  EXPECT_EQ(profile.duration_nanos, 1'000'000'000);
}

TEST(Pipeline, TheKernelsReturnAddressesPointInsideTheirCalls) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(10), KernelSample(kMain, 0xffffffff81000100)});

  const Profile profile = ProfileOf(std::move(events)).profile;

  std::vector<LocationIndex> stack;
  AppendLocations(profile, profile.samples[0].stack, stack);
  ASSERT_EQ(stack.size(), 2u);
  EXPECT_EQ(profile.LocationAt(stack[0]).address, 0xffffffff81000100u);
  EXPECT_EQ(profile.LocationAt(stack[1]).address, 0xffffffff8100000fu);
}

TEST(Pipeline, AStackThatCannotBeWalkedSaysWhy) {
  std::vector<Event> events = AttachedServer();
  StackSample sample{.pid = kServer, .tid = kMain, .period = milliseconds(10)};
  sample.registers.emplace();
  sample.registers->Set(sample.registers->pc_number(), 0x1234);
  sample.registers->Set(sample.registers->sp_number(), 0x7000);
  events.push_back({At(10), std::move(sample)});

  const CaptureResult result = ProfileOf(std::move(events));

  std::vector<LocationIndex> stack;
  AppendLocations(result.profile, result.profile.samples[0].stack, stack);
  ASSERT_FALSE(stack.empty());
  std::vector<ShownFrame> root;
  AppendShownFrames(result.profile, stack.back(), root);
  EXPECT_TRUE(root[0].name.starts_with("[truncated: ")) << root[0].name;
  EXPECT_EQ(result.audit.truncated_total(), 1u);
}

TEST(Pipeline, TheEndOfAnExecHasNoFramesOfTheOldProgram) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(5), ThreadNamed{kServer, kMain, "new", true}});
  StackSample sample = KernelSample(kMain, 0xffffffff81000100);
  sample.registers.emplace();
  sample.registers->Set(sample.registers->pc_number(), 0x1234);
  sample.registers->Set(sample.registers->sp_number(), 0x7000);
  StackSample later = sample;
  later.in_kernel = false;  // runs: the exec is over
  later.kernel_callchain.clear();
  StackSample last = sample;
  events.push_back({At(10), std::move(sample)});
  events.push_back({At(20), std::move(later)});
  events.push_back({At(30), std::move(last)});

  const CaptureResult result = ProfileOf(std::move(events));

  EXPECT_EQ(result.audit.truncated.at("user memory gone"), 1u);
  EXPECT_EQ(result.audit.truncated.at("unknown mapping"), 2u);
}

TEST(Pipeline, OnlyTheThreadsAskedForAreProfiled) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(10), KernelSample(kMain, 0xffffffff81000100)});
  events.push_back({At(20), KernelSample(kWorker, 0xffffffff81000100)});
  events.push_back({At(30), ThreadRunTime{kServer, kMain, milliseconds(500), false}});

  const CaptureResult result = ProfileOf(std::move(events), {.only_threads = {kWorker}});

  EXPECT_EQ(result.audit.samples, 1u);
  EXPECT_EQ(Total(result.profile, "cpu"), 10'000'000);
}

TEST(Pipeline, LossesAreCountedByKind) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(10), EventsLost{LossKind::kRingFull, 3}});
  events.push_back({At(10), EventsLost{LossKind::kSampleShed, 4}});
  events.push_back({At(10), EventsLost{LossKind::kThrottled, 1}});

  const Audit audit = ProfileOf(std::move(events)).audit;

  EXPECT_EQ(audit.lost(), 7u);
  EXPECT_EQ(audit.throttled, 1u);
}

WaitsEnded SocketWaits(Tid tid, WaitStackId stack, std::initializer_list<uint64_t> nanos) {
  WaitsEnded waits{.pid = kServer, .tid = tid, .stack = stack};
  waits.system_call = SYS_recvfrom;
  waits.object = std::make_shared<const WaitObject>(
      WaitObject{.kind = WaitObject::Kind::kSocket, .peer = "127.0.0.1:5432"});
  for (const uint64_t each : nanos) {
    waits.times.Add(each);
  }
  return waits;
}

WaitStack KernelStackOfWait(Tid tid, WaitStackId id, uint64_t address) {
  return {.pid = kServer,
          .tid = tid,
          .id = id,
          .kernel_callchain = {RuntimeAddress(address), RuntimeAddress(0xffffffff81000010)}};
}

std::string_view LeafOf(const Profile& profile, const Sample& sample) {
  const Location& leaf = profile.LocationAt(profile.StackAt(sample.stack).location);
  return leaf.lines.empty() ? std::string_view()
                            : profile.Text(profile.FunctionAt(leaf.lines[0].function).name);
}

PipelineOptions WithWaits() { return {.mode = CaptureMode::kWall}; }

TEST(PipelineWaits, ARowHasItsReasonItsStackAndItsTimes) {
  std::vector<Event> events = AttachedServer();
  constexpr WaitStackId kStack{5};
  events.push_back({At(10), KernelStackOfWait(kWorker, kStack, 0xffffffff81000100)});
  events.push_back({At(20), SocketWaits(kWorker, kStack, {1'000, 3'000})});
  events.push_back({At(30), SocketWaits(kWorker, kStack, {5'000})});

  const CaptureResult result = ProfileOf(std::move(events), WithWaits());

  const Profile& profile = result.profile;
  ASSERT_EQ(profile.samples.size(), 1u);
  const Sample& sample = profile.samples[0];
  EXPECT_EQ(LeafOf(profile, sample), "[wait: socket]");
  EXPECT_EQ(profile.TextLabel(sample, "wait"), "socket");
  EXPECT_EQ(profile.TextLabel(sample, "peer"), "127.0.0.1:5432");
  EXPECT_EQ(profile.TextLabel(sample, "protocol"), "postgresql");
  EXPECT_EQ(profile.TextLabel(sample, "thread"), "worker");
  EXPECT_EQ(profile.NumberLabel(sample, "tid"), 101);
  EXPECT_EQ(Total(profile, "waits"), 3);
  EXPECT_EQ(Total(profile, "wait"), 9'000);
  EXPECT_EQ(Total(profile, "wall"), 9'000);
  EXPECT_EQ(Total(profile, "cpu"), 0);
  ASSERT_TRUE(profile.wait_times.contains(0));
  EXPECT_EQ(profile.wait_times.at(0).count, 3u);
  EXPECT_EQ(profile.wait_times.at(0).max, 5'000u);
  std::vector<LocationIndex> stack;
  AppendLocations(profile, sample.stack, stack);
  EXPECT_EQ(stack.size(), 3u);
  EXPECT_EQ(result.audit.waits, 3u);
  EXPECT_EQ(result.audit.wait_stacks, 1u);
}

TEST(PipelineWaits, TheRunQueueIsARowOfItsOwnThatCountsNothing) {
  std::vector<Event> events = AttachedServer();
  WaitsEnded waits = SocketWaits(kWorker, WaitStackId{1}, {1'000});
  waits.run_queue = Nanoseconds(400);
  events.push_back({At(20), waits});

  const Profile profile = ProfileOf(std::move(events), WithWaits()).profile;

  ASSERT_EQ(profile.samples.size(), 2u);
  EXPECT_EQ(LeafOf(profile, profile.samples[1]), "[wait: runqueue]");
  EXPECT_EQ(profile.TextLabel(profile.samples[1], "peer"), "");
  EXPECT_EQ(Total(profile, "waits"), 1);
  EXPECT_EQ(Total(profile, "wait"), 1'400);
}

TEST(PipelineWaits, WithoutAStackTheRowSaysSoUnlessNoneIsDue) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(20), SocketWaits(kWorker, kNoWaitStack, {1'000})});
  WaitsEnded preempted{.pid = kServer, .tid = kWorker, .why = OffCpu::kPreempted};
  preempted.times.Add(50);
  events.push_back({At(20), preempted});

  const Profile profile = ProfileOf(std::move(events), WithWaits()).profile;

  ASSERT_EQ(profile.samples.size(), 2u);
  std::vector<LocationIndex> stack;
  AppendLocations(profile, profile.samples[0].stack, stack);
  ASSERT_EQ(stack.size(), 2u);
  const Location& note = profile.LocationAt(stack[1]);
  EXPECT_EQ(profile.Text(profile.FunctionAt(note.lines[0].function).name),
            "[truncated: stack not copied]");
  EXPECT_EQ(LeafOf(profile, profile.samples[1]), "[wait: preempted]");
  stack.clear();
  AppendLocations(profile, profile.samples[1].stack, stack);
  EXPECT_EQ(stack.size(), 1u);
}

TEST(PipelineWaits, LocksNameWhoFreedThem) {
  std::vector<Event> events = AttachedServer();
  WaitsEnded waits{.pid = kServer, .tid = kMain, .stack = WaitStackId{1}};
  waits.system_call = SYS_futex;
  waits.waker = kWorker;
  waits.times.Add(10);
  events.push_back({At(20), waits});

  const Profile profile = ProfileOf(std::move(events), WithWaits()).profile;

  EXPECT_EQ(profile.TextLabel(profile.samples[0], "wait"), "futex");
  EXPECT_EQ(profile.TextLabel(profile.samples[0], "waker"), "worker");
  EXPECT_EQ(profile.NumberLabel(profile.samples[0], "waker_tid"), 101);
}

TEST(PipelineWaits, AStackSentAgainIsComparedAndMakesNoRow) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(10), KernelStackOfWait(kWorker, WaitStackId{1}, 0xffffffff81000100)});
  WaitStack again = KernelStackOfWait(kWorker, WaitStackId{2}, 0xffffffff81000900);
  again.same_as = WaitStackId{1};
  events.push_back({At(11), again});

  const Audit audit = ProfileOf(std::move(events), WithWaits()).audit;

  EXPECT_EQ(audit.wait_stacks, 1u);
  EXPECT_EQ(audit.wait_stacks_checked, 1u);
  EXPECT_EQ(audit.wait_stacks_wrong, 0u);  // only the kernel's frames differ
}

TEST(PipelineWaits, ManyShortLivedThreadsOfOneNameShareARow) {
  std::vector<Event> events = AttachedServer();
  for (int i = 0; i < 1000; ++i) {
    const Tid tid{1000 + i};
    events.push_back({At(5), ThreadStarted{kServer, tid, kServer, kMain}});
    events.push_back({At(5), ThreadNamed{kServer, tid, "request", false}});
    events.push_back({At(6), SocketWaits(tid, kNoWaitStack, {10})});
    events.push_back({At(7), ThreadExited{kServer, tid}});
  }

  const Profile profile = ProfileOf(std::move(events), WithWaits()).profile;

  EXPECT_LT(profile.samples.size(), 300u);
  EXPECT_EQ(Total(profile, "waits"), 1000);
  EXPECT_EQ(profile.TextLabel(profile.samples.back(), "thread"), "request");
}

TEST(PipelineWaits, WithoutRowsOfCpuTimeOnlyWaitsAreLeft) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(10), KernelSample(kMain, 0xffffffff81000100)});
  events.push_back({At(20), SocketWaits(kWorker, kNoWaitStack, {1'000})});

  const Profile profile = ProfileOf(std::move(events), {.mode = CaptureMode::kOffCpu}).profile;

  EXPECT_EQ(Total(profile, "cpu"), 0);
  EXPECT_EQ(Total(profile, "waits"), 1);
}

TEST(PipelineWaits, LossesAreInTheAudit) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(20), EventsLost{LossKind::kWait, 3}});
  events.push_back({At(20), EventsLost{LossKind::kWaitStack, 4}});

  const Audit audit = ProfileOf(std::move(events), WithWaits()).audit;

  EXPECT_EQ(audit.lost_waits, 3u);
  EXPECT_EQ(audit.waits_without_stack, 4u);
}

class NotedLearner final : public WaitStackLearner {
 public:
  void Learn(const WaitStack& stack, std::span<const StackWord> /*return_addresses*/) override {
    learned.push_back(stack.id);
  }
  std::vector<WaitStackId> learned;
};

TEST(PipelineWaits, OnlyStacksThatWereCopiedAreLearned) {
  NotedLearner learner;
  std::vector<Event> events = AttachedServer();
  for (const uint64_t id : {1, 2}) {
    WaitStack stack = KernelStackOfWait(kWorker, WaitStackId{id}, 0xffffffff81000100);
    stack.registers = UserRegisters();
    if (id == 2) {
      stack.stack.resize(64);
    }
    events.push_back({At(10), std::move(stack)});
  }

  ProfileOf(std::move(events), {.mode = CaptureMode::kWall, .learner = &learner});

  EXPECT_EQ(learner.learned, std::vector<WaitStackId>{WaitStackId{2}});
}

// ---- The latest stacks alone --------------------------------------------------------------------

WaitsEnded Waits(Tid tid, int milliseconds_each, uint64_t count, bool still_waiting) {
  WaitsEnded waits{.pid = kServer, .tid = tid, .stack = WaitStackId{5}, .system_call = SYS_read};
  for (uint64_t i = 0; i < count; ++i) {
    waits.times.Add(static_cast<uint64_t>(milliseconds_each) * 1'000'000);
  }
  waits.still_waiting = still_waiting ? 1 : 0;
  return waits;
}

TEST(LatestStacks, OfARunningThreadItsNewestSampleIsTold) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(10), KernelSample(kWorker, 0xffffffff81000100)});
  events.push_back({At(20), KernelSample(kWorker, 0xffffffff81000200)});

  const Profile profile = ProfileOf(std::move(events), {.latest_only = true}).profile;

  ASSERT_EQ(profile.samples.size(), 1u);
  std::vector<LocationIndex> frames;
  AppendLocations(profile, profile.samples[0].stack, frames);
  EXPECT_EQ(profile.LocationAt(frames[0]).address, 0xffffffff81000200u);
}

TEST(LatestStacks, WaitsThatAreOverAreNotTold) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(20), Waits(kWorker, 5, 2, false)});

  EXPECT_TRUE(ProfileOf(std::move(events), {.mode = CaptureMode::kWall, .latest_only = true})
                  .profile.samples.empty());
}

TEST(LatestStacks, OneThatGoesOnCountsThoseBeforeItInTheSamePlace) {
  std::vector<Event> events = AttachedServer();
  events.push_back({At(20), Waits(kWorker, 5, 2, false)});
  events.push_back({At(20), Waits(kMain, 5, 2, false)});
  events.push_back({At(30), Waits(kWorker, 3, 1, true)});

  const Profile profile =
      ProfileOf(std::move(events), {.mode = CaptureMode::kWall, .latest_only = true}).profile;

  ASSERT_EQ(profile.samples.size(), 1u);
  EXPECT_EQ(Total(profile, "waits"), 3);
  EXPECT_EQ(Total(profile, "wait"), 13'000'000);
}

}  // namespace
}  // namespace whyslow
