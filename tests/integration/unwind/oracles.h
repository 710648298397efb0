// Two unwinders of others, to compare ours with.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace whyslow::testing {

// Program counters, leaf first, as the oracle gives them.
using OracleStack = std::vector<uint64_t>;

// Both read the live process, whose thread has to be stopped under ptrace.
class LibunwindOracle {
 public:
  LibunwindOracle();
  ~LibunwindOracle();
  OracleStack Unwind(pid_t tid);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

class LibdwOracle {
 public:
  explicit LibdwOracle(pid_t pid);
  ~LibdwOracle();
  OracleStack Unwind(pid_t tid);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace whyslow::testing
