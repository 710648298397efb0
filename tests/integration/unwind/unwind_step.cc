// unwind_step auto|dwarf|fp MAX_STEPS PROGRAM [ARGUMENT...]: steps through a program that raises
// SIGSTOP and prints where our stacks are not the true ones.
#include <cstdio>
#include <cstdlib>
#include <string>

#include "tests/integration/unwind/stepper.h"

int main(int argc, char** argv) {
  using whyslow::UnwindMode;
  if (argc < 4) {
    std::fprintf(stderr, "usage: unwind_step auto|dwarf|fp MAX_STEPS PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  const std::string mode = argv[1];
  const whyslow::testing::StepReport report = whyslow::testing::StepThrough(
      {argv + 3, argv + argc}, static_cast<size_t>(std::atol(argv[2])),
      mode == "fp"      ? UnwindMode::kFramePointers
      : mode == "dwarf" ? UnwindMode::kDwarf
                        : UnwindMode::kAuto);
  std::printf("%zu steps, %zu right, %zu signals; base (%s):\n%s", report.steps, report.right,
              report.signals, std::string(ReasonFor(report.base_end)).c_str(), report.base.c_str());
  for (const std::string& mistake : report.mistakes) {
    std::printf("%s\n", mistake.c_str());
  }
  return 0;
}
