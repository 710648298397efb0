#include "sampler/bpf/bpf_sampler.h"

#include <absl/strings/str_format.h>
#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <cerrno>
#include <cstddef>
#include <string_view>
#include <utility>

#include "base/status.h"
#include "sampler/bpf/bpf_handles.h"
#include "sampler/bpf/ended_thread.h"
#include "sampler/bpf/python_tracer.h"
#include "sampler/bpf/wait_tracer.h"

// The compiled sampler.bpf.c, put into this program by embedded_object.S.
extern "C" const std::byte kWhyslowBpfObject[];
extern "C" const std::byte kWhyslowBpfObjectEnd[];

namespace whyslow {
namespace {

absl::StatusOr<ObjectPtr> LoadObject(const BpfSampler::Plan& plan, bool has_prev_state) {
  libbpf_set_print(nullptr);  // its reasons are many lines; ours is one, below
  const auto size = static_cast<size_t>(kWhyslowBpfObjectEnd - kWhyslowBpfObject);
  ObjectPtr object(bpf_object__open_mem(kWhyslowBpfObject, size, nullptr));
  if (object == nullptr) {
    return ErrnoStatus(errno, "reading the BPF programs");
  }
  PythonTracer::Prepare(object.get(), plan.python);
  RETURN_IF_ERROR(WaitTracer::Prepare(object.get(), plan.waits,
                                      {.stack_bytes = plan.stack_bytes,
                                       .follow_children = plan.follow_children,
                                       .has_prev_state = has_prev_state}));
  if (const int error = bpf_object__load(object.get()); error != 0) {
    return ErrnoStatus(-error, "loading the BPF programs");
  }
  return object;
}

absl::StatusOr<LinkPtr> AttachTracepoint(bpf_object* object, const char* program,
                                         const char* tracepoint) {
  LinkPtr link(bpf_program__attach_raw_tracepoint(bpf_object__find_program_by_name(object, program),
                                                  tracepoint));
  if (link == nullptr) {
    return ErrnoStatus(errno, absl::StrFormat("attaching a BPF program to %s", tracepoint));
  }
  return link;
}

class LibbpfSampler final : public BpfSampler {
 public:
  static absl::StatusOr<std::unique_ptr<BpfSampler>> Load(const Plan& plan) {
    std::unique_ptr<LibbpfSampler> sampler(new LibbpfSampler);
    absl::StatusOr<ObjectPtr> loaded = LoadObject(plan, /*has_prev_state=*/true);
    if (!loaded.ok() && plan.waits) {
      loaded = LoadObject(plan, /*has_prev_state=*/false);
    }
    RETURN_IF_ERROR(loaded.status());
    sampler->object_ = *std::move(loaded);
    bpf_object* const object = sampler->object_.get();
    sampler->targets_ = bpf_object__find_map_fd_by_name(object, "targets");
    sampler->sample_filter_ = bpf_program__fd(bpf_object__find_program_by_name(
        object, plan.python ? "filter_python_sample" : "filter_sample"));
    sampler->ring_.reset(ring_buffer__new(bpf_object__find_map_fd_by_name(object, "ended_threads"),
                                          &OnEnded, sampler.get(), nullptr));
    if (sampler->ring_ == nullptr) {
      return ErrnoStatus(errno, "mapping the BPF programs' ring");
    }
    RETURN_IF_ERROR(sampler->OpenTracers(plan));
    RETURN_IF_ERROR(sampler->AttachToThreads(plan));
    return sampler;
  }

  absl::Status AddTarget(Pid pid) override {
    const auto key = static_cast<uint32_t>(Number(pid));
    const uint8_t yes = 1;
    if (waits_ != nullptr) {
      waits_->AddTarget(pid);
    }
    if (bpf_map_update_elem(targets_, &key, &yes, BPF_ANY) != 0) {
      return ErrnoStatus(errno, "telling the BPF programs of a process");
    }
    return absl::OkStatus();
  }

  void RemoveTarget(Pid pid) override {
    const auto key = static_cast<uint32_t>(Number(pid));
    bpf_map_delete_elem(targets_, &key);
  }

  WaitTracer* waits() override { return waits_.get(); }
  PythonTracer* python() override { return python_.get(); }

  int sample_filter() const override { return sample_filter_; }

  void TakeEndedThreads(std::vector<EndedThread>& out) override {
    taking_ = &out;
    ring_buffer__consume(ring_.get());
    taking_ = nullptr;
  }

 private:
  absl::Status OpenTracers(const Plan& plan) {
    if (plan.python) {
      ASSIGN_OR_RETURN(python_, PythonTracer::Open(object_.get()));
    }
    if (plan.waits) {
      ASSIGN_OR_RETURN(waits_, WaitTracer::Open(object_.get(), {.stack_bytes = plan.stack_bytes}));
      // Here, where a failure still leaves the way without BPF. Nothing is timed before Start.
      RETURN_IF_ERROR(waits_->Attach());
    }
    return absl::OkStatus();
  }

  // To their beginnings and ends.
  absl::Status AttachToThreads(const Plan& plan) {
    bpf_object* const object = object_.get();
    if (plan.follow_children) {
      ASSIGN_OR_RETURN(on_fork_, AttachTracepoint(object, "on_fork", "sched_process_fork"));
    }
    if (!plan.waits) {  // else the last switch tells
      ASSIGN_OR_RETURN(on_exit_, AttachTracepoint(object, "on_exit", "sched_process_exit"));
      ASSIGN_OR_RETURN(on_free_, AttachTracepoint(object, "on_free", "sched_process_free"));
    }
    return absl::OkStatus();
  }

  static int OnEnded(void* self, void* data, size_t size) {
    if (size >= sizeof(ended_thread)) {
      const auto& ended = *static_cast<const ended_thread*>(data);
      static_cast<LibbpfSampler*>(self)->taking_->push_back(
          {.pid = Pid{static_cast<int32_t>(ended.process)},
           .tid = Tid{static_cast<int32_t>(ended.thread)},
           .when = InstantFromNanos(ended.when),
           .run_time = Nanoseconds(static_cast<int64_t>(ended.run_time)),
           .is_final = ended.is_final != 0});
    }
    return 0;
  }

  // Destroyed in the reverse order: the links first.
  ObjectPtr object_;
  std::unique_ptr<WaitTracer> waits_;     // null: not wanted
  std::unique_ptr<PythonTracer> python_;  // likewise
  RingPtr ring_;
  LinkPtr on_free_;
  LinkPtr on_exit_;
  LinkPtr on_fork_;
  int targets_ = -1;
  int sample_filter_ = -1;
  std::vector<EndedThread>* taking_ = nullptr;
};

}  // namespace

bool BpfSampler::IsBuiltIn() { return true; }

absl::StatusOr<std::unique_ptr<BpfSampler>> BpfSampler::Load(const Plan& plan) {
  return LibbpfSampler::Load(plan);
}

}  // namespace whyslow
