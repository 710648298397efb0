#include "sampler/bpf/python_tracer.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "base/status.h"
#include "sampler/bpf/python_records.h"

namespace whyslow {
namespace {

// The program runs within some microseconds of the sample's time, unless an interrupt or the
// hypervisor comes between; a thread's next sample is farther away.
constexpr Nanoseconds kSameMoment = std::chrono::microseconds(90);
// A stack is told under a time of its own, a little before the sample that is on it.
constexpr Nanoseconds kBefore = std::chrono::microseconds(100);
constexpr Nanoseconds kSamplesAreGone = std::chrono::seconds(5);
// At once; else a fast target would keep us reading.
constexpr int kMostRecords = 50'000;

Nanoseconds Distance(Instant a, Instant b) { return a > b ? a - b : b - a; }

}  // namespace

void PythonTracer::Prepare(bpf_object* object, bool python) {
  bpf_program__set_autoload(bpf_object__find_program_by_name(object, "filter_python_sample"),
                            python);
  const auto resize = [object](const char* map, uint32_t entries) {
    bpf_map__set_max_entries(bpf_object__find_map_by_name(object, map), entries);
  };
  const int cpus = std::max(libbpf_num_possible_cpus(), 1);
  if (python) {
    resize("python_room", static_cast<uint32_t>(2 * cpus));
    return;
  }
  // Other programs speak of them, so that they have to be there.
  for (const char* const map : {"python_layouts", "python_threads", "python_stacks"}) {
    resize(map, 1);
  }
  resize("python_records", static_cast<uint32_t>(getpagesize()));
}

absl::StatusOr<std::unique_ptr<PythonTracer>> PythonTracer::Open(bpf_object* object) {
  std::unique_ptr<PythonTracer> tracer(new PythonTracer);
  tracer->layouts_ = bpf_object__find_map_fd_by_name(object, "python_layouts");
  tracer->ring_.reset(ring_buffer__new(bpf_object__find_map_fd_by_name(object, "python_records"),
                                       &OnRecord, tracer.get(), nullptr));
  if (tracer->ring_ == nullptr) {
    return ErrnoStatus(errno, "mapping the BPF programs' ring of Python stacks");
  }
  return tracer;
}

void PythonTracer::Walk(Pid pid, const python_walk_layout& layout) {
  const auto process = static_cast<uint32_t>(Number(pid));
  bpf_map_update_elem(layouts_, &process, &layout, BPF_ANY);
}

void PythonTracer::Leave(Pid pid) {
  const auto process = static_cast<uint32_t>(Number(pid));
  bpf_map_delete_elem(layouts_, &process);
}

int PythonTracer::fd() const { return ring_buffer__epoll_fd(ring_.get()); }

int PythonTracer::OnRecord(void* self, void* data, size_t size) {
  auto& tracer = *static_cast<PythonTracer*>(self);
  const int next = ++tracer.records_ < kMostRecords ? 0 : -ECANCELED;
  const auto* type = static_cast<const __u32*>(data);
  if (size >= sizeof(python_sample_record) && *type == PYTHON_SAMPLE_RECORD) {
    const auto& record = *static_cast<const python_sample_record*>(data);
    tracer.walked_[Tid{static_cast<int32_t>(record.thread)}].push_back(
        {.when = InstantFromNanos(record.when),
         .cpu = Cpu{static_cast<int32_t>(record.cpu)},
         .stack = PythonStackId{record.stack}});
    return next;
  }
  constexpr size_t kHead = offsetof(python_stack_record, frames);
  if (size < kHead || *type != PYTHON_STACK_RECORD) {
    return next;
  }
  const auto& record = *static_cast<const python_stack_record*>(data);
  const size_t count = std::min<size_t>(record.count, (size - kHead) / sizeof(python_raw_frame));
  tracer.taking_->push_back({.when = InstantFromNanos(record.when) - kBefore,
                             .what = PythonStack{.pid = Pid{static_cast<int32_t>(record.process)},
                                                 .tid = Tid{static_cast<int32_t>(record.thread)},
                                                 .id = PythonStackId{record.stack},
                                                 .is_cut = record.is_cut != 0,
                                                 .raw = {record.frames, record.frames + count},
                                                 .outermost = RuntimeAddress(record.outermost),
                                                 .frames = {}}});
  return next;
}

void PythonTracer::Take(std::vector<Event>& out) {
  taking_ = &out;
  records_ = 0;
  ring_buffer__consume(ring_.get());
  taking_ = nullptr;
  ForgetOld(MonotonicClock::now());
}

PythonStackId PythonTracer::StackOf(const StackSample& sample, Instant when) {
  const auto thread = walked_.find(sample.tid);
  if (thread == walked_.end()) {
    return kNoPythonStack;
  }
  std::deque<Walked>& walked = thread->second;
  // In order of time, as the samples are.
  while (!walked.empty() && walked.front().when + kSameMoment < when) {
    walked.pop_front();
  }
  if (walked.empty() || Distance(walked.front().when, when) > kSameMoment ||
      walked.front().cpu != sample.cpu) {
    return kNoPythonStack;
  }
  const PythonStackId stack = walked.front().stack;
  walked.pop_front();
  return stack;
}

// Of samples that never came.
void PythonTracer::ForgetOld(Instant now) {
  if (now - swept_at_ < kSamplesAreGone) {
    return;
  }
  swept_at_ = now;
  absl::erase_if(walked_, [now](const auto& thread) {
    return thread.second.empty() || now - thread.second.back().when > kSamplesAreGone;
  });
}

}  // namespace whyslow
