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

// Code that the kernel gave up while we looked: the list in /proc/kallsyms is of the moment when it
// is read, and has no sizes.
struct KernelCode {
  uint64_t start = 0;
  uint64_t size = 0;
  std::string name;
  std::string module;
};

// Replaces names[i] for each wanted[i] (sorted runtime addresses) that lies in `code`, which is in
// order of time: where pieces overlap the first one counts, which was there at the attach.
void FindKernelCode(std::span<const KernelCode> code, std::span<const uint64_t> wanted,
                    std::span<KernelName> names);

// Fills names[i] for each wanted[i] (sorted runtime addresses). `kallsyms` is the file's content.
// Users without CAP_SYSLOG see addresses of 0: nothing is resolved then.
void FindKernelNames(std::string_view kallsyms, std::span<const uint64_t> wanted,
                     std::span<KernelName> names);

}  // namespace whyslow
