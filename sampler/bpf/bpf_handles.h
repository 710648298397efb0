// libbpf's objects, owned.
#pragma once

#include <bpf/libbpf.h>

#include <memory>

namespace whyslow {

struct CloseObject {
  void operator()(bpf_object* object) const { bpf_object__close(object); }
};
struct DestroyLink {
  void operator()(bpf_link* link) const { bpf_link__destroy(link); }
};
struct FreeRing {
  void operator()(ring_buffer* ring) const { ring_buffer__free(ring); }
};
using ObjectPtr = std::unique_ptr<bpf_object, CloseObject>;
using LinkPtr = std::unique_ptr<bpf_link, DestroyLink>;
using RingPtr = std::unique_ptr<ring_buffer, FreeRing>;

}  // namespace whyslow
