#include "sampler/perf/proc_scan.h"

#include <gmock/gmock.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "sampler/perf/check_target.h"

namespace whyslow {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Optional;
using testing::SizeIs;

TEST(ProcScan, ANameMayHoldParenthesesAndBlanks) {
  const auto stat = ParseProcStat("4711 (a (b) S 1) R 7 1 2 3 4 4194304 0 0\n");

  ASSERT_TRUE(stat.has_value());
  EXPECT_EQ(stat->id, 4711);
  EXPECT_EQ(stat->name, "a (b) S 1");
  EXPECT_EQ(stat->state, 'R');
  EXPECT_EQ(stat->parent, Pid{7});
  EXPECT_FALSE(stat->is_kernel_thread);
}

TEST(ProcScan, AKernelThreadIsKnownByItsFlag) {
  const auto stat = ParseProcStat("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0\n");

  ASSERT_TRUE(stat.has_value());
  EXPECT_TRUE(stat->is_kernel_thread);
}

TEST(ProcScan, AZombieHasEnded) {
  EXPECT_TRUE(ParseProcStat("9 (x) Z 1 1 1 0 -1 4227084 0")->has_ended());
}

TEST(ProcScan, AStatThatIsCutOffIsNothing) {
  EXPECT_FALSE(ParseProcStat("").has_value());
  EXPECT_FALSE(ParseProcStat("4711 (name").has_value());
  EXPECT_FALSE(ParseProcStat("4711 (name) R 7").has_value());
  EXPECT_FALSE(ParseProcStat(")(").has_value());
}

TEST(ProcScan, OnlyExecutableMappingsAreTaken) {
  const auto mappings = ParseExecutableMappings(
      Pid{7},
      "55d0a000-55d0b000 r--p 00000000 103:02 11  /usr/bin/x\n"
      "55d0b000-55d0d000 r-xp 00001000 103:02 11                    /usr/bin/x y\n"
      "7fff1000-7fff3000 r-xp 00000000 00:00 0                          [vdso]\n");

  ASSERT_THAT(mappings, SizeIs(2));
  EXPECT_EQ(mappings[0].pid, Pid{7});
  EXPECT_EQ(mappings[0].start, RuntimeAddress(0x55d0b000));
  EXPECT_EQ(mappings[0].size, 0x2000);
  EXPECT_EQ(mappings[0].file_offset, 0x1000);
  EXPECT_EQ(mappings[0].path, "/usr/bin/x y");
  EXPECT_EQ(mappings[0].device, makedev(0x103, 2));
  EXPECT_EQ(mappings[0].inode, 11);
  EXPECT_EQ(mappings[1].path, "[vdso]");
}

TEST(ProcScan, MemoryWithoutAFileHasTheKernelsName) {
  const auto mappings = ParseExecutableMappings(Pid{7}, "1000-2000 rwxp 00000000 00:00 0 \n");

  ASSERT_THAT(mappings, SizeIs(1));
  EXPECT_EQ(mappings[0].path, "//anon");
}

TEST(ProcScan, ALineFeedInAPathIsAsTheTargetHasIt) {
  const auto mappings =
      ParseExecutableMappings(Pid{7}, "1000-2000 r-xp 00000000 08:01 5 /tmp/a\\012b\n");

  ASSERT_THAT(mappings, SizeIs(1));
  EXPECT_EQ(mappings[0].path, "/tmp/a\nb");
}

TEST(ProcScan, MapsThatMakeNoSenseAreLeftOut) {
  EXPECT_THAT(ParseExecutableMappings(Pid{7}, "\n\nx\n2000-1000 r-xp 0 0:0 0\n1-2 r-xp"),
              IsEmpty());
}

TEST(ProcScan, TheRunTimeIsTheFirstNumber) {
  EXPECT_THAT(ParseRunTime("123456 77 8\n"), Optional(Nanoseconds(123456)));
  EXPECT_FALSE(ParseRunTime("").has_value());
}

TEST(ProcScan, AStatusFieldIsFoundByItsWholeName) {
  EXPECT_THAT(FindStatusField("NSpid:\t9\nPid:\t7\nTgid:\t5\n", "Pid"), Optional(std::string("7")));
  EXPECT_FALSE(FindStatusField("Pid:\t7\n", "Tgid").has_value());
}

TEST(ProcScan, ThisProcessIsInItsOwnTree) {
  const Pid self{getpid()};

  EXPECT_THAT(ReadProcessTree({self}), Contains(self));
  EXPECT_THAT(ReadThreads(self), Contains(MainThreadOf(self)));
}

TEST(CheckTarget, ThisProcessIsFine) { EXPECT_TRUE(CheckTarget(Pid{getpid()}).ok()); }

TEST(CheckTarget, ANumberThatNobodyHasIsNotFound) {
  const absl::Status status = CheckTarget(Pid{0x7ffffff0});

  EXPECT_TRUE(absl::IsNotFound(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("no such process"));
}

}  // namespace
}  // namespace whyslow
