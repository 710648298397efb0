// unwind_compare ROUNDS PID...: prints how our stacks of running processes compare with those of
// libunwind and libdw. Stops each thread for some milliseconds a round.
#include <cstdio>
#include <cstdlib>

#include "tests/integration/unwind/comparison.h"

int main(int argc, char** argv) {
  if (argc < 3) {
    std::fprintf(stderr, "usage: unwind_compare ROUNDS PID...\n");
    return 2;
  }
  for (int i = 2; i < argc; ++i) {
    whyslow::testing::Comparison comparison;
    comparison.Sample(static_cast<pid_t>(std::atoi(argv[i])),
                      static_cast<size_t>(std::atoi(argv[1])));
    std::printf("%s: %s", argv[i], comparison.Report().c_str());
  }
  return 0;
}
