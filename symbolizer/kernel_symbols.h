// Names of kernel functions from /proc/kallsyms.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace whyslow {

struct KernelName {
  std::string name;    // empty: unknown
  std::string module;  // "[nf_tables]"; empty for the kernel itself
};

// Fills names[i] for each wanted[i] (sorted runtime addresses). `kallsyms` is the file's content.
// Users without CAP_SYSLOG see addresses of 0: nothing is resolved then.
void FindKernelNames(std::string_view kallsyms, std::span<const uint64_t> wanted,
                     std::span<KernelName> names);

}  // namespace whyslow
