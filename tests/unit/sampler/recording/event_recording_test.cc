#include "sampler/recording/event_recording.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

namespace whyslow {
namespace {

using testing::HasSubstr;
using testing::SizeIs;

class ScriptedSource final : public EventSource {
 public:
  explicit ScriptedSource(std::vector<Event> events) : events_(std::move(events)) {}
  bool Read(std::vector<Event>& out) override {
    for (Event& event : events_) {
      out.push_back(std::move(event));
    }
    return !std::exchange(events_, {}).empty();
  }
  void Stop() override {}

 private:
  std::vector<Event> events_;
};

UserRegisters SomeRegisters() {
  UserRegisters registers(Architecture::kX86_64);
  registers.Set(x86::kRsp, 0x7ffe0000);
  registers.Set(x86::kRip, 0x401000);
  return registers;
}

StackSample SomeSample() {
  return {.pid = Pid{7},
          .tid = Tid{8},
          .cpu = Cpu{1},
          .period = Nanoseconds(10),
          .in_kernel = true,
          .registers = SomeRegisters(),
          .kernel_callchain = {RuntimeAddress(0xffff)},
          .user_callchain = {RuntimeAddress(0x401000)},
          .stack = {std::byte{1}, std::byte{2}},
          .stack_was_shortened = true};
}

class Recording : public testing::Test {
 protected:
  Recording() {
    header_.whyslow_version = "0.1.0";
    header_.machine = "x86_64";
    header_.options = {{"frequency", "99"}};
    header_.attached_at = InstantFromNanos(500);
    header_.targets = {Pid{7}};
  }
  ~Recording() override { std::filesystem::remove(path_); }

  absl::Status Record(std::vector<Event> events) {
    auto recording = RecordingSource::Create(path_, header_,
                                             std::make_unique<ScriptedSource>(std::move(events)));
    if (!recording.ok()) {
      return recording.status();
    }
    std::vector<Event> passed;
    while ((*recording)->Read(passed)) {
    }
    return (*recording)->Finish(InstantFromNanos(9000));
  }

  struct Replayed {
    std::vector<Event> events;
    absl::Status status;
    RecordingHeader header;
    Instant ended_at;
  };
  Replayed Replay() { return Replay(path_); }
  static Replayed Replay(const std::string& path) {
    Replayed replayed;
    auto source = ReplaySource::Open(path);
    if (!source.ok()) {
      replayed.status = source.status();
      return replayed;
    }
    while ((*source)->Read(replayed.events)) {
    }
    replayed.status = (*source)->status();
    replayed.header = (*source)->header();
    replayed.ended_at = (*source)->ended_at();
    return replayed;
  }

  std::string path_ = testing::TempDir() + "recording." + std::to_string(getpid());
  std::string full_device_ = "/dev/full";
  RecordingHeader header_;
};

TEST_F(Recording, ASampleComesBackWhole) {
  ASSERT_TRUE(Record({{.when = InstantFromNanos(1000), .what = SomeSample()}}).ok());

  const Replayed replayed = Replay();

  ASSERT_TRUE(replayed.status.ok()) << replayed.status;
  ASSERT_THAT(replayed.events, SizeIs(1));
  EXPECT_EQ(replayed.events[0].when, InstantFromNanos(1000));
  const auto& sample = std::get<StackSample>(replayed.events[0].what);
  EXPECT_EQ(sample.tid, Tid{8});
  EXPECT_EQ(sample.cpu, Cpu{1});
  EXPECT_EQ(sample.period, Nanoseconds(10));
  EXPECT_TRUE(sample.in_kernel);
  EXPECT_EQ(sample.registers, SomeRegisters());
  EXPECT_EQ(sample.kernel_callchain, SomeSample().kernel_callchain);
  EXPECT_EQ(sample.user_callchain, SomeSample().user_callchain);
  EXPECT_EQ(sample.stack, SomeSample().stack);
  EXPECT_TRUE(sample.stack_was_shortened);
}

TEST_F(Recording, AMappingComesBackWithoutItsFile) {
  const MappingAdded mapping = {.pid = Pid{7},
                                .start = RuntimeAddress(0x1000),
                                .size = 0x2000,
                                .file_offset = 0x3000,
                                .path = "/tmp/\xff.so",
                                .build_id = "abcd",
                                .device = 5,
                                .inode = 6,
                                .file = std::make_shared<UniqueFd>()};
  ASSERT_TRUE(Record({{.what = mapping}}).ok());

  const Replayed replayed = Replay();

  ASSERT_THAT(replayed.events, SizeIs(1));
  const auto& read = std::get<MappingAdded>(replayed.events[0].what);
  EXPECT_EQ(read.pid, Pid{7});
  EXPECT_EQ(read.start, RuntimeAddress(0x1000));
  EXPECT_EQ(read.size, 0x2000);
  EXPECT_EQ(read.file_offset, 0x3000);
  EXPECT_EQ(read.path, "/tmp/\xff.so");
  EXPECT_EQ(read.build_id, "abcd");
  EXPECT_EQ(read.device, 5);
  EXPECT_EQ(read.inode, 6);
  EXPECT_EQ(read.file, nullptr);
}

TEST_F(Recording, EveryOtherKindComesBack) {
  ASSERT_TRUE(
      Record({{.what = SwitchIn{.pid = Pid{1}, .tid = Tid{2}}},
              {.what = SwitchOut{.pid = Pid{1}, .tid = Tid{2}, .preempted = true}},
              {.what =
                   ThreadRunTime{
                       .pid = Pid{1}, .tid = Tid{2}, .total = Nanoseconds(3), .is_baseline = true}},
              {.what =
                   ThreadStarted{
                       .pid = Pid{1}, .tid = Tid{2}, .parent_pid = Pid{3}, .parent_tid = Tid{4}}},
              {.what = ThreadExited{.pid = Pid{1}, .tid = Tid{2}}},
              {.what = ThreadNamed{.pid = Pid{1}, .tid = Tid{2}, .name = "worker", .exec = true}},
              {.what = EventsLost{.kind = LossKind::kThrottled, .count = 9}},
              {.what = KernelCodeChanged{.start = RuntimeAddress(0xffff),
                                         .size = 16,
                                         .name = "bpf_prog_1_x",
                                         .is_bpf = true,
                                         .is_gone = true}}})
          .ok());

  const std::vector<Event> events = Replay().events;

  ASSERT_THAT(events, SizeIs(8));
  EXPECT_EQ(std::get<SwitchIn>(events[0].what).tid, Tid{2});
  EXPECT_TRUE(std::get<SwitchOut>(events[1].what).preempted);
  EXPECT_EQ(std::get<ThreadRunTime>(events[2].what).total, Nanoseconds(3));
  EXPECT_TRUE(std::get<ThreadRunTime>(events[2].what).is_baseline);
  EXPECT_EQ(std::get<ThreadStarted>(events[3].what).parent_pid, Pid{3});
  EXPECT_EQ(std::get<ThreadStarted>(events[3].what).parent_tid, Tid{4});
  EXPECT_EQ(std::get<ThreadExited>(events[4].what).pid, Pid{1});
  EXPECT_EQ(std::get<ThreadNamed>(events[5].what).name, "worker");
  EXPECT_EQ(std::get<EventsLost>(events[6].what).kind, LossKind::kThrottled);
  EXPECT_EQ(std::get<EventsLost>(events[6].what).count, 9);
  const auto& code = std::get<KernelCodeChanged>(events[7].what);
  EXPECT_EQ(code.start, RuntimeAddress(0xffff));
  EXPECT_EQ(code.size, 16);
  EXPECT_EQ(code.name, "bpf_prog_1_x");
  EXPECT_TRUE(code.is_bpf);
  EXPECT_TRUE(code.is_gone);
}

TEST_F(Recording, StacksOfWaitsComeBack) {
  WaitStack wait{.pid = Pid{1}, .tid = Tid{2}, .id = WaitStackId{1}, .same_as = WaitStackId{2}};
  wait.system_call = 202;
  wait.arguments = {1, 2, 3, 4, 5, 6};
  wait.registers = UserRegisters();
  wait.registers->Set(7, 0x7fff'0000);
  wait.kernel_callchain = {RuntimeAddress(0xffff)};
  wait.user_callchain = {RuntimeAddress(0x1234)};
  wait.stack = {std::byte{9}, std::byte{8}};
  ASSERT_TRUE(Record({{.what = wait}}).ok());

  const std::vector<Event> events = Replay().events;

  ASSERT_THAT(events, SizeIs(1));
  const auto& read = std::get<WaitStack>(events[0].what);
  EXPECT_EQ(read.pid, Pid{1});
  EXPECT_EQ(read.tid, Tid{2});
  EXPECT_EQ(read.id, WaitStackId{1});
  EXPECT_EQ(read.same_as, WaitStackId{2});
  EXPECT_EQ(read.system_call, 202);
  EXPECT_EQ(read.arguments, wait.arguments);
  ASSERT_TRUE(read.registers.has_value());
  EXPECT_EQ(read.registers->Get(7), 0x7fff'0000);
  EXPECT_EQ(read.kernel_callchain, wait.kernel_callchain);
  EXPECT_EQ(read.user_callchain, wait.user_callchain);
  EXPECT_EQ(read.stack, wait.stack);
}

TEST_F(Recording, WaitsComeBack) {
  WaitsEnded waits{.pid = Pid{1}, .tid = Tid{2}, .stack = WaitStackId{3}};
  waits.why = OffCpu::kFrozen;
  waits.uninterruptible = true;
  waits.for_device = true;
  waits.system_call = 0;
  waits.object = std::make_shared<const WaitObject>(WaitObject{.kind = WaitObject::Kind::kSocket,
                                                               .local = "10.0.0.1:1",
                                                               .peer = "10.0.0.2:2",
                                                               .path = "\xff",
                                                               .is_udp = true,
                                                               .is_server_side = true});
  waits.waker = Tid{5};
  waits.times.Add(1'000);
  waits.times.Add(5'000'000);
  waits.run_queue = Nanoseconds(77);
  waits.still_waiting = 1;
  waits.for_gil = true;
  waits.for_time = true;
  waits.python = PythonStackId{0x1234'5678'9abc'def1};
  ASSERT_TRUE(Record({{.what = waits}, {.what = WaitsEnded{}}}).ok());

  const std::vector<Event> events = Replay().events;

  ASSERT_THAT(events, SizeIs(2));
  const auto& read = std::get<WaitsEnded>(events[0].what);
  EXPECT_EQ(read.stack, WaitStackId{3});
  EXPECT_EQ(read.why, OffCpu::kFrozen);
  EXPECT_TRUE(read.uninterruptible);
  EXPECT_TRUE(read.for_device);
  EXPECT_EQ(read.system_call, 0);
  ASSERT_NE(read.object, nullptr);
  EXPECT_EQ(*read.object, *waits.object);
  EXPECT_EQ(read.waker, Tid{5});
  EXPECT_EQ(read.times, waits.times);
  EXPECT_EQ(read.run_queue, Nanoseconds(77));
  EXPECT_EQ(read.still_waiting, 1);
  EXPECT_TRUE(read.for_gil);
  EXPECT_TRUE(read.for_time);
  EXPECT_EQ(read.python, waits.python);
  EXPECT_EQ(std::get<WaitsEnded>(events[1].what).object, nullptr);
  EXPECT_EQ(std::get<WaitsEnded>(events[1].what).system_call, -1);
}

TEST_F(Recording, PythonComesBack) {
  const auto function = std::make_shared<const PythonFunction>(
      PythonFunction{.name = "A.f", .file = "/srv/\xff.py", .first_line = 7});
  PythonStack stack{.pid = Pid{1}, .tid = Tid{2}, .id = PythonStackId{77}, .is_cut = true};
  stack.frames = {{.function = function, .line = 9},
                  {.function = nullptr},
                  {.function = function, .line = 8, .is_entry = true}};
  const PythonFound found{.pid = Pid{1},
                          .version = 0x030b02f0,
                          .loop = {{RuntimeAddress(0x1000), RuntimeAddress(0x2000)},
                                   {RuntimeAddress(0x5000), RuntimeAddress(0x5100)}}};
  StackSample sample{.pid = Pid{1}, .tid = Tid{2}};
  sample.python = stack.id;
  ASSERT_TRUE(Record({{.what = found},
                      {.what = stack},
                      {.what = sample},
                      {.what = PythonThreadNamed{Pid{1}, Tid{2}, "worker"}}})
                  .ok());

  const std::vector<Event> events = Replay().events;

  ASSERT_THAT(events, SizeIs(4));
  EXPECT_EQ(std::get<PythonFound>(events[0].what).version, found.version);
  EXPECT_EQ(std::get<PythonFound>(events[0].what).loop, found.loop);
  const auto& read = std::get<PythonStack>(events[1].what);
  EXPECT_EQ(read.pid, stack.pid);
  EXPECT_EQ(read.tid, stack.tid);
  EXPECT_EQ(read.id, stack.id);
  EXPECT_TRUE(read.is_cut);
  ASSERT_THAT(read.frames, SizeIs(3));
  ASSERT_NE(read.frames[0].function, nullptr);
  EXPECT_EQ(*read.frames[0].function, *function);
  EXPECT_EQ(read.frames[0].line, 9);
  EXPECT_FALSE(read.frames[0].is_entry);
  EXPECT_EQ(read.frames[1].function, nullptr);
  EXPECT_EQ(read.frames[2].line, 8);
  EXPECT_TRUE(read.frames[2].is_entry);
  EXPECT_EQ(std::get<StackSample>(events[2].what).python, stack.id);
  EXPECT_EQ(std::get<PythonThreadNamed>(events[3].what).name, "worker");
}

TEST_F(Recording, TheHeaderComesBack) {
  ASSERT_TRUE(Record({}).ok());

  const RecordingHeader header = Replay().header;

  EXPECT_EQ(header.whyslow_version, "0.1.0");
  EXPECT_EQ(header.options.at("frequency"), "99");
  EXPECT_EQ(header.attached_at, InstantFromNanos(500));
  EXPECT_EQ(header.targets, std::vector<Pid>{Pid{7}});
  EXPECT_EQ(Replay().ended_at, InstantFromNanos(9000));
}

TEST_F(Recording, ItCanComeThroughAPipeWhoseWriterIsSlow) {
  ASSERT_TRUE(Record(std::vector<Event>(500, Event{.what = SomeSample()})).ok());
  std::ifstream file(path_, std::ios::binary);
  const std::string content(std::istreambuf_iterator<char>(file), {});
  int ends[2] = {-1, -1};
  ASSERT_EQ(pipe2(ends, O_CLOEXEC), 0);
  std::thread writer([&content, end = ends[1]] {
    for (const char& byte : content) {
      EXPECT_EQ(write(end, &byte, 1), 1);
    }
    close(end);
  });

  const Replayed replayed = Replay("/proc/self/fd/" + std::to_string(ends[0]));

  EXPECT_TRUE(replayed.status.ok()) << replayed.status;
  EXPECT_THAT(replayed.events, SizeIs(500));
  writer.join();
  close(ends[0]);
}

TEST_F(Recording, ItIsForItsOwnerOnly) {
  ASSERT_TRUE(Record({}).ok());
  struct stat info {};
  ASSERT_EQ(stat(path_.c_str(), &info), 0);

  EXPECT_EQ(info.st_mode & 0777, 0600);
}

TEST_F(Recording, ACutOffFileGivesWhatIsWholeAndSaysSo) {
  ASSERT_TRUE(Record(std::vector<Event>(500, Event{.what = SomeSample()})).ok());
  std::filesystem::resize_file(path_, std::filesystem::file_size(path_) / 2);

  EXPECT_TRUE(absl::IsDataLoss(Replay().status));
}

TEST_F(Recording, AFlippedByteIsNoticed) {
  ASSERT_TRUE(Record(std::vector<Event>(50, Event{.what = SomeSample()})).ok());
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(-6, std::ios::end);  // in the checksum
  file.put('\x5a');
  file.close();

  EXPECT_FALSE(Replay().status.ok());
}

TEST_F(Recording, WithoutItsEndNothingIsLeft) {
  std::vector<Event> events;
  events.push_back({.what = SomeSample()});
  {
    auto recording = RecordingSource::Create(path_, header_,
                                             std::make_unique<ScriptedSource>(std::move(events)));
    ASSERT_TRUE(recording.ok());
    std::vector<Event> passed;
    (*recording)->Read(passed);
  }

  EXPECT_FALSE(std::filesystem::exists(path_));
}

TEST_F(Recording, AFullDeviceIsAnErrorAndStaysADevice) {
  std::swap(path_, full_device_);
  const absl::Status status = Record(std::vector<Event>(50'000, Event{.what = SomeSample()}));
  std::swap(path_, full_device_);

  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << status;
  EXPECT_TRUE(std::filesystem::is_character_file("/dev/full"));
}

TEST_F(Recording, AnotherFileIsNoRecording) {
  std::ofstream(path_) << "hello";

  EXPECT_THAT(std::string(Replay().status.message()), HasSubstr("no recording"));
}

TEST_F(Recording, AMissingFileIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(ReplaySource::Open("/nonexistent").status()));
}

}  // namespace
}  // namespace whyslow
