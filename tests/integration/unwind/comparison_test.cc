// Stacks of real programs against those of libunwind and libdw.
#include "tests/integration/unwind/comparison.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <string>
#include <vector>

namespace whyslow::testing {
namespace {

// A child that ends with this object.
class Child {
 public:
  explicit Child(std::vector<std::string> command) : pid_(fork()) {
    if (pid_ == 0) {
      std::vector<char*> arguments;
      for (std::string& word : command) {
        arguments.push_back(word.data());
      }
      arguments.push_back(nullptr);
      if (freopen("/dev/null", "w", stdout) == nullptr) {
        _exit(126);
      }
      alarm(120);  // whatever becomes of the test
      execvp(arguments[0], arguments.data());
      _exit(127);
    }
    usleep(300'000);  // past its start-up; the comparison does not depend on it
  }
  Child(const Child&) = delete;
  Child& operator=(const Child&) = delete;
  ~Child() {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  bool is_running() const { return waitpid(pid_, nullptr, WNOHANG) == 0; }
  pid_t pid() const { return pid_; }

 private:
  pid_t pid_;
};

struct Program {
  std::string name;
  std::vector<std::string> command;
};
void PrintTo(const Program& program, std::ostream* out) { *out << program.name; }

class ComparisonTest : public ::testing::TestWithParam<Program> {};

TEST_P(ComparisonTest, AgreesWithBothOraclesAndReachesTheRoot) {
  const Child child(GetParam().command);
  if (!child.is_running()) {
    GTEST_SKIP() << GetParam().command[0] << " is not installed";
  }
  Comparison comparison;
  comparison.Sample(child.pid(), /*rounds=*/400);
  const ComparisonTotals& totals = comparison.totals();
  if (totals.stacks == 0) {
    GTEST_SKIP() << "ptrace is not permitted";
  }

  EXPECT_GE(totals.stacks, 400U);
  EXPECT_EQ(totals.wrong, 0U) << comparison.Report();
  EXPECT_GE(static_cast<double>(totals.complete), 0.99 * static_cast<double>(totals.stacks))
      << comparison.Report();
  RecordProperty("report", comparison.Report());
}

INSTANTIATE_TEST_SUITE_P(
    RealPrograms, ComparisonTest,
    ::testing::Values(
        Program{"python",
                {"/usr/bin/python3", "-c",
                 "import re, json\n"
                 "s = 0\n"
                 "while True:\n"
                 "    for i in range(2000):\n"
                 "        s += len(json.dumps({'a': [i] * 5}))\n"
                 "        re.sub('a+', 'b', 'caaat' * 5)\n"
                 "    sorted(range(999), key=lambda x: -x)\n"}},
        Program{"perl",
                {"/usr/bin/perl", "-e",
                 "while (1) { my %h; $h{$_ % 97} .= sprintf('%d', $_) =~ s/1/2/r for 1 .. 1000;"
                 " my @k = sort { $h{$a} cmp $h{$b} } keys %h }"}},
        Program{"bash",
                {"/usr/bin/bash", "-c",
                 "while :; do for i in {1..1000}; do x=${i//1/2}; y=\"$x$y\"; y=${y:0:50}; done; "
                 "done"}},
        Program{"sort",
                {"/usr/bin/bash", "-c",
                 "exec sort -R --parallel=2 < <(yes aaa | head -c "
                 "2000000000)"}},
        Program{"gawk",
                {"/usr/bin/awk",
                 "BEGIN { while (1) { for (i = 0; i < 999; i++) a[i % 97] = "
                 "substr(a[i % 89] i, 1, 40); gsub(/1/, \"2\", a[3]) } }"}},
        Program{"redis",
                {"/usr/bin/redis-server", "--port", "0", "--save", "", "--unixsocket",
                 "/tmp/whyslow-unwind-test.sock"}}),
    [](const auto& test) { return test.param.name; });

}  // namespace
}  // namespace whyslow::testing
