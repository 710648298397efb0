// Takes the place of bpf_sampler.cc where libbpf or a clang for BPF is missing.
#include "base/status.h"
#include "sampler/bpf/bpf_sampler.h"

namespace whyslow {

bool BpfSampler::IsBuiltIn() { return false; }

absl::StatusOr<std::unique_ptr<BpfSampler>> BpfSampler::Load(const Plan& /*plan*/) {
  return MakeStatus(absl::StatusCode::kUnimplemented, "this whyslow was built without BPF");
}

}  // namespace whyslow
