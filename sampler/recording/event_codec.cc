#include "sampler/recording/event_codec.h"

#include <absl/container/flat_hash_map.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <type_traits>
#include <utility>
#include <variant>

namespace whyslow {
namespace {

using What = decltype(Event::what);

// Registers, callchains and the copy, of a StackSample or a WaitStack.
template <class HasStack>
void EncodeStack(const HasStack& from, recording::Sample& to) {
  to.set_has_registers(from.registers.has_value());
  uint64_t mask = 0;
  for (uint8_t number = 0; from.registers && number < kMaxRegisters; ++number) {
    if (const auto value = from.registers->Get(number)) {
      mask |= uint64_t{1} << number;
      to.add_registers(*value);
    }
  }
  to.set_register_mask(mask);
  for (const RuntimeAddress address : from.kernel_callchain) {
    to.add_kernel_callchain(address.value());
  }
  for (const RuntimeAddress address : from.user_callchain) {
    to.add_user_callchain(address.value());
  }
  to.set_stack(from.stack.data(), from.stack.size());
}

void EncodeObject(const WaitObject& from, recording::WaitObject& to) {
  to.set_kind(static_cast<uint32_t>(from.kind));
  to.set_local(from.local);
  to.set_peer(from.peer);
  to.set_path(from.path);
  to.set_is_udp(from.is_udp);
  to.set_is_server_side(from.is_server_side);
}

void EncodePythonStack(const PythonStack& from, recording::PythonStack& to) {
  to.set_id(static_cast<uint64_t>(from.id));
  to.set_is_cut(from.is_cut);
  absl::flat_hash_map<const PythonFunction*, uint32_t> places{{nullptr, 0}};
  for (const PythonFrame& frame : from.frames) {
    const auto [place, is_new] = places.try_emplace(frame.function.get(), places.size());
    if (is_new) {
      recording::PythonStack::Function& function = *to.add_functions();
      function.set_name(frame.function->name);
      function.set_file(frame.function->file);
      function.set_first_line(frame.function->first_line);
    }
    to.add_function(place->second);
    to.add_line(frame.line);
    to.add_is_entry(frame.is_entry);
  }
}

// Pid and tid stand in the entry itself.
struct Encoder {
  recording::Entry& entry;

  void operator()(const StackSample& sample) const {
    recording::Sample& to = *entry.mutable_sample();
    to.set_cpu(Number(sample.cpu));
    to.set_period(sample.period.count());
    to.set_in_kernel(sample.in_kernel);
    EncodeStack(sample, to);
    to.set_stack_was_shortened(sample.stack_was_shortened);
    to.set_python(static_cast<uint64_t>(sample.python));
  }
  void operator()(const SwitchIn& /*in*/) const { entry.mutable_switch_in(); }
  void operator()(const SwitchOut& out) const {
    entry.mutable_switch_out()->set_preempted(out.preempted);
  }
  void operator()(const WaitStack& wait) const {
    recording::WaitStack& to = *entry.mutable_wait_stack();
    to.set_id(static_cast<uint64_t>(wait.id));
    to.set_same_as(static_cast<uint64_t>(wait.same_as));
    to.set_system_call(wait.system_call);
    to.mutable_arguments()->Assign(wait.arguments.begin(), wait.arguments.end());
    EncodeStack(wait, *to.mutable_sample());
    to.mutable_sample()->set_python(static_cast<uint64_t>(wait.python));
    to.set_is_of_sleeper(wait.is_of_sleeper);
  }
  void operator()(const WaitsEnded& waits) const {
    recording::WaitsEnded& to = *entry.mutable_waits_ended();
    to.set_stack(static_cast<uint64_t>(waits.stack));
    to.set_why(static_cast<uint32_t>(waits.why));
    to.set_uninterruptible(waits.uninterruptible);
    to.set_for_device(waits.for_device);
    to.set_for_gil(waits.for_gil);
    to.set_for_time(waits.for_time);
    to.set_system_call(waits.system_call);
    if (waits.object != nullptr) {
      EncodeObject(*waits.object, *to.mutable_object());
    }
    to.set_waker(Number(waits.waker));
    to.set_count(waits.times.count);
    to.set_total(waits.times.total);
    to.set_max(waits.times.max);
    for (uint32_t bucket = 0; bucket < kDurationBuckets; ++bucket) {
      if (waits.times.buckets[bucket] != 0) {
        (*to.mutable_buckets())[bucket] = waits.times.buckets[bucket];
      }
    }
    to.set_run_queue(waits.run_queue.count());
    to.set_still_waiting(waits.still_waiting);
    to.set_python(static_cast<uint64_t>(waits.python));
  }
  void operator()(const PythonFound& found) const {
    recording::PythonFound& to = *entry.mutable_python_found();
    to.set_version(found.version);
    for (const PythonFound::Range& range : found.loop) {
      to.add_loop(range.start.value());
      to.add_loop(range.end.value());
    }
  }
  void operator()(const PythonStack& stack) const {
    EncodePythonStack(stack, *entry.mutable_python_stack());
  }
  void operator()(const PythonThreadNamed& named) const {
    entry.mutable_python_thread_named()->set_name(named.name);
  }
  void operator()(const ThreadRunTime& time) const {
    entry.mutable_run_time()->set_total(time.total.count());
    entry.mutable_run_time()->set_is_baseline(time.is_baseline);
  }
  void operator()(const MappingAdded& mapping) const {
    recording::Mapping& to = *entry.mutable_mapping();
    to.set_start(mapping.start.value());
    to.set_size(mapping.size);
    to.set_file_offset(mapping.file_offset);
    to.set_path(mapping.path);
    to.set_build_id(mapping.build_id);
    to.set_device(mapping.device);
    to.set_inode(mapping.inode);
  }
  void operator()(const ThreadStarted& started) const {
    entry.mutable_started()->set_parent_pid(Number(started.parent_pid));
    entry.mutable_started()->set_parent_tid(Number(started.parent_tid));
  }
  void operator()(const ThreadExited& /*exited*/) const { entry.mutable_exited(); }
  void operator()(const ThreadNamed& named) const {
    entry.mutable_named()->set_name(named.name);
    entry.mutable_named()->set_exec(named.exec);
  }
  void operator()(const KernelCodeChanged& code) const {
    recording::KernelCode& to = *entry.mutable_kernel_code();
    to.set_start(code.start.value());
    to.set_size(code.size);
    to.set_name(code.name);
    to.set_is_bpf(code.is_bpf);
    to.set_is_gone(code.is_gone);
  }
  void operator()(const EventsLost& lost) const {
    entry.mutable_lost()->set_kind(static_cast<uint32_t>(lost.kind));
    entry.mutable_lost()->set_count(lost.count);
  }
};

// False: damaged.
template <class HasStack>
bool DecodeStack(const recording::Sample& from, Architecture architecture, HasStack& to) {
  if (from.has_registers()) {
    if (from.register_mask() >> kMaxRegisters != 0 ||
        std::popcount(from.register_mask()) != from.registers_size()) {
      return false;
    }
    UserRegisters registers(architecture);
    int next = 0;
    for (uint8_t number = 0; number < kMaxRegisters; ++number) {
      if ((from.register_mask() >> number & 1) != 0) {
        registers.Set(number, from.registers(next++));
      }
    }
    to.registers = registers;
  }
  for (const uint64_t address : from.kernel_callchain()) {
    to.kernel_callchain.emplace_back(address);
  }
  for (const uint64_t address : from.user_callchain()) {
    to.user_callchain.emplace_back(address);
  }
  const auto* stack = reinterpret_cast<const std::byte*>(from.stack().data());
  to.stack.assign(stack, stack + from.stack().size());
  return true;
}

std::optional<What> DecodeSample(const recording::Sample& from, Architecture architecture) {
  StackSample sample;
  sample.cpu = Cpu{from.cpu()};
  sample.period = Nanoseconds(from.period());
  sample.in_kernel = from.in_kernel();
  sample.stack_was_shortened = from.stack_was_shortened();
  sample.python = PythonStackId{from.python()};
  return DecodeStack(from, architecture, sample) ? std::optional<What>(std::move(sample))
                                                 : std::nullopt;
}

std::optional<What> DecodeWaitStack(const recording::WaitStack& from, Architecture architecture) {
  WaitStack wait;
  wait.id = WaitStackId{from.id()};
  wait.same_as = WaitStackId{from.same_as()};
  wait.system_call = from.system_call();
  wait.is_of_sleeper = from.is_of_sleeper();
  wait.python = PythonStackId{from.sample().python()};
  if (from.arguments_size() != static_cast<int>(wait.arguments.size())) {
    return std::nullopt;
  }
  std::ranges::copy(from.arguments(), wait.arguments.begin());
  return DecodeStack(from.sample(), architecture, wait) ? std::optional<What>(std::move(wait))
                                                        : std::nullopt;
}

std::shared_ptr<const WaitObject> DecodeObject(const recording::WaitObject& from) {
  WaitObject object;
  if (from.kind() <= static_cast<uint32_t>(WaitObject::Kind::kTimer)) {
    object.kind = static_cast<WaitObject::Kind>(from.kind());
  }
  object.local = from.local();
  object.peer = from.peer();
  object.path = from.path();
  object.is_udp = from.is_udp();
  object.is_server_side = from.is_server_side();
  return std::make_shared<const WaitObject>(std::move(object));
}

std::optional<What> DecodeWaits(const recording::WaitsEnded& from) {
  WaitsEnded waits;
  if (from.why() > static_cast<uint32_t>(OffCpu::kStolen)) {
    return std::nullopt;
  }
  waits.stack = WaitStackId{from.stack()};
  waits.why = static_cast<OffCpu>(from.why());
  waits.uninterruptible = from.uninterruptible();
  waits.for_device = from.for_device();
  waits.for_gil = from.for_gil();
  waits.for_time = from.for_time();
  waits.system_call = from.system_call();
  if (from.has_object()) {
    waits.object = DecodeObject(from.object());
  }
  waits.waker = Tid{from.waker()};
  waits.times.count = from.count();
  waits.times.total = from.total();
  waits.times.max = from.max();
  for (const auto& [bucket, count] : from.buckets()) {
    if (bucket >= kDurationBuckets) {
      return std::nullopt;
    }
    waits.times.buckets[bucket] = count;
  }
  waits.run_queue = Nanoseconds(from.run_queue());
  waits.still_waiting = from.still_waiting();
  waits.python = PythonStackId{from.python()};
  return waits;
}

std::optional<What> DecodePythonFound(const recording::PythonFound& from) {
  PythonFound found{.version = from.version()};
  if (from.loop_size() % 2 != 0) {
    return std::nullopt;
  }
  for (int i = 0; i < from.loop_size(); i += 2) {
    found.loop.push_back({RuntimeAddress(from.loop(i)), RuntimeAddress(from.loop(i + 1))});
  }
  return found;
}

std::optional<What> DecodePythonStack(const recording::PythonStack& from) {
  PythonStack stack;
  stack.id = PythonStackId{from.id()};
  stack.is_cut = from.is_cut();
  std::vector<std::shared_ptr<const PythonFunction>> functions{nullptr};
  for (const recording::PythonStack::Function& function : from.functions()) {
    functions.push_back(std::make_shared<const PythonFunction>(
        PythonFunction{function.name(), function.file(), function.first_line()}));
  }
  if (from.line_size() != from.function_size() || from.is_entry_size() != from.function_size()) {
    return std::nullopt;
  }
  for (int i = 0; i < from.function_size(); ++i) {
    if (from.function(i) >= functions.size()) {
      return std::nullopt;
    }
    stack.frames.push_back({functions[from.function(i)], from.line(i), from.is_entry(i)});
  }
  return stack;
}

MappingAdded DecodeMapping(const recording::Mapping& from) {
  MappingAdded mapping;
  mapping.start = RuntimeAddress(from.start());
  mapping.size = from.size();
  mapping.file_offset = from.file_offset();
  mapping.path = from.path();
  mapping.build_id = from.build_id();
  mapping.device = from.device();
  mapping.inode = from.inode();
  return mapping;
}

std::optional<What> DecodeLost(const recording::Lost& from) {
  if (from.kind() > static_cast<uint32_t>(LossKind::kWait)) {
    return std::nullopt;
  }
  return EventsLost{.kind = static_cast<LossKind>(from.kind()), .count = from.count()};
}

std::optional<What> DecodeWhat(const recording::Entry& entry, Architecture architecture) {
  switch (entry.what_case()) {
    case recording::Entry::kSample:
      return DecodeSample(entry.sample(), architecture);
    case recording::Entry::kSwitchIn:
      return SwitchIn{};
    case recording::Entry::kSwitchOut:
      return SwitchOut{.preempted = entry.switch_out().preempted()};
    case recording::Entry::kWaitStack:
      return DecodeWaitStack(entry.wait_stack(), architecture);
    case recording::Entry::kWaitsEnded:
      return DecodeWaits(entry.waits_ended());
    case recording::Entry::kPythonFound:
      return DecodePythonFound(entry.python_found());
    case recording::Entry::kPythonStack:
      return DecodePythonStack(entry.python_stack());
    case recording::Entry::kPythonThreadNamed:
      return PythonThreadNamed{.name = entry.python_thread_named().name()};
    case recording::Entry::kRunTime:
      return ThreadRunTime{.total = Nanoseconds(entry.run_time().total()),
                           .is_baseline = entry.run_time().is_baseline()};
    case recording::Entry::kMapping:
      return DecodeMapping(entry.mapping());
    case recording::Entry::kStarted:
      return ThreadStarted{.parent_pid = Pid{entry.started().parent_pid()},
                           .parent_tid = Tid{entry.started().parent_tid()}};
    case recording::Entry::kExited:
      return ThreadExited{};
    case recording::Entry::kNamed:
      return ThreadNamed{.name = entry.named().name(), .exec = entry.named().exec()};
    case recording::Entry::kKernelCode:
      return KernelCodeChanged{.start = RuntimeAddress(entry.kernel_code().start()),
                               .size = entry.kernel_code().size(),
                               .name = entry.kernel_code().name(),
                               .is_bpf = entry.kernel_code().is_bpf(),
                               .is_gone = entry.kernel_code().is_gone()};
    case recording::Entry::kLost:
      return DecodeLost(entry.lost());
    default:
      return std::nullopt;
  }
}

// Calls `use` with the pid and the tid of the event, where its kind has them.
template <class AnyEvent, class Use>
void WithIds(AnyEvent& event, Use use) {
  std::visit(
      [&use](auto& what) {
        if constexpr (requires { what.tid; }) {
          use(what.pid, what.tid);
        } else if constexpr (requires { what.pid; }) {
          Tid no_thread = kNoTid;
          use(what.pid, no_thread);
        }
      },
      event.what);
}

}  // namespace

void EncodeEvent(const Event& event, recording::Entry& entry) {
  entry.Clear();
  entry.set_when(event.when.time_since_epoch().count());
  WithIds(event, [&entry](const Pid& pid, const Tid& tid) {
    entry.set_pid(Number(pid));
    entry.set_tid(Number(tid));
  });
  std::visit(Encoder{.entry = entry}, event.what);
}

std::optional<Event> DecodeEvent(const recording::Entry& entry, Architecture architecture) {
  std::optional<What> what = DecodeWhat(entry, architecture);
  if (!what) {
    return std::nullopt;
  }
  Event event{.when = Instant(Nanoseconds(entry.when())), .what = *std::move(what)};
  WithIds(event, [&entry](Pid& pid, Tid& tid) {
    pid = Pid{entry.pid()};
    tid = Tid{entry.tid()};
  });
  return event;
}

recording::Header EncodeHeader(const RecordingHeader& header) {
  recording::Header to;
  to.set_whyslow_version(header.whyslow_version);
  to.mutable_options()->insert(header.options.begin(), header.options.end());
  to.set_machine(header.machine);
  to.set_kernel_release(header.kernel_release);
  to.set_boot_id(header.boot_id);
  to.set_attached_at(header.attached_at.time_since_epoch().count());
  for (const Pid pid : header.targets) {
    to.add_targets(Number(pid));
  }
  to.set_frequency_hz(header.frequency_hz);
  to.set_attached_at_utc_nanos(header.attached_at_utc_nanos);
  for (const std::string& comment : header.comments) {
    to.add_comments(comment);
  }
  return to;
}

RecordingHeader DecodeHeader(const recording::Header& from) {
  RecordingHeader header;
  header.whyslow_version = from.whyslow_version();
  header.options.insert(from.options().begin(), from.options().end());
  header.machine = from.machine();
  header.kernel_release = from.kernel_release();
  header.boot_id = from.boot_id();
  header.attached_at = Instant(Nanoseconds(from.attached_at()));
  for (const int32_t pid : from.targets()) {
    header.targets.push_back(Pid{pid});
  }
  header.frequency_hz = from.frequency_hz();
  header.attached_at_utc_nanos = from.attached_at_utc_nanos();
  header.comments.assign(from.comments().begin(), from.comments().end());
  return header;
}

}  // namespace whyslow
