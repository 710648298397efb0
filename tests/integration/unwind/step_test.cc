// At every instruction of small programs, in every way they are built, the stack is the true one.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>

#include "tests/integration/unwind/stepper.h"

namespace whyslow::testing {
namespace {

using ::testing::HasSubstr;

struct Variant {
  std::string name;
  // Share of instructions with the true stack. Below 1 only where the program does not say enough.
  double shapes = 1;
  double signals = 1;
};

void PrintTo(const Variant& variant, std::ostream* out) { *out << variant.name; }

class StepTest : public ::testing::TestWithParam<Variant> {
 protected:
  StepReport Step(const std::string& program) {
    const std::string path =
        std::string(WHYSLOW_UNWIND_PROGRAMS) + "/" + program + "." + GetParam().name;
    return access(path.c_str(), X_OK) == 0
               ? StepThrough({path, "2"}, /*max_steps=*/60'000, UnwindMode::kAuto)
               : StepReport{};
  }
};

TEST_P(StepTest, EveryInstructionHasTheTrueStack) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "the stepper knows x86-64's calls and returns only";
#endif
  const StepReport report = Step("shapes");
  if (!report.started) {
    GTEST_SKIP() << "not built here, or ptrace is not permitted";
  }

  EXPECT_EQ(report.base_end, StackEnd::kRoot) << report.base;
  EXPECT_THAT(report.base, HasSubstr("shapes." + GetParam().name));
  EXPECT_GT(report.steps, 10'000U);
  EXPECT_GE(static_cast<double>(report.right),
            static_cast<double>(report.steps) * GetParam().shapes)
      << (report.mistakes.empty() ? "" : report.mistakes[0]);
}

TEST_P(StepTest, SignalHandlersLeadToWhatTheyInterrupted) {
#if !defined(__x86_64__)
  GTEST_SKIP() << "the stepper knows x86-64's calls and returns only";
#endif
  const StepReport report = Step("signals");
  if (!report.started) {
    GTEST_SKIP() << "not built here, or ptrace is not permitted";
  }

  EXPECT_EQ(report.base_end, StackEnd::kRoot) << report.base;
  EXPECT_EQ(report.signals, 10U);
  EXPECT_GE(static_cast<double>(report.right),
            static_cast<double>(report.steps) * GetParam().signals)
      << (report.mistakes.empty() ? "" : report.mistakes[0]);
}

INSTANTIATE_TEST_SUITE_P(
    WithCfi, StepTest,
    ::testing::Values(Variant{"gcc_O2"}, Variant{"gcc_O3"}, Variant{"gcc_Os"}, Variant{"gcc_lazy"},
                      Variant{"gcc_static"}, Variant{"gcc_static_pie"}, Variant{"gcc_no_pie"},
                      Variant{"gcc_debug_frame"}, Variant{"gcc_packed_debug_frame"},
                      Variant{"gcc_no_index"}, Variant{"gcc_ibt"}, Variant{"clang_O2"},
                      Variant{"clang_lld"}, Variant{"clang_lld_lazy"},
                      // GCC's own CFI is wrong after `pop %rbp` where a frame was realigned.
                      Variant{"gcc_O0", 0.999}),
    [](const auto& test) { return test.param.name; });

INSTANTIATE_TEST_SUITE_P(WithoutCfi, StepTest,
                         ::testing::Values(Variant{"gcc_frame_pointers"},
                                           Variant{"clang_frame_pointers"}, Variant{"gcc_nothing"},
                                           Variant{"clang_nothing"},
                                           // Lost: exit(), which has no return to read on to. It is
                                           // a large part of so short a program.
                                           Variant{"musl", 0.94, 0.65},
                                           Variant{"musl_static", 0.98, 0.97}),
                         [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace whyslow::testing
