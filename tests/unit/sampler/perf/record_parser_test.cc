#include "sampler/perf/record_parser.h"

#include <gmock/gmock.h>
#include <sys/sysmacros.h>

#include <bit>

#include "sampler/perf/event_config.h"
#include "tests/unit/sampler/perf/record_bytes.h"

namespace whyslow {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Optional;

RecordLayout LayoutWith(SamplerOptions options) {
  return RecordLayout::Of(SamplingAttributes(options, {}));
}

RecordLayout FullLayout() { return LayoutWith({.user_callchain = true, .stack_bytes = 16}); }

// A sample of FullLayout: two kernel and one user address, registers 100, 101, …, 16 bytes of
// stack of which `used` hold something.
RecordBytes FullSample(uint64_t used) {
  RecordBytes record(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL);
  record.Put(uint64_t{0xffff1000}).PutTrailer(7, 8, 12345, 3).Put(uint64_t{10101010});
  record.Put(uint64_t{5})
      .Put(uint64_t{PERF_CONTEXT_KERNEL})
      .Put(uint64_t{0xffff1000})
      .Put(uint64_t{0xffff2000})
      .Put(uint64_t{PERF_CONTEXT_USER})
      .Put(uint64_t{0x4000});
  record.Put(uint64_t{PERF_SAMPLE_REGS_ABI_64});
  for (int i = 0; i < std::popcount(kSampledRegisters); ++i) {
    record.Put(uint64_t{100} + static_cast<uint64_t>(i));
  }
  record.Put(uint64_t{16}).Put(uint64_t{0x1111}).Put(uint64_t{0x2222}).Put(used);
  return record;
}

template <class T>
T Parsed(const std::vector<std::byte>& record, const RecordLayout& layout = {}) {
  const std::optional<Event> event = ParseRecord(record, layout);
  return event && std::holds_alternative<T>(event->what) ? std::get<T>(event->what) : T{};
}

TEST(RecordParser, ASampleHasItsPlaceInTimeAndItsThread) {
  const auto event = ParseRecord(FullSample(16).Done(), FullLayout());

  ASSERT_TRUE(event.has_value());
  EXPECT_EQ(event->when, InstantFromNanos(12345));
  const auto& sample = std::get<StackSample>(event->what);
  EXPECT_EQ(sample.pid, Pid{7});
  EXPECT_EQ(sample.tid, Tid{8});
  EXPECT_EQ(sample.cpu, Cpu{3});
  EXPECT_EQ(sample.period, Nanoseconds(10101010));
  EXPECT_TRUE(sample.in_kernel);
}

TEST(RecordParser, TheCallchainIsSplitIntoKernelAndUser) {
  const auto sample = Parsed<StackSample>(FullSample(16).Done(), FullLayout());

  EXPECT_THAT(sample.kernel_callchain,
              ElementsAre(RuntimeAddress(0xffff1000), RuntimeAddress(0xffff2000)));
  EXPECT_THAT(sample.user_callchain, ElementsAre(RuntimeAddress(0x4000)));
}

#if defined(__x86_64__)
TEST(RecordParser, RegistersGetTheirDwarfNumbers) {
  const auto sample = Parsed<StackSample>(FullSample(16).Done(), FullLayout());

  ASSERT_TRUE(sample.registers.has_value());
  // The kernel's order: ax bx cx dx si di bp sp ip, r8 … r15.
  EXPECT_THAT(sample.registers->Get(x86::kRax), Optional(100));
  EXPECT_THAT(sample.registers->Get(x86::kRbx), Optional(101));
  EXPECT_THAT(sample.registers->fp(), Optional(106));
  EXPECT_THAT(sample.registers->sp(), Optional(107));
  EXPECT_THAT(sample.registers->pc(), Optional(108));
  EXPECT_THAT(sample.registers->Get(x86::kR15), Optional(116));
}
#endif

TEST(RecordParser, OnlyTheUsedPartOfTheStackCopyIsKept) {
  const auto sample = Parsed<StackSample>(FullSample(8).Done(), FullLayout());

  ASSERT_EQ(sample.stack.size(), 8);
  EXPECT_EQ(sample.stack[0], std::byte{0x11});
}

TEST(RecordParser, AStackThatClaimsMoreThanWasCopiedIsLeftOut) {
  EXPECT_THAT(Parsed<StackSample>(FullSample(17).Done(), FullLayout()).stack, IsEmpty());
}

TEST(RecordParser, AThreadWithoutUserModeHasNoRegistersAndNoStack) {
  RecordBytes record(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL);
  record.Put(uint64_t{1}).PutTrailer(7, 7, 1).Put(uint64_t{1}).Put(uint64_t{0});
  record.Put(uint64_t{PERF_SAMPLE_REGS_ABI_NONE}).Put(uint64_t{0});

  const auto sample = Parsed<StackSample>(record.Done(), FullLayout());

  EXPECT_EQ(sample.pid, Pid{7});
  EXPECT_FALSE(sample.registers.has_value());
  EXPECT_THAT(sample.stack, IsEmpty());
}

TEST(RecordParser, WithoutACallchainTheKernelAddressIsStillThere) {
  RecordBytes record(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_KERNEL);
  record.Put(uint64_t{0xffff1000}).PutTrailer(7, 7, 1).Put(uint64_t{1});
  record.Put(uint64_t{PERF_SAMPLE_REGS_ABI_NONE});

  const auto sample =
      Parsed<StackSample>(record.Done(), LayoutWith({.kernel_frames = false, .stack_bytes = 0}));

  EXPECT_THAT(sample.kernel_callchain, ElementsAre(RuntimeAddress(0xffff1000)));
}

TEST(RecordParser, ASampleOfACounterStandsForItsShareOfASecond) {
  RecordBytes record(PERF_RECORD_SAMPLE, PERF_RECORD_MISC_USER);
  record.Put(uint64_t{1}).PutTrailer(7, 7, 1).Put(uint64_t{30'000'000});
  record.Put(uint64_t{PERF_SAMPLE_REGS_ABI_NONE});
  const RecordLayout layout = LayoutWith({.frequency_hz = 100,
                                          .clock = SampleClock::kCycles,
                                          .kernel_frames = false,
                                          .stack_bytes = 0});

  EXPECT_EQ(Parsed<StackSample>(record.Done(), layout).period, std::chrono::milliseconds(10));
}

TEST(RecordParser, ACallchainLongerThanTheRecordIsRefused) {
  RecordBytes record(PERF_RECORD_SAMPLE);
  record.Put(uint64_t{1}).PutTrailer(7, 7, 1).Put(uint64_t{1}).Put(~uint64_t{0});

  EXPECT_FALSE(ParseRecord(record.Done(), FullLayout()).has_value());
}

TEST(RecordParser, EveryTruncationOfASampleIsRefused) {
  const std::vector<std::byte> whole = FullSample(16).Done();
  for (size_t size = 0; size < whole.size(); ++size) {
    std::vector<std::byte> part(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size));
    if (size >= sizeof(perf_event_header)) {
      const auto size16 = static_cast<uint16_t>(size);
      std::memcpy(part.data() + offsetof(perf_event_header, size), &size16, sizeof(size16));
    }
    EXPECT_FALSE(ParseRecord(part, FullLayout()).has_value()) << size;
  }
}

TEST(RecordParser, AMappingHasItsDeviceAsFstatGivesIt) {
  RecordBytes record(PERF_RECORD_MMAP2);
  record.Put(int32_t{7}).Put(int32_t{8});
  record.Put(uint64_t{0x7f00}).Put(uint64_t{0x2000}).Put(uint64_t{0x1000});
  record.Put(uint32_t{259}).Put(uint32_t{3}).Put(uint64_t{4711}).Put(uint64_t{0});
  record.Put(uint32_t{5}).Put(uint32_t{2}).PutText("/lib/libc.so.6").PutTrailer(7, 8, 55);

  const auto mapping = Parsed<MappingAdded>(record.Done());

  EXPECT_EQ(mapping.pid, Pid{7});
  EXPECT_EQ(mapping.start, RuntimeAddress(0x7f00));
  EXPECT_EQ(mapping.size, 0x2000);
  EXPECT_EQ(mapping.file_offset, 0x1000);
  EXPECT_EQ(mapping.path, "/lib/libc.so.6");
  EXPECT_EQ(mapping.device, makedev(259, 3));
  EXPECT_EQ(mapping.inode, 4711);
  EXPECT_EQ(mapping.build_id, "");
}

TEST(RecordParser, AFlagThatAnotherProfilersEventLeftIsNotBelieved) {
  RecordBytes record(PERF_RECORD_MMAP2, PERF_RECORD_MISC_MMAP_BUILD_ID);
  record.Put(int32_t{7}).Put(int32_t{8}).Put(uint64_t{0}).Put(uint64_t{0}).Put(uint64_t{0});
  record.Put(uint32_t{259}).Put(uint32_t{3}).Put(uint64_t{4711}).Put(uint64_t{0});
  record.Put(uint32_t{5}).Put(uint32_t{2}).PutText("/lib/libc.so.6").PutTrailer(7, 8, 55);

  const auto mapping = Parsed<MappingAdded>(record.Done());

  EXPECT_EQ(mapping.build_id, "");
  EXPECT_EQ(mapping.device, makedev(259, 3));
  EXPECT_EQ(mapping.inode, 4711);
  EXPECT_EQ(mapping.path, "/lib/libc.so.6");
}

TEST(RecordParser, ANameMayComeWithANewProgram) {
  RecordBytes record(PERF_RECORD_COMM, PERF_RECORD_MISC_COMM_EXEC);
  record.Put(int32_t{7}).Put(int32_t{8}).PutText("redis-server").PutTrailer(7, 8, 55);

  const auto named = Parsed<ThreadNamed>(record.Done());

  EXPECT_EQ(named.name, "redis-server");
  EXPECT_TRUE(named.exec);
}

TEST(RecordParser, AForkNamesParentAndChild) {
  RecordBytes record(PERF_RECORD_FORK);
  record.Put(int32_t{20}).Put(int32_t{10}).Put(int32_t{21}).Put(int32_t{11}).Put(uint64_t{55});
  record.PutTrailer(10, 11, 55);

  const auto started = Parsed<ThreadStarted>(record.Done());

  EXPECT_EQ(started.pid, Pid{20});
  EXPECT_EQ(started.tid, Tid{21});
  EXPECT_EQ(started.parent_pid, Pid{10});
  EXPECT_EQ(started.parent_tid, Tid{11});
}

TEST(RecordParser, ASwitchOutSaysIfTheThreadCouldHaveGoneOn) {
  constexpr uint16_t kPreempted = PERF_RECORD_MISC_SWITCH_OUT | PERF_RECORD_MISC_SWITCH_OUT_PREEMPT;
  RecordBytes record(PERF_RECORD_SWITCH_CPU_WIDE, kPreempted);
  record.Put(int32_t{1}).Put(int32_t{2}).PutTrailer(7, 8, 55);

  const auto out = Parsed<SwitchOut>(record.Done());

  EXPECT_EQ(out.tid, Tid{8});
  EXPECT_TRUE(out.preempted);
}

TEST(RecordParser, ASwitchInNamesTheThreadThatComes) {
  RecordBytes record(PERF_RECORD_SWITCH);
  record.PutTrailer(7, 8, 55);

  EXPECT_EQ(Parsed<SwitchIn>(record.Done()).tid, Tid{8});
}

TEST(RecordParser, LossesAreCounted) {
  RecordBytes record(PERF_RECORD_LOST);
  record.Put(uint64_t{1}).Put(uint64_t{42}).PutTrailer(0, 0, 55);

  EXPECT_EQ(Parsed<EventsLost>(record.Done()).count, 42);
  EXPECT_TRUE(OwnerOf(record.Done(), {}).concerns_all);
}

TEST(RecordParser, TheOwnerOfASampleIsKnownWithoutItsStack) {
  EXPECT_EQ(OwnerOf(FullSample(16).Done(), FullLayout()).pid, Pid{7});
}

TEST(RecordParser, CodeThatComesToTheKernelAndGoes) {
  RecordBytes loaded(PERF_RECORD_KSYMBOL);
  loaded.Put(uint64_t{0xffffffffc0001000}).Put(uint32_t{0x80}).Put(uint16_t{1}).Put(uint16_t{0});
  loaded.PutText("bpf_prog_6deef7357e7b4530_burn").PutTrailer(0, 0, 55);
  const auto code = Parsed<KernelCodeChanged>(loaded.Done());

  EXPECT_EQ(code.start, RuntimeAddress(0xffffffffc0001000));
  EXPECT_EQ(code.size, 0x80);
  EXPECT_EQ(code.name, "bpf_prog_6deef7357e7b4530_burn");
  EXPECT_TRUE(code.is_bpf);
  EXPECT_FALSE(code.is_gone);

  RecordBytes removed(PERF_RECORD_KSYMBOL);
  removed.Put(uint64_t{0xffffffffc0001000}).Put(uint32_t{0x80}).Put(uint16_t{2}).Put(uint16_t{1});
  removed.PutText("kprobe_insn_page").PutTrailer(0, 0, 55);
  EXPECT_TRUE(Parsed<KernelCodeChanged>(removed.Done()).is_gone);
  EXPECT_FALSE(Parsed<KernelCodeChanged>(removed.Done()).is_bpf);
}

TEST(RecordParser, AnUnknownKindIsNothing) {
  RecordBytes record(PERF_RECORD_NAMESPACES);
  record.Put(uint64_t{0}).PutTrailer(0, 0, 55);

  EXPECT_FALSE(ParseRecord(record.Done(), {}).has_value());
}

}  // namespace
}  // namespace whyslow
