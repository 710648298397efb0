#include "sampler/bpf/wait_tracer.h"

#include <absl/container/flat_hash_map.h>
#include <absl/strings/str_format.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/status.h"
#include "base/unique_fd.h"
#include "sampler/bpf/bpf_handles.h"
#include "sampler/bpf/code_ranges.h"
#include "sampler/bpf/wait_objects.h"
#include "sampler/bpf/wait_records.h"
#include "sampler/target/descriptors.h"
#include "sampler/target/system_calls.h"
#include "sampler/target/target_memory.h"

namespace whyslow {
namespace {

static_assert(WAIT_BUCKETS == kDurationBuckets);

// Each is read, unwound and taught: about 30 µs of our time, 5 of the target's.
constexpr int64_t kCopiesPerRound = 300;
constexpr int64_t kCopiesAtFirst = 1500;
constexpr Nanoseconds kBeginning = std::chrono::seconds(2);  // everything is new
// Python's select() alone has 100 KB of arrays on its stack.
constexpr size_t kMostRemoteBytes = size_t{256} * 1024;
constexpr size_t kMostRemoteBytesInAll = size_t{32} << 20;  // at a time
constexpr int32_t kSysFutexWake = 454;                      // the same number on all machines; 6.7
// How often the sums are taken: they have room for some thousand different waits.
constexpr Nanoseconds kSumsInterval = std::chrono::milliseconds(250);

uint64_t LoadOf(__u64& value) { return std::atomic_ref(value).load(); }

uint8_t RuleFor(const SystemCall& call) {
  switch (call.waits_on) {
    case SystemCall::WaitsOn::kDescriptor:
      return WAIT_FD_FIRST;
    case SystemCall::WaitsOn::kPolled:
      return WAIT_FD_POLL;
    case SystemCall::WaitsOn::kSelected:
      return WAIT_FD_SELECT;
    case SystemCall::WaitsOn::kLock:
      return WAIT_FD_LOCK;
    case SystemCall::WaitsOn::kOther:
      break;
  }
  return WAIT_FD_NONE;
}

UserRegisters RegistersOf(const __u64 (&saved)[WAIT_REGISTERS]) {
  UserRegisters registers;
#if defined(__x86_64__)
  // DWARF's numbers in the order of pt_regs (asm/ptrace.h): r15 first; 0xff: not one of DWARF's.
  constexpr std::array<uint8_t, 20> kOrder = {15, 14, 13, 12, 6, 3,    11, 10,   9,    8,
                                              0,  2,  1,  4,  5, 0xff, 16, 0xff, 0xff, 7};
  for (size_t i = 0; i < kOrder.size(); ++i) {
    if (kOrder[i] != 0xff) {
      registers.Set(kOrder[i], saved[i]);
    }
  }
#else
  // x0 to x30, sp, pc.
  for (uint8_t i = 0; i < 33; ++i) {
    registers.Set(i, saved[i]);
  }
#endif
  return registers;
}

// The first six arguments; what held one may have become the result.
std::array<uint64_t, 6> ArgumentsOf(const __u64 (&saved)[WAIT_REGISTERS]) {
#if defined(__x86_64__)
  return {saved[14], saved[13], saved[12], saved[7], saved[9], saved[8]};
#else
  constexpr size_t kOriginalX0 = 34;
  return {saved[kOriginalX0], saved[1], saved[2], saved[3], saved[4], saved[5]};
#endif
}

// ARM64: a function without a frame of its own keeps its caller there.
uint64_t LinkOf(const UserRegisters& registers) {
  return registers.architecture() == Architecture::kArm64 ? registers.Get(30).value_or(0) : 0;
}

WaitStack StackOfRecord(const wait_stack_record& record, std::span<const std::byte> bytes) {
  WaitStack stack;
  stack.pid = Pid{static_cast<int32_t>(record.head.process)};
  stack.tid = Tid{static_cast<int32_t>(record.thread)};
  stack.id = WaitStackId{record.stack};
  stack.same_as = WaitStackId{record.same_as};
  stack.system_call = record.system_call;
  stack.arguments = ArgumentsOf(record.registers);
  stack.registers = RegistersOf(record.registers);
  for (size_t i = 0; i < std::min<size_t>(record.kernel_frames, WAIT_KERNEL_FRAMES); ++i) {
    stack.kernel_callchain.emplace_back(record.kernel_stack[i]);
  }
  stack.stack.assign(bytes.begin(), bytes.end());
  return stack;
}

WaitsEnded WaitsOf(const wait_key& key) {
  WaitsEnded waits;
  waits.pid = Pid{static_cast<int32_t>(key.process)};
  waits.tid = Tid{static_cast<int32_t>(key.thread)};
  waits.stack = WaitStackId{key.stack};
  waits.why = key.why <= WAIT_FROZEN ? static_cast<OffCpu>(key.why) : OffCpu::kBlocked;
  waits.uninterruptible = (key.flags & WAIT_UNINTERRUPTIBLE) != 0;
  waits.for_device = (key.flags & WAIT_FOR_DEVICE) != 0;
  waits.for_gil = (key.flags & WAIT_FOR_GIL) != 0;
  waits.for_time = (key.flags & WAIT_FOR_TIME) != 0;
  waits.system_call = key.system_call;
  waits.python = PythonStackId{key.python};
  waits.waker = key.waker == 0 ? kNoTid : Tid{static_cast<int32_t>(key.waker)};
  return waits;
}

// The same order as enum wait_why.
static_assert(static_cast<int>(OffCpu::kFrozen) == WAIT_FROZEN &&
              static_cast<int>(OffCpu::kThrottled) == WAIT_THROTTLED);

class LibbpfTracer final : public WaitTracer {
 public:
  static absl::StatusOr<std::unique_ptr<WaitTracer>> Open(bpf_object* object,
                                                          uint32_t most_stack_bytes) {
    std::unique_ptr<LibbpfTracer> tracer(new LibbpfTracer(object, most_stack_bytes));
    RETURN_IF_ERROR(tracer->Map());
    return tracer;
  }
  ~LibbpfTracer() override { munmap(shared_, sizeof(wait_shared)); }

  absl::Status Attach() override;
  Instant Start() override;
  bool TakeSleepers(std::vector<Event>& out) override;
  bool StillSleeps(Tid tid, WaitStackId stack) const override;
  void AddRunning(Pid pid, Tid tid) override;
  void RemoveThread(Tid tid) override;
  void Take(std::vector<Event>& out) override;
  void TakeRunTimes(std::vector<Event>& out) override;
  Instant Stop() override;
  void Finish(std::vector<Event>& out) override;
  void AddTarget(Pid pid) override;
  void WalkPython() override { std::atomic_ref(shared_->has_python).store(1); }
  void Follow(const Event& event) override;
  void Learn(const WaitStack& stack, std::span<const StackWord> return_addresses) override;

 private:
  LibbpfTracer(bpf_object* object, uint32_t most_stack_bytes)
      : object_(object), most_stack_bytes_(most_stack_bytes) {}

  absl::Status Map();
  int MapFd(const char* name) const { return bpf_object__find_map_fd_by_name(object_, name); }
  static int OnRecord(void* self, void* data, size_t size);
  void ReadSleeper(const wait_stack_record& record, Descriptors& descriptors,
                   std::vector<Event>& out);
  // Calls use(number, wait_thread).
  template <class Use>
  void ForEachThread(Use use) const;
  // Of a stack that is larger than its copy, while the thread still sleeps on it. False: it does
  // not, and nothing is added.
  bool ReadOn(const wait_stack_record& record, WaitStack& stack);
  bool StillSleeps(const wait_stack_record& record) const {
    return StillSleeps(Tid{static_cast<int32_t>(record.thread)}, WaitStackId{record.stack});
  }
  WaitsEnded WaitsWithObject(const wait_key& key);
  void TakeSums(int sums, Instant when, std::vector<Event>& out);
  void AddInProgress(Instant when, std::vector<Event>& out);
  void TellCode(Pid pid) const;
  void TellLosses(Instant when, std::vector<Event>& out);

  bpf_object* object_;
  uint32_t most_stack_bytes_;
  wait_shared* shared_ = nullptr;
  RingPtr ring_;
  std::vector<LinkPtr> links_;
  WaitObjects objects_;
  // By the number of their stack, which no other wait has.
  absl::flat_hash_map<uint64_t, std::shared_ptr<const WaitObject>> objects_of_sleepers_;
  absl::flat_hash_map<Pid, CodeRanges> code_;
  std::vector<Event>* taking_ = nullptr;
  size_t remote_bytes_ = 0;  // since the last Take
  Instant started_at_;
  Instant stopped_at_;
  Instant sums_taken_at_;
  uint64_t told_lost_ = 0;
  uint64_t told_unsent_ = 0;
  std::vector<wait_key> keys_;
  std::vector<wait_sum> values_;
};

absl::Status LibbpfTracer::Map() {
  const int data = bpf_map__fd(bpf_object__find_map_by_name(object_, ".bss"));
  void* memory = mmap(nullptr, sizeof(wait_shared), PROT_READ | PROT_WRITE, MAP_SHARED, data, 0);
  if (memory == MAP_FAILED) {
    return ErrnoStatus(errno, "mapping the BPF programs' data");
  }
  shared_ = static_cast<wait_shared*>(memory);
  shared_->copies_left = kCopiesAtFirst;
  ring_.reset(ring_buffer__new(MapFd("wait_records"), &OnRecord, this, nullptr));
  if (ring_ == nullptr) {
    return ErrnoStatus(errno, "mapping the BPF programs' ring of waits");
  }
  return absl::OkStatus();
}

void LibbpfTracer::AddTarget(Pid pid) {
  const uint32_t bit = wait_filter_bit(static_cast<uint32_t>(Number(pid)));
  std::atomic_ref(shared_->filter[bit / 64]).fetch_or(__u64{1} << (bit % 64));
}

void LibbpfTracer::TellCode(Pid pid) const {
  wait_code code{};
  constexpr auto kBeyondAll = ~uint64_t{0} >> 1;
  for (auto& range : code.range) {
    range = {.start = kBeyondAll, .end = kBeyondAll};
  }
  size_t place = 0;
  for (const auto& [start, end] : code_.at(pid).AtMost(WAIT_CODE_RANGES)) {
    code.range[place++] = {.start = start, .end = end};
  }
  const auto process = static_cast<uint32_t>(Number(pid));
  bpf_map_update_elem(MapFd("code"), &process, &code, BPF_ANY);
}

void LibbpfTracer::Follow(const Event& event) {
  if (const auto* mapping = std::get_if<MappingAdded>(&event.what)) {
    code_[mapping->pid].Add(mapping->start, mapping->size);
    TellCode(mapping->pid);
  } else if (const auto* started = std::get_if<ThreadStarted>(&event.what)) {
    const auto parent = code_.find(started->parent_pid);
    if (started->pid != started->parent_pid && parent != code_.end()) {
      CodeRanges inherited = parent->second;
      code_[started->pid] = std::move(inherited);
    }
  } else if (const auto* named = std::get_if<ThreadNamed>(&event.what)) {
    if (named->exec) {
      code_.erase(named->pid);
    }
  } else if (const auto* exited = std::get_if<ThreadExited>(&event.what)) {
    if (exited->tid == MainThreadOf(exited->pid) && code_.erase(exited->pid) != 0) {
      const auto process = static_cast<uint32_t>(Number(exited->pid));
      bpf_map_delete_elem(MapFd("code"), &process);
    }
  }
}

absl::Status LibbpfTracer::Attach() {
  for (const char* const name : {"on_thread", "on_exec", "on_switch", "on_waking"}) {
    LinkPtr link(bpf_program__attach(bpf_object__find_program_by_name(object_, name)));
    if (link == nullptr) {
      return ErrnoStatus(errno, absl::StrFormat("attaching the BPF program %s", name));
    }
    links_.push_back(std::move(link));
  }
  return absl::OkStatus();
}

Instant LibbpfTracer::Start() {
  const Instant now = MonotonicClock::now();
  started_at_ = now;
  sums_taken_at_ = now;
  shared_->attached_at = static_cast<uint64_t>(now.time_since_epoch().count());
  std::atomic_ref(shared_->is_on).store(1);
  return now;
}

Instant LibbpfTracer::Stop() {
  std::atomic_ref(shared_->is_on).store(0);
  stopped_at_ = MonotonicClock::now();
  return stopped_at_;
}

bool LibbpfTracer::TakeSleepers(std::vector<Event>& out) {
  const LinkPtr link(
      bpf_program__attach_iter(bpf_object__find_program_by_name(object_, "on_iteration"), nullptr));
  const UniqueFd file(link == nullptr ? -1 : bpf_iter_create(bpf_link__fd(link.get())));
  std::vector<std::byte> bytes;
  // The kernel collects 32 KB for one read and drops the record that would go beyond: it stops in
  // time only where less was asked for.
  std::array<std::byte, 16 * 1024> piece;
  if (!file) {
    return false;
  }
  for (ssize_t got = 1; got > 0;) {
    got = read(file.get(), piece.data(), piece.size());
    if (got < 0 && errno == EAGAIN) {
      got = 1;
      continue;
    }
    bytes.insert(bytes.end(), piece.begin(), piece.begin() + std::max<ssize_t>(got, 0));
  }
  Descriptors descriptors;
  for (size_t at = 0; at + sizeof(wait_stack_record) <= bytes.size();
       at += sizeof(wait_stack_record)) {
    wait_stack_record record;
    std::memcpy(&record, bytes.data() + at, sizeof(record));
    ReadSleeper(record, descriptors, out);
  }
  return true;
}

void LibbpfTracer::AddRunning(Pid pid, Tid tid) {
  wait_thread running{};
  running.on_since = shared_->attached_at;
  running.key.thread = static_cast<uint32_t>(Number(tid));
  running.key.process = static_cast<uint32_t>(Number(pid));
  bpf_map_update_elem(MapFd("threads"), &running.key.thread, &running, BPF_NOEXIST);
}

void LibbpfTracer::RemoveThread(Tid tid) {
  const auto thread = static_cast<uint32_t>(Number(tid));
  bpf_map_delete_elem(MapFd("threads"), &thread);
}

bool LibbpfTracer::StillSleeps(Tid tid, WaitStackId stack) const {
  const auto thread = static_cast<uint32_t>(Number(tid));
  wait_thread now{};
  return bpf_map_lookup_elem(MapFd("threads"), &thread, &now) == 0 && now.off_since != 0 &&
         now.key.stack == static_cast<uint64_t>(stack);
}

void LibbpfTracer::ReadSleeper(const wait_stack_record& record, Descriptors& descriptors,
                               std::vector<Event>& out) {
  WaitStack stack = StackOfRecord(record, {});
  stack.is_of_sleeper = true;
  // What the program could not read: descriptors that stand in the sleeper's memory.
  const uint8_t rule = RuleFor(SystemCallOf(stack.system_call));
  std::shared_ptr<const WaitObject> object;
  if (rule == WAIT_FD_POLL || rule == WAIT_FD_SELECT) {
    const std::optional<int> descriptor =
        WaitedDescriptor(stack.system_call, stack.arguments, LiveMemory(stack.pid));
    object = descriptor ? descriptors.Find(stack.pid, *descriptor) : nullptr;
  }
  // Where it has gone on meanwhile, its leaf and the kernel's frames are all that is known.
  if (ReadOn(record, stack) && object != nullptr) {
    objects_of_sleepers_[record.stack] = std::move(object);
  }
  out.push_back({.when = InstantFromNanos(record.when), .what = std::move(stack)});
}

bool LibbpfTracer::ReadOn(const wait_stack_record& record, WaitStack& stack) {
  if (!StillSleeps(record)) {
    return false;
  }
  const LiveMemory memory(stack.pid);
  const RuntimeAddress sp(stack.registers->sp().value_or(0));
  // Thousands of sleepers with large stacks are read as far as a copy would go.
  const bool is_much = remote_bytes_ > kMostRemoteBytesInAll;
  std::vector<std::byte> more(is_much ? size_t{WAIT_STACK_MOST} : kMostRemoteBytes);
  more.resize(memory.Read(sp + stack.stack.size(), more));
  // A thread that sleeps changes nothing.
  if (!StillSleeps(record)) {
    return false;
  }
  remote_bytes_ += more.size();
  stack.stack.insert(stack.stack.end(), more.begin(), more.end());
  return true;
}

int LibbpfTracer::OnRecord(void* self, void* data, size_t size) {
  auto& tracer = *static_cast<LibbpfTracer*>(self);
  const auto* head = static_cast<const wait_record_head*>(data);
  if (size >= sizeof(wait_object_record) && head->type == WAIT_OBJECT_RECORD) {
    tracer.objects_.Add(*static_cast<const wait_object_record*>(data));
  } else if (size >= sizeof(wait_stack_record) && head->type == WAIT_STACK_RECORD) {
    const auto& record = *static_cast<const wait_stack_record*>(data);
    const auto* bytes = static_cast<const std::byte*>(data) + sizeof(record);
    const size_t count = std::min<size_t>(record.stack_bytes, size - sizeof(record));
    WaitStack stack = StackOfRecord(record, {bytes, count});
    if (count >= tracer.most_stack_bytes_) {
      tracer.ReadOn(record, stack);
    }
    tracer.taking_->push_back({.when = InstantFromNanos(record.when), .what = std::move(stack)});
  }
  return 0;
}

WaitsEnded LibbpfTracer::WaitsWithObject(const wait_key& key) {
  WaitsEnded waits = WaitsOf(key);
  if (key.object != 0) {
    waits.object = objects_.Find(key.object);
  } else if (const auto row = objects_of_sleepers_.find(key.stack);
             row != objects_of_sleepers_.end()) {
    waits.object = row->second;
  }
  return waits;
}

void LibbpfTracer::TakeSums(int sums, Instant when, std::vector<Event>& out) {
  constexpr uint32_t kBatch = 512;
  keys_.resize(kBatch);
  values_.resize(kBatch);
  uint32_t place = 0;
  bool is_first = true;
  for (bool more = true; more;) {
    uint32_t count = kBatch;
    const int error = bpf_map_lookup_and_delete_batch(
        sums, is_first ? nullptr : &place, &place, keys_.data(), values_.data(), &count, nullptr);
    is_first = false;
    more = error == 0;
    if (error != 0 && errno != ENOENT) {
      break;
    }
    for (uint32_t i = 0; i < count; ++i) {
      WaitsEnded waits = WaitsWithObject(keys_[i]);
      const wait_sum& sum = values_[i];
      waits.times.count = sum.count;
      waits.times.total = sum.blocked;
      waits.times.max = sum.longest;
      std::copy_n(sum.buckets, WAIT_BUCKETS, waits.times.buckets.begin());
      waits.run_queue = Nanoseconds(static_cast<int64_t>(sum.run_queue));
      out.push_back({.when = when, .what = std::move(waits)});
    }
  }
}

void LibbpfTracer::TellLosses(Instant when, std::vector<Event>& out) {
  const auto tell = [&](__u64& counter, uint64_t& told, LossKind kind) {
    const uint64_t now = LoadOf(counter);
    if (now > told) {
      out.push_back({.when = when, .what = EventsLost{.kind = kind, .count = now - told}});
      told = now;
    }
  };
  tell(shared_->lost_waits, told_lost_, LossKind::kWait);
  tell(shared_->unsent_stacks, told_unsent_, LossKind::kWaitStack);
}

void LibbpfTracer::Take(std::vector<Event>& out) {
  const Instant now = MonotonicClock::now();
  remote_bytes_ = 0;
  // Objects first, which the sums refer to; but stacks that the sums refer to have to be older than
  // these: they carry the time of their making.
  taking_ = &out;
  ring_buffer__consume(ring_.get());
  if (now - sums_taken_at_ >= kSumsInterval) {
    sums_taken_at_ = now;
    // The programs have left the other map alone since the last turn, a quarter of a second ago.
    const uint64_t epoch = LoadOf(shared_->epoch);
    TakeSums(MapFd((epoch & 1) != 0 ? "sums_even" : "sums_odd"), now, out);
    ring_buffer__consume(ring_.get());
    std::atomic_ref(shared_->epoch).store(epoch + 1);
  }
  taking_ = nullptr;
  std::atomic_ref(shared_->copies_left)
      .store(now - started_at_ < kBeginning ? kCopiesAtFirst : kCopiesPerRound);
  TellLosses(now, out);
}

template <class Use>
void LibbpfTracer::ForEachThread(Use use) const {
  const int threads = MapFd("threads");
  uint32_t thread = 0;
  wait_thread state{};
  const void* before = nullptr;
  for (; bpf_map_get_next_key(threads, before, &thread) == 0; before = &thread) {
    if (bpf_map_lookup_elem(threads, &thread, &state) == 0) {
      use(thread, state);
    }
  }
}

void LibbpfTracer::TakeRunTimes(std::vector<Event>& out) {
  const bool has_stopped = LoadOf(shared_->is_on) == 0;
  // Read before the threads are: what a thread tells at its end is later then.
  const Instant now = has_stopped ? stopped_at_ : MonotonicClock::now();
  ForEachThread([&](uint32_t thread, const wait_thread& state) {
    const auto end = static_cast<uint64_t>(now.time_since_epoch().count());
    uint64_t ran = state.ran;
    if (state.on_since != 0 && state.on_since < end) {
      ran += end - state.on_since;
    }
    if (state.key.process != 0) {
      out.push_back({.when = now,
                     .what = ThreadRunTime{.pid = Pid{static_cast<int32_t>(state.key.process)},
                                           .tid = Tid{static_cast<int32_t>(thread)},
                                           .total = Nanoseconds(static_cast<int64_t>(ran))}});
    }
  });
}

void LibbpfTracer::AddInProgress(Instant when, std::vector<Event>& out) {
  const auto end = static_cast<uint64_t>(when.time_since_epoch().count());
  ForEachThread([&](uint32_t thread, const wait_thread& state) {
    if (state.stolen > 0) {
      out.push_back({.when = when,
                     .what = WaitsEnded{.pid = Pid{static_cast<int32_t>(state.key.process)},
                                        .tid = Tid{static_cast<int32_t>(thread)},
                                        .why = OffCpu::kStolen,
                                        .times = {.total = state.stolen}}});
    }
    const bool is_off = state.off_since != 0 && state.off_since < end;
    if (!is_off && state.slices == 0) {
      return;
    }
    // Slices go before: at the end of the profile, too, they are one wait.
    WaitsEnded waits = WaitsWithObject(state.slices != 0 ? state.slices_key : state.key);
    uint64_t blocked = state.slices != 0 ? state.slices_blocked : 0;
    uint64_t run_queue = state.slices != 0 ? state.slices_run_queue : 0;
    if (is_off) {
      const bool was_woken = state.woken_at >= state.off_since && state.woken_at < end;
      const uint64_t last = (was_woken ? state.woken_at : end) - state.off_since;
      blocked += last;
      run_queue += end - state.off_since - last;
      waits.still_waiting = 1;
    }
    waits.times.Add(blocked);
    waits.run_queue = Nanoseconds(static_cast<int64_t>(run_queue));
    out.push_back({.when = when, .what = std::move(waits)});
  });
}

void LibbpfTracer::Finish(std::vector<Event>& out) {
  const Instant when = stopped_at_;
  links_.clear();  // the programs have ended when this returns
  taking_ = &out;
  ring_buffer__consume(ring_.get());
  taking_ = nullptr;
  TakeSums(MapFd("sums_even"), when, out);
  TakeSums(MapFd("sums_odd"), when, out);
  AddInProgress(when, out);
  TellLosses(when, out);
}

void LibbpfTracer::Learn(const WaitStack& stack, std::span<const StackWord> return_addresses) {
  if (!stack.registers || !stack.registers->pc() || !stack.registers->sp()) {
    return;
  }
  const uint64_t sp = *stack.registers->sp();
  const wait_shape_key key = {.ip = *stack.registers->pc(),
                              .sp = sp,
                              .link = LinkOf(*stack.registers),
                              .thread = static_cast<uint32_t>(Number(stack.tid)),
                              .system_call = stack.system_call};
  wait_variant variant{};
  variant.stack = static_cast<uint64_t>(stack.id);
  const size_t count = return_addresses.size();
  const size_t taken = std::min<size_t>(count, WAIT_SLOTS);
  for (size_t i = 0; i < taken; ++i) {
    const StackWord& word = return_addresses[i * count / taken];
    const uint64_t offset = (word.where.value() - sp) / sizeof(uint64_t);
    if (word.where.value() < sp || offset > UINT16_MAX) {
      continue;
    }
    variant.offsets[variant.count++] = static_cast<uint16_t>(offset);
    variant.span = std::max(variant.span, static_cast<uint32_t>(offset) + 1);
    variant.hash = wait_hash(variant.hash, word.value);
  }
  const int shapes = MapFd("shapes");
  wait_shape shape{};
  if (bpf_map_lookup_elem(shapes, &key, &shape) != 0) {
    return;  // it was pushed out meanwhile
  }
  // Written as a whole: what the program counts at the same time may be lost, which does no harm.
  const uint32_t place =
      shape.variants < WAIT_VARIANTS ? shape.variants++ : variant.stack % WAIT_VARIANTS;
  shape.variant[place] = variant;
  shape.unknown = 0;
  for (wait_pending& pending : shape.pending) {
    if (pending.stack == variant.stack) {
      pending = {};  // from now on its return addresses tell
    }
  }
  bpf_map_update_elem(shapes, &key, &shape, BPF_EXIST);
}

}  // namespace

absl::Status WaitTracer::Prepare(bpf_object* object, bool waits, const Plan& plan) {
  for (const char* const name :
       {"on_switch", "on_waking", "on_thread", "on_exec", "on_iteration"}) {
    bpf_program__set_autoload(bpf_object__find_program_by_name(object, name), waits);
  }
  for (const char* const name : {"threads", "sums_even", "sums_odd", "shapes", "objects",
                                 "wait_records", "scratch", "sleeper"}) {
    bpf_map__set_autocreate(bpf_object__find_map_by_name(object, name), waits);
  }
  if (!waits) {
    return absl::OkStatus();
  }
  const int cpus = libbpf_num_possible_cpus();
  bpf_map__set_max_entries(bpf_object__find_map_by_name(object, "scratch"),
                           static_cast<uint32_t>(std::max(cpus, 1)));
  size_t size = 0;
  auto* constants = static_cast<wait_constants*>(const_cast<void*>(
      bpf_map__initial_value(bpf_object__find_map_by_name(object, ".rodata"), &size)));
  if (constants == nullptr || size < sizeof(*constants)) {
    return MakeStatus(absl::StatusCode::kInternal, "the BPF programs have no constants");
  }
  constants->has_prev_state = plan.has_prev_state ? 1 : 0;
  constants->most_stack_bytes = plan.stack_bytes;
  constants->follows_children = plan.follow_children ? 1 : 0;
  constants->nr_yield = SYS_sched_yield;
  constants->nr_exit = SYS_exit;
  constants->nr_connect = SYS_connect;
  constants->nr_futex = SYS_futex;
  constants->nr_futex_wake = kSysFutexWake;
  for (int32_t number = 0; number < WAIT_SYSCALLS; ++number) {
    constants->how_fd[number] = RuleFor(SystemCallOf(number));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<WaitTracer>> WaitTracer::Open(bpf_object* object, const Plan& plan) {
  return LibbpfTracer::Open(object, plan.stack_bytes);
}

}  // namespace whyslow
