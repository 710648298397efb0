#include "sampler/target/process_table.h"

#include <gtest/gtest.h>

#include "base/unique_fd.h"

namespace whyslow {
namespace {

constexpr Pid kParent{10};
constexpr Pid kChild{20};

MappingAdded Code(Pid pid, uint64_t start) {
  return {.pid = pid, .start = RuntimeAddress(start), .size = 0x1000, .path = "//anon"};
}

TEST(ProcessTable, AForkedProcessHasItsParentsMappingsAndName) {
  ProcessTable table;
  table.Apply(ThreadNamed{kParent, Tid{10}, "server", false});
  table.Apply(Code(kParent, 0x1000));

  table.Apply(ThreadStarted{kChild, Tid{20}, kParent, Tid{10}});
  table.Apply(Code(kChild, 0x8000));

  EXPECT_NE(table.Get(kChild).space.Find(RuntimeAddress(0x1000)), nullptr);
  EXPECT_EQ(table.Get(kParent).space.Find(RuntimeAddress(0x8000)), nullptr);
  EXPECT_EQ(table.Get(kChild).name(), "server");
}

TEST(ProcessTable, ExecForgetsTheOldProgram) {
  ProcessTable table;
  table.Apply(ThreadNamed{kParent, Tid{10}, "sh", false});
  table.Apply(ThreadStarted{kParent, Tid{11}, kParent, Tid{10}});
  table.Apply(Code(kParent, 0x1000));

  table.Apply(ThreadNamed{kParent, Tid{10}, "ls", true});

  EXPECT_EQ(table.Get(kParent).space.size(), 0u);
  EXPECT_EQ(table.Get(kParent).name(), "ls");
  EXPECT_EQ(table.Get(kParent).NameOf(Tid{11}), "");
}

TEST(ProcessTable, AThreadIsCalledAsItsMakerUntilItIsNamed) {
  ProcessTable table;
  table.Apply(ThreadNamed{kParent, Tid{10}, "server", false});
  table.Apply(ThreadNamed{kParent, Tid{11}, "acceptor", false});

  table.Apply(ThreadStarted{kParent, Tid{12}, kParent, Tid{11}});
  EXPECT_EQ(table.Get(kParent).NameOf(Tid{12}), "acceptor");

  table.Apply(ThreadNamed{kParent, Tid{12}, "worker-1", false});
  EXPECT_EQ(table.Get(kParent).NameOf(Tid{12}), "worker-1");
}

TEST(ProcessTable, TheDeadAreRememberedForAWhileAndNotForEver) {
  ProcessTable table;
  for (int pid = 1000; pid < 3000; ++pid) {
    table.Apply(ThreadStarted{Pid{pid}, Tid{pid}, kParent, Tid{10}});
    table.Apply(ThreadExited{Pid{pid}, Tid{pid}});
  }

  EXPECT_LT(table.size(), 300u);
}

TEST(ModuleTable, TheSameFileMappedTwiceIsOneModule) {
  absl::StatusOr<UniqueFd> self = OpenReadOnly("/proc/self/exe");
  ASSERT_TRUE(self.ok());
  auto fd = std::make_shared<UniqueFd>(*std::move(self));
  ModuleTable modules;
  MappingAdded event{.pid = kParent,
                     .start = RuntimeAddress(0x10000),
                     .size = 0x1000,
                     .path = "/some/program",
                     .file = fd};

  const Mapping first = modules.Resolve(event);
  event.start = RuntimeAddress(0x20000);
  event.path = "/other/name/of/it";
  const Mapping second = modules.Resolve(event);

  ASSERT_NE(first.module, nullptr);
  EXPECT_EQ(first.module, second.module);
  EXPECT_NE(first.module->elf(), nullptr);
}

TEST(ModuleTable, TheVdsoIsAnElfImageWithAName) {
  ModuleTable modules;

  const Mapping vdso = modules.Resolve(
      {.pid = kParent, .start = RuntimeAddress(0x7000), .size = 0x2000, .path = "[vdso]"});

  ASSERT_EQ(vdso.kind, MappingKind::kVdso);
  EXPECT_NE(vdso.module->elf()->FindSection(".dynsym"), nullptr);
}

TEST(ModuleTable, AFileThatIsNotTheRecordedOneIsNotOpened) {
  ModuleTable modules;

  const Mapping mapping = modules.Resolve({.pid = kParent,
                                           .start = RuntimeAddress(0x7000),
                                           .size = 0x2000,
                                           .path = "/proc/self/exe",
                                           .build_id = "00112233"});

  ASSERT_NE(mapping.module, nullptr);
  EXPECT_EQ(mapping.module->elf(), nullptr);
  EXPECT_EQ(mapping.module->identity().build_id, "00112233");
}

}  // namespace
}  // namespace whyslow
