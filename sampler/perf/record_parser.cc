#include "sampler/perf/record_parser.h"

#include <sys/sysmacros.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>

#include "base/byte_reader.h"
#include "base/status.h"

namespace whyslow {
namespace {

constexpr size_t kTrailerSize = 24;  // kSideRecordFields: pid, tid, time, cpu, reserved

// Index: the kernel's number (asm/perf_regs.h). Value: DWARF's.
#if defined(__x86_64__)
constexpr uint8_t kNone = 0xff;
constexpr std::array<uint8_t, 24> kDwarfNumber = {
    0,     3,     2,     1,     4, 5, 6,  7,  16, kNone, kNone, kNone,
    kNone, kNone, kNone, kNone, 8, 9, 10, 11, 12, 13,    14,    15};
constexpr uint8_t DwarfNumber(unsigned kernel) {
  return kernel < kDwarfNumber.size() ? kDwarfNumber[kernel] : kNone;
}
#else
constexpr uint8_t DwarfNumber(unsigned kernel) { return static_cast<uint8_t>(kernel); }
#endif

// Text up to its terminating zero, in a field that takes all the bytes that are left.
std::string PaddedText(ByteReader& cursor) {
  const std::span<const std::byte> field = cursor.Block(cursor.remaining());
  const auto* text = reinterpret_cast<const char*>(field.data());
  return {text, strnlen(text, field.size())};
}

struct SampleReading {
  Event event;
  StackSample sample;
  const RecordLayout& layout;
};

void ReadIp(ByteReader& cursor, SampleReading& reading) {
  const RuntimeAddress ip(cursor.Fixed<uint64_t>());
  if (reading.sample.in_kernel) {
    reading.sample.kernel_callchain.push_back(ip);
  }
}

void ReadIds(ByteReader& cursor, SampleReading& reading) {
  reading.sample.pid = Pid{cursor.Fixed<int32_t>()};
  reading.sample.tid = Tid{cursor.Fixed<int32_t>()};
}

void ReadTime(ByteReader& cursor, SampleReading& reading) {
  reading.event.when = InstantFromNanos(cursor.Fixed<uint64_t>());
}

void ReadCpu(ByteReader& cursor, SampleReading& reading) {
  reading.sample.cpu = Cpu{cursor.Fixed<int32_t>()};
  cursor.Fixed<uint32_t>();
}

void ReadPeriod(ByteReader& cursor, SampleReading& reading) {
  const auto counted = Nanoseconds(static_cast<int64_t>(cursor.Fixed<uint64_t>()));
  reading.sample.period = reading.layout.period.value_or(counted);
}

void ReadCallchain(ByteReader& cursor, SampleReading& reading) {
  const auto count = cursor.Fixed<uint64_t>();
  if (count > cursor.remaining() / sizeof(uint64_t)) {
    cursor.Fail();  // damaged: fail the whole record
    return;
  }
  reading.sample.kernel_callchain.clear();  // the chain begins with the ip that was read before
  std::vector<RuntimeAddress>* chain = nullptr;
  for (uint64_t i = 0; i < count; ++i) {
    const auto entry = cursor.Fixed<uint64_t>();
    if (entry == PERF_CONTEXT_KERNEL) {
      chain = &reading.sample.kernel_callchain;
    } else if (entry == PERF_CONTEXT_USER) {
      chain = &reading.sample.user_callchain;
    } else if (entry >= PERF_CONTEXT_MAX) {
      chain = nullptr;  // a guest's, a hypervisor's
    } else if (chain != nullptr) {
      chain->emplace_back(entry);
    }
  }
}

void ReadRegisters(ByteReader& cursor, SampleReading& reading) {
  const auto abi = cursor.Fixed<uint64_t>();
  if (abi == PERF_SAMPLE_REGS_ABI_NONE) {
    return;
  }
  UserRegisters registers;
  for (unsigned kernel = 0; kernel < 64; ++kernel) {
    if ((reading.layout.registers >> kernel & 1) != 0) {
      const auto value = cursor.Fixed<uint64_t>();
      const uint8_t number = DwarfNumber(kernel);
      if (number < kMaxRegisters) {
        registers.Set(number, value);
      }
    }
  }
  if (abi == PERF_SAMPLE_REGS_ABI_64) {
    reading.sample.registers = registers;
  }
}

// size, that many bytes, and (where size is not 0) how many of them hold the stack.
void ReadStack(ByteReader& cursor, SampleReading& reading) {
  const auto size = cursor.Fixed<uint64_t>();
  if (size == 0) {
    return;
  }
  const std::span<const std::byte> bytes = cursor.Block(size);
  const auto used = cursor.Fixed<uint64_t>();
  if (cursor.ok() && used <= bytes.size()) {
    reading.sample.stack.assign(bytes.data(), bytes.data() + used);
  }
}

// What can be asked for, in the order in which the kernel writes it. A field that is asked for and
// missing here would shift all that follow: RecordLayout::Of checks.
struct SampleField {
  uint64_t mask;
  void (*read)(ByteReader&, SampleReading&);
};
constexpr std::array kSampleFields = {
    SampleField{PERF_SAMPLE_IP, ReadIp},
    SampleField{PERF_SAMPLE_TID, ReadIds},
    SampleField{PERF_SAMPLE_TIME, ReadTime},
    SampleField{PERF_SAMPLE_CPU, ReadCpu},
    SampleField{PERF_SAMPLE_PERIOD, ReadPeriod},
    SampleField{PERF_SAMPLE_CALLCHAIN, ReadCallchain},
    SampleField{PERF_SAMPLE_REGS_USER, ReadRegisters},
    SampleField{PERF_SAMPLE_STACK_USER, ReadStack},
};

// The arguments of the system call that the thread may be in.
std::array<uint64_t, 6> ArgumentsIn(const UserRegisters& registers) {
#if defined(__x86_64__)
  constexpr std::array<uint8_t, 6> kNumbers = {x86::kRdi, x86::kRsi, x86::kRdx,
                                               x86::kR10, x86::kR8,  x86::kR9};
#else
  constexpr std::array<uint8_t, 6> kNumbers = {0, 1, 2, 3, 4, 5};
#endif
  std::array<uint64_t, 6> arguments{};
  for (size_t i = 0; i < kNumbers.size(); ++i) {
    arguments[i] = registers.Get(kNumbers[i]).value_or(0);
  }
  return arguments;
}

WaitStack StopOf(StackSample sample) {
  WaitStack stop;
  stop.pid = sample.pid;
  stop.tid = sample.tid;
  stop.arguments = sample.registers ? ArgumentsIn(*sample.registers) : stop.arguments;
  stop.registers = sample.registers;
  stop.kernel_callchain = std::move(sample.kernel_callchain);
  stop.user_callchain = std::move(sample.user_callchain);
  stop.stack = std::move(sample.stack);
  return stop;
}

std::optional<Event> ParseSample(ByteReader cursor, uint16_t misc, const RecordLayout& layout) {
  SampleReading reading{.event = {}, .sample = {}, .layout = layout};
  reading.sample.in_kernel = (misc & PERF_RECORD_MISC_CPUMODE_MASK) == PERF_RECORD_MISC_KERNEL;
  for (const SampleField& field : kSampleFields) {
    if ((layout.sample_type & field.mask) != 0) {
      field.read(cursor, reading);
    }
  }
  if (!cursor.ok()) {
    return std::nullopt;
  }
  if (layout.is_of_switches) {
    reading.event.what = StopOf(std::move(reading.sample));
  } else {
    reading.event.what = std::move(reading.sample);
  }
  return std::move(reading.event);
}

struct Trailer {
  Pid pid = kNoPid;
  Tid tid = kNoTid;
  Instant when;
};

Trailer ReadTrailer(std::span<const std::byte> record) {
  if (record.size() < sizeof(perf_event_header) + kTrailerSize) {
    return {};
  }
  ByteReader cursor(record.last(kTrailerSize));
  Trailer trailer;
  trailer.pid = Pid{cursor.Fixed<int32_t>()};
  trailer.tid = Tid{cursor.Fixed<int32_t>()};
  trailer.when = InstantFromNanos(cursor.Fixed<uint64_t>());
  return trailer;
}

// PERF_RECORD_MISC_MMAP_BUILD_ID says nothing: we never ask for build IDs, and the kernel sets it
// where another event that did was served before ours.
MappingAdded ParseMapping(ByteReader& cursor) {
  MappingAdded mapping;
  mapping.pid = Pid{cursor.Fixed<int32_t>()};
  cursor.Fixed<int32_t>();  // tid
  mapping.start = RuntimeAddress(cursor.Fixed<uint64_t>());
  mapping.size = cursor.Fixed<uint64_t>();
  mapping.file_offset = cursor.Fixed<uint64_t>();
  const auto major = cursor.Fixed<uint32_t>();
  const auto minor = cursor.Fixed<uint32_t>();
  mapping.device = makedev(major, minor);  // as fstat gives it
  mapping.inode = cursor.Fixed<uint64_t>();
  cursor.Fixed<uint64_t>();  // the inode's generation
  cursor.Fixed<uint32_t>();  // prot
  cursor.Fixed<uint32_t>();  // flags
  mapping.path = PaddedText(cursor);
  return mapping;
}

ThreadNamed ParseName(ByteReader& cursor, uint16_t misc) {
  ThreadNamed named;
  named.pid = Pid{cursor.Fixed<int32_t>()};
  named.tid = Tid{cursor.Fixed<int32_t>()};
  named.name = PaddedText(cursor);
  named.exec = (misc & PERF_RECORD_MISC_COMM_EXEC) != 0;
  return named;
}

struct ForkOrExit {
  Pid pid, parent_pid;
  Tid tid, parent_tid;
};

ForkOrExit ParseTask(ByteReader& cursor) {
  ForkOrExit task{};
  task.pid = Pid{cursor.Fixed<int32_t>()};
  task.parent_pid = Pid{cursor.Fixed<int32_t>()};
  task.tid = Tid{cursor.Fixed<int32_t>()};
  task.parent_tid = Tid{cursor.Fixed<int32_t>()};
  return task;
}

ThreadStarted ParseFork(ByteReader& cursor) {
  const ForkOrExit task = ParseTask(cursor);
  return {.pid = task.pid,
          .tid = task.tid,
          .parent_pid = task.parent_pid,
          .parent_tid = task.parent_tid};
}

ThreadExited ParseExit(ByteReader& cursor) {
  const ForkOrExit task = ParseTask(cursor);
  return {.pid = task.pid, .tid = task.tid};
}

KernelCodeChanged ParseKernelCode(ByteReader& cursor) {
  KernelCodeChanged code;
  code.start = RuntimeAddress(cursor.Fixed<uint64_t>());
  code.size = cursor.Fixed<uint32_t>();
  code.is_bpf = cursor.Fixed<uint16_t>() == PERF_RECORD_KSYMBOL_TYPE_BPF;
  code.is_gone = (cursor.Fixed<uint16_t>() & PERF_RECORD_KSYMBOL_FLAGS_UNREGISTER) != 0;
  code.name = PaddedText(cursor);
  return code;
}

EventsLost ParseLost(ByteReader& cursor, uint32_t type) {
  if (type == PERF_RECORD_LOST) {
    cursor.Fixed<uint64_t>();  // id
  }
  return {.kind = LossKind::kRingFull, .count = cursor.Fixed<uint64_t>()};
}

using What = decltype(Event::what);

What ParseSwitch(const Trailer& trailer, uint16_t misc) {
  if ((misc & PERF_RECORD_MISC_SWITCH_OUT) == 0) {
    return SwitchIn{.pid = trailer.pid, .tid = trailer.tid};
  }
  return SwitchOut{.pid = trailer.pid,
                   .tid = trailer.tid,
                   .preempted = (misc & PERF_RECORD_MISC_SWITCH_OUT_PREEMPT) != 0};
}

// `body` stands between the header and the trailer.
std::optional<What> ParseBody(ByteReader body, const perf_event_header& header,
                              const Trailer& trailer) {
  What what;
  switch (header.type) {
    case PERF_RECORD_MMAP2:
      what = ParseMapping(body);
      break;
    case PERF_RECORD_COMM:
      what = ParseName(body, header.misc);
      break;
    case PERF_RECORD_FORK:
      what = ParseFork(body);
      break;
    case PERF_RECORD_EXIT:
      what = ParseExit(body);
      break;
    case PERF_RECORD_SWITCH:
    case PERF_RECORD_SWITCH_CPU_WIDE:
      what = ParseSwitch(trailer, header.misc);
      break;
    case PERF_RECORD_KSYMBOL:
      what = ParseKernelCode(body);
      break;
    case PERF_RECORD_LOST:
    case PERF_RECORD_LOST_SAMPLES:
      what = ParseLost(body, header.type);
      break;
    case PERF_RECORD_THROTTLE:
      what = EventsLost{.kind = LossKind::kThrottled, .count = 1};
      break;
    default:
      return std::nullopt;
  }
  return body.ok() ? std::optional(std::move(what)) : std::nullopt;
}

}  // namespace

RecordLayout RecordLayout::Of(const perf_event_attr& attr) {
  uint64_t readable = 0;
  for (const SampleField& field : kSampleFields) {
    readable |= field.mask;
  }
  WHYSLOW_CHECK((attr.sample_type & ~readable) == 0);
  WHYSLOW_CHECK((attr.sample_type & kSideRecordFields) == kSideRecordFields);
  RecordLayout layout{.sample_type = attr.sample_type, .registers = attr.sample_regs_user};
  layout.is_of_switches =
      attr.type == PERF_TYPE_SOFTWARE && attr.config == PERF_COUNT_SW_CONTEXT_SWITCHES;
  if (attr.freq != 0) {
    layout.period = Nanoseconds(1'000'000'000 / static_cast<int64_t>(attr.sample_freq));
  }
  return layout;
}

RecordOwner OwnerOf(std::span<const std::byte> record, const RecordLayout& layout) {
  ByteReader cursor(record);
  const auto header = cursor.Fixed<perf_event_header>();
  switch (header.type) {
    case PERF_RECORD_SAMPLE:
      if ((layout.sample_type & PERF_SAMPLE_IP) != 0) {
        cursor.Fixed<uint64_t>();
      }
      return {.pid = Pid{cursor.Fixed<int32_t>()}};
    case PERF_RECORD_FORK: {
      const ForkOrExit task = ParseTask(cursor);
      return {.pid = task.pid, .parent_pid = task.parent_pid};
    }
    case PERF_RECORD_EXIT:
    case PERF_RECORD_COMM:
    case PERF_RECORD_MMAP2:
      return {.pid = Pid{cursor.Fixed<int32_t>()}};
    case PERF_RECORD_SWITCH:
    case PERF_RECORD_SWITCH_CPU_WIDE:
      return {.pid = ReadTrailer(record).pid, .is_switch = true};
    default:
      return {.concerns_all = true};
  }
}

std::optional<Event> ParseRecord(std::span<const std::byte> record, const RecordLayout& layout) {
  ByteReader cursor(record);
  const auto header = cursor.Fixed<perf_event_header>();
  if (!cursor.ok() || header.size != record.size()) {
    return std::nullopt;
  }
  if (header.type == PERF_RECORD_SAMPLE) {
    return ParseSample(cursor, header.misc, layout);
  }
  if (cursor.remaining() < kTrailerSize) {
    return std::nullopt;
  }
  const Trailer trailer = ReadTrailer(record);
  std::optional<What> what =
      ParseBody(ByteReader(cursor.Block(cursor.remaining() - kTrailerSize)), header, trailer);
  if (!what) {
    return std::nullopt;
  }
  return Event{.when = trailer.when, .what = *std::move(what)};
}

}  // namespace whyslow
