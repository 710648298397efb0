#include "sampler/target/target_memory.h"

#include <sys/uio.h>

namespace whyslow {

size_t LiveMemory::Read(RuntimeAddress from, std::span<std::byte> into) const {
  // One remote iovec a page: process_vm_readv gives up a whole element at its first unreadable
  // byte.
  constexpr uint64_t kPage = 4096;
  size_t done = 0;
  while (done < into.size()) {
    const uint64_t at = from.value() + done;
    const size_t size = std::min<size_t>(into.size() - done, kPage - at % kPage);
    iovec local{into.data() + done, size};
    iovec remote{reinterpret_cast<void*>(at), size};
    const ssize_t got = process_vm_readv(Number(pid_), &local, 1, &remote, 1, 0);
    if (got <= 0) {
      break;
    }
    done += static_cast<size_t>(got);
    if (static_cast<size_t>(got) < size) {
      break;
    }
  }
  return done;
}

}  // namespace whyslow
